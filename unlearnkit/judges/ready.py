"""Whether a config's judges can begin: told before the libraries are waited for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from unlearnkit.errors import UserError

OPENAI = "unlearnkit.judges.openai.OpenAIJudge"  # which takes nothing but its settings to be made


def check_judges(config: DictConfig) -> None:
    """Make the judges behind a server that a run's evaluations and attacks ask; a judge that nothing asks may lack all.

    Raises:
        UserError: a key that is not in the environment, or few-shot examples that are none.
    """
    for part in ("eval", "attacks"):
        for judge in _judges(OmegaConf.to_container(config[part], resolve=True) if config.get(part) else {}):
            try:
                instantiate(judge, _convert_="all")
            except InstantiationException as error:
                raise (error.__cause__ if isinstance(error.__cause__, UserError) else error) from None


def _judges(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict) and node.get("_target_") == OPENAI:
        yield node
    elif isinstance(node, dict | list):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from _judges(inner)
