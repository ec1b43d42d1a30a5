"""The FILA stage: an adapter that begins where the forget side's information lies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from unlearnkit import ranks
from unlearnkit.errors import UserError
from unlearnkit.measures.interval import plain_mean
from unlearnkit.models import LanguageModel
from unlearnkit.models.adapter import AdapterLineage
from unlearnkit.models.packing import Tokenise, Tokens, pack
from unlearnkit.models.quantised import exact
from unlearnkit.settings.bounds import Positive
from unlearnkit.stages.base import Context, Stage

EPSILON = 1e-5  # of the authors' code: added to the retain side's Fisher information, and to a row's weight
EXACT = 1024  # rows or columns of a matrix up to which its decomposition is exact
MORE, ROUNDS = 8, 4  # of the randomised one, beyond that: further directions, and power iterations


class Fila(Stage):
    """Fisher-weighted initialisation of low-rank adapters (Cha et al. 2024, section 3.3; arXiv:2408.06621).

    For each weight W that carries an adapter: s = sqrt of the row sums of F_forget / (1e-5 + F_retain), the diagonal
    Fisher information; diag(s) W of rank r is U S V'; with the adapter's scaling c, A = (V sqrt(S / c))' and
    B = diag(1 / (s + 1e-5)) U sqrt(S / c). The base's weight becomes W - c B A, so that the model is as before.

    Args:
        rows: of each side; None: all of the forget side and as many of the retain side, as in the authors' code.
        batch_size: answers whose mean gradient is squared at once; theirs is the training's.
        max_length: tokens an example may have; longer answers are cut.
    """

    needs_fresh = True

    def __init__(
        self,
        rows: Positive | None = None,
        batch_size: Positive = 4,
        max_length: Positive | None = None,
        forget: str = "forget",
        retain: str = "retain",
    ):
        self.rows, self.batch_size, self.max_length = rows, batch_size, max_length
        self.forget, self.retain = forget, retain

    def stream_names(self) -> dict[str, str]:
        return {"forget": self.forget, "retain": self.retain}

    def check_model(self, model: LanguageModel) -> None:
        _adapter(model).check_split()

    def beside(self, label: str, taught: bool) -> UserError:
        return exact(label, "split")

    def __call__(self, model: LanguageModel, context: Context) -> LanguageModel:
        started = time.perf_counter()
        torch.manual_seed(context.seed)  # of a fresh adapter's first weights, as in the finetune stage
        adapter = _adapter(model)
        adapter.make_trainable()
        layers = adapter.fresh_layers()
        parts = ranks.from_first(lambda: self._parts(model, context, layers))
        adapter.split(parts)
        seconds = time.perf_counter() - started
        context.cost[context.stage] = {"seconds": asdict(plain_mean([seconds], seed=context.seed))}
        print(f"FILA: {len(parts)} of {len(layers)} adapted matrices begin where the forget side lies", flush=True)
        return model

    def _parts(
        self, model: LanguageModel, context: Context, layers: dict[str, Any]
    ) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Adapted module -> (A, B), of those that the forget side has a gradient in."""
        count = min(self.rows or context.streams[self.forget].size, context.streams[self.forget].size)
        information = {name: torch.zeros(matrix(layer).shape) for name, layer in layers.items()}
        for name, squared in self._squares(model, context, self.retain, count, layers):
            information[name] += squared
        weights = {name: torch.zeros(len(matrix(layer))) for name, layer in layers.items()}
        for name, squared in self._squares(model, context, self.forget, count, layers):
            weights[name] += (squared / (EPSILON + information[name])).sum(1)
        parts = {}
        for name, layer in tqdm(layers.items(), desc="FILA: decomposing", leave=False):
            if weights[name].any():
                rank, scaling = layer.r["default"], layer.scaling["default"]
                parts[name] = decomposed(matrix(layer).detach().float(), weights[name].sqrt(), rank, scaling)
        return parts

    def _squares(
        self, model: LanguageModel, context: Context, stream: str, count: int, layers: dict[str, Any]
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """(module, squared gradient of its matrix over a batch, as the batch's share of all answer tokens)."""
        batches = self._batches(model, context, stream, count)
        total = sum(len(answer) for batch in batches for _, answer in batch)
        bases = {name: layer.get_base_layer().weight for name, layer in layers.items()}
        flags = {name: weight.requires_grad for name, weight in model.model.named_parameters()}
        model.model.requires_grad_(False)
        for weight in bases.values():
            weight.requires_grad_(True)
        try:
            for batch in tqdm(batches, desc=f"FILA: Fisher information ({stream})", leave=False):
                share = sum(len(answer) for _, answer in batch) / total
                gradients = torch.autograd.grad(
                    mean_loss(model, batch), list(bases.values()), allow_unused=True, materialize_grads=True
                )
                for name, gradient in zip(bases, gradients, strict=True):
                    yield name, turned(layers[name], gradient.float()).square().cpu() * share
        finally:
            for name, weight in model.model.named_parameters():
                weight.requires_grad_(flags[name])

    def _batches(self, model: LanguageModel, context: Context, stream: str, count: int) -> list[list[Tokens]]:
        limit = min(self.max_length or model.max_length, model.max_length)
        encode = lambda prompt, response: model.template.encode(model.tokenizer, prompt, response)  # noqa: E731
        tokenise = Tokenise(encode, limit, truncate=True)
        drawn = context.streams[stream].draw(context.seed, 0, count)
        rows = [tokenise(example) for group in drawn for example in group]
        return [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]


def _adapter(model: LanguageModel) -> AdapterLineage:
    """Raises:
    UserError: all weights are trained.
    """
    if not isinstance(model.weights, AdapterLineage):
        raise UserError(
            "The stage 'fila' begins a LoRA adapter, and model.lora=null trains all weights",
            "Set model.lora={r: 32, lora_alpha: 64, target_modules: all-linear}, or leave the stage out with"
            " '~stages.fila'",
        )
    return model.weights


def mean_loss(model: LanguageModel, batch: list[Tokens]) -> torch.Tensor:
    """Mean cross-entropy of the batch's answer tokens, from one packed forward."""
    packed = pack({"answers": batch}).to(model.device)
    with model.current() as network:
        return F.cross_entropy(network(**packed.inputs()).logits[0].float(), packed.labels)


def turned(layer: Any, weight: torch.Tensor) -> torch.Tensor:
    """(out, in) of a base layer's weight or of its gradient; GPT-2's are stored the other way round."""
    return weight.T if layer.fan_in_fan_out else weight


def matrix(layer: Any) -> torch.Tensor:
    """(out, in) of what an adapted layer's base multiplies with."""
    return turned(layer, layer.get_base_layer().weight)


@torch.no_grad()
def decomposed(
    weight: torch.Tensor, rows: torch.Tensor, rank: int, scaling: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(A, B) on the CPU.

    Args:
        weight: (out, in).
        rows: (out,) the weight s of each row.
    """
    rows = rows.to(weight.device)
    devices = [weight.device] if weight.device.type == "cuda" else []
    if min(weight.shape) <= EXACT:
        left, size, transposed = torch.linalg.svd(rows[:, None] * weight, full_matrices=False)
        right = transposed.T
    else:
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)
            left, size, right = torch.svd_lowrank(rows[:, None] * weight, rank + MORE, niter=ROUNDS)
    root = (size[:rank] / scaling).sqrt()
    first = torch.zeros(rank, weight.shape[1])
    second = torch.zeros(len(weight), rank)
    rank_reached = len(root)  # fewer than the rank in a matrix that is smaller
    first[:rank_reached] = (right[:, :rank] * root).T.cpu()
    second[:, :rank_reached] = (left[:, :rank] * root / (rows + EPSILON)[:, None]).cpu()
    return first, second
