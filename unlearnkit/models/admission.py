"""Does an architecture keep packed examples apart, and see in them what it sees in each alone?"""

from __future__ import annotations

import functools
from typing import Any

import torch
from transformers import PreTrainedModel

from unlearnkit.errors import UserError, first_line
from unlearnkit.models.attention import NotCarried, packed_inputs
from unlearnkit.models.finite import odd_weight
from unlearnkit.models.layout import Layout, Piece

BEYOND = 9  # tokens of the longest example past the widest window
# Of the largest logit. Rounding alone gives 1e-6 and 1e-2; what another example says may not move a logit at all, but
# for the order of sums where experts take tokens of all examples.
ERROR = {torch.float32: 5e-5}
LEAK = {torch.float32: 1e-6}
ERROR_16_BITS, LEAK_16_BITS = 5e-2, 1e-3
_passed: set[tuple[str, torch.dtype, str]] = set()  # in this process


def check_packing(model: PreTrainedModel) -> None:
    """Refuse an architecture whose packed examples are not what they are alone, and weights that are NaN.

    Raises:
        UserError: the check on random tokens failed; it says why.
    """
    if name := odd_weight(model):
        raise UserError(
            f"The weights of '{model.name_or_path}' are no numbers (NaN or infinite), first in '{name}'",
            "Save the model again from a training that has not diverged, or fetch it again",
        )
    config = (model.config.to_json_string(), _computed_in(model), model.device.type)
    if config in _passed:
        return
    if reason := _refusal(model):
        raise UserError(
            f"Architecture '{model.config.model_type}' cannot be trained in packed rows: {reason}",
            "Take another model, or carry what it needs in unlearnkit/models/attention.py",
        )
    _passed.add(config)


def _refusal(model: PreTrainedModel) -> str:
    """Why the architecture cannot be packed; empty if it can."""
    try:
        row = _Row(model)
        error, leaked = row.error(), row.leak()
    except NotCarried as failure:
        return f"it has {failure}"
    except (UserError, torch.OutOfMemoryError):
        raise
    except Exception as failure:  # whatever an architecture's own code does with rows like these
        return f"{type(failure).__name__}: {first_line(failure, 120)}"
    if not error <= ERROR.get(_computed_in(model), ERROR_16_BITS):
        return f"packed and separate logits differ by {error:.1e}"
    if not leaked <= LEAK.get(_computed_in(model), LEAK_16_BITS):
        return f"another example in the row moves the logits by {leaked:.1e}"
    return ""


def _computed_in(model: PreTrainedModel) -> torch.dtype:
    kind = model.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else model.dtype


def packing_error(model: PreTrainedModel) -> float:
    """The largest difference of packed and separate logits, relative to the largest logit, on random tokens."""
    return _Row(model).error()


class _Row:
    """Random tokens: an example alone, longer than the widest window, then a prompt with two answers."""

    def __init__(self, model: PreTrainedModel):
        text = model.config.get_text_config()
        most = getattr(text, "max_position_embeddings", None) or 2**31
        size = min(max([12, *(width + BEYOND for width in windows(model.config) if width < most)]), most)
        self.model, self.words, self.tail = model, text.vocab_size, min(16, size)
        self.generator = torch.Generator().manual_seed(0)
        self.alone, self.prompt, self.first, self.second = (self._draw(length) for length in (size, 5, 7, 4))

    def _draw(self, length: int) -> torch.Tensor:
        return torch.randint(3, self.words, (length,), generator=self.generator).to(self.model.device)

    @functools.cached_property
    def packed(self) -> torch.Tensor:
        """The row's logits."""
        return self.logits(self.alone, self.first, self.second)

    @torch.no_grad()
    def error(self) -> float:
        """The largest difference of packed and separate logits, relative to the largest logit.

        Compared are the last tokens of the long example, which see the furthest back, and all of the others.
        """
        packed = self.packed  # before the separate ones, for it tells what an architecture asks that is not carried
        whole_first, whole_second = torch.cat([self.prompt, self.first]), torch.cat([self.prompt, self.second])
        separate = [
            self.model(input_ids=ids[None], use_cache=False, logits_to_keep=places).logits[0]
            for ids, places in ((self.alone, self.tail), (whole_first, 12), (whole_second, 4))
        ]
        expected = torch.cat(separate)
        return float((packed - expected).abs().max() / expected.abs().max())

    @torch.no_grad()
    def leak(self) -> float:
        """The largest change of a logit, relative to the largest, where tokens that it may not see are others."""
        prompt, second = slice(self.tail, self.tail + 5), slice(-4, None)
        moved = self.logits(self._draw(len(self.alone)), self._draw(7), self.second) - self.packed
        later = self.logits(self.alone, self.first, self._draw(4)) - self.packed
        changes = [moved[prompt], moved[second], later[:-4]]
        return float(torch.stack([change.abs().max() for change in changes]).max() / self.packed.abs().max())

    def logits(self, alone: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """(tail + 16, V) of the row, without the beginning of the long example."""
        size, device = len(alone), alone.device
        pieces = [(0, size), (size, size + 5), (size + 5, size + 12, 1), (size + 12, size + 16, 1)]
        places = [torch.arange(size), torch.arange(5), 5 + torch.arange(7), 5 + torch.arange(4)]
        inputs = packed_inputs(
            torch.cat([alone, self.prompt, first, second])[None],
            torch.cat(places)[None].to(device),
            Layout([Piece(*piece) for piece in pieces]),
            torch.arange(size - self.tail, size + 16, device=device),
        )
        return self.model(**inputs).logits[0]


def windows(config: Any) -> list[int]:
    """Every width in a config that may limit how far a token sees, whatever its name."""
    return sorted(
        value
        for key, value in config.get_text_config().to_dict().items()
        if type(value) is int and value > 0 and ("window" in key or "chunk" in key)
    )
