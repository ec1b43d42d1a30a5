"""One cell of a sweep: nothing where it is done, else its run; a failure is written down and the sweep goes on."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from unlearnkit import configuration
from unlearnkit.data.reading import read
from unlearnkit.files import only_one, write
from unlearnkit.identity import INPUTS, OF_SWEEPS, resolved
from unlearnkit.inputs import inputs
from unlearnkit.judges.ready import check_judges
from unlearnkit.secrets import redact
from unlearnkit.settings.check import check, check_all
from unlearnkit.settings.run import Run
from unlearnkit.settings.strangers import check_model_place
from unlearnkit.sums import is_damaged
from unlearnkit.sweeps import ERROR, LOCK, run_in


def check_early(configs: Sequence[dict[str, Any]]) -> None:
    """Refuse what can be known to be wrong of cells' configs and of their data, before the libraries are waited for.

    Raises:
        UserError: the first that is.
    """
    cells = [cast(DictConfig, OmegaConf.create(config)) for config in configs]
    check_all(cells, Run, (check_model_place, check_judges))
    for cell in {repr((cell.data, cell.curve_split)): cell for cell in cells}.values():
        read(cell)


def carry_out(cfg: DictConfig, folder: Path) -> None:
    """Run a cell in its folder, unless that is done; on a failure `error.txt` says why.

    What was made of other rows or other files than there are now is set aside and made anew.

    Two sweeps that want the same cell at once do not meet: the second waits for the first, and then finds it done.
    With several ranks a failure ends the sweep, for the others would wait for the one that failed.
    """
    alone = int(os.environ.get("WORLD_SIZE", 1)) < 2
    if (
        alone and run_in(folder).get("finished") and not (damaged(folder) or outdated(cfg, folder))
    ):  # without torch, which takes seconds
        return
    OmegaConf.resolve(cfg)
    with open_dict(cfg):
        for key in OF_SWEEPS:
            cfg.pop(key, None)
    from unlearnkit import memory, ranks
    from unlearnkit.run import run

    memory.settle()
    ranks.start()
    waiting = f"Another process is at this cell ({folder.name}); waiting for it ..."
    with only_one(folder / LOCK, waiting) if ranks.is_first() else contextlib.nullcontext():
        ranks.from_first(lambda: _set_aside(folder, damaged(folder) or outdated(cfg, folder)))
        if ranks.from_first(lambda: run_in(folder).get("finished")):
            return
        try:
            if ranks.is_first():
                (folder / ERROR).unlink(missing_ok=True)
            check(cfg, Run, resolved=True)
            run(cfg, folder)
        except Exception as error:
            if not alone:
                raise
            _write_down(error, folder)


def damaged(folder: Path) -> list[str]:
    """Files that the cell's run would read of itself and that are not as it wrote them."""
    return [name for name in ("config.yaml", "metrics.json") if is_damaged(folder / name)]


def outdated(cfg: DictConfig, folder: Path) -> list[str]:
    """Names of those `inputs` that have changed since the folder's run read them; of what is unknown, none."""
    try:
        earlier = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))[INPUTS]
        now = inputs(resolved(cfg), instantiate(cfg.data, _convert_="all"))
        return [name for name in {**earlier, **now} if earlier.get(name) != now.get(name)]
    except Exception:  # no run of ours there, or files that are gone, of which a run tells that needs them
        return []


def _set_aside(folder: Path, changed: list[str]) -> None:
    """Move the run out of the folder, into `replaced` beside the folder of runs."""
    if not changed:
        return
    names = (f"{folder.name}-{number}" for number in itertools.count(1))
    place = next(path for name in names if not (path := folder.parent.parent / "replaced" / name).exists())
    place.mkdir(parents=True)
    for path in folder.iterdir():
        if path.name != LOCK:
            path.rename(place / path.name)
    print(f"{folder.name}: computed anew, for {', '.join(changed)} changed; what was there is in {place}", flush=True)


def _write_down(error: Exception, folder: Path) -> None:
    explanation = configuration.explain(error)
    lines = f"{explanation.what}\n{explanation.fix}" if explanation else f"{type(error).__name__}: {error}"
    write(folder / ERROR, redact(f"{lines}\n\n{''.join(traceback.format_exception(error))}"))
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish(exit_code=1)  # else the next cell would go on with this one's
    traceback.clear_frames(error.__traceback__)  # they hold the model
    gc.collect()
