"""How far an answer would move the weights: the norm of its loss's gradient."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from tqdm.auto import tqdm

from unlearnkit import ranks
from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel
from unlearnkit.records.record import Record

ADAPTER = "lora_"  # in the names of an adapter's own parameters


def gradient_norms(model: LanguageModel, records: list[Record]) -> None:
    """Write into each record the mean over weights of the 2-norm of the gradient of its answer's mean loss.

    The weights are the network's own: under an adapter the gradient by one of them is that by the merged weight, so
    that an adapter and merged weights give the same number. An answer is a pass of its own; ranks share them.

    Raises:
        UserError: no weight has a gradient, as where all are quantised.
    """
    pairs = [model.template.encode(model.tokenizer, record.prompt, record.answer) for record in records]
    with model.current() as network:
        weights = [p for name, p in network.named_parameters() if ADAPTER not in name and p.is_floating_point()]
        weights = [weight for weight in weights if weight.dim() > 0 and weight.numel()]
        if not weights:
            raise UserError(
                f"'{model.name}' has no weight that a gradient can be taken by",
                "Load it unquantised, or take the measure gradient_norm out of eval=",
            )
        flags = [weight.requires_grad for weight in weights]
        try:
            for weight in weights:
                weight.requires_grad_(True)
            bar = partial(tqdm, desc="Gradients", leave=False)
            norms = ranks.shared(pairs, lambda mine: [_norm(network, weights, *pair) for pair in bar(mine)])
        finally:
            for weight, trained in zip(weights, flags, strict=True):
                weight.requires_grad_(trained)
    for record, norm in zip(records, norms, strict=True):
        record.gradient_norm = norm


@torch.enable_grad()
def _norm(network: Any, weights: list[Any], prompt: list[int], answer: list[int]) -> float:
    ids = torch.tensor([[*prompt, *answer]], device=weights[0].device)
    logits = network(input_ids=ids).logits[0, len(prompt) - 1 : -1].float()
    loss = torch.nn.functional.cross_entropy(logits, ids[0, len(prompt) :])
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return float(torch.stack([part.float().norm() for part in gradients if part is not None]).mean())
