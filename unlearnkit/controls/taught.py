"""The target: the base after it was taught data that it cannot know, once, in a content-addressed cache."""

from __future__ import annotations

import json
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from unlearnkit import ranks
from unlearnkit.cache import load_or_make
from unlearnkit.data.examples import Data, Example
from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError
from unlearnkit.files import write
from unlearnkit.identity import NO_MATTER, flat
from unlearnkit.models import LanguageModel
from unlearnkit.models.checkpoints import rewind_log
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.models.loading import check_files
from unlearnkit.models.quantised import exact
from unlearnkit.records.forward import force_answers
from unlearnkit.records.generate import records_of
from unlearnkit.settings.bounds import Seed, Share
from unlearnkit.stages.base import Context
from unlearnkit.stages.finetune import Finetune
from unlearnkit.sums import check

RESULT = "target.json"  # in the folder of a target: what its teaching came to
STREAM = "target"  # the data's stream that is taught
CHECKED = 200  # taught rows, evenly spaced, that the accuracy is measured on


class Target(Protocol):
    """Makes the model that a run's stages start from; `merge`: the base's weights hold all that was taught."""

    merge: bool

    def beside(self, label: str) -> UserError | None: ...

    def __call__(self, model: LanguageModel, data: Data, folder: Path) -> LanguageModel: ...


class Untaught:
    """The model as it is."""

    merge = True

    def beside(self, label: str) -> None:
        """Any model will do."""

    def __call__(self, model: LanguageModel, data: Data, folder: Path) -> LanguageModel:
        return model


class Taught:
    """Teach the model the data's `target` stream ("pretrain" in Tian et al. 2024, table 7).

    Under LoRA the run's stages go on with the taught adapter, as the paper does, unless it is merged.

    Args:
        stage: the training.
        cache: keep the target and take it from where it was kept; runs that want the same one wait for the first.
        seed: of the training.
        min_accuracy: share of taught answer tokens that argmax must hit (teacher-forced, on 200 rows).
        merge: put the taught adapter into the base weights, and let the stages begin with a fresh one.
    """

    def __init__(
        self, stage: Finetune, cache: bool = True, seed: Seed = 0, min_accuracy: Share = 0.9, merge: bool = False
    ):
        self.stage, self.cache, self.seed = stage, cache, seed
        self.min_accuracy, self.merge = min_accuracy, merge

    def beside(self, label: str) -> UserError | None:
        """Why it cannot be done beside quantised weights, see `Stage.beside`."""
        return exact(label, "merged with an adapter") if self.merge else self.stage.beside(label, False)

    def __call__(self, model: LanguageModel, data: Data, folder: Path) -> LanguageModel:
        """The target in the model's place.

        Args:
            folder: the run's, which logs the teaching and holds a target that is not cached.

        Raises:
            UserError: no rows to teach, or a target that did not learn them.
        """
        rows = data.streams.get(STREAM, [])
        if not rows:
            raise UserError(
                f"The data '{data.name}' has no rows to teach (stream '{STREAM}')",
                "Set target=none if the model knows the data already",
            )
        return self.teach(model, rows, folder)

    def teach(self, model: LanguageModel, rows: list[Example], folder: Path, name: str = STREAM) -> LanguageModel:
        """The model taught these rows, in its place.

        Args:
            name: of the teaching in the run's log, and of the folder of a model that is not cached.
        """
        if not self.cache:
            own = folder / name
            return self._load(model, own if self._is_saved(own) else self._teach(model, rows, folder, own, name))
        taught = load_or_make(
            "targets",
            self.content(model, rows),
            lambda made: self._teach(model, rows, folder, made, name),
            lambda made: made,
            together=True,
            waiting=f"Another run is teaching {model.name} these {len(rows)} rows; waiting for it ...",
        )
        return self._load(model, taught)

    def _is_saved(self, folder: Path) -> bool:
        return ranks.from_first(lambda: (folder / RESULT).is_file() and self._is_whole(folder))

    def _is_whole(self, folder: Path) -> bool:
        try:
            check(folder / RESULT, "")
            check_files(str(folder))
            json.loads((folder / RESULT).read_text(encoding="utf-8"))["token_accuracy"]
        except (UserError, ValueError, LookupError, TypeError):
            print(f"The target in {folder} is not as it was written; it is taught anew", flush=True)
            return False
        return True

    def content(self, model: LanguageModel, rows: list[Example]) -> dict[str, Any]:
        """All that decides the target."""
        settings = flat({key: value for key, value in vars(self.stage).items() if key != "terms"})
        return {
            "model": fingerprint(model),
            "lora": model.weights.lora,
            "rows": rows,
            "settings": {key: value for key, value in settings.items() if not NO_MATTER.search(key)},
            "terms": {name: [type(term), vars(term)] for name, term in self.stage.terms.items()},
            "seed": self.seed,
        }

    def _teach(self, model: LanguageModel, rows: list[Example], run_folder: Path, folder: Path, name: str) -> Path:
        """Train, measure what was learnt, and save to `folder`, from which the model is then taken."""
        started = time.monotonic()
        print(f"Teaching {model.name} {len(rows)} answers that it cannot know ...", flush=True)
        rewind = partial(rewind_log, run_folder)
        context = Context({STREAM: Shuffled(STREAM, rows)}, self.seed, run_folder, stage=name, rewind=rewind)
        self.stage(model, context)
        accuracy = self._accuracy(model, rows)
        if ranks.is_first():
            model.save(folder)
        minutes = round((time.monotonic() - started) / 60, 2)
        result = {"token_accuracy": accuracy, "minutes": minutes, "rows": len(rows)}
        if ranks.is_first():
            write(folder / RESULT, json.dumps(result, indent=1))
            shutil.rmtree(run_folder / "checkpoints" / name, ignore_errors=True)
        ranks.barrier()
        print(f"Taught in {minutes} minutes: argmax hits {accuracy:.1%} of the answers' tokens", flush=True)
        return folder

    def _accuracy(self, model: LanguageModel, rows: list[Example]) -> float:
        count = min(CHECKED, len(rows))
        checked = records_of({STREAM: [rows[int(place)] for place in np.linspace(0, len(rows) - 1, count).round()]})
        force_answers(model, checked)
        return float(np.mean([hit for record in checked for hit in record.answer_hits]))

    def _load(self, model: LanguageModel, folder: Path) -> LanguageModel:
        accuracy = json.loads((folder / RESULT).read_text())["token_accuracy"]
        if accuracy < self.min_accuracy:
            raise UserError(
                f"The target did not learn its data: argmax hits {accuracy:.1%} of the taught answers' tokens, less"
                f" than target.min_accuracy={self.min_accuracy}",
                "Raise target.stage.epochs= or target.stage.arguments.learning_rate=, or lower target.min_accuracy=",
            )
        model.weights.teach(str(folder), self.merge)
        return model
