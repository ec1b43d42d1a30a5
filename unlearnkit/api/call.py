"""A run from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from unlearnkit import identity
from unlearnkit.api.run import Run
from unlearnkit.api.untouched import errors, untouched
from unlearnkit.api.words import words_of
from unlearnkit.errors import UserError
from unlearnkit.settings.check import check, check_hydra
from unlearnkit.settings.composed import composed
from unlearnkit.settings.places import CONFIG, claim, remove_empty, remove_unbegun
from unlearnkit.settings.run import Run as Reader

DIR = "hydra.run.dir="


def unlearn(*words: str, **keywords: Any) -> Run:
    """One run, as `python -m unlearnkit WORDS` makes it, in this process.

    `unlearn("+method=npo", "data=files", data__forget=[{"prompt": "...", "response": "..."}], data__retain="F")`.
    A run of several values of a key (`-m`) or of a sweep is the command line's.

    Args:
        words: as on the command line.
        keywords: the same by name (`unlearnkit.api.words`); rows may stand where a file is meant.

    Raises:
        UserError: anything that a user can mend, in two lines.
    """
    line = words_of(words, keywords)
    for word in line:
        if word.startswith("-") or word.lstrip("+").startswith("sweep="):
            fix = "Call unlearn once for each run, or give `python -m unlearnkit` on the command line"
            raise UserError(f"'{word}' is no setting of a single run", fix)
    with untouched(line), errors():
        return Run(_run(line))


def _run(line: list[str]) -> Path:
    from unlearnkit import ranks
    from unlearnkit.run import run

    ranks.start()
    with composed(line) as config:
        identity.rename(config)
        check_hydra(HydraConfig.get().overrides.hydra)
        check(config, Reader)
        place = str(HydraConfig.get().run.dir)
        own = any(word.startswith(DIR) for word in line)
        folder = Path(place if own else claim(place)).absolute()
        begun = (folder / CONFIG).exists()
        try:
            run(config, folder)
        except Exception:
            if not begun:
                remove_unbegun(folder)
            raise
        finally:
            remove_empty(folder)
        return folder
