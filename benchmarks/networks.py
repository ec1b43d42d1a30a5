"""What the checks and the timings on a GPU share: llama-shaped random weights, a method's terms, packed steps."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from shapes import LORA, SHAPES
from transformers import AutoConfig, AutoModelForCausalLM

from unlearnkit import configuration
from unlearnkit.data.streams import Stream
from unlearnkit.models import LanguageModel, Template, tiny
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.loading import lineage
from unlearnkit.models.packing import Tokenise, Tokens
from unlearnkit.models.precision import chosen
from unlearnkit.runs.checks import bind_streams
from unlearnkit.stages import Finetune, Restrict
from unlearnkit.stages.steps import Steps

TEMPLATE = Template(text="### Question: {prompt}\n### Answer:", separator=" ")  # plain text needs no jinja2


def llama(shape: str, **more: Any) -> Any:
    """The shape's config, with `more` keys; a vocabulary of 32000 where neither says anything else."""
    given = {"vocab_size": 32000, "max_position_embeddings": 4096, **SHAPES[shape], **more}
    return AutoConfig.for_model("llama", **given)


def parameters(shape: str) -> int:
    """How many weights the shape has."""
    return sum(weight.numel() for weight in _skeleton(shape).parameters())


def trained_parameters(shape: str, restrict: Restrict) -> int:
    """How many of them are trained whole under a restriction."""
    made = _skeleton(shape)
    if restrict.everything:
        return parameters(shape)
    chosen = restrict.matching(made)
    return sum(weight.numel() for name, weight in made.named_parameters() if name in chosen)


@cache
def _skeleton(shape: str) -> Any:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(llama(shape))


def network(
    shape: str, lora: bool, device: str, trainable: bool = True, dtype: torch.dtype | None = None, **more: Any
) -> LanguageModel:
    """Random weights on the device, trainable if wished; computes in `dtype`, else in the machine's fast type.

    A fresh LoRA adapter lies over weights of that type; weights that are trained whole are fp32 masters.

    Args:
        more: keys of the config that differ from the shape's.
    """
    torch.manual_seed(0)
    config = llama(shape, **more)
    fast = dtype or chosen("auto", config)
    with torch.device(device):
        made = AutoModelForCausalLM.from_config(config, dtype=fast if lora else torch.float32)
    use_packed_attention(made)
    adapter = dict(LORA) if lora else None
    model = LanguageModel(shape, tiny.tokenizer(), TEMPLATE, lineage(made.eval(), adapter), fast)
    if trainable:
        model.weights.make_trainable()
        model.model.train()
    return model


def folder(shape: str, path: Path) -> Path:
    """Random weights of the shape and the byte tokenizer, as `save_pretrained` writes them.

    The head is drawn so that logits spread as a trained model's do (by 3), where rounding is seen in what they give.
    """
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(llama(shape))
    torch.nn.init.normal_(made.lm_head.weight, std=3 / made.config.hidden_size**0.5)
    made.save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    return path


def method(name: str, *overrides: str) -> tuple[Finetune, dict[str, Stream]]:
    """A method's training stage, and the embedded data's streams with those the method derives."""
    cfg = _composed(name, *overrides)
    streams = bind_streams(instantiate(cfg.data, _convert_="all"), instantiate(cfg.streams, _convert_="all"))
    stages = instantiate(cfg.stages, _convert_="all")
    return next(stage for stage in stages.values() if isinstance(stage, Finetune)), streams


def restriction(name: str) -> Restrict:
    """What a method confines its training to; all, where it has no such stage."""
    stages = instantiate(_composed(name).stages, _convert_="all").values()
    return next((stage for stage in stages if isinstance(stage, Restrict)), Restrict())


@cache
def _composed(name: str, *overrides: str) -> Any:
    configuration.register_resolvers()
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        return compose("config", overrides=[f"+method={name}", *overrides])


def packed_steps(
    stage: Finetune, streams: dict[str, Stream], model: LanguageModel, batch_size: int, count: int, length: int = 4096
) -> Steps:
    """The stage's steps for the model; answers longer than `length` tokens with their prompt are cut."""

    def encode(prompt: str, response: str) -> tuple[list[int], list[int]]:
        return model.template.encode(model.tokenizer, prompt, response)

    used = {term.stream: streams[term.stream] for term in stage.terms.values()}
    return Steps(used, Tokenise(encode, length, truncate=True), 0, batch_size, count)


def unpacked(steps: Steps, number: int) -> dict[str, list[Tokens]]:
    """The examples of one of the steps, stream by stream."""
    return {
        name: [steps.tokenise(example) for group in stream.draw(0, number, steps.batch_size) for example in group]
        for name, stream in steps.streams.items()
    }


def scored_examples(stage: Finetune, steps: Steps) -> list[Tokens]:
    """The distinct examples whose log-probability under the reference the stage's terms need."""
    drawn = steps.examples()
    names = {term.stream for term in stage.terms.values() if term.needs_reference_log_probs}
    return list(dict.fromkeys(example for name in sorted(names) for example in drawn[name]))
