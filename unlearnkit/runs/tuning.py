"""`train.tune`: the learning rate of a method's first training, chosen on validation before the run."""

from __future__ import annotations

import copy
import gc
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from unlearnkit import ranks
from unlearnkit.controls.taught import Target
from unlearnkit.data.examples import Data
from unlearnkit.data.splits import splits_of
from unlearnkit.data.streams import Stream
from unlearnkit.errors import Diverged, UserError
from unlearnkit.evaluations.base import Evaluations, Records
from unlearnkit.measures.columns import START, Column, flatten
from unlearnkit.measures.display import written
from unlearnkit.models import LanguageModel, checkpoints
from unlearnkit.notices import notice
from unlearnkit.runs.checks import check_held_out, check_model
from unlearnkit.runs.curve import Curve
from unlearnkit.runs.folder import RunFolder
from unlearnkit.runs.moments import moments
from unlearnkit.runs.retained import rule
from unlearnkit.runs.tuned import first_training, rate_of, with_rate
from unlearnkit.stages import Finetune
from unlearnkit.stages.base import Context, Stage
from unlearnkit.stages.negate import start_in
from unlearnkit.stages.selection import WRITE, Numbers, Selection

FACTOR = 3.0
POINTS = "points"
LEAVE = "Leave train.tune= out"


def around(rate: float, count: int) -> list[float]:
    """So many rates, each `FACTOR` times the one before, the given one in their middle (the lower middle of two)."""
    lowest = -((count - 1) // 2)
    return [float(f"{rate * FACTOR**power:.2g}") if power else rate for power in range(lowest, lowest + count)]


@dataclass
class Tuning:
    """Tries rates, each from the model that the stages find, and chooses by `train.select` or a rule like it.

    A rate's trial ends with the first training; its points are those of the run's own curves. The run itself is then
    as if the chosen rate had been set by hand. With `train.select` every measured step of every rate is a candidate,
    and without it the last one of each.
    """

    out: RunFolder
    stages: Mapping[str, Stage]
    streams: dict[str, Stream]
    evaluations: Evaluations
    target: Target
    data: Data
    start: Records = field(default_factory=dict)  # of the model that every trial begins from

    def __call__(self) -> dict[str, Stage]:
        """The stages with the rate that was chosen; as they are where nothing is tuned.

        Raises:
            UserError: nothing to choose by, or every rate diverged.
        """
        stages = dict(self.stages)
        if not self.out.config["train"].get("tune"):
            return stages
        if "tuned" not in self.out.metrics:
            self._check()
            self.out.write_tuned(self._choose())
        return with_rate(stages, float(self.out.metrics["tuned"]["rate"]))

    def _check(self) -> None:
        config = self.out.config
        if self._training is None:
            raise UserError(f"train.tune chooses a learning rate, and '{config['method']}' trains nothing", LEAVE)
        if self._split == "test":
            raise UserError(
                "train.tune with curve_split=test would choose the rate on the rows that it is then reported on",
                "Set curve_split=validation",
            )
        if not config["eval_every"]:
            raise UserError(
                "train.tune chooses by what curves measure, and eval_every=0 measures none",
                "Set eval_every= to some steps",
            )
        check_held_out(self.data, self._split, "train.tune")
        if self._selection is None:
            self._need(rule(self._columns()))

    def _need(self, choice: dict[str, Any] | None) -> dict[str, Any]:
        if choice is None:
            raise UserError(
                "train.tune has nothing to choose by: the curves measure nothing on the forget side or nothing on the"
                " retain side",
                WRITE.replace("Write it as", "Say what counts with"),
            )
        return choice

    @property
    def _split(self) -> str:
        return splits_of(self.out.config["curve_split"])[0]

    @property
    def _training(self) -> tuple[str, Finetune] | None:
        return first_training(self.stages)

    @property
    def _selection(self) -> Selection | None:
        """What `train.select` asks for."""
        return self._training[1].select if self._training else None

    def _choose(self) -> dict[str, Any]:
        assert self._training is not None
        name, first = self._training
        default, config = rate_of(first), self.out.config
        rates = around(default, int(config["train"]["tune"]))
        notice(
            f"train.tune={len(rates)}: before the run itself, '{name}' is trained {len(rates)} times"
            f" ({first.steps(self.streams)} steps each) and measured every {config['eval_every']} steps on"
            f" {self._split}, at the learning rates {', '.join(f'{rate:g}' for rate in rates)}"
        )
        trials = {rate: self._trial(name, rate) for rate in rates}
        points = {(rate, step): numbers for rate, trial in trials.items() for step, numbers in trial.candidates()}
        if self._selection is None:
            last = {rate: max(step for r, step in points if r == rate) for rate, _ in points}
            points = {key: numbers for key, numbers in points.items() if key[1] == last[key[0]]}
        if not points:
            raise UserError(
                f"The training diverged at every rate of train.tune={len(rates)}: {', '.join(f'{r:g}' for r in rates)}",
                "Lower train.arguments.learning_rate, around which they lie",
            )
        start = next(trial.numbers[0] for trial in trials.values() if 0 in trial.numbers)
        selection = self._selection or Selection(self._need(rule(list(start))), "train.tune")
        columns = selection.columns(start)
        (rate, step), reason, enough = selection.best_of(points, start)
        shown = [{"rate": r, "step": s, "values": [n[c].value for c in columns]} for (r, s), n in points.items()]
        diverged = {f"{r:g}": trial.diverged for r, trial in trials.items() if trial.diverged}
        notice(f"The learning rate {rate:g} is taken: {reason}")
        chosen = {"default": default, "rate": rate, "step": step, "reason": reason, "satisfied": enough}
        looked_at = {"/".join(column): start[column].value for column in columns}
        return {**chosen, "start": looked_at, "tried": shown, "diverged": diverged}

    def _trial(self, name: str, rate: float) -> Trial:
        folder = self.out.folder / "checkpoints" / checkpoints.TRIALS / f"{rate:g}"
        trial = Trial(folder, {path: written(display) for path, display in self.evaluations.columns().items()})
        if trial.ended:
            return trial
        notice(f"Trying the learning rate {rate:g} ...")
        config = self.out.config
        stages = with_rate(copy.deepcopy(dict(self.stages)), rate)
        stages[name].select = None  # type: ignore[attr-defined]  # what is chosen is chosen of all trials
        model: LanguageModel = instantiate(config["model"], _convert_="all")
        check_model(stages, model)
        model = self.target(model, self.data, self.out.folder)
        curve = Curve(self.evaluations, stages, self._split, trial.write)
        context = curve.context = Context(
            self.streams, config["seed"], folder, "", curve.measure, config["eval_every"], rewind=trial.rewind
        )
        upto = dict(list(stages.items())[: list(stages).index(name) + 1])
        try:
            for moment in moments(upto, {}, model, context, keep=config["train"]["save_every"] > 0):
                if moment.name == START:
                    curve.begin(model, self.start)
                    self.start |= curve.start
                    if any(stage.needs_start for stage in stages.values()):
                        model.weights.keep_start(start_in(folder))
        except Diverged as error:
            if ranks.count() > 1:  # the others wait for this one
                raise
            notice(error.what)
            trial.diverged = error.what
        trial.end()
        del model, moment, context, curve  # before the next one is loaded
        gc.collect()
        return trial

    def _columns(self) -> list[Column]:
        """What curves measure, or may."""
        known = self.evaluations.on_curves(self._split)
        if known is not None:
            return known
        return [Column(path.split("/"), display) for path, display in self.evaluations.columns().items()]


class Trial:
    """What was measured of one rate; below the run's checkpoints until the run has ended."""

    def __init__(self, folder: Path, shown: Mapping[str, Any]):
        self.folder, self.shown = folder, shown
        saved = ranks.from_first(lambda: checkpoints.marked(folder / POINTS)) or {}
        self.points: list[dict[str, Any]] = saved.get("points", [])
        self.ended: bool = saved.get("ended", False)
        self.diverged: str | None = saved.get("diverged")

    @property
    def numbers(self) -> dict[int, Numbers]:
        """Step -> what was measured there."""
        return {point["step"]: flatten(point["metrics"], self.shown) for point in self.points}

    def candidates(self) -> list[tuple[int, Numbers]]:
        """The measured steps of a training that came to its end."""
        return [] if self.diverged else [(step, numbers) for step, numbers in self.numbers.items() if step]

    def write(self, stage: str, step: int, numbers: dict[str, Any], beside: dict[str, Any] | None = None) -> None:
        """Take a point."""
        self.points = [point for point in self.points if point["step"] != step]
        self.points.append({"step": step, "metrics": numbers})
        self._mark()

    def rewind(self, stage: str, step: int) -> None:
        """Forget the points after a step."""
        self.points = [point for point in self.points if point["step"] <= step]

    def end(self) -> None:
        """Nothing more will be measured; the trial's own checkpoints go."""
        self.ended = True
        self._mark()
        for path in self.folder.glob("*") if ranks.is_first() else ():
            if path.name != POINTS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        ranks.barrier()

    def _mark(self) -> None:
        if ranks.is_first():
            content = {"points": self.points, "ended": self.ended, "diverged": self.diverged}
            (self.folder / POINTS).mkdir(parents=True, exist_ok=True)
            checkpoints.mark(self.folder / POINTS, content)
