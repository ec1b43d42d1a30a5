"""The words behind `python -m unlearnkit.measure`: which are taken, and the config that they make."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from unlearnkit import configuration
from unlearnkit.errors import UserError
from unlearnkit.settings.check import check
from unlearnkit.settings.composed import composed
from unlearnkit.settings.run import Run

OF_RUN = "of-the-run"  # the option of each group that says what the run's own config says
# What a measurement can take otherwise than the run.
ASKS = ("eval", "data", "judge", "paper", "control", "controls", "attack", "attacks")
OF_A_FOLDER = (*ASKS, "model", "seed", "hydra")


def check_words(words: Sequence[str], groups: Sequence[str]) -> None:
    """Every word is about a measurement.

    Raises:
        UserError: one is not, such as a method or a rate.
    """
    for word in words:
        group = re.split(r"[=.@/]", word.lstrip("+~"), maxsplit=1)[0]
        if "=" not in word and not word.startswith("~"):
            raise UserError(f"'{word}' is no setting", "Write KEY=VALUE, such as eval=safety or eval.safety.limit=50")
        if group not in groups:
            of_run = " The model and the seed are the run's." if group in ("model", "seed") else ""
            raise UserError(
                f"'{word}' decides nothing of a measurement.{of_run} Valid: {', '.join(f'{name}=' for name in groups)}",
                "Leave it out; `python -m unlearnkit` makes a new run",
            )


@contextlib.contextmanager
def config_of_run(run_config: dict[str, Any], words: Sequence[str]) -> Iterator[DictConfig]:
    """The run's own config with the words over it; its data or its evaluation goes where a word chooses another.

    Args:
        run_config: the run's config.yaml, with today's names.
    """
    check_words(words, ASKS)
    configuration.register_resolvers()
    chosen = {word.partition("=")[0] for word in words if "=" in word}
    own = ["model", "judge", *(["data"] if "data" not in chosen else [])]
    own += ["eval"] if not {"eval", "data"} & chosen else []  # other data may choose their evaluation
    own = [group for group in own if group not in chosen and group in run_config]
    with tempfile.TemporaryDirectory(prefix="unlearnkit-") as folder:
        for group in own:
            _write(Path(folder, group, f"{OF_RUN}.yaml"), _option(group, run_config))
        if run_config.get("paper"):
            _write(Path(folder, "paper", f"{OF_RUN}.yaml"), run_config["paper"])
        own_words = [*(f"{group}={OF_RUN}" for group in own), f"seed={run_config.get('seed', 0)}"]
        if run_config.get("controls") and "data" in own and "+control@controls" not in chosen:
            _write(Path(folder, "control", f"{OF_RUN}.yaml"), run_config["controls"])
            own_words.append(f"+control@controls={OF_RUN}")
        with composed([*own_words, *words], Path(folder)) as config:
            check(config, Run)
            yield config


def _option(group: str, run_config: Mapping[str, Any]) -> dict[str, Any]:
    """A part of the run's config as an option of its group, as the YAML in conf/ has it."""
    part = run_config[group]
    if group == "data":
        return {
            "defaults": [*([{"/paper@_global_.paper": OF_RUN}] if run_config.get("paper") else []), "_self_"],
            **part,
        }
    if group == "eval":  # the run's judge is whichever a word chooses
        return {
            name: {**one, "judge": "${judge}"}
            if one.get("judge") == run_config.get("judge") and "judge" in one
            else one
            for name, one in part.items()
        }
    return dict(part)


def _write(path: Path, part: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(_literal(part), sort_keys=False, allow_unicode=True), encoding="utf-8")


def _literal(part: Any) -> Any:
    """What looks like an interpolation in a resolved config is none; that of the judge is ours."""
    if isinstance(part, Mapping):
        return {key: _literal(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_literal(value) for value in part]
    return part.replace("${", "\\${") if isinstance(part, str) and part != "${judge}" else part
