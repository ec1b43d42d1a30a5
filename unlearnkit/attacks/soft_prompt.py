"""Vectors behind the question that bring the answer back, where they do it of facts that they were not learnt from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from unlearnkit.attacks.base import Scene
from unlearnkit.attacks.divided import Divided
from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel
from unlearnkit.models.packing import Tokens, pack
from unlearnkit.settings.bounds import Positive, Share


class SoftPrompt(Divided):
    """Continuous tokens behind every question, optimised on a share of a stream, tested on the rest (see `Divided`).

    The weights stay; each rate begins anew and is tried at each of `steps`. Schwinn et al. 2024 (arXiv 2402.09063) take
    20 tokens and 100 steps. One to ten tokens make a model say what it has never seen (arXiv 2502.15836), which is why
    the attack is not made without a model that never knew.

    Args:
        tokens: how many.
        steps: of Adam.
        batch_size: rows a step.
    """

    needs_control = True

    def __init__(
        self,
        stream: str = "forget",
        share: Share = 0.5,
        tokens: Positive = 10,
        steps: Sequence[int] = (25, 50, 100),
        rates: Sequence[float] = (1e-3, 1e-2),
        batch_size: Positive = 4,
    ):
        super().__init__(stream, share, steps, rates)
        self.tokens, self.batch_size = tokens, batch_size

    def bind(self, name: str, scene: Scene) -> None:
        super().bind(name, scene)
        rows = [row for splits in scene.data.sets.values() for part in splits.values() for row in part]
        self._texts = {f"{row.prompt} {row.response}" for row in (*rows, *self.taught, *self.choosing)}

    @contextlib.contextmanager
    def on(self, model: LanguageModel) -> Iterator[LanguageModel]:
        """The model with the vectors of which most comes back; `details` then says at which rate and step."""
        self.begin()
        places = self._unused(model)
        attacked = replace(model, template=model.template.followed(places))
        best: torch.Tensor | None = None
        with _standing_for(model, places) as soft:
            first = soft.detach().clone()
            for rate in self.rates:
                soft.data.copy_(first)
                for step in self._trained(attacked, soft, rate):
                    if step in self.steps and self.try_at(attacked, rate, step):
                        best = soft.detach().clone()
            soft.data.copy_(first if best is None else best)
            yield attacked

    def _trained(self, model: LanguageModel, soft: torch.Tensor, rate: float) -> Iterator[int]:
        """Each step, after it was taken."""
        optimiser = torch.optim.Adam([soft], rate)
        drawn = torch.Generator().manual_seed(self.scene.seed)
        order: list[int] = []
        for step in range(1, max(self.steps) + 1):
            while len(order) < self.batch_size:
                order += torch.randperm(len(self.taught), generator=drawn).tolist()
            batch, order = order[: self.batch_size], order[self.batch_size :]
            rows = [
                model.template.encode(model.tokenizer, self.taught[place].prompt, self.taught[place].response)
                for place in batch
            ]
            (soft.grad,) = torch.autograd.grad(_loss(model, [(tuple(p), tuple(r)) for p, r in rows]), soft)
            optimiser.step()
            yield step

    def _unused(self, model: LanguageModel) -> list[int]:
        """Ids of the vocabulary that the texts of the data do not have, in whose place the vectors stand."""
        texts = model.tokenizer(sorted(self._texts), add_special_tokens=False)["input_ids"]
        used = {token for text in texts for token in text} | {*model.tokenizer.all_special_ids, *model.ends}
        size = min(len(model.tokenizer), model.model.get_input_embeddings().weight.shape[0])
        free = [token for token in range(size - 1, -1, -1) if token not in used][: self.tokens]
        if len(free) < self.tokens:
            raise UserError(
                f"attacks.{self.name}.tokens={self.tokens}: '{model.name}' has only {len(free)} that the data have not",
                f"Set attacks.{self.name}.tokens= lower",
            )
        return free


@contextlib.contextmanager
def _standing_for(model: LanguageModel, places: list[int]) -> Iterator[torch.Tensor]:
    """(n, H) vectors that stand for the embeddings of `places`, for the length of a `with`; at first these."""
    embedding: Any = model.model.get_input_embeddings()
    with model.current(), torch.no_grad():
        soft = embedding(torch.tensor(places, device=model.device)).float().clone().requires_grad_(True)
    table = torch.full((embedding.weight.shape[0],), -1, device=model.device)
    table[places] = torch.arange(len(places), device=model.device)

    def put(module: Any, inputs: tuple[torch.Tensor, ...], out: torch.Tensor) -> torch.Tensor:
        at = table[inputs[0]]
        return torch.where((at >= 0)[..., None], soft.to(out.dtype)[at.clamp(min=0)], out)

    hook = embedding.register_forward_hook(put)
    try:
        yield soft
    finally:
        hook.remove()


def _loss(model: LanguageModel, rows: list[Tokens]) -> torch.Tensor:
    """The mean negative log-probability of the rows' answer tokens."""
    packed = pack({"answers": rows}).to(model.device)
    with model.current() as network, torch.enable_grad():
        logits = network(**packed.inputs()).logits[0].float()
    return torch.nn.functional.cross_entropy(logits, packed.labels)
