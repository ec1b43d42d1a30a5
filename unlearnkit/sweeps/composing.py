"""A sweep's cells composed: by Hydra's own loader, so that a cell's config is what its job gets.

Cells that differ in plain values alone, such as seeds, share one composition, for one takes half a second.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from unlearnkit import configuration
from unlearnkit.errors import UserError
from unlearnkit.settings.cells import given, set_aside

T = TypeVar("T")
Words = tuple[str, ...]  # overrides as on the command line
NAME = "unlearnkit"  # the job's
SCALARS = (str, int, float, bool, type(None))


@contextlib.contextmanager
def loader() -> Iterator[ConfigLoader]:
    """The loader of our configs, whatever else this process composes with Hydra."""
    configuration.register_resolvers()
    ours, job = GlobalHydra.instance(), JobRuntime.instance()
    hydra, name = ours.hydra, job.get("name")
    ours.clear()
    try:
        with initialize_config_dir(str(configuration.FOLDER), job_name=NAME, version_base="1.3"):
            yield GlobalHydra.instance().config_loader()
    finally:
        GlobalHydra.instance().hydra = hydra
        job.set("name", name)


@contextlib.contextmanager
def loader_here() -> Iterator[ConfigLoader]:
    """The loader that a multirun's own jobs have; ours where no multirun is under way, as in a notebook."""
    if GlobalHydra.instance().is_initialized():
        yield GlobalHydra.instance().config_loader()
    else:
        with loader() as own:
            yield own


def compose_master(words: Sequence[str], loader: ConfigLoader) -> DictConfig:
    """A sweep's own config: what Hydra composes of its command line before it looks at the grid."""
    master = loader.load_configuration("config", set_aside(words), RunMode.MULTIRUN)
    give_back(master)
    return master


def give_back(master: DictConfig) -> None:
    """Say the cells' words as the user wrote them, where Hydra's sweeper reads them: it gives them to each cell."""
    OmegaConf.set_readonly(master.hydra, False)
    master.hydra.overrides.task = given(master.hydra.overrides.task)


def of_first_cell(words: Sequence[str]) -> list[str]:
    """The words of a sweep's first cell, as of a single run."""
    with loader() as own:
        axes = _axes(compose_master(words, own), own)
    return [axis[0] for axis in axes.values()]


def compose(master: DictConfig, words: Sequence[str], loader: ConfigLoader) -> DictConfig:
    """The config of a multirun's job, as Hydra's launchers compose it."""
    return loader.load_sweep_config(master, list(words))


def each(master: DictConfig, loader: ConfigLoader, look: Callable[[Words, DictConfig], T]) -> list[T]:
    """What `look` sees in each cell's words and config, in the order of Hydra's sweeper.

    A shared config is changed in place from cell to cell. What Hydra says in it of the command line is taken out, so
    that a config which reads that is composed for itself.
    """
    axes = _axes(master, loader)
    values = _values(axes, loader)
    shared: dict[Words, DictConfig] = {}
    seen = []
    for words in itertools.product(*axes.values()):
        known = tuple(word for word in words if word not in values)
        if known in shared:
            for word in words:
                if word in values:
                    OmegaConf.update(shared[known], values[word].key_or_group, values[word].value())
            with contextlib.suppress(OmegaConfBaseException), _current(shared[known]):
                seen.append(look(words, shared[known]))
                continue
        config = compose(master, words, loader)
        with _current(config):
            seen.append(look(words, config))
        _forget_words(config)
        shared.setdefault(known, config)
    return seen


def _axes(master: DictConfig, loader: ConfigLoader) -> dict[str, list[str]]:
    """Key -> its words: the grid's axes in their order, the command line's overrides over them."""
    words = [f"{key}={value}" for key, value in configuration.grid(master).items()]
    words += list(OmegaConf.to_container(master.hydra.overrides.task))  # type: ignore[arg-type]
    axes = {}
    for override in OverridesParser.create(config_loader=loader).parse_overrides(words):
        key = override.get_key_element()
        if not override.is_sweep_override():
            axes[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            axes[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise UserError(f"'{override.input_line}' has no end of values", f"List them: {key}=VALUE,VALUE")
    return axes


def _values(axes: dict[str, list[str]], loader: ConfigLoader) -> dict[str, Override]:
    """Words of the axes that change one plain value each, which no other word has to do with."""
    parser = OverridesParser.create(config_loader=loader)
    parsed = {key: parser.parse_overrides(words) for key, words in axes.items()}

    def sets_values(override: Override) -> bool:
        return isinstance(override.value(), dict) or not loader.get_group_options(override.key_or_group)

    keys = [overrides[0].key_or_group for overrides in parsed.values() if any(map(sets_values, overrides))]
    found: dict[str, Override] = {}
    for key, overrides in parsed.items():
        near = [other for other in keys if f"{other}.".startswith(f"{key}.") or f"{key}.".startswith(f"{other}.")]
        plain = all(o.get_key_element() == o.key_or_group and isinstance(o.value(), SCALARS) for o in overrides)
        if len(overrides) > 1 and near == [key] and plain:
            found |= dict(zip(axes[key], overrides, strict=True))
    return found


def _forget_words(config: DictConfig) -> None:
    """Take out what only the words of one cell decide, besides their values."""
    OmegaConf.set_readonly(config.hydra, False)
    with open_dict(config.hydra):
        config.hydra.overrides = "???"
        config.hydra.job.override_dirname = "???"


@contextlib.contextmanager
def _current(config: DictConfig) -> Iterator[None]:
    """`config` is what `${choice:}` reads, as it is in the job itself."""
    instance = HydraConfig.instance()
    before = instance.cfg
    instance.set_config(config)
    try:
        yield
    finally:
        instance.cfg = before
