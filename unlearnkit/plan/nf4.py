"""Linear layers in NF4 without their weights: the bytes that bitsandbytes holds of one, and what a product makes.

A stand-in for `bitsandbytes.nn.Linear4bit`, which a machine that plans need not have. Its matrix is whole for the
length of each product, forward and backward, in the type that is computed in; nothing of that is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import should_convert_module

BLOCK, NESTED = 64, 256  # weights that share a scale; scales that share one of their own


class Nf4(nn.Linear):
    """A layer of (out, in) in 4 bit.

    Attributes:
        weight: two numbers a byte.
        scales: of each block of 64, in 8 bit.
        nested: of each 256 scales, in fp32.
    """

    def __init__(self, in_features: int, out_features: int, bias: nn.Parameter | None, computed_in: torch.dtype):
        nn.Module.__init__(self)
        self.in_features, self.out_features, self.computed_in = in_features, out_features, computed_in
        blocks = -(-self.numbers // BLOCK)
        self.weight = _frozen(-(-self.numbers // 2), torch.uint8)
        self.scales = _frozen(blocks, torch.uint8)
        self.nested = _frozen(-(-blocks // NESTED), torch.float32)
        self.bias = bias  # type: ignore[assignment]  # as in nn.Linear

    @property
    def numbers(self) -> int:
        """Parameters of the matrix that is stored."""
        return self.in_features * self.out_features

    @property
    def stored(self) -> int:
        """Elements of the tensors that stand for it."""
        return self.weight.numel() + self.scales.numel() + self.nested.numel()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        made = _Product.apply(inputs.to(self.computed_in), self)
        return (made if self.bias is None else made + self.bias.to(self.computed_in)).to(inputs.dtype)


def _frozen(count: int, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(torch.empty(count, dtype=dtype), requires_grad=False)


class _Product(torch.autograd.Function):
    """x W^T, with W made anew in the backward pass."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, layer: Nf4) -> torch.Tensor:
        ctx.layer = layer
        return inputs @ _whole(layer, inputs).T

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[torch.Tensor, None]:
        return gradients[0] @ _whole(ctx.layer, gradients[0]), None


def _whole(layer: Nf4, like: torch.Tensor) -> torch.Tensor:
    _ = like.new_empty(layer.scales.shape, dtype=torch.float32)  # the scales, back from their 8 bit
    return like.new_empty(layer.out_features, layer.in_features)


def in_nf4(model: Any, computed_in: torch.dtype) -> None:
    """Put stand-ins in the place of those layers of a model on the meta device that transformers would round."""
    skipped = HfQuantizer.get_modules_to_not_convert(model, None, getattr(model, "_keep_in_fp32_modules", None))
    for name, module in list(model.named_modules()):
        if (type(module) is nn.Linear or isinstance(module, Conv1D)) and should_convert_module(name, skipped):
            shape = module.weight.shape
            width, height = shape if isinstance(module, Conv1D) else reversed(shape)
            model.set_submodule(name, Nf4(width, height, module.bias, computed_in))
    model.is_quantized = True
