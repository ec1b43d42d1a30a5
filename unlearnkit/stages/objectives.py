"""What a rewritten fact's hidden state should lead to: an empty answer, or no answer in particular."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from unlearnkit.models import LanguageModel
from unlearnkit.models.anatomy import PLACES, anatomy, bare
from unlearnkit.models.packing import Packed, Tokens, pack
from unlearnkit.settings.bounds import AboveZero, Nonnegative, Positive
from unlearnkit.stages.activations import outputs_through, places_in
from unlearnkit.stages.requests import Request

# Beside the layers: what stands between the last of them and the vocabulary.
FINAL_NORMS = {"gpt2": "transformer.ln_f", "gpt_neox": "gpt_neox.final_layer_norm"}
FINAL_NORMS |= {"opt": "model.decoder.final_layer_norm"}
FINAL_NORMS |= {kind: "model.norm" for kind in PLACES if kind not in FINAL_NORMS}


@dataclass(frozen=True)
class Search:
    """How a target state is searched for (Meng et al. 2023, section 4.3, and the hyperparameters of their code).

    Args:
        objective: "empty": the likelihood of a text that says nothing; "entropy": the entropy of the next token,
            read from every layer (Patil et al. 2024, section 4); "entropy_as_published": of the softmax of these
            probabilities once more, as in the code of Hong et al. 2024, which is nearly the same for all of them.
        steps, learning_rate: of Adam.
        clamp: the change's largest norm, in norms of the state that it changes.
        kl: weight of the divergence of "SUBJECT is a" from the model before.
        decay: weight of |change| / |state|^2.
        enough: an "empty" search ends at this loss; an entropy has no such value.
        layers: "entropy" reads the vocabulary from that many of the last layers; None for all after the edit.
    """

    objective: Literal["empty", "entropy", "entropy_as_published"] = "empty"
    steps: Positive = 25
    learning_rate: AboveZero = 0.5
    clamp: AboveZero = 4.0
    kl: Nonnegative = 0.0625
    decay: Nonnegative = 0.5
    enough: float = 0.05
    layers: Positive | None = None


@dataclass
class TargetStates:
    """(n, d) target states, and what each fact's loss was with no change and at the end, (n,)."""

    states: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor


def find_states(model: LanguageModel, requests: list[Request], layer: int, search: Search) -> TargetStates:
    """Target states of `layer` at the subjects' last tokens, each searched for by itself but in one packed row.

    Nothing of the model changes, neither its weights nor what is trainable.
    """
    row = _Row(model, requests, layer, search)
    trainable = {name: parameter.requires_grad for name, parameter in model.model.named_parameters()}
    model.model.requires_grad_(False)
    try:
        with model.current():
            return row.optimise()
    finally:
        for name, parameter in model.model.named_parameters():
            parameter.requires_grad_(trainable[name])


class _Row:
    """Some requests, all their prompts packed into one row."""

    def __init__(self, model: LanguageModel, requests: list[Request], layer: int, search: Search):
        self.model, self.requests, self.layer, self.search = model, requests, layer, search
        edits: list[Tokens] = [prompt for request in requests for prompt in request.prompts]
        essences = [request.essence for request in requests]
        packed = pack({"edit": edits, "essence": essences}, shared=None)
        where = places_in(packed, "edit", edits, [place for request in requests for place in request.places])
        owners = [number for number, request in enumerate(requests) for _ in request.prompts]
        about = places_in(packed, "essence", essences, [request.essence_place for request in requests])
        # A dict, for a prompt that is its own essence stands in the row once.
        changed = dict(zip([*where, *about], [*owners, *range(len(requests))], strict=True))
        device = model.device
        self.packed: Packed = packed.to(device)
        self.changed = torch.tensor(list(changed), device=device)
        self.owner = torch.tensor(list(changed.values()), device=device)
        self.prompt_owner = torch.tensor(owners, device=device)
        bare = torch.tensor([owners.index(number) for number in range(len(requests))])
        self.bare = torch.tensor(where, device=device)[bare.to(device)]
        self.blocks = [part.block for part in anatomy(model.model)]

    def optimise(self) -> TargetStates:
        search = self.search
        with torch.no_grad():
            states, logits = self._read_states()
            essence = logits[self.packed.streams["essence"]].float().log_softmax(-1)
        norms = states.norm(dim=-1)
        change = torch.zeros_like(states, requires_grad=True)
        optimiser = torch.optim.Adam([change], lr=search.learning_rate)
        first = torch.zeros(len(states))
        for step in range(max(search.steps, 1)):
            losses = self._losses(change, essence, norms)
            first = losses.detach().cpu() if step == 0 else first
            done = (losses <= search.enough) & (search.objective == "empty")
            if step + 1 >= search.steps or done.all():  # as in MEMIT's code the last loss is of what is returned
                break
            optimiser.zero_grad()
            losses.sum().backward()
            before = change.detach().clone()
            optimiser.step()
            with torch.no_grad():
                longest = search.clamp * norms
                change *= (longest / change.norm(dim=-1).clamp_min(1e-12)).clamp_max(1.0)[:, None]
                change[done] = before[done]
        return TargetStates((states + change).detach(), first, losses.detach().cpu())

    def _read_states(self) -> tuple[torch.Tensor, torch.Tensor]:
        states: list[torch.Tensor] = []

        def note(hidden: torch.Tensor) -> torch.Tensor:
            states.append(hidden[0][self.bare].float())
            return hidden

        with outputs_through({self.layer: note}, self.blocks):
            logits = self.model.model(**self.packed.inputs()).logits[0]
        return states[0], logits

    def _losses(self, change: torch.Tensor, essence: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
        """(n,) of which each depends on its own change alone."""
        seen: dict[int, torch.Tensor] = {}
        edit = self.packed.streams["edit"]

        def shift(hidden: torch.Tensor) -> torch.Tensor:
            moved = hidden.index_add(1, self.changed, change[self.owner].to(hidden.dtype)[None])
            return read(self.layer)(moved)

        def read(number: int) -> Callable[[torch.Tensor], torch.Tensor]:
            def note(hidden: torch.Tensor) -> torch.Tensor:
                if number in lenses:
                    seen[number] = hidden[0][self.packed.keep[edit]]
                return hidden

            return note

        lenses = self._lenses()
        with outputs_through({**{number: read(number) for number in lenses}, self.layer: shift}, self.blocks):
            logits = self.model.model(**self.packed.inputs()).logits[0]
        if self.search.objective == "empty":
            objective = self._unlikelihoods(logits[edit])
        else:
            lens = vocabulary(self.model.model)(torch.cat(list(seen.values())))
            twice = self.search.objective == "entropy_as_published"
            read_out = entropy(lens.float().softmax(-1) if twice else lens)
            objective = -self._by_request(read_out.reshape(len(seen), -1).mean(0))
        after = logits[self.packed.streams["essence"]].float().log_softmax(-1)
        drift = F.kl_div(essence, after, reduction="none", log_target=True).sum(-1)  # KL(after || before)
        decay = change.norm(dim=-1) / norms**2
        return objective + self.search.kl * drift + self.search.decay * decay

    def _lenses(self) -> list[int]:
        """The layers that the vocabulary is read from: at an answer's place none before them is touched."""
        if self.search.objective == "empty":
            return []
        after = range(self.layer + 1, len(self.blocks)) or range(self.layer, len(self.blocks))
        return list(after if self.search.layers is None else after[-self.search.layers :])

    def _unlikelihoods(self, logits: torch.Tensor) -> torch.Tensor:
        """(n,) mean negative log-likelihood a token of the target, over each request's prompts."""
        losses = F.cross_entropy(logits.float(), self.packed.labels[self.packed.streams["edit"]], reduction="none")
        return self._by_request(torch.stack([p.mean() for p in losses.split(self.packed.lengths["edit"])]))

    def _by_request(self, values: torch.Tensor) -> torch.Tensor:
        """The mean over each request's prompts."""
        sums = values.new_zeros(len(self.requests)).index_add(0, self.prompt_owner, values)
        return sums / torch.bincount(self.prompt_owner, minlength=len(self.requests))


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Of the distribution over the vocabulary, in nats: (n, V) to (n,)."""
    log_probs = logits.float().log_softmax(-1)
    return -(log_probs.exp() * log_probs).sum(-1)


def vocabulary(model: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """The logit lens: hidden states to logits through the final norm and the output embeddings."""
    network = bare(model)
    norm: nn.Module = network.get_submodule(FINAL_NORMS[network.config.model_type])
    head: nn.Module = network.get_output_embeddings()
    project_out = getattr(getattr(getattr(network, "model", None), "decoder", None), "project_out", None)  # opt-350m's
    return lambda hidden: head(norm(hidden) if project_out is None else project_out(norm(hidden)))
