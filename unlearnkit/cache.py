"""Where what was computed once is kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def cache_folder() -> Path:
    """Where converted models, judgements and the like are kept: $UNLEARNKIT_CACHE or ~/.cache/unlearnkit."""
    folder = Path(os.environ.get("UNLEARNKIT_CACHE", "~/.cache/unlearnkit")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def publish(partial: Path, folder: Path) -> Path:
    """Rename a finished folder to its place in the cache, unless another process was first."""
    try:
        partial.rename(folder)
    except OSError:
        shutil.rmtree(partial)
    return folder
