"""The words for a disk that is full, or over its quota: which of a run's folders it is, and what helps."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from unlearnkit.errors import UserError
from unlearnkit.files import cache_folder

FULL = (errno.ENOSPC, errno.EDQUOT)
# What torch and safetensors say of it, whose errors have no number.
SAID = ("No space left", "Disk quota exceeded", "os error 28", "os error 122", "PytorchStreamWriter failed")
ALSO = "inline_container.cc"  # torch's, of a file that became shorter than it should be
PROBE = 2**20  # bytes


def full_disk(error: BaseException) -> UserError | None:
    """The two lines for an error that a full disk has caused; None for any other."""
    number, text = getattr(error, "errno", None), str(error)
    if number not in FULL and not any(said in text for said in (*SAID, ALSO)):
        return None
    places = _places()
    full = _of_file(error, places) or next((name for name, (folder, _) in places.items() if _is_full(folder)), None)
    if full is None and number not in FULL and ALSO in text:
        return None
    full = full or min(places, key=lambda name: _free(places[name][0]))
    folder, other = places[full]
    return UserError(
        f"The {full} folder {folder} is full: {error.strerror if isinstance(error, OSError) else 'no space left'}"
        f" ({_free(folder) / 1e9:.2f} GB are free)",
        f"Free some space there and run again, which goes on from what is kept, or choose another folder with {other}",
    )


def _places() -> dict[str, tuple[Path, str]]:
    """Name -> where a command writes, and how another place is chosen."""
    job = HydraConfig.get().runtime if HydraConfig.initialized() else None
    known = job is not None and not OmegaConf.is_missing(job, "output_dir")  # a config composed without a job has none
    run = Path(job.output_dir) if job is not None and known else Path.cwd()
    try:
        temporary = Path(tempfile.gettempdir())
    except OSError:  # it tries them by writing
        temporary = Path(os.environ.get("TMPDIR", "/tmp"))
    return {
        "run": (run, "hydra.run.dir=FOLDER"),
        "cache": (cache_folder(), "UNLEARNKIT_CACHE=FOLDER"),
        "temporary": (temporary, "TMPDIR=FOLDER"),
    }


def _of_file(error: BaseException, places: dict[str, tuple[Path, str]]) -> str | None:
    """The innermost of the folders that holds the file of which the error speaks."""
    file = getattr(error, "filename", None)
    if not isinstance(file, str):
        return None
    holding = {name: folder.resolve() for name, (folder, _) in places.items()}
    inside = [name for name, folder in holding.items() if Path(file).resolve().is_relative_to(folder)]
    return max(inside, key=lambda name: len(holding[name].parts), default=None)


def _is_full(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in FULL
    return False


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
