"""transformers' Trainer over terms: a packed forward, the terms' weighted sum, a backward."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback

from unlearnkit import ranks
from unlearnkit.errors import Diverged, UserError
from unlearnkit.losses.base import Loss
from unlearnkit.models import LanguageModel, checkpoints
from unlearnkit.models.compiled import compiled_layers
from unlearnkit.models.packing import Packed
from unlearnkit.models.reading import Outputs, Pass
from unlearnkit.ranks import zero
from unlearnkit.stages.answers import Read, answers_of
from unlearnkit.stages.passes import Passes, outputs_of
from unlearnkit.stages.projection import AVERAGE, Project, Projection
from unlearnkit.stages.steps import Step


class TermsTrainer(Trainer):
    """Minimises sum_i weight_i * term_i over `Steps`.

    Checkpoints, schedules and DeepSpeed are the Trainer's own; the loss, the order of the data and what is computed
    in are ours. A reference costs no second model where another adapter state of the same model is it.
    """

    loss_is_scaled_for_ga = True  # the terms divide by the whole step's totals

    def __init__(
        self,
        language_model: LanguageModel,
        terms: dict[str, Loss],
        deepspeed: dict[str, Any] | None = None,
        save_limit: int = 2,
        project: Project | None = None,
        compiles: bool = False,
        **kwargs: Any,
    ):
        self.passes = Passes(language_model, terms, sharded=bool(deepspeed))
        self.divided = zero.DividedModel(language_model.model) if deepspeed else None
        self.network = self.divided.network if self.divided else language_model.model
        super().__init__(model=self.network, data_collator=lambda items: {"step": items[0]}, **kwargs)
        for reference in self.passes.references.values():
            if deepspeed and reference.frozen is not None:
                reference.frozen = zero.frozen_shards(reference.frozen, deepspeed, language_model.dtype)
        self.terms, self.save_limit, self.compiles = terms, save_limit, compiles
        self.projection = Projection(project, terms, self.network) if project else None
        self.to_tell: dict[str, Any] = {}  # for the next checkpoint's mark
        self._shares: dict[str, list[float]] = defaultdict(list)  # of this rank since the last log
        self._step: dict[str, float] = defaultdict(float)  # of this rank in this step, of terms that carry something
        if self._carrying():
            self.add_callback(_AfterStep(self))

    def whole(self) -> contextlib.AbstractContextManager[None]:
        """The run's own model with all its weights, for the length of a `with`."""
        return self.divided.whole() if self.divided else contextlib.nullcontext()

    def end(self) -> None:
        """Hand the weights back to the run's own model."""
        if self.divided:
            self.divided.give_back()
            self.divided = None
            zero.end(self)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The trained weights of a checkpoint; DeepSpeed writes them with its optimiser's states."""
        assert output_dir is not None
        if self.divided is None and ranks.is_first():
            checkpoints.save_trained(self.network, Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        checkpoints.load_trained(self.network, Path(resume_from_checkpoint))

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        ranks.barrier()
        if ranks.is_first():
            folder = Path(str(self.args.output_dir))
            content = {**self.to_tell, "ranks": ranks.count(), "log": checkpoints.log_of(folder)}
            content["terms"] = {name: term.state() for name, term in self._carrying().items()}
            if self.projection:
                self.projection.save(folder / f"checkpoint-{self.state.global_step}")
            checkpoints.mark(folder / f"checkpoint-{self.state.global_step}", content)
            checkpoints.prune(folder, self.save_limit)
        ranks.barrier()

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]  # Steps has a length

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        step: Step = inputs["step"]
        loss = weighted_sum(partial(self.passes.read, model), self.terms, step, self._earlier, self._note)
        return loss * self.args.world_size  # DDP averages over ranks what should be summed

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """The Trainer's own, or a pass of each side where one's gradient is projected off the other's."""
        with contextlib.ExitStack() as stack:
            frozen = [reference.frozen for reference in self.passes.references.values() if reference.frozen is not None]
            for network in [self.network, *frozen] if self.compiles else []:
                stack.enter_context(compiled_layers(network))
            if self.projection is None:
                return super().training_step(model, inputs, num_items_in_batch)
            return self._projected_step(model, inputs, self.projection)

    def _projected_step(self, model: torch.nn.Module, inputs: dict[str, Any], projection: Projection) -> torch.Tensor:
        model.train()
        step: Step = self._prepare_inputs(inputs)["step"]  # type: ignore[assignment]
        network = self.accelerator.unwrap_model(model)  # DDP would add the gradients up as they are

        def loss_of(terms: dict[str, Loss]) -> torch.Tensor:
            with self.compute_loss_context_manager():
                return weighted_sum(partial(self.passes.read, network), terms, step, self._earlier, self._note)

        loss = projection.backward(loss_of)
        if self.accelerator.sync_gradients:
            projection.finish(lambda gradient: self.accelerator.reduce(gradient, "sum"))
        return loss * self.args.world_size

    def _note(self, name: str, step: Step, value: torch.Tensor) -> None:
        if not torch.isfinite(value):
            raise Diverged(
                f"The term '{name}' became {value.item()} at step {step.number + 1} of {self.args.max_steps}:"
                " training has diverged",
                "Lower train.arguments.learning_rate or the term's weight, or stop earlier with train.max_steps=",
            )
        self._shares[name].append(value.item())
        if self.terms[name].carries:
            self._step[name] += value.item()

    def _carrying(self) -> dict[str, Loss]:
        return {name: term for name, term in self.terms.items() if term.carries}

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """The Trainer's own, with what the terms carried up to the checkpoint."""
        state = checkpoints.marked(Path(resume_from_checkpoint)) if resume_from_checkpoint else None
        if state is not None:
            self._take_up(Path(resume_from_checkpoint), state.get("terms", {}))
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def _take_up(self, checkpoint: Path, carried: dict[str, dict[str, float]]) -> None:
        """Raises:
        UserError: the checkpoint is of terms that carry something else.
        """
        carrying = self._carrying()
        own = {name: sorted(term.state()) for name, term in carrying.items()}
        there = {name: sorted(values) for name, values in carried.items()}
        own |= {"retain gradient": []} if self.projection else {}
        there |= {"retain gradient": []} if (checkpoint / AVERAGE).is_file() else {}
        if own != there:
            raise UserError(
                f"{checkpoint} is of another method: what it carries is {_listed(there)}, and this training carries"
                f" {_listed(own)}",
                "Begin anew in another folder with hydra.run.dir=FOLDER",
            )
        for name, term in carrying.items():
            term.restore(carried[name])
        if self.projection:
            self.projection.load(checkpoint)

    def after_step(self, step: int) -> None:
        """Tell the terms that carry something what they were over all micro-batches and ranks."""
        for name, term in self._carrying().items():
            value = torch.tensor(self._step[name], dtype=torch.float64 if self.args.use_cpu else torch.float32)
            term.after_step(step, self.accelerator.reduce(value.to(self.args.device), "sum").item())
        self._step.clear()

    def _earlier(self, state: str, row: Packed, outputs: Outputs) -> Pass:
        return self.passes.earlier(self.accelerator.unwrap_model(self.model), state, row, outputs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs and self._shares:
            steps = len(next(iter(self._shares.values()))) / self.args.gradient_accumulation_steps
            sums = torch.tensor([sum(self._shares[name]) for name in self.terms], device=self.args.device)
            means = (self.accelerator.reduce(sums, "sum") / steps).tolist()  # over all ranks
            logs |= {f"terms/{name}": mean for name, mean in zip(self.terms, means, strict=True)}
            if self.projection:
                logs["projection/cosine"] = self.projection.cosine
            for name, term in self._carrying().items():
                logs |= {f"terms/{name}/{key}": value for key, value in term.state().items()}
            self._shares.clear()
        super().log(logs, start_time)


def _listed(carried: dict[str, list[str]]) -> str:
    return ", ".join(f"{name} ({', '.join(keys)})" if keys else name for name, keys in carried.items()) or "nothing"


class _AfterStep(TrainerCallback):
    def __init__(self, trainer: TermsTrainer):
        self.trainer = trainer

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.after_step(state.global_step)


def weighted_sum(
    read: Callable[[Packed, Outputs], Pass],
    terms: dict[str, Loss],
    step: Step,
    earlier: Callable[[str, Packed, Outputs], Pass],
    note: Callable[[str, Step, torch.Tensor], None] = lambda name, step, value: None,
) -> torch.Tensor:
    """sum_i weight_i * term_i, all from one packed forward of what these terms read.

    Args:
        read: a packed row -> what is wanted of the model that is trained.
        earlier: the same of an earlier state of the model, by the state's name.
        note: sees every term's value.
    """
    row = step.row(term.stream for term in terms.values())
    own = (row, read(row, outputs_of(terms.values()))) if row else None
    compared: dict[str, list[Loss]] = {}
    for term in terms.values():
        if term.needs_reference and step.examples[term.stream]:
            compared.setdefault(term.against, []).append(term)
    references: dict[str, Read] = {}
    for state, some in compared.items():
        its_row = step.row(term.stream for term in some)
        assert its_row is not None
        references[state] = its_row, earlier(state, its_row, outputs_of(some))
    values = []
    for name, term in terms.items():
        if own is None:  # none of these terms has a row in this micro-batch
            value = torch.zeros((), device=step.device)
        elif not step.examples[term.stream]:  # no row of a list that holds two sides fell into this micro-batch
            value = own[1].nothing()
        else:
            reference = references[term.against] if term.needs_reference else None
            value = term(answers_of(step, term, own, reference))
        note(name, step, value.detach())
        values.append(term.weight * value)
    return sum(values[1:], values[0])
