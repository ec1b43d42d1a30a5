"""The memit stage: rewrite the value vectors that answer a fact, in closed form and without training."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from typing import Any, Literal

import torch
from tqdm.auto import tqdm

from unlearnkit.errors import UserError
from unlearnkit.files import write
from unlearnkit.measures.interval import plain_mean
from unlearnkit.memory import peak_since_reset, reset_peak
from unlearnkit.models import LanguageModel
from unlearnkit.models.anatomy import anatomy
from unlearnkit.models.quantised import exact
from unlearnkit.settings.bounds import AboveZero, Count, Positive
from unlearnkit.stages.activations import gather
from unlearnkit.stages.base import Context, Stage
from unlearnkit.stages.covariance import Text, key_moments
from unlearnkit.stages.objectives import Search, TargetStates, find_states
from unlearnkit.stages.requests import Request, context_texts, make_request
from unlearnkit.stages.rewriting import add_to, closed_form, key_width

GPT_J = (15_000, 16_384)  # MEMIT's lambda, and the width of the keys it was chosen for


class Memit(Stage):
    """MEMIT (Meng et al. 2023, arXiv:2210.07229) with a target that removes (Patil et al. 2024, arXiv:2309.17410).

    For each fact a state of the last edited layer is searched for, at the subject's last token, that leads to an
    empty answer or to none in particular. What is missing to it is then written into the value vectors of the
    edited layers, each taking its share of what the layers before it left: the weights' update is
    R K^T (lambda C + K K^T)^-1. All else in the model stays bit-identical.

    Args:
        stream: its examples are the facts; each needs a subject.
        search: how the states are searched for.
        text: what C is taken over.
        last_layer: the last edited layer, counted from 0; None: at 0.28 of the depth, as MEMIT has it for GPT-J;
            "facts": the one that the facts name, as Hong et al. 2024 have it for a concept, or as None if they do not.
        layers: how many layers are edited, up to that one.
        moment_weight: lambda; None: 15,000 for keys as wide as GPT-J's and in proportion for others. A key's
            mean leverage k^T C^-1 k is its width, so that an update reaches the same share of its target then.
        dummy: the empty answer.
        contexts, context_tokens: sampled texts that a prompt is also seen after.
        batch_size: facts searched for at once.
    """

    def __init__(
        self,
        search: Search,
        text: Text,
        stream: str = "facts",
        last_layer: Count | Literal["facts"] | None = None,
        layers: Positive = 4,
        moment_weight: AboveZero | None = None,
        dummy: str = "dummy",
        contexts: Count = 5,
        context_tokens: Positive = 10,
        batch_size: Positive = 4,
    ):
        self.search, self.text, self.stream = search, text, stream
        self.last_layer, self.layers, self.moment_weight = last_layer, layers, moment_weight
        self.dummy, self.contexts, self.context_tokens = dummy, contexts, context_tokens
        self.batch_size = batch_size

    def stream_names(self) -> dict[str, str]:
        return {"stream": self.stream}

    def check_model(self, model: LanguageModel) -> None:
        if self.last_layer != "facts":
            self.chosen_layers(len(anatomy(model.model)))

    def beside(self, label: str, taught: bool) -> UserError:
        return exact(label, "edited")

    def __call__(self, model: LanguageModel, context: Context) -> LanguageModel:
        started = time.perf_counter()
        reset_peak()
        requests = self._requests(model, context)
        layers = {getattr(request.example, "layer", None) for request in requests}
        numbers = self.chosen_layers(len(anatomy(model.model)), layers.pop() if len(layers) == 1 else None)
        moments = key_moments(model, numbers, self.text)
        targets = self._search(model, requests, numbers[-1])
        changes = []
        keys, states = keys_and_states(model, requests, numbers[0], numbers[-1])
        missing = targets.states - states
        whole = float(missing.norm())
        for place, number in enumerate(tqdm(numbers, desc="Rewriting", leave=False)):
            if place:
                keys, states = keys_and_states(model, requests, number, numbers[-1])
                missing = targets.states - states
            module = anatomy(model.model)[number].value_vectors
            weight = self._moment_weight(key_width(module))
            moment = moments[number].matrix.to(model.device)
            shares = missing / (len(numbers) - place)
            changed = add_to(model, module, closed_form(keys.T, shares.T, moment, weight, self.text.corpus))
            changes.append({"layer": number, "lambda": weight, "changed": changed, "error": moments[number].error})
        _, states = keys_and_states(model, requests, numbers[-1], numbers[-1])
        reached = 1 - float((targets.states - states).norm()) / max(whole, 1e-12)
        seconds = {
            "seconds": asdict(plain_mean([time.perf_counter() - started], seed=context.seed)),
            "peak_memory_gb": asdict(plain_mean([peak_since_reset() / 1e9], seed=context.seed)),
        }
        context.cost[context.stage] = seconds
        self._tell(requests, targets, changes, moments[numbers[-1]].tokens, reached, context)
        return model

    def chosen_layers(self, depth: int, last_by_facts: int | None = None) -> list[int]:
        """The edited layers, counted from 0.

        Args:
            last_by_facts: the last one by the facts.

        Raises:
            UserError: layers outside the model.
        """
        chosen = last_by_facts if self.last_layer == "facts" else self.last_layer
        if chosen is None:
            last = max(min(round(0.28 * depth), depth - 2), 0)
            first = max(last - self.layers + 1, 0)
        else:
            last, first = chosen, chosen - self.layers + 1
        if not 0 <= first <= last < depth - 1:
            raise UserError(
                f"Layers {first} to {last} cannot be rewritten: the model has 0 to {depth - 1}, and what is written"
                " into the last one no later token sees",
                f"Set stages.memit.last_layer= to {max(self.layers, 1) - 1} to {depth - 2}, or fewer with"
                " stages.memit.layers=",
            )
        return list(range(first, last + 1))

    def _moment_weight(self, width: int) -> float:
        return GPT_J[0] * width / GPT_J[1] if self.moment_weight is None else float(self.moment_weight)

    def _requests(self, model: LanguageModel, context: Context) -> list[Request]:
        source = context.streams[self.stream]
        examples = [example for group in source.draw(context.seed, 0, source.size) for example in group]
        distinct = {(example.subject, example.prompt): example for example in examples}
        texts = context_texts(model, self.contexts, self.context_tokens, context.seed)
        target = self.dummy if self.search.objective == "empty" else None
        return [make_request(model, example, texts, target) for example in distinct.values()]

    def _search(self, model: LanguageModel, requests: list[Request], layer: int) -> TargetStates:
        parts = []
        bar = tqdm(total=len(requests), desc=f"Searching for states ({self.search.objective})", leave=False)
        with bar:
            for start in range(0, len(requests), self.batch_size):
                batch = requests[start : start + self.batch_size]
                parts.append(find_states(model, batch, layer, self.search))
                bar.update(len(batch))
        columns = (torch.cat([getattr(part, name) for part in parts]) for name in ("states", "first", "last"))
        return TargetStates(*columns)

    def _tell(
        self,
        requests: list[Request],
        targets: TargetStates,
        layers: list[dict[str, Any]],
        tokens: int,
        reached: float,
        context: Context,
    ) -> None:
        changes = [layer["changed"] for layer in layers]
        error = max((layer["error"] for layer in layers if not math.isnan(layer["error"])), default=math.nan)
        print(
            f"MEMIT ({self.search.objective}): {len(requests)} facts written into the value vectors of layers"
            f" {layers[0]['layer']} to {layers[-1]['layer']} (lambda {layers[0]['lambda']:.0f}); loss"
            f" {float(targets.first.mean()):.2f} -> {float(targets.last.mean()):.2f}, {reached:.0%} of the way reached,"
            f" weights changed by {min(changes):.2%} to {max(changes):.2%}; second moments of {tokens} keys,"
            f" error {error:.1%}",
            flush=True,
        )
        facts = [
            {"id": request.example.id, "loss_before": float(first), "loss_after": float(last)}
            for request, first, last in zip(requests, targets.first, targets.last, strict=True)
        ]
        settings = {**vars(self), "search": asdict(self.search), "text": asdict(self.text)}
        content = {"settings": settings, "reached": reached, "tokens": tokens, "layers": layers, "facts": facts}
        write(context.folder / "memit.json", json.dumps(content, indent=1))
        context.log({"stage": context.stage, "facts": len(requests), "reached": reached})


def keys_and_states(
    model: LanguageModel, requests: list[Request], layer: int, last: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys of `layer` and states of `last` at the subjects' last tokens: (n, d_k), (n, d) in fp32.

    A key is half the bare prompt's and half the mean over those after a context, as in MEMIT's code; the state is
    the bare prompt's.
    """
    layers = anatomy(model.model)
    tokens = [prompt for request in requests for prompt in request.prompts]
    places = [place for request in requests for place in request.places]
    keys, states = gather(model, tokens, places, layers[layer].value_vectors, last)
    count = len(requests[0].prompts)
    keys = keys.reshape(len(requests), count, -1)
    if count > 1:
        keys = torch.cat([keys[:, :1], keys[:, 1:].mean(1, keepdim=True)], dim=1)
    return keys.mean(1), states.reshape(len(requests), count, -1)[:, 0]
