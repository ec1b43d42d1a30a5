"""Where the YAML lives, the resolvers it uses, and Hydra's errors in two lines."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unlearnkit.errors import UserError, nearest
from unlearnkit.identity import fingerprint, resolved

_PACKAGE = Path(__file__).parent
# Installed beside the package from a wheel, at the top of a checkout.
FOLDER = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"


ADDED = ("method", "domain", "sweep", "scale")  # groups of which nothing is chosen by default


def register_resolvers() -> None:
    """The resolvers our YAML uses.

    `${choice:GROUP,default}`: the option chosen for a config group. `${row:TABLE,name,default}`: a table's row by
    name (a path could not say it: a model's name may hold a dot). `${negative:x}`: -x. `${grid:}`: the axes of the
    chosen sweep. `${fingerprint:}`: of all that decides the run's result.
    """
    OmegaConf.register_new_resolver("choice", _choice, replace=True)
    OmegaConf.register_new_resolver("row", lambda table, name, default: table.get(name, table[default]), replace=True)
    OmegaConf.register_new_resolver("negative", lambda number: -float(number), replace=True)
    OmegaConf.register_new_resolver("grid", _grid, replace=True)
    OmegaConf.register_new_resolver("fingerprint", _fingerprint, replace=True)


def _choice(group: str, default: str = "none") -> str:
    if not HydraConfig.initialized():
        return default
    chosen = HydraConfig.get().runtime.choices.get(group)
    return default if chosen is None else str(chosen)


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


def exit_with_two_lines(command: Callable[[], object], primary: str = "config") -> None:
    """Run a command; what a user can mend becomes two lines on stderr and exit code 2.

    HYDRA_FULL_ERROR=1 shows the traceback instead. `primary` is the command's own config, whose keys are valid.
    """
    wanted = os.environ.get("HYDRA_FULL_ERROR", "0")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra re-raises its errors instead of printing them its way
    try:
        command()
    except Exception as error:
        told = explain(error, primary)
        if not _speaks():
            raise SystemExit(2 if told else 1) from None
        if wanted == "1" or told is None:
            raise
        print(f"Error: {told.what}\n  Fix: {told.fix}", file=sys.stderr)
        raise SystemExit(2) from None
    finally:
        os.environ["HYDRA_FULL_ERROR"] = wanted


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
            _first_line(error.__cause__).replace("__init__() ", ""),
            f"Check the settings of '{_full_key(error)}' in the config",
        )
    if isinstance(error, OSError) and error.errno is not None:
        return UserError(
            f"{error.strerror}: {error.filename}",
            "Free some space or choose another folder with hydra.run.dir=FOLDER",
        )
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _explain_config(str(error), error, primary)
    ranks = sys.modules.get("unlearnkit.ranks")
    return ranks.lost(error) if ranks else None


def _explain_config(text: str, error: BaseException, primary: str) -> UserError:
    if missing := re.search(r"(?:Could not find|Could not load) '([\w/.-]+)/([\w.-]+)'", text):
        group, name = missing.groups()
        valid = options(group)
        if valid:
            return UserError(
                f"Unknown {group} '{name}'.{nearest(name, valid)} Valid: {', '.join(valid)}",
                f"Choose one of these with {'+' if group in ADDED else ''}{group}=",
            )
    if missing := re.search(r"Could not override '(\w+)'", text):
        group = missing.group(1)
        groups = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
        if group in groups:
            return UserError(
                f"'{group}=' needs a plus: no {group} is chosen by default", f"Write +{group}=NAME instead"
            )
        lines = (FOLDER / f"{primary}.yaml").read_text().splitlines()
        keys = [line.split(":")[0] for line in lines if line[:1].islower()]
        valid = [*groups, *(key for key in keys if key not in ("defaults", "hydra", *groups))]
        return UserError(f"Unknown config group or key '{group}'.{nearest(group, valid)}", f"Valid: {', '.join(valid)}")
    cause = error.__cause__ or error
    if missing := re.search(r"Key '([\w.~-]+)' is not in struct", text + str(cause)):
        key = re.search(r"full_key: ([\w.\[\]-]+)", text + str(cause))
        siblings = _siblings(cause)
        return UserError(
            f"Unknown key '{key.group(1) if key else missing.group(1)}'.{nearest(missing.group(1), siblings)}"
            + (f" Valid here: {', '.join(siblings)}" if siblings else ""),
            "'python -m unlearnkit --cfg job' prints every key; prefix a new one with +",
        )
    return UserError(_first_line(error), "'python -m unlearnkit --help' lists the groups, '--cfg job' every key")


def options(group: str) -> list[str]:
    """Names of a config group's YAML files; those that begin with _ are only inherited from."""
    return sorted(path.stem for path in (FOLDER / group).glob("[!_]*.yaml"))


def _siblings(cause: BaseException) -> list[str]:
    parent = getattr(cause, "parent_node", None)
    return [str(key) for key in parent] if parent is not None and hasattr(parent, "keys") else []


def _full_key(error: BaseException) -> str:
    match = re.search(r"full_key: (\S+)", str(error))
    return match.group(1) if match else "the run"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
