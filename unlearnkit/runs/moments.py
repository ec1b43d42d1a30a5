"""The points of a run at which its model is measured."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from unlearnkit import ranks
from unlearnkit.attacks.base import Attack, Scene
from unlearnkit.controls.never_knew import NEVER_KNEW
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations, Point, Records
from unlearnkit.measures.columns import START
from unlearnkit.models import LanguageModel
from unlearnkit.models.checkpoints import last_done, load_stage, save_stage
from unlearnkit.models.finite import check_weights
from unlearnkit.stages.base import Context, Stage


@dataclass(frozen=True)
class Moment:
    """A model to be measured, where it is not known already what that would say.

    Args:
        name: `start`, a stage, an attack, or ATTACK/CONTROL for the same attack on another model.
        stage: that the model has passed last; None at the start.
        step: training steps that this stage took.
        attack: that the model is to be measured under.
        final: the model has passed all stages.
    """

    name: str
    model: LanguageModel
    stage: str | None = None
    step: int = 0
    attack: Attack | None = None
    final: bool = False

    @property
    def phrase(self) -> str:
        """For errors."""
        when = f"after the stage '{self.stage}'" if self.stage else "before any stage"
        return f"{when}, under the attack '{self.name}'" if self.attack else when

    def resume(self, evaluations: Evaluations) -> None:
        """The evaluations meet a start model whose records are there."""
        evaluations.resume(self.model, Point("test", self.phrase))

    def measure(self, evaluations: Evaluations, start: Records | None) -> Records:
        """The records of the model, under the attack where there is one.

        Args:
            start: the records of the start model; None: this is the first.
        """
        if self.attack is None:
            return evaluations.measure(self.model, Point("test", self.phrase), start)
        return self.attack.measure(self.model, evaluations, self.phrase, start, "unlearned" if self.stage else START)


def bind_attacks(attacks: Mapping[str, Attack], stages: Iterable[str], scene: Scene, evaluations: Evaluations) -> None:
    """Give each attack its name and what there is, and the evaluations its measures, before a model is loaded.

    Raises:
        UserError: what is no attack, one that is called as a stage, or something that one needs and is not there.
    """
    for name, attack in attacks.items():
        if not isinstance(attack, Attack):
            raise UserError(
                f"attacks.{name} is a {type(attack).__name__}, not an attack",
                f"Set attacks.{name}._target_= to a class of unlearnkit.attacks, or to one that inherits Attack",
            )
        if name in stages or name in (START, NEVER_KNEW) or "/" in name:
            there = ", ".join((START, NEVER_KNEW, *stages))
            raise UserError(
                f"The attack '{name}' is called as another moment of the run: {there}",
                "Give it another name below attacks:",
            )
        questions = [row for part in evaluations.parts.values() for row in part.forgotten()]
        attack.bind(name, replace(scene, folder=scene.folder / name, questions=questions))
        for part in evaluations.parts.values():
            part.add(attack.brings)


def moments(
    stages: Mapping[str, Stage], attacks: Mapping[str, Attack], model: LanguageModel, context: Context, keep: bool
) -> Iterator[Moment]:
    """Pass the model through the stages and stop wherever it is to be measured.

    What a run in this folder has done already is taken from what it kept. Attacks on the start come before the stages,
    while the model is there.

    Args:
        keep: keep the model after each stage, until the run is finished.
    """
    yield Moment(START, model)
    yield from _attacked(attacks, Moment(START, model))
    folder, names = context.folder / "checkpoints", list(stages)
    done = ranks.from_first(lambda: last_done(folder, names)) if keep else None
    if done is not None:
        context.cost.update(load_stage(model, folder / done))
        print(f"Going on after the stage '{done}'", flush=True)
    reached = Moment(START, model)
    for name, stage in stages.items():
        if done is None or names.index(name) > names.index(done):
            context.stage = name
            model = stage(model, context)
            check_weights(model.model, name)
            if keep and ranks.is_first():
                save_stage(model, folder / name, context.cost)
                for earlier in names[: names.index(name)]:
                    shutil.rmtree(folder / earlier, ignore_errors=True)
            ranks.barrier()
            here = True
        else:
            here = name == done  # of the stages before it the model is gone; they were measured then
        reached = Moment(name, model, name, stage.steps(context.streams), final=name == names[-1])
        if here and (stage.measured or reached.final):
            yield reached
    if names:
        yield from _attacked(attacks, reached)


def _attacked(attacks: Mapping[str, Attack], reached: Moment) -> Iterator[Moment]:
    for name, attack in attacks.items():
        own = name if reached.final else f"{name}/{reached.name}"
        yield Moment(own, reached.model, reached.stage, reached.step, attack)
