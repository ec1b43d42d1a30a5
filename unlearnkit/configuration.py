"""The resolvers our YAML uses, and errors in two lines whatever Hydra would print of them."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unlearnkit.errors import UserError, first_line, interrupt_if_pressed, nearest, speak_plainly
from unlearnkit.identity import fingerprint, resolved
from unlearnkit.settings.disk import full_disk
from unlearnkit.settings.hydra_errors import of_hydra
from unlearnkit.settings.places import unused, word
from unlearnkit.settings.sizes import OTHERS, rate
from unlearnkit.settings.yaml import ADDED, FOLDER, options

__all__ = ["ADDED", "FOLDER", "explain", "exit_with_two_lines", "grid", "options", "register_resolvers", "two_lines"]


def register_resolvers() -> None:
    """The resolvers our YAML uses.

    `${choice:GROUP,default}`: the option chosen for a config group. `${row:TABLE,name,default}`: a table's row by
    name (a path could not say it: a model's name may hold a dot), else the default. `${taken:TABLE,name}`: that row's
    name, or "others". `${rate:RATES,lora,path,hub}`: see `unlearnkit.settings.sizes`. `${called:NAME,path,hub,OWN}`:
    NAME of the model that is OWN on the hub, else what the folder or the hub calls the one that was given.
    `${without:x,value}`: the value where there is no x. `${of:x,y,value}`: the value where x is y. `${unused:FOLDER}`:
    a folder of this process alone. `${word:x}`: a part of its name. `${negative:x}`: -x. `${grid:}`: the axes of the
    chosen sweep. `${fingerprint:}`: of all that decides the run's result. `${every:GROUP,x,y}`: the group's options but
    x and y, with commas between.
    """
    OmegaConf.register_new_resolver("choice", _choice, replace=True)
    OmegaConf.register_new_resolver("row", _row, replace=True)
    OmegaConf.register_new_resolver("taken", lambda rows, name: name if name in rows else OTHERS, replace=True)
    OmegaConf.register_new_resolver("rate", rate, replace=True)
    OmegaConf.register_new_resolver("called", called, replace=True)
    OmegaConf.register_new_resolver("without", lambda other, value: None if other else value, replace=True)
    OmegaConf.register_new_resolver("word", word, replace=True)
    OmegaConf.register_new_resolver("unused", unused, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("of", lambda value, own, chosen: chosen if value == own else None, replace=True)
    OmegaConf.register_new_resolver("negative", lambda number: -float(number), replace=True)
    OmegaConf.register_new_resolver("grid", _grid, replace=True)
    OmegaConf.register_new_resolver("every", _every, replace=True)
    OmegaConf.register_new_resolver("fingerprint", _fingerprint, replace=True)


def _choice(group: str, default: str = "none") -> str:
    if not HydraConfig.initialized():
        return default
    chosen = HydraConfig.get().runtime.choices.get(group)
    return default if chosen is None else str(chosen)


def _every(group: str, *without: str) -> str:
    return ",".join(name for name in options(group) if name not in without)


def _row(table: DictConfig, name: object, default: Any) -> Any:
    return table[name] if isinstance(name, str) and name in table else default


def called(name: str | None, path: str | None, hub: str | None, own: str | None) -> str | None:
    """A model's name in folders and tables: that of its source, where this is not the one that `name` was given to."""
    if path:
        return Path(str(path)).expanduser().absolute().name or name
    return str(hub).rpartition("/")[2] if hub and hub != own else name


def _grid(*, _root_: DictConfig) -> dict[str, str]:
    return grid(_root_) if "sweep" in _root_ else {}  # it is looked at while the config is still being put together


def grid(root: DictConfig) -> dict[str, str]:
    """What Hydra's sweeper takes: the sweep's grid, the chosen scale's part over it; null takes an axis away.

    Raises:
        UserError: a scale that the sweep does not have.
    """
    axes = dict(root.sweep.grid)
    if (scale := OmegaConf.select(root, "scale")) is not None:
        scales = root.sweep.get("scales") or {}
        if scale not in scales:
            raise UserError(
                f"The sweep '{root.sweep.name}' has no scale '{scale}'.{nearest(scale, scales)}",
                f"Choose +scale={' or '.join(scales)}, or leave it out" if scales else "Leave +scale= out",
            )
        axes |= dict(scales[scale])
    return {key: str(value) for key, value in axes.items() if value is not None}


def _fingerprint(*, _root_: DictConfig) -> str:
    return fingerprint(resolved(_root_))


_wanted = ""  # HYDRA_FULL_ERROR as the user has it
_told: set[str] = set()  # what jobs of a multirun have told of, while the others went on
_process = 0


def exit_with_two_lines(command: Callable[[], object], primary: str = "config") -> None:
    """Run a command; what a user can mend becomes two lines on stderr and exit code 2.

    HYDRA_FULL_ERROR=1 shows the traceback instead. `primary` is the command's own config, whose keys are valid.
    """
    global _wanted, _process
    _wanted, _process = os.environ.get("HYDRA_FULL_ERROR", "0"), os.getpid()
    _told.clear()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra re-raises its errors instead of printing them its way
    speak_plainly()
    try:
        command()
    except Exception as error:
        interrupt_if_pressed()
        _stop(error, primary)
        raise
    finally:
        os.environ["HYDRA_FULL_ERROR"] = _wanted
    if _told:
        raise SystemExit(2)


@contextlib.contextmanager
def two_lines(primary: str = "config") -> Iterator[None]:
    """The same inside a job, where Hydra would put a line of its own in front of an error that reaches it.

    In a multirun's own process the jobs that follow go on, and the command exits with 2 at its end; a launcher's
    other processes get the error itself, for their launcher counts by it.
    """
    speak_plainly()
    try:
        yield
    except Exception as error:
        interrupt_if_pressed()
        if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN and _process:
            told = explain(error, primary)
            if told is None or _wanted == "1" or os.getpid() != _process:
                raise
            if str(told) not in _told:
                tell(told)
            _told.add(str(told))
            return
        _stop(error, primary)
        raise


def _stop(error: Exception, primary: str) -> None:
    """Tell of an error that a user can mend, and leave; come back with any other."""
    told = explain(error, primary)
    if not _speaks():
        raise SystemExit(2 if told else 1) from None
    if _wanted == "1" or told is None:
        return
    tell(told)
    raise SystemExit(2) from None


def tell(error: UserError) -> None:
    """The two lines, on stderr; a line's own breaks are shown, not made."""
    what, fix = (" ".join(line.split("\n")) for line in (error.what, error.fix))
    print(f"Error: {what}\n  Fix: {fix}", file=sys.stderr)


def _speaks() -> bool:
    """Of several ranks one tells of an error: the first; before they have met, rank zero."""
    if (ranks := sys.modules.get("unlearnkit.ranks")) and ranks.met():
        return bool(ranks.speaks_first())
    if os.environ.get("RANK", "0") != "0":
        # Rank zero fails alike, tells, and its launcher then ends this one; by leaving first this one would end it.
        time.sleep(20)
    return True


def explain(error: BaseException, primary: str = "config") -> UserError | None:
    """The two lines for an error, or None for one that is no user's to mend."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        inner = explain(error.__cause__, primary)
        return inner or UserError(
            first_line(error.__cause__).replace("__init__() ", ""),
            f"Check the settings of '{_full_key(error)}' in the config",
        )
    if (told := full_disk(error)) is not None:
        return told
    if isinstance(error, OSError) and error.errno is not None:
        return UserError(
            f"{error.strerror}: {error.filename}",
            "Free some space or choose another folder with hydra.run.dir=FOLDER",
        )
    if isinstance(error, HydraException | OmegaConfBaseException) or _raised_by_hydra(error):
        return of_hydra(error, primary)
    ranks = sys.modules.get("unlearnkit.ranks")
    return ranks.lost(error) if ranks else None


def _raised_by_hydra(error: BaseException) -> bool:
    """Hydra refuses a command line with bare ValueErrors and assertions too."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith(("hydra.", "omegaconf."))


def _full_key(error: BaseException) -> str:
    match = re.search(r"full_key: (\S+)", str(error))
    return match.group(1) if match else "the run"
