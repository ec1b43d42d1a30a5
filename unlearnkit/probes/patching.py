"""Restore the original's parts in a window of the unlearned model's layers, for every window in one walk upwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from unlearnkit.errors import UserError
from unlearnkit.models.anatomy import Layer, anatomy
from unlearnkit.models.lineage import answering
from unlearnkit.probes.head import Errors, ErrorsOfRow, Head
from unlearnkit.probes.layers import Call, Restored, calls, final_states, merged, run, run_own
from unlearnkit.probes.questions import Row
from unlearnkit.probes.trace import Trace

COEFFICIENTS, VALUE_VECTORS, ATTENTION = "coefficients", "value_vectors", "attention"
SETTINGS = {  # Hong et al. 2024, section 3; name -> what is restored
    COEFFICIENTS: frozenset({COEFFICIENTS}),
    VALUE_VECTORS: frozenset({VALUE_VECTORS}),
    ATTENTION: frozenset({ATTENTION}),
    "attention_and_coefficients": frozenset({ATTENTION, COEFFICIENTS}),
}

AT_THE_TOP = 8  # variants that are normalised together


def check_window(window: int, layers: int) -> None:
    """Refuse a window that the model does not hold, before anything is computed."""
    if not 1 <= window <= layers:
        raise UserError(f"A window of {window} layers in a model of {layers}", f"Set eval.krs.window= to 1 to {layers}")


def window_of(centre: int, window: int, layers: int) -> range:
    """The layers restored around `centre`: centre - 2 to centre + 2 for 5, clipped at the model's edges."""
    return range(max(0, centre - window // 2), min(layers, centre + (window + 1) // 2))


@torch.inference_mode()
def errors(
    model: Any,
    trace: Trace,
    window: int,
    settings: Mapping[str, frozenset[str]] = SETTINGS,
    tokens_a_pass: int | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Squared logit differences from the original, meaned over the vocabulary and summed over a question's positions.

    Args:
        model: the unlearned model, bare or under PEFT.
        settings: name -> what is restored.
        tokens_a_pass: variants of a row are computed together up to so many tokens; None: one at a time on a CPU,
            where larger passes were no faster, and 8,192 on a GPU (not measured).

    Returns:
        (N,) of the unlearned model, and setting -> (L, N) with the window around each layer.
    """
    layers = anatomy(model)
    check_window(window, len(layers))
    if tokens_a_pass is None:
        tokens_a_pass = 1 if model.device.type == "cpu" else 8192
    measured = Errors(Head(model))
    unlearned = torch.zeros(len(trace.questions), dtype=torch.float64)
    patched = {name: torch.zeros(len(layers), len(trace.questions), dtype=torch.float64) for name in settings}
    with answering(model):
        for place, row in enumerate(trace.rows):
            walk = Walk(model, layers, row, trace, place, window, settings, tokens_a_pass)
            end = walk.to_the_top()
            of_row = measured.against(**trace.end(place, row.keep.device))
            unlearned.index_add_(0, row.owner, _at(walk, of_row, end[None])[0])
            for name, states in walk.variants.items():
                patched[name].index_add_(1, row.owner, _at(walk, of_row, states))
    return unlearned, patched


def _at(walk: Walk, of_row: ErrorsOfRow, hidden: torch.Tensor) -> torch.Tensor:
    """(B, K) errors of last layers' outputs (B, T, H)."""
    parts = []
    for some in hidden.split(AT_THE_TOP):
        parts += [of_row(states) for states in final_states(walk.model, walk.layers, walk.row, some)]
    return torch.stack(parts).double().cpu()


class Walk:
    """One packed row through the layers, each layer's weights touched once.

    A variant is a setting and a centre. It begins where its window does, for below the unlearned model's own states
    are its states; in its first layer it shares what the window does not replace; in the window what is replaced is
    not computed; above, all variants run through the layer together. `variants`: setting -> (L, T, H), the states
    of each centre.
    """

    def __init__(
        self,
        model: Any,
        layers: list[Layer],
        row: Row,
        trace: Trace,
        place: int,
        window: int,
        settings: Mapping[str, frozenset[str]],
        tokens_a_pass: int,
    ):
        self.model, self.layers, self.row, self.trace, self.place = model, layers, row, trace, place
        self.settings, self.tokens_a_pass = settings, tokens_a_pass
        self.windows = [window_of(centre, window, len(layers)) for centre in range(len(layers))]
        self.variants: dict[str, torch.Tensor] = {}

    def to_the_top(self) -> torch.Tensor:
        """Run all layers; returns the unlearned model's own last output (T, H)."""
        hidden, layer_calls = calls(self.model, self.layers, self.row)
        count, device = len(self.layers), hidden.device
        self.variants = {name: hidden.new_empty(count, *hidden.shape[1:]) for name in self.settings}
        for number, (layer, call) in enumerate(zip(self.layers, layer_calls, strict=True)):
            with merged(layer):
                below = hidden
                hidden, attention, coefficients = run_own(layer, call, below)
                own = {ATTENTION: attention, COEFFICIENTS: coefficients}
                original = self.trace.layer(self.place, number, device)
                restored = Restored(layer.value_vectors, self.trace.value_vectors(number, device))
                for name, parts in self.settings.items():
                    self._in_window(number, layer, call, parts, self.variants[name], below, own, original, restored)
                self._above(number, layer, call)
        return hidden[0]

    def _in_window(
        self,
        number: int,
        layer: Layer,
        call: Call,
        parts: frozenset[str],
        states: torch.Tensor,
        below: torch.Tensor,
        own: dict[str, torch.Tensor],
        original: dict[str, torch.Tensor],
        restored: Restored,
    ) -> None:
        attention = original[ATTENTION] if ATTENTION in parts else None
        vectors = restored if VALUE_VECTORS in parts else None
        multiply = vectors or layer.value_vectors
        written = multiply(original[COEFFICIENTS]) if COEFFICIENTS in parts else None
        begin = [centre for centre, window in enumerate(self.windows) if window.start == number]
        if begin:
            if ATTENTION not in parts:
                # Up to here nothing differs from the unlearned model, so neither do its attention and coefficients.
                shared = own[ATTENTION], multiply(own[COEFFICIENTS]) if written is None else written
                first = run(layer, call, below, *shared)
            else:
                first = run(layer, call, below, attention, written, vectors)
            states[begin] = first
        inside = [centre for centre, window in enumerate(self.windows) if window.start < number < window.stop]
        for some in self._passes(inside, states.shape[1]):
            states[some] = run(layer, call, states[some], attention, written, vectors)

    def _above(self, number: int, layer: Layer, call: Call) -> None:
        done = [centre for centre, window in enumerate(self.windows) if window.stop <= number]
        for states in self.variants.values():
            for some in self._passes(done, states.shape[1]):
                states[some] = run(layer, call, states[some])

    def _passes(self, centres: list[int], tokens: int) -> list[slice]:
        """Neighbouring centres, as many a pass as the tokens allow."""
        if not centres:
            return []
        size = max(1, self.tokens_a_pass // tokens)
        first, last = centres[0], centres[-1] + 1
        return [slice(start, min(start + size, last)) for start in range(first, last, size)]
