"""The finetune stage: minimise a weighted sum of loss terms over named streams."""

from __future__ import annotations

import math
import pickle
import tempfile
from pathlib import Path
from typing import Annotated, Any

import torch
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainingArguments,
    get_scheduler,
)
from transformers.trainer import SCALER_NAME

from unlearnkit import ranks
from unlearnkit.data.alternatives import Alternatives
from unlearnkit.data.streams import Stream
from unlearnkit.errors import UserError, first_line
from unlearnkit.losses.base import AGAINST, Loss
from unlearnkit.models import LanguageModel, checkpoints
from unlearnkit.models.packing import Tokenise
from unlearnkit.models.reading import layers_of, number_of
from unlearnkit.ranks import zero
from unlearnkit.ranks.signals import StopOnSignal
from unlearnkit.settings.bounds import AboveZero, Arguments, Bound, Count, Depth, Positive, Share
from unlearnkit.stages.alternatives import invent
from unlearnkit.stages.base import Context, Stage
from unlearnkit.stages.callbacks import Progress, Report
from unlearnkit.stages.passes import outputs_of, within_reach
from unlearnkit.stages.projection import Project
from unlearnkit.stages.reference import reference_log_probs
from unlearnkit.stages.selected import Selected
from unlearnkit.stages.selection import Selection
from unlearnkit.stages.steps import Steps
from unlearnkit.stages.trainer import TermsTrainer

# Of transformers' arguments those that a training here reads; what has a key of its own is set there.
TRAINING = Arguments(
    "transformers.training_args.TrainingArguments",
    but={
        "max_steps": "Set PLACE.max_steps=",
        "num_train_epochs": "Set PLACE.epochs= with PLACE.max_steps=null",
        "per_device_train_batch_size": "Set PLACE.batch_size=, which counts over all ranks and micro-batches",
        "gradient_accumulation_steps": "Set PLACE.accumulation=",
        "seed": "Set seed=",
        "data_seed": "Set seed=, which decides the data's order too",
        "deepspeed": "Choose an engine with deepspeed=",
        "output_dir": "Choose the run's folder with hydra.run.dir=",
        "resume_from_checkpoint": "Give the folder of the run to go on with, hydra.run.dir=FOLDER",
        "label_smoothing_factor": "A term has its own loss: leave it out",
        "bf16": "Set model.dtype=bfloat16",
        "fp16": "Set model.dtype=bfloat16",
        "save_steps": "Set PLACE.save_every=",
        "save_total_limit": "Set PLACE.save_limit=",
        **dict.fromkeys(
            ("eval_strategy", "eval_steps", "eval_delay", "eval_on_start", "do_eval", "per_device_eval_batch_size"),
            "Set eval_every=, the steps between measurements on curve_split",
        ),
        **dict.fromkeys(
            ("torch_compile_backend", "torch_compile_mode"), "Set PLACE.arguments.torch_compile=true alone"
        ),
        **dict.fromkeys(("load_best_model_at_end", "metric_for_best_model"), "Set train.select="),
    },
    bounds={
        "learning_rate": Bound(0),
        "weight_decay": Bound(0),
        "max_grad_norm": Bound(0),
        "warmup_steps": Bound(0),
        "logging_steps": Bound(0, above=True),
        "adam_beta1": Bound(0, 1, below=True),
        "adam_beta2": Bound(0, 1, below=True),
        "adam_epsilon": Bound(0),
    },
)


PROJECT = Arguments("unlearnkit.stages.projection.Project")
CONSTRAINT = Arguments("unlearnkit.stages.selection.Criterion", also={"at_least": Share})
SELECT = Arguments(
    "unlearnkit.stages.selection.Criterion", also={"while": Annotated[dict[str, Any] | None, CONSTRAINT]}
)


class Finetune(Stage):
    """Train the model on its terms with transformers' Trainer, one packed forward and backward a step.

    Args:
        terms: loss terms by name; one with weight 0 costs nothing.
        max_steps: optimiser steps; None: as many as `epochs` take.
        epochs: passes over the first term's stream, where `max_steps` is None.
        batch_size: examples of each stream in an optimiser step, over all ranks and micro-batches.
        accumulation: micro-batches a rank splits its share of the step into.
        max_length: tokens an example may have; the model's context if None.
        truncate: cut longer responses instead of refusing them.
        arguments: further `transformers.TrainingArguments`; `torch_compile` compiles the layers, see `compiled_layers`.
        deepspeed: a DeepSpeed config (`conf/deepspeed`); None or empty for torch's own DDP.
        save_every: steps between checkpoints, from which an interrupted training goes on; 0: none.
        save_limit: how many checkpoints are kept.
        select: which measured step the run goes on from, see `Selection`; the last one if None.
        project: which terms' gradient the others' is made to agree with, see `Projection`, which takes a
            forward and a backward of each side; None: all are added up.
    """

    def __init__(
        self,
        terms: dict[str, Loss],
        max_steps: Positive | None,
        batch_size: Positive,
        accumulation: Positive = 1,
        max_length: Positive | None = None,
        truncate: bool = False,
        arguments: Annotated[dict[str, Any] | None, TRAINING] = None,
        epochs: AboveZero | None = None,
        deepspeed: dict[str, Any] | None = None,
        save_every: Count = 0,
        save_limit: Positive = 2,
        select: Annotated[dict[str, Any] | None, SELECT] = None,
        project: Annotated[dict[str, Any] | None, PROJECT] = None,
    ):
        if max_steps is None and epochs is None:
            raise UserError("The training has neither max_steps nor epochs", "Set train.max_steps= or train.epochs=")
        self.terms = {name: term for name, term in terms.items() if term.weight != 0}
        if not self.terms:
            raise UserError(
                f"The training has nothing to minimise: every weight is 0 ({', '.join(terms)})"
                if terms
                else "The training has nothing to minimise: it has no terms",
                "Give a term a weight other than 0, such as stages.STAGE.terms.NAME.weight=1",
            )
        self.max_steps, self.batch_size, self.accumulation = max_steps, batch_size, accumulation
        self.max_length, self.truncate, self.arguments = max_length, truncate, arguments or {}
        self.epochs = epochs
        self.deepspeed, self.save_every, self.save_limit = deepspeed or None, save_every, save_limit
        self.select = Selection(select) if select is not None else None
        self.project = Project(**project) if project else None

    @property
    def zero(self) -> int | None:
        """The stage of ZeRO; None without DeepSpeed."""
        return int(self.deepspeed["zero_optimization"]["stage"]) if self.deepspeed else None

    @property
    def compiles(self) -> bool:
        """The layers are compiled."""
        return bool(self.arguments.get("torch_compile"))

    def sides(self) -> list[dict[str, Loss]]:
        """The terms of each of a step's passes, which are made one after another."""
        return self.project.sides(self.terms) if self.project else [self.terms]

    def stream_names(self) -> dict[str, str]:
        return {f"terms.{name}.stream": term.stream for name, term in self.terms.items()}

    def check(self, key: str) -> None:
        """Make the optimiser and its schedule once, over nothing.

        Raises:
            UserError: what transformers or torch refuse of the arguments.
        """
        if self.project:
            self.project.check(f"{key}.project", self.terms)
        if self.project and self.deepspeed:
            raise UserError(
                f"{key}.project compares whole gradients, which ZeRO-{self.zero} divides or adds up by itself",
                "Set deepspeed=none",
            )
        if self.compiles and (self.deepspeed or self.arguments.get("gradient_checkpointing")):
            other = f"ZeRO-{self.zero} has hooks in" if self.deepspeed else "gradient_checkpointing computes anew"
            raise UserError(
                f"{key}.arguments.torch_compile compiles whole layers, which {other}",
                f"{'Set deepspeed=none' if self.deepspeed else 'Leave gradient_checkpointing out'}, or leave"
                " torch_compile out",
            )
        if self.deepspeed or ranks.count() > 1:  # these bind the process
            return
        try:
            with tempfile.TemporaryDirectory() as folder:
                arguments = self._arguments(Path(folder), 0, 2, None)
                kind, settings = Trainer.get_optimizer_cls_and_kwargs(arguments)
                optimiser = kind([torch.nn.Parameter(torch.zeros(1))], **settings)
                schedule, more = arguments.lr_scheduler_type, arguments.lr_scheduler_kwargs
                get_scheduler(schedule, optimiser, arguments.get_warmup_steps(2), 2, more)  # type: ignore[arg-type]
        except (ValueError, TypeError, ImportError, RuntimeError) as error:
            raise UserError(
                f"{key}.arguments: {first_line(error)}",
                "Set train.arguments.KEY= to what transformers.TrainingArguments takes",
            ) from error

    def check_model(self, model: LanguageModel) -> None:
        """Every layer that a term reads is there.

        Raises:
            UserError: one is not.
        """
        for layer in self.depths():
            number_of(layer, len(layers_of(model.model)))

    def check_rows(self, model: LanguageModel, streams: dict[str, Stream], seed: int) -> None:
        """Every example that will be drawn has room in the context, but for those that are yet to be invented; and the
        learning rate has room for its warmup.

        Raises:
            UserError: one has not.
        """
        own = {term.stream: streams[term.stream] for term in self.terms.values()}
        there = {name: stream for name, stream in own.items() if not isinstance(stream, Alternatives)}
        steps = self.steps(own)
        if steps <= (warmup := self.arguments.get("warmup_steps") or 0):
            raise UserError(
                f"train.arguments.warmup_steps={warmup} is no shorter than the training's {steps} steps: the learning"
                " rate would never be reached",
                "Set it lower, or to a share of all steps, such as 0.1",
            )
        self._steps(model, there, steps, seed).examples()

    def _steps(
        self, model: LanguageModel, streams: dict[str, Stream], max_steps: int, seed: int, shards: int = 1
    ) -> Steps:
        limit = min(self.max_length or model.max_length, model.max_length)
        encode = lambda prompt, response: model.template.encode(model.tokenizer, prompt, response)  # noqa: E731
        return Steps(
            streams=streams,
            tokenise=Tokenise(encode, limit, self.truncate),
            seed=seed,
            batch_size=self.batch_size,
            max_steps=max_steps,
            shards=shards,
        )

    def beside(self, label: str, taught: bool) -> UserError | None:
        if not self.deepspeed:
            return None
        return UserError(
            f"The weights of {label} are quantised, and DeepSpeed divides and sends weights that are numbers",
            "Set deepspeed=none: every rank holds the quantised weights, and gradients and optimiser are an adapter's",
        )

    def depths(self) -> list[Depth]:
        return sorted(outputs_of(self.terms.values()).layers)

    def steps(self, streams: dict[str, Stream]) -> int:
        """Optimiser steps that the training takes."""
        if self.max_steps is not None:
            return self.max_steps
        assert self.epochs is not None
        size = streams[next(iter(self.terms.values())).stream].size
        return max(1, math.ceil(self.epochs * size / self.batch_size))

    def __call__(self, model: LanguageModel, context: Context) -> LanguageModel:
        if self.deepspeed:
            self._announce(context)
        folder = context.folder / "checkpoints" / context.stage
        engine = zero.settings(self.deepspeed, model.dtype) if self.deepspeed else None
        max_steps = self.steps(context.streams)
        arguments = self._arguments(folder, context.seed, max_steps, engine)
        streams = {term.stream: context.streams[term.stream] for term in self.terms.values()}
        steps = self._steps(model, streams, max_steps, context.seed, arguments.world_size * self.accumulation)
        invent(streams, model, context.seed, max_steps, self.batch_size)
        drawn = steps.examples()
        for state in AGAINST:
            scored = {t.stream for t in self.terms.values() if t.needs_reference_log_probs and t.against == state}
            examples = dict.fromkeys(example for name in sorted(scored) for example in drawn[name])
            steps.scored[state] = reference_log_probs(model, list(examples), state)
        torch.manual_seed(context.seed)  # of the adapter's first weights and of dropout
        model.weights.make_trainable()
        ranks.agree_on_trainable(model.model)
        with within_reach(model, self.terms):
            self._train(model, context, steps, arguments)
        model.model.eval()
        return model

    def _train(self, model: LanguageModel, context: Context, steps: Steps, arguments: TrainingArguments) -> None:
        """All that the Trainer does, on a model of which what is to be trained is trainable."""
        checkpoint = self._checkpoint(Path(str(arguments.output_dir)))
        selected = Selected(self.select, model, context) if self.select else None
        report = Report(model, context, arguments.max_steps, self.save_every, self.zero, selected)
        context.rewind(context.stage, report.go_on_from(checkpoint))
        trainer = TermsTrainer(
            language_model=model,
            terms=self.terms,
            deepspeed=self.deepspeed,
            save_limit=self.save_limit,
            project=self.project,
            compiles=self.compiles,
            args=arguments,
            train_dataset=steps,
            callbacks=[report, StopOnSignal()],
        )
        report.trainer = trainer
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        if not arguments.disable_tqdm:
            trainer.add_callback(Progress(context.stage))
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except pickle.UnpicklingError as error:
            raise _untrusted(checkpoint) from error
        trainer.end()
        if selected:
            selected.take()

    def _arguments(self, folder: Path, seed: int, max_steps: int, engine: dict[str, Any] | None) -> TrainingArguments:
        on_cpu = not torch.cuda.is_available()
        defaults = {
            "output_dir": str(folder),
            "max_steps": max_steps,
            "per_device_train_batch_size": 1,  # an item of Steps is one rank's whole micro-batch
            "gradient_accumulation_steps": self.accumulation,
            "seed": seed,
            "use_cpu": on_cpu,
            "ddp_backend": "gloo" if on_cpu and ranks.count() > 1 else None,
            "report_to": [],
            "remove_unused_columns": False,
            "label_names": [],
            "dataloader_pin_memory": not on_cpu,
            "deepspeed": engine,
        }
        arguments = TrainingArguments(**{**defaults, **self.arguments, "torch_compile": False})  # here it is a step's
        arguments._n_gpu = min(arguments.n_gpu, 1)  # one process a GPU: never nn.DataParallel
        if engine:
            zero.forget_config()
        return arguments

    def _announce(self, context: Context) -> None:
        """Have what DeepSpeed needs; say so where it has nobody to divide the model among."""
        zero.prepare()
        if ranks.count() == 1:
            ranks.start_alone()
            print(
                f"ZeRO-{self.zero} on one rank divides nothing; start N with"
                " 'torchrun --nproc_per_node N -m unlearnkit ...' or 'launch/local.sh N ...'",
                flush=True,
            )

    def _checkpoint(self, folder: Path) -> Path | None:
        """The newest whole checkpoint of this training.

        Raises:
            UserError: another stage of ZeRO wrote it, or ZeRO on another number of ranks.
        """
        if not self.save_every:
            return None
        checkpoint = ranks.from_first(lambda: checkpoints.newest(folder))
        state = checkpoints.state_of(checkpoint) if checkpoint else None
        if checkpoint and state and state.get("zero", self.zero) != self.zero:
            raise UserError(
                f"{checkpoint} was written under ZeRO-{state['zero'] or 0}, this training is under"
                f" ZeRO-{self.zero or 0}",
                "Choose the same deepspeed= again, or begin anew in another folder with hydra.run.dir=FOLDER",
            )
        if checkpoint and state and self.deepspeed and state["ranks"] != ranks.count():
            raise UserError(
                f"{checkpoint} was divided among {state['ranks']} ranks, these are {ranks.count()}",
                f"Start {state['ranks']} ranks, or begin anew in another folder with hydra.run.dir=FOLDER",
            )
        if checkpoint and (checkpoint / SCALER_NAME).is_file():  # fp16 alone has one, in which nothing here trains
            raise _untrusted(checkpoint)
        if checkpoint:
            print(f"Going on from {checkpoint}", flush=True)
        return checkpoint


def _untrusted(checkpoint: Path | None) -> UserError:
    return UserError(
        f"{checkpoint} holds something other than weights, which could run any code: it was not loaded",
        f"If you trust nobody who can write there, remove it (rm -r '{checkpoint}') and start again, which goes"
        " on from an earlier one or begins anew",
    )
