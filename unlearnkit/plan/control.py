"""Whether a run teaches the control that never knew, and what."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig

from unlearnkit.controls.never_knew import NEVER_KNEW, never_taught
from unlearnkit.controls.taught import STREAM
from unlearnkit.data.examples import Data
from unlearnkit.data.streams import Shuffled, Stream


def taught_to_control(cfg: DictConfig, streams: dict[str, Stream], data: Data | None) -> dict[str, Stream] | None:
    """The streams that the control is taught on.

    None where neither a measure nor an attack needs one, or where it is not made by a teaching.

    Args:
        data: the run's own; None where they are stood in for, which teaches the control as much as the target.

    Raises:
        UserError: nothing to teach without the forget side.
    """
    controls: Any = cfg.get("controls") or {}
    given = controls.get(NEVER_KNEW, {})
    if given is None or any(given.get(key) for key in ("hub", "path", "records")):
        return None
    attacked = cfg.get("attacks") and NEVER_KNEW in controls  # attacks do without one that the config has not
    if not attacked and NEVER_KNEW not in set(_against(cfg)):
        return None
    return streams if data is None else {**streams, STREAM: Shuffled(STREAM, never_taught(data))}


def _against(cfg: DictConfig) -> Iterator[str]:
    """The moments that measures of the run are taken against."""
    for part in cfg.eval.values():
        measures = part.get("measures") or {}
        for name in {name for wanted in (part.get("sets") or {}).values() for name in wanted}:
            told = measures.get(name) or {}
            if "_target_" in told:
                default = inspect.signature(get_class(told["_target_"])).parameters.get("against")
                yield str(told.get("against", default.default if default else ""))
