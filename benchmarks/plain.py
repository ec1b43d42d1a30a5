"""The plain way of a step: a padded forward a term, logits at every position, a second, frozen model."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from unlearnkit.losses import KL, NLL, NPO, Loss
from unlearnkit.models.packing import Tokens


def plain_step(
    model: Any, frozen: Any, batches: dict[str, list[Tokens]], terms: dict[str, Loss], pad: int, device: str = "cpu"
) -> float:
    """The terms' weighted sum, its gradients added to the model's; NLL, KL and NPO."""
    total: Any = 0.0
    for term in terms.values():
        ids, mask, labels = padded(batches[term.stream], pad, device)
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        reference = None
        if term.needs_reference or term.needs_reference_log_probs:
            with torch.no_grad():
                reference = frozen(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        total = total + term.weight * value(term, logits, reference, labels)
    total.backward()
    return total.item()


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


def value(term: Loss, logits: torch.Tensor, reference: torch.Tensor | None, labels: torch.Tensor) -> torch.Tensor:
    """A term's value from all logits of the model and of the reference."""
    if isinstance(term, KL):
        assert reference is not None
        kl = F.kl_div(logits.log_softmax(-1), reference.log_softmax(-1), log_target=True, reduction="none").sum(-1)
        return kl[labels != -100].mean()
    if isinstance(term, NPO):
        assert reference is not None
        ratios = log_probs(logits, labels) - log_probs(reference, labels)
        return -2 / term.beta * F.logsigmoid(-term.beta * ratios).mean()
    if type(term) is NLL and term.mean == "tokens":
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten())
    raise TypeError(f"the plain way knows no {type(term).__name__}")


def log_probs(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(B,) log-probability of each answer."""
    return -F.cross_entropy(logits.transpose(1, 2), labels, reduction="none").sum(-1)
