"""What can be known to be wrong before anything is computed."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unlearnkit import ranks
from unlearnkit.content import digest
from unlearnkit.data.examples import Data, nonempty
from unlearnkit.data.overlap import normalised
from unlearnkit.data.streams import Shuffled, Stream, how_to_give
from unlearnkit.errors import UserError, nearest
from unlearnkit.identity import NO_MATTER, flat
from unlearnkit.inputs import code, inputs, rows_of
from unlearnkit.measures.interval import nothing
from unlearnkit.models import LanguageModel
from unlearnkit.models.quantised import is_quantised
from unlearnkit.models.reading import number_of
from unlearnkit.settings.sizes import depth_of
from unlearnkit.stages import Finetune
from unlearnkit.stages.base import Stage
from unlearnkit.stages.selection import Numbers, Selection

if TYPE_CHECKING:  # this module is read where little is installed, which these need (benchmarks/gpu.py)
    from unlearnkit.attacks.base import Attack
    from unlearnkit.controls.taught import Target
    from unlearnkit.evaluations.base import Evaluations

NO_METHOD = "base"  # the method of a run that only measures


def agreed_inputs(config: dict[str, Any], data: Data) -> dict[str, str]:
    """The run's `inputs`, as rank zero finds them.

    Raises:
        UserError: this rank has read other rows, composed another config, or is of other code.
    """
    rows = f"other rows of the data '{data.name}'"
    own = [(rows, rows_of(data)), ("another config", _settings(config)), ("other code", code())]
    content, first = ranks.from_first(lambda: (inputs(config, data), own))
    for (what, mine), (_, other) in zip(own, first, strict=True):
        if mine != other:
            raise UserError(
                f"Rank {ranks.rank()} on {platform.node()} has {what} than rank zero",
                "Give all machines the same files, the same command line and the same installation",
            )
    return content


def _settings(config: dict[str, Any]) -> str:
    """The hash of what a config says of a run's result."""
    return digest({key: value for key, value in flat(config).items() if not NO_MATTER.search(key)})


def bind_streams(data: Data, derived: dict[str, Any]) -> dict[str, Stream]:
    """The data's own streams and those the method derives from them."""
    streams: dict[str, Stream] = {name: Shuffled(name, examples) for name, examples in data.streams.items()}
    return {**streams, **{name: stream.bind(streams) for name, stream in derived.items()}}


def check_stages(stages: dict[str, Stage], streams: dict[str, Stream], method: str = NO_METHOD) -> None:
    """A method does something, and every stream that its stages read is there and holds something.

    Raises:
        UserError: no stage, an unknown stream, with the nearest name, or an empty one.
    """
    if not stages and method != NO_METHOD:
        raise UserError(
            f"The method '{method}' has no stage left, and the model would be measured under its name as it is",
            f"Keep a stage, or leave +method={method} out: the model is then measured alone, as '{NO_METHOD}'",
        )
    for stage_name, stage in stages.items():
        if not isinstance(stage, Stage):
            raise UserError(
                f"stages.{stage_name} is a {type(stage).__name__}, not a stage",
                f"Set stages.{stage_name}._target_= to a class of unlearnkit.stages, or to one that inherits Stage",
            )
        stage.check(f"stages.{stage_name}")
        for key, stream_name in stage.stream_names().items():
            stream = streams.get(stream_name)
            if stream is None:
                raise UserError(
                    f"Unknown stream '{stream_name}' in stages.{stage_name}.{key}."
                    f"{'' if how_to_give(stream_name) else nearest(stream_name, streams)} Valid: {', '.join(streams)}",
                    how_to_give(stream_name) or f"Set stages.{stage_name}.{key}= to one of these",
                )
            source = getattr(stream, "prompts", stream)
            if isinstance(source, Shuffled):
                nonempty(source.name, source.examples, "Give data with data= or data.path= that has such rows")


def check_layers(stages: dict[str, Stage], path: str | None) -> None:
    """Every layer that a stage names is there, as far as the config.json of the model's folder says it.

    Raises:
        UserError: one is not.
    """
    depth = depth_of(path)
    if depth is None:
        return
    for stage in stages.values():
        for layer in stage.depths():
            number_of(layer, depth)


def check_selection(stages: dict[str, Stage], every: int, split: str, evaluations: Evaluations) -> None:
    """A step is chosen among measured ones, by what is measured, and never on test rows.

    Raises:
        UserError: a stage that selects, where nothing is measured, or the test split is, in name or by its rows.
    """
    if not _selections(stages):
        return
    if split == "test":
        raise UserError(
            "train.select with curve_split=test would choose the step on the rows that it is then reported on",
            "Set curve_split=validation",
        )
    if not every:
        raise UserError(
            "train.select chooses among measured steps, and eval_every=0 measures none", "Set eval_every= to some steps"
        )
    check_held_out(evaluations.data, split, "train.select")
    if (known := evaluations.on_curves(split)) is not None:
        check_choices(stages, dict.fromkeys(known, nothing()))


def check_held_out(data: Data, split: str, key: str) -> None:
    """What is chosen on a split is not chosen on what it is reported on.

    Args:
        key: the setting that chooses.

    Raises:
        UserError: a prompt of the split that is one of the test split of its set too.
    """
    for name, splits in data.sets.items():
        tested = {normalised(row.prompt or row.response) for row in splits.get("test", ())}
        own = splits.get(split, ())
        if shared := [row for row in own if normalised(row.prompt or row.response) in tested]:
            raise UserError(
                f"{key} chooses on {split}, and {len(shared)} of its {len(own)} rows of the set '{name}' are test rows"
                f" too ('{shared[0].id}')",
                "Give validation rows of their own, or leave the choice out",
            )


def check_choices(stages: dict[str, Stage], numbers: Numbers) -> None:
    """What `train.select` asks for is measured on curves; `numbers` are the start's.

    Raises:
        UserError: it is not.
    """
    for selection in _selections(stages):
        selection.check(numbers)


def _selections(stages: dict[str, Stage]) -> list[Selection]:
    return [stage.select for stage in stages.values() if isinstance(stage, Finetune) and stage.select]


def check_beside(stages: dict[str, Stage], label: str, target: Target | None, quantised: bool) -> None:
    """Nothing that a run does changes weights that are quantised.

    Args:
        label: what the model is called.

    Raises:
        UserError: a stage does, or the target.
    """
    if not quantised:
        return
    taught = target is not None and not target.merge
    errors = [target.beside(label) if target is not None else None]
    errors += [stage.beside(label, taught) for stage in stages.values()]
    if refused := next((error for error in errors if error), None):
        raise refused


def check_model(
    stages: dict[str, Stage],
    model: LanguageModel,
    target: Target | None = None,
    attacks: Mapping[str, Attack] = {},
    streams: dict[str, Stream] | None = None,
    seed: int = 0,
) -> None:
    """Every stage and attack can work on the model, on what the target makes of it, and on the streams.

    Raises:
        UserError: one says that it cannot.
    """
    check_beside(stages, "the model", target, is_quantised(model.model))
    for name, stage in stages.items():
        if stage.needs_fresh and target is not None and not target.merge:
            raise UserError(
                f"The stage '{name}' begins an adapter, and the model would go on with the one it is taught with",
                "Set target.merge=true, which puts what was taught into the base",
            )
        stage.check_model(model)
        if streams is not None:
            stage.check_rows(model, streams, seed)
    for attack in attacks.values():
        attack.check_model(model)
