"""One cell of a sweep: nothing where it is done, else its run; a failure is written down and the sweep goes on."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import traceback
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from unlearnkit import configuration
from unlearnkit.files import only_one, write
from unlearnkit.identity import OF_SWEEPS
from unlearnkit.sweeps import ERROR, run_in

LOCK = ".lock"


def carry_out(cfg: DictConfig, folder: Path) -> None:
    """Run a cell in its folder, unless that is done; on a failure `error.txt` says why.

    Two sweeps that want the same cell at once do not meet: the second waits for the first, and then finds it done.
    With several ranks a failure ends the sweep, for the others would wait for the one that failed.
    """
    alone = int(os.environ.get("WORLD_SIZE", 1)) < 2
    if alone and run_in(folder).get("finished"):  # before torch, which takes seconds to import
        return
    OmegaConf.resolve(cfg)
    with open_dict(cfg):
        for key in OF_SWEEPS:
            cfg.pop(key, None)
    from unlearnkit import ranks
    from unlearnkit.run import run

    ranks.start()
    waiting = f"Another process is at this cell ({folder.name}); waiting for it ..."
    with only_one(folder / LOCK, waiting) if ranks.is_first() else contextlib.nullcontext():
        if ranks.from_first(lambda: run_in(folder).get("finished")):
            return
        try:
            if ranks.is_first():
                (folder / ERROR).unlink(missing_ok=True)
            run(cfg, folder)
        except Exception as error:
            if not alone:
                raise
            _write_down(error, folder)


def _write_down(error: Exception, folder: Path) -> None:
    told = configuration.explain(error)
    lines = f"{told.what}\n{told.fix}" if told else f"{type(error).__name__}: {error}"
    write(folder / ERROR, f"{lines}\n\n{''.join(traceback.format_exception(error))}")
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=1)  # else the next cell would go on with this one's
    traceback.clear_frames(error.__traceback__)  # they hold the model
    gc.collect()
