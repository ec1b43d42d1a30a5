"""A step of a method as a training takes it, and as a plain padded implementation does, on models that are alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from gpu_times import frozen
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from networks import packed_steps, scored_examples, unpacked
from plain import of_term, plain_step

from unlearnkit import configuration
from unlearnkit.data.streams import Stream
from unlearnkit.losses import Loss
from unlearnkit.models import LanguageModel
from unlearnkit.models.padding import pad_of
from unlearnkit.models.reading import layers_of, number_of
from unlearnkit.records.forward import score
from unlearnkit.runs.checks import bind_streams
from unlearnkit.stages import Finetune, Restrict
from unlearnkit.stages.fila import matrix
from unlearnkit.stages.passes import Passes, within_reach
from unlearnkit.stages.projection import Project, Projection
from unlearnkit.stages.steps import Steps
from unlearnkit.stages.trainer import weighted_sum

METHODS = (
    *("ga_gd", "ga_kl", "npo", "npo_gd", "npo_kl", "simnpo", "idk_nll", "idk_dpo", "rmu", "undial", "ce_u", "wga"),
    *("satimp", "pdu", "gru", "loku"),
)
WAYS = ("ours", "plain")
Take = Callable[[int], float]  # step's number -> its loss, with the gradients added to the weights


class Method:
    """A method's stages and streams out of its config; what FILA finds for `loku` is drawn at random."""

    def __init__(self, name: str, *overrides: str):
        configuration.register_resolvers()
        with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
            cfg = compose("config", overrides=[f"+method={name}", *overrides])
        stages = instantiate(cfg.stages, _convert_="all").values()
        self.stage: Finetune = next(stage for stage in stages if isinstance(stage, Finetune))
        self.restrict: Restrict = next((stage for stage in stages if isinstance(stage, Restrict)), Restrict())
        self.splits = any(type(stage).__name__ == "Fila" for stage in stages)
        self.streams: dict[str, Stream] = bind_streams(
            instantiate(cfg.data, _convert_="all"), instantiate(cfg.streams, _convert_="all")
        )

    def steps(self, model: LanguageModel, batch_size: int, count: int) -> Steps:
        return packed_steps(self.stage, self.streams, model, batch_size, count)


@contextmanager
def taking(way: str, method: Method, model: LanguageModel, steps: Steps) -> Iterator[Take]:
    """A way of taking a step of the method, for the length of a `with`.

    Args:
        model: as it was loaded; what the method trains is trainable afterwards.
    """
    method.restrict.limit(model)
    splits = method.splits and model.weights.lora is not None
    with ExitStack() as stack:
        if way == "ours":
            stack.enter_context(within_reach(model, method.stage.terms))
            if splits:
                model.weights.split(parts(model))
            model.model.train()
            yield _ours(method.stage, model, steps)
        else:
            if splits:
                _rewrite(model)
            _freeze_behind(model.model, method.stage.terms)
            model.model.train()
            yield _plain(method.stage, model, steps)


def _ours(stage: Finetune, model: LanguageModel, steps: Steps) -> Take:
    examples = scored_examples(stage, steps)
    with model.current() as network:  # once before training, so in no step's time
        scores = score(network, examples) if examples else []
    model.model.train()
    steps.scored = {"start": {example: sum(one.log_probs) for example, one in zip(examples, scores, strict=True)}}
    passes = Passes(model, stage.terms)
    read, earlier = partial(passes.read, model.model), partial(passes.earlier, model.model)
    if stage.project is None:

        def take(number: int) -> float:
            loss = weighted_sum(read, stage.terms, steps[number], earlier)
            loss.backward()
            return loss.item()

        return take
    projection = Projection(stage.project, stage.terms, model.model)

    def take_projected(number: int) -> float:
        step = steps[number]
        loss = projection.backward(lambda terms: weighted_sum(read, terms, step, earlier))
        projection.finish(lambda gradient: gradient)
        return loss.item()

    return take_projected


def _plain(stage: Finetune, model: LanguageModel, steps: Steps) -> Take:
    compares = any(term.needs_reference or term.needs_reference_log_probs for term in stage.terms.values())
    second = frozen(model) if compares else None
    model.model.train()
    average: dict[str, torch.Tensor] = {}

    def take(number: int) -> float:
        batches = unpacked(steps, number)
        with model.computing():
            if stage.project is not None:
                return _projected(stage.terms, stage.project, model, batches, average)
            return plain_step(model.model, second, batches, stage.terms, pad_of(model.tokenizer))

    return take


def _projected(
    terms: dict[str, Loss], project: Project, model: LanguageModel, batches: dict, average: dict[str, torch.Tensor]
) -> float:
    """GRU with a backward pass of each side's own forward; `average` is the retain gradient's."""
    trained = {name: weight for name, weight in model.model.named_parameters() if weight.requires_grad}
    found, loss = {}, 0.0
    for keeps in (True, False):
        for name, term in terms.items():
            if (name in project.keep) == keeps:
                one = term.weight * of_term(term, model.model, None, batches[term.stream], pad_of(model.tokenizer))
                one.backward()
                loss += 0.0 if keeps else one.item()
        found[keeps] = {name: weight.grad for name, weight in trained.items()}
        model.model.zero_grad()
    with torch.no_grad():
        for name, gradient in found.pop(True).items():
            before = average.get(name, gradient)
            average[name] = project.new * gradient + (1 - project.new) * before
        forget = found[False]
        inner = sum(float((forget[name] * average[name]).sum()) for name in trained)
        norm = sum(float(average[name].square().sum()) for name in trained)
        for name, weight in trained.items():
            weight.grad = forget[name] - min(0.0, inner) / norm * average[name] if norm else forget[name]
    return loss


def parts(model: LanguageModel) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Adapted module -> small random (A, B), in the places of what FILA finds."""
    drawn = torch.Generator().manual_seed(0)
    made = {}
    for name, layer in model.weights.fresh_layers().items():
        rank, (out, inside) = layer.r["default"], matrix(layer).shape
        made[name] = (
            0.02 * torch.randn(rank, inside, generator=drawn),
            0.02 * torch.randn(out, rank, generator=drawn),
        )
    return made


@torch.no_grad()
def _rewrite(model: LanguageModel) -> None:
    """What FILA's authors do: the base's weight becomes W - c B A, with no second adapter."""
    layers = model.weights.fresh_layers()
    for name, (first, second) in parts(model).items():
        layer = layers[name]
        layer.lora_A["default"].weight.copy_(first)
        layer.lora_B["default"].weight.copy_(second)
        layer.get_base_layer().weight.sub_(layer.scaling["default"] * second @ first)


def _freeze_behind(network: Any, terms: dict[str, Loss]) -> None:
    """What is trained ends at the last layer that is read, where no term reads logits."""
    read = [getattr(term.reads, "layer", None) for term in terms.values()]
    if None in read:
        return
    layers = layers_of(network)
    reached = {
        id(weight)
        for layer in layers[: max(number_of(layer, len(layers)) for layer in read) + 1]
        for weight in layer.parameters()
    }
    for weight in network.parameters():
        weight.requires_grad_(weight.requires_grad and id(weight) in reached)
