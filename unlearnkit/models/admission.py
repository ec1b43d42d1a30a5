"""Does an architecture keep packed examples apart, and see in them what it sees in each alone?"""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from unlearnkit.errors import UserError
from unlearnkit.models.attention import NotCarried, packed_inputs
from unlearnkit.models.layout import Layout, Piece

BEYOND = 9  # tokens of the longest example past the widest window
LIMITS = {torch.float32: 1e-3}  # of the difference; rounding alone gives 1e-6, and 1e-2 in 16 bits
LIMIT_16_BITS = 5e-2
_passed: set[tuple[str, torch.dtype, str]] = set()  # in this process


def check_packing(model: PreTrainedModel) -> None:
    """Refuse an architecture whose packed examples are not what they are alone; each config is checked once.

    Raises:
        UserError: the check on random tokens failed; it says why.
    """
    config = (model.config.to_json_string(), model.dtype, model.device.type)
    if config in _passed:
        return
    try:
        error = packing_error(model)
    except (NotCarried, TypeError, ValueError, RuntimeError, AttributeError) as failure:
        error, reason = float("inf"), f"{type(failure).__name__}: {str(failure).splitlines()[0][:120]}"
        if isinstance(failure, NotCarried):
            reason = f"it has {failure}"
    else:
        reason = f"packed and separate logits differ by {error:.1e}"
    if not error <= LIMITS.get(model.dtype, LIMIT_16_BITS):
        raise UserError(
            f"Architecture '{model.config.model_type}' cannot be trained in packed rows: {reason}",
            "Take another model, or carry what it needs in unlearnkit/models/attention.py",
        )
    _passed.add(config)


@torch.no_grad()
def packing_error(model: PreTrainedModel) -> float:
    """The largest difference of packed and separate logits, relative to the largest logit, on random tokens.

    A row of three examples: one longer than the widest window, and two that share a prompt. Compared are the last
    tokens of each, which see the furthest back.
    """
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2**31
    long = min(max([12, *(width + BEYOND for width in windows(model.config) if width < most)]), most)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(3, model.config.get_text_config().vocab_size, (long + 5 + 7 + 4,), generator=generator)
    drawn = drawn.to(model.device)
    alone, prompt, first, second = drawn.split([long, 5, 7, 4])
    pieces = [(0, long, None), (long, long + 5, None), (long + 5, long + 12, 1), (long + 12, long + 16, 1)]
    positions = [torch.arange(long), torch.arange(5), 5 + torch.arange(7), 5 + torch.arange(4)]
    tail = torch.arange(max(0, long - 16), long + 16, device=model.device)
    inputs = packed_inputs(
        drawn[None], torch.cat(positions)[None].to(model.device), Layout([Piece(*piece) for piece in pieces]), tail
    )
    packed = model(**inputs).logits[0]
    separate = [
        model(input_ids=ids[None], use_cache=False, logits_to_keep=kept).logits[0]
        for ids, kept in (
            (alone, min(16, long)),
            (torch.cat([prompt, first]), 12),
            (torch.cat([prompt, second]), 4),
        )
    ]
    expected = torch.cat(separate)
    return float((packed - expected).abs().max() / expected.abs().max())


def windows(config: Any) -> list[int]:
    """Every width in a config that may limit how far a token sees, whatever its name."""
    found = {}
    for key, value in config.get_text_config().to_dict().items():
        if isinstance(value, int) and not isinstance(value, bool) and ("window" in key or "chunk" in key):
            found[key] = value
    return sorted(width for width in found.values() if width > 0)
