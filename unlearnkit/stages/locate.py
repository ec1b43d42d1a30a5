"""The locate stage: find the tensors that hold what is to be forgotten, and freeze all others."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from unlearnkit import ranks
from unlearnkit.files import write
from unlearnkit.measures.interval import plain_mean
from unlearnkit.models import LanguageModel
from unlearnkit.models.packing import Tokenise, Tokens, pack
from unlearnkit.settings.bounds import Bound, Depth, Positive, Seed
from unlearnkit.stages.base import Context
from unlearnkit.stages.region import Tensor, compare, inverted_region, located, random_region, thresholds
from unlearnkit.stages.restrict import Parts, Restrict


class Locate(Restrict):
    """Confine what follows to the tensors where unlearning differs from retaining (MemFlex: Tian et al. 2024, 3.3).

    The answers of both scopes are replaced by random tokens, several times over; the mean gradients of the two
    are compared in each trainable tensor (LoRA's A and B, or every weight under full fine-tuning).

    Args:
        max_cosine, min_gradient: mu and sigma of eq. (9); None for the median over the tensors.
        copies: random replacements (N; five in the paper, three in its code).
        rows: rows of each scope a copy sees, others each time; None for all.
        replaced: share of the answer tokens that are replaced, in the inputs as in the labels (the paper replaces
            the answer; its code about half of the tokens).
        region: "located", or a control at the same number of parameters: "random", or "inverted" (the tensors
            most aligned with retention).
        seed: of the replacements and of the random region; the run's if None.
        max_length: tokens an example may have; longer answers are cut.
        parts, layers, names: what is chosen among, see `Restrict`; all that is trained if None.
    """

    def __init__(
        self,
        max_cosine: float | None,
        min_gradient: float | None,
        copies: Positive = 5,
        rows: Positive | None = None,
        replaced: Annotated[float, Bound(0, 1, above=True)] = 1.0,
        region: Literal["located", "random", "inverted"] = "located",
        seed: Seed | None = 42,
        batch_size: Positive = 8,
        max_length: Positive | None = None,
        unlearn: str = "forget",
        retention: str = "retain",
        parts: Parts = None,
        layers: list[Depth] | None = None,
        names: str | None = None,
    ):
        super().__init__(parts, layers, names)
        self.max_cosine, self.min_gradient, self.copies, self.rows = max_cosine, min_gradient, copies, rows
        self.replaced, self.region, self.seed = replaced, region, seed
        self.batch_size, self.max_length, self.unlearn, self.retention = batch_size, max_length, unlearn, retention

    def check(self, key: str) -> None:
        """Nothing need be named: all that is trained is chosen among."""
        self.check_names(key)

    def stream_names(self) -> dict[str, str]:
        return {"unlearn": self.unlearn, "retention": self.retention}

    def __call__(self, model: LanguageModel, context: Context) -> LanguageModel:
        started = time.perf_counter()
        torch.manual_seed(context.seed)  # of a fresh adapter's first weights, as in the finetune stage
        self.limit(model)
        seed = context.seed if self.seed is None else self.seed
        unlearn = self._gradients(model, context, self.unlearn, seed)
        retention = self._gradients(model, context, self.retention, seed)
        tensors = [compare(name, unlearn.pop(name), retention.pop(name)) for name in list(unlearn)]
        mu, sigma = thresholds(tensors, self.max_cosine, self.min_gradient)
        region = located(tensors, mu, sigma)
        chosen = region
        if self.region == "random":
            chosen = random_region(tensors, sum(tensor.size for tensor in region), seed)
        elif self.region == "inverted":
            chosen = inverted_region(tensors, region)
        names = {tensor.name for tensor in chosen}
        for name, parameter in model.model.named_parameters():
            parameter.requires_grad_(name in names)
        seconds = time.perf_counter() - started
        context.cost[context.stage] = {"seconds": asdict(plain_mean([seconds], seed=context.seed))}
        self._tell(tensors, chosen, mu, sigma, context)
        return model

    def _gradients(self, model: LanguageModel, context: Context, stream: str, seed: int) -> dict[str, torch.Tensor]:
        """Trainable tensor -> its mean gradient over copies and rows, in fp32 on the CPU."""
        source, limit = context.streams[stream], min(self.max_length or model.max_length, model.max_length)
        tokenise = Tokenise(
            lambda prompt, response: model.template.encode(model.tokenizer, prompt, response), limit, truncate=True
        )
        count = min(self.rows or source.size, source.size)
        model.model.zero_grad(set_to_none=True)
        for copy in tqdm(range(self.copies), desc=f"Locating ({stream})", leave=False):
            random = np.random.default_rng([seed, copy])
            groups = source.draw(seed, copy, count)
            rows = [self._randomised(tokenise(example), model, random) for group in groups for example in group]
            for start in range(0, len(rows), self.batch_size):
                batch = rows[start : start + self.batch_size]
                mean_loss(model, batch, 1 / (len(rows) * self.copies)).backward()
        gradients = {
            name: torch.zeros(parameter.shape) if parameter.grad is None else parameter.grad.float().cpu()
            for name, parameter in model.model.named_parameters()
            if parameter.requires_grad
        }
        model.model.zero_grad(set_to_none=True)
        return gradients

    def _randomised(self, tokens: Tokens, model: LanguageModel, random: np.random.Generator) -> Tokens:
        prompt, answer = tokens
        rows = model.weights.bare.config.get_text_config().vocab_size  # a tokenizer may have more tokens
        drawn = random.integers(0, min(len(model.tokenizer), rows), len(answer))
        swap = random.random(len(answer)) < self.replaced
        return prompt, tuple(int(d) if s else a for a, d, s in zip(answer, drawn, swap, strict=True))

    def _tell(self, tensors: list[Tensor], chosen: list[Tensor], mu: float, sigma: float, context: Context) -> None:
        share = sum(tensor.size for tensor in chosen) / sum(tensor.size for tensor in tensors)
        kinds = Counter(module_kind(tensor.name) for tensor in chosen)
        print(
            f"Region ({self.region}): {len(chosen)} of {len(tensors)} tensors, {share:.1%} of the parameters"
            f" (cosine < {mu:.4g}, mean |gradient| > {sigma:.3g}): "
            + ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()),
            flush=True,
        )
        names = {tensor.name for tensor in chosen}
        settings: dict[str, Any] = {key: value for key, value in vars(self).items()}
        rows = [{**asdict(tensor), "chosen": tensor.name in names} for tensor in tensors]
        content = {"max_cosine": mu, "min_gradient": sigma, "share": share, "settings": settings, "tensors": rows}
        if ranks.is_first():
            write(context.folder / "region.json", json.dumps(content, indent=1))
        context.log({"stage": context.stage, "tensors": len(chosen), "share": share})


def mean_loss(model: LanguageModel, batch: list[Tokens], factor: float) -> torch.Tensor:
    """`factor` times the sum over answers of the mean cross-entropy of their tokens, from one packed forward."""
    packed = pack({"answers": batch}).to(model.device)
    with model.current() as network:
        logits = network(**packed.inputs()).logits[0]
    losses = F.cross_entropy(logits.float(), packed.labels, reduction="none")
    return factor * torch.stack([part.mean() for part in losses.split(packed.lengths["answers"])]).sum()


def module_kind(name: str) -> str:
    """q_proj.A for "...layers.3.self_attn.q_proj.lora_A.default.weight"; the last module's name otherwise."""
    if match := re.search(r"([^.]+)\.lora_(?:embedding_)?([AB])\b", name):
        return f"{match[1]}.{match[2]}"
    parts = name.split(".")
    return parts[-2] if len(parts) > 1 else name
