"""Where the YAML lives, and what there is to choose from."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
# Installed beside the package from a wheel, at the top of a checkout.
FOLDER = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"

ADDED = ("method", "domain", "sweep", "scale")  # groups of which nothing is chosen by default


def options(group: str) -> list[str]:
    """Names of a config group's YAML files; those that begin with _ are only inherited from."""
    return sorted(path.stem for path in (FOLDER / group).glob("[!_]*.yaml"))


def groups() -> list[str]:
    """The config groups."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
