"""Where the YAML lives, and what there is to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from unlearnkit.errors import UserError

_PACKAGE = Path(__file__).parents[1]
# Installed beside the package from a wheel, at the top of a checkout.
FOLDER = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"

ADDED = ("method", "domain", "sweep", "scale")  # groups of which nothing is chosen by default


def options(group: str) -> list[str]:
    """Names of a config group's YAML files; those that begin with _ are only inherited from."""
    return sorted(path.stem for path in (FOLDER / group).glob("[!_]*.yaml"))


def check_choices(choices: Mapping[str, str | None]) -> None:
    """An option goes by its one name, for a paper's settings and a run's name are found by it.

    Args:
        choices: config group -> the option that Hydra took.

    Raises:
        UserError: one goes by a path or a file's name, which Hydra takes too.
    """
    for group, name in choices.items():
        own = PurePosixPath(name or "none")
        if own.suffix in (".yaml", ".yml") or ".." in own.parts or own.is_absolute() or str(own) != (name or "none"):
            plain = own.stem if own.suffix in (".yaml", ".yml") else own.name
            raise UserError(
                f"{group}={name} is no option's name, but a file's", f"Write {group}={plain}, which is the same option"
            )


def groups() -> list[str]:
    """The config groups."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
