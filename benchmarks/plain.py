"""The plain way of a step: a padded forward a term, logits at every position, a second, frozen model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from unlearnkit.losses import (
    CEU,
    DPO,
    KL,
    NLL,
    NPO,
    UNDIAL,
    WGA,
    Constrained,
    InvertedHinge,
    KeepStates,
    LogitFlattening,
    Loss,
    SatImp,
    SimNPO,
    Steer,
)
from unlearnkit.losses.base import States
from unlearnkit.models.packing import Tokens
from unlearnkit.models.reading import layers_of, number_of


def plain_step(
    model: Any, frozen: Any, batches: dict[str, list[Tokens]], terms: dict[str, Loss], pad: int, device: str = "cpu"
) -> float:
    """The terms' weighted sum, its gradients added to the model's."""
    total: Any = 0.0
    for term in terms.values():
        total = total + term.weight * of_term(term, model, frozen, batches[term.stream], pad, device)
    total.backward()
    return total.item()


def of_term(
    term: Loss, model: Any, frozen: Any, batch: list[Tokens], pad: int, device: str = "cpu", seed: int = 0
) -> torch.Tensor:
    """A term's value on its stream's examples, each a row of the batch."""
    ids, mask, labels = padded(batch, pad, device)
    layer = term.reads.layer if isinstance(term.reads, States) else None
    reference = None
    if term.needs_reference or term.needs_reference_log_probs:
        with torch.no_grad():
            reference = seen(frozen, ids, mask, layer)
    return value(term, seen(model, ids, mask, layer), reference, labels, seed)


def seen(model: Any, ids: torch.Tensor, mask: torch.Tensor, layer: float | None) -> torch.Tensor:
    """(B, T - 1, V) logits, or (B, T - 1, d) states of a layer, in fp32; the whole model is run for either."""
    kept: list[torch.Tensor] = []

    def note(_module: Any, _inputs: Any, output: Any) -> None:
        kept.append(output[0] if isinstance(output, tuple) else output)

    if layer is None:
        return model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
    layers = layers_of(model)
    hook = layers[number_of(layer, len(layers))].register_forward_hook(note)
    try:
        model(input_ids=ids, attention_mask=mask)
    finally:
        hook.remove()
    return kept[0][:, :-1].float()


def padded(examples: list[Tokens], pad: int, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(B, T) ids and mask, and (B, T - 1) labels: the answers' tokens, -100 elsewhere."""
    width = max(len(prompt) + len(response) for prompt, response in examples)
    ids = torch.full((len(examples), width), pad)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, (prompt, response) in enumerate(examples):
        ids[row, : len(prompt) + len(response)] = torch.tensor([*prompt, *response])
        mask[row, : len(prompt) + len(response)] = 1
        labels[row, len(prompt) : len(prompt) + len(response)] = torch.tensor(response)
    return ids.to(device), mask.to(device), labels[:, 1:].to(device)


def value(
    term: Loss, made: torch.Tensor, reference: torch.Tensor | None, labels: torch.Tensor, seed: int = 0
) -> torch.Tensor:
    """A term's value from all logits, or states, of the model and of the reference."""
    if type(term) not in FORMULAS:
        raise TypeError(f"the plain way knows no {type(term).__name__}")
    if isinstance(term, Steer):
        return steer(term, made, labels, seed)
    return FORMULAS[type(term)](term, made, reference, labels)


def nll(term: NLL, logits: torch.Tensor, _reference: None, labels: torch.Tensor) -> torch.Tensor:
    if term.mean != "tokens":
        raise TypeError(f"the plain way knows no mean over {term.mean}")
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def kl(_term: KL, logits: torch.Tensor, reference: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    kl = F.kl_div(logits.log_softmax(-1), reference.log_softmax(-1), log_target=True, reduction="none").sum(-1)
    return kl[labels != -100].mean()


def npo(term: NPO, logits: torch.Tensor, reference: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    ratios = log_probs(logits, labels) - log_probs(reference, labels)
    return -2 / term.beta * F.logsigmoid(-term.beta * ratios).mean()


def dpo(term: DPO, logits: torch.Tensor, reference: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    ratios = log_probs(logits, labels) - log_probs(reference, labels)
    return -F.logsigmoid(term.beta * (ratios[0::2] - ratios[1::2])).mean()


def simnpo(term: SimNPO, logits: torch.Tensor, _reference: None, labels: torch.Tensor) -> torch.Tensor:
    means = log_probs(logits, labels) / (labels != -100).sum(-1)
    return -2 / term.beta * F.logsigmoid(-term.beta * means - term.margin).mean()


def satimp(term: SatImp, logits: torch.Tensor, _reference: None, labels: torch.Tensor) -> torch.Tensor:
    losses = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")[labels != -100]
    p = (-losses).exp().detach()
    return -(p**term.saturation * (1 - p) ** term.importance * losses).mean()


def undial(term: UNDIAL, logits: torch.Tensor, reference: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    lowered = term.beta * F.one_hot(labels.clamp(min=0), logits.shape[-1])
    losses = F.cross_entropy(logits.flatten(0, 1), (reference - lowered).softmax(-1).flatten(0, 1), reduction="none")
    return losses[labels.flatten() != -100].mean()


def ceu(term: CEU, logits: torch.Tensor, _reference: None, labels: torch.Tensor) -> torch.Tensor:
    kept = (labels != -100) & ((labels != -100).cumsum(-1) > term.skip_first)
    target = logits.detach()[kept].scatter(1, labels[kept][:, None], float("-inf"))
    return F.cross_entropy(logits[kept], target.softmax(-1))


def flattening(_term: LogitFlattening, logits: torch.Tensor, _reference: None, labels: torch.Tensor) -> torch.Tensor:
    return (logits.amax(-1) - logits.mean(-1)).square()[labels != -100].mean()


def hinge(_term: InvertedHinge, logits: torch.Tensor, _reference: None, labels: torch.Tensor) -> torch.Tensor:
    own = F.one_hot(labels.clamp(min=0), logits.shape[-1]).bool()
    p = logits.softmax(-1)
    return (1 + p[own].view(labels.shape) - p.masked_fill(own, 0).amax(-1))[labels != -100].mean()


def steer(term: Steer, states: torch.Tensor, labels: torch.Tensor, seed: int) -> torch.Tensor:
    target = term.coefficient * term.direction(seed, states.shape[-1]).to(states.device)
    return mean_of_rows((states - target).square().mean(-1), labels)


def keep(_term: KeepStates, states: torch.Tensor, reference: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return mean_of_rows((states - reference).square().mean(-1), labels)


def mean_of_rows(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(B, T) -> the mean over rows of each one's mean over its answer's places."""
    places = labels != -100
    return ((values * places).sum(-1) / places.sum(-1)).mean()


def log_probs(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(B,) log-probability of each answer."""
    return -F.cross_entropy(logits.transpose(1, 2), labels, reduction="none").sum(-1)


FORMULAS: dict[type[Loss], Callable[..., torch.Tensor]] = {
    **{NLL: nll, Constrained: nll, KL: kl, NPO: npo, DPO: dpo, SimNPO: simnpo, SatImp: satimp, WGA: satimp},
    **{UNDIAL: undial, CEU: ceu, LogitFlattening: flattening, InvertedHinge: hinge},
    **{Steer: steer, KeepStates: keep},
}
