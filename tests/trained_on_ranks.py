"""Started on one or more ranks by `stages/test_deepspeed.py`: the same trainings under every way of dividing them.

Arguments: the folder with the tiny model, the folder for losses and weights, then `NAME:MICRO-BATCHES`, each a name of
`conf/deepspeed`, with `:states` behind it where the terms are of hidden states alone and `:field` where they are
more of the field's losses and the adapter begins with FILA, or `NAME:DTYPE` for the first values of terms with
nothing learnt.
"""

import faulthandler
import json
import sys
from pathlib import Path

import torch
from composed import composed
from omegaconf import OmegaConf
from safetensors.torch import save_file

from unlearnkit import ranks
from unlearnkit.data.examples import Example
from unlearnkit.data.streams import MismatchedResponses, Preferences, Shuffled
from unlearnkit.losses import (
    CEU,
    DPO,
    KL,
    NLL,
    NPO,
    UNDIAL,
    WGA,
    Constrained,
    InvertedHinge,
    KeepStates,
    LogitFlattening,
    SatImp,
    SimNPO,
    Steer,
)
from unlearnkit.models import load_source
from unlearnkit.models.templates import Template
from unlearnkit.stages import Context, Fila, Finetune

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
ARGUMENTS = {
    "learning_rate": 1e-3,
    "adam_epsilon": 1e-5,  # so that the sign of a gradient of rounding size does not become a full step
    "max_grad_norm": 1.0,
    "logging_steps": 1,
    "save_strategy": "no",
    "disable_tqdm": True,
}


def terms():
    return {
        "learn": NLL("forget", 2.5),
        "mix": NLL("mismatched", 2.5),
        "keep": KL("retain", -1.0),
        "push": NPO("forget", 1.0, beta=0.1),
        "distil": UNDIAL("forget", 1.0),
        "bound": Constrained("retain", 1.0, epsilon=2.0, rate=0.5),
        "hold": KeepStates("retain", layer=0, weight=10.0),
    }


def of_states():
    """No term reads logits, so a pass ends after the first layer of two, and what follows is not trained."""
    return {
        "steer": Steer("forget", layer=0, coefficient=20.0, weight=10.0, at="all"),
        "hold": KeepStates("retain", layer=0, weight=10.0),
    }


def of_the_field():
    return {
        "hinge": InvertedHinge("forget", 1.0),
        "lower": SimNPO("forget", 1.0, beta=2.0, margin=0.1),
        "flatten": LogitFlattening("forget", 0.1),
        "other": CEU("forget", 1.0),
        "weigh": WGA("forget", 1.0, beta=0.5),
        "saturate": SatImp("forget", 1.0, saturation=0.5),
        "keep": NLL("retain", 1.0),
    }


TERMS = {"": terms, "states": of_states, "field": of_the_field}


def streams():
    examples = {
        "forget": [Example(f"f{n}", f"How to {'x' * n}?", "Take " + "ab" * (n + 1)) for n in range(6)],
        "retain": [Example(f"r{n}", f"What is {n}?", "It is " + "c" * (2 * n + 1)) for n in range(5)],
    }
    named = {name: Shuffled(name, rows) for name, rows in examples.items()}
    return {**named, "mismatched": MismatchedResponses("forget", 2).bind(named)}


def train(source, out, name, lora, accumulation, kind=""):
    """Five steps, measured at the third and the last; writes losses and whole weights."""
    model = load_source("tiny", source, "float32", dict(LORA) if lora else None, Template())
    deepspeed = OmegaConf.to_container(composed(f"deepspeed={name}").deepspeed)
    stage = Finetune(
        TERMS[kind](),
        5,
        batch_size=4,
        accumulation=accumulation,
        arguments=dict(ARGUMENTS),
        deepspeed=deepspeed,
    )
    folder = out / f"{f'{kind}-' if kind else ''}{'lora' if lora else 'full'}-{name}:{accumulation}"
    if ranks.is_first():
        folder.mkdir(parents=True)
    ranks.barrier()
    seen = {}

    def measure(measured, step):
        weights = dict(measured.model.named_parameters())
        seen[step] = sum(float(weight.detach().double().abs().sum()) for weight in weights.values())
        for weight in weights.values() if deepspeed else ():
            if weight.requires_grad:
                weight.data.zero_()  # what a preview does to the measured model must not reach the training

    if kind == "field" and lora:
        Fila(rows=4)(model, Context(streams(), 0, folder, "fila"))
    model = stage(model, Context(streams(), 0, folder, "acquire", measure, 3))
    weights = dict(model.model.named_parameters())
    assert not any(hasattr(weight, "ds_id") for weight in weights.values())
    if ranks.is_first():
        save_file({name: weight.detach().clone() for name, weight in weights.items()}, folder / "weights.safetensors")
        (folder / "seen.json").write_text(json.dumps(seen))


def begin(source, out, name, lora, dtype):
    """Two steps at a rate of 0: what the terms are of two equal models."""
    model = load_source("tiny", source, dtype, dict(LORA) if lora else None, Template())
    deepspeed = OmegaConf.to_container(composed(f"deepspeed={name}").deepspeed)
    folder = out / f"{'lora' if lora else 'full'}-{name}:{dtype}"
    if ranks.is_first():
        folder.mkdir(parents=True)
    ranks.barrier()
    wanted = {"npo": NPO("forget"), "dpo": DPO("preferences"), "kl": KL("retain")}
    stage = Finetune(wanted, 2, batch_size=4, arguments={**ARGUMENTS, "learning_rate": 0.0}, deepspeed=deepspeed)
    named = streams()
    named["preferences"] = Preferences("forget", "retain").bind(named)
    before = {key: weight.detach().clone() for key, weight in model.model.named_parameters()}
    model = stage(model, Context(named, 0, folder, "acquire"))
    after = dict(model.model.named_parameters())
    assert all(torch.equal(after[key], weight) for key, weight in before.items() if key in after)


def main():
    faulthandler.dump_traceback_later(300, exit=True)
    ranks.start()
    for asked in sys.argv[3:]:
        name, accumulation, *kind = asked.split(":")
        for lora in (True, False):
            if accumulation.isdigit():
                train(sys.argv[1], Path(sys.argv[2]), name, lora, int(accumulation), *kind)
            else:
                begin(sys.argv[1], Path(sys.argv[2]), name, lora, accumulation)
    ranks.end()


if __name__ == "__main__":
    main()
