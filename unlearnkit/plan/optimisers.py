"""What an optimiser keeps of each trained parameter, by its name in `train.arguments.optim`."""

from __future__ import annotations

from collections.abc import Iterable

IN_8_BIT = ("adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit")  # three names of bitsandbytes' AdamW

# Moments a parameter, each an fp32 number where the optimiser is not in 8 bit.
MOMENTS = {
    "sgd": 0,
    "adamw_torch": 2,
    "adamw_torch_fused": 2,
    "paged_adamw_32bit": 2,
    **dict.fromkeys(IN_8_BIT, 2),
}

SMALL, BLOCK = 4096, 256  # bitsandbytes.optim: smaller tensors stay in fp32; a scale in fp32 stands for a block


def packed_share(sizes: Iterable[int]) -> float:
    """Bytes of a moment in 8 bit over those of one in fp32.

    Args:
        sizes: numbers in each trained tensor.
    """
    whole = packed = 0
    for size in sizes:
        whole += 4 * size
        packed += 4 * size if size < SMALL else size + 4 * -(-size // BLOCK)
    return packed / whole if whole else 1.0
