"""A check of a machine with a GPU: is what it computes right, and how long is a step there, ours and the plain way?

Needs torch, transformers, peft and hydra-core alone (benchmarks/README.md says how to take it to a bare machine).
First every loss and its gradients in fp32 against the CPU, what a training begins with in bf16, and the kernels of
attention; then steps of SKU, NPO, GA+KL, GradDiff and RMU with LoRA and all weights, on llama-shaped random weights,
beside the plain padded way. The last line says what passed; the exit code is 1 if anything failed, 2 where there is no
GPU. What does not fit the device is said to.
`--device cpu --check 1M --shapes 4M --batch-size 2 --steps 2` runs the same code on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the package does, too late behind torch

import torch
import transformers
from gpu_checks import Check, kernels, losses_and_gradients, start_values
from gpu_times import METHODS, AttentionTimes, Row, Timed, attention_times, free, rows
from measure import matmul_rate
from networks import folder, llama
from shapes import SHAPES

from unlearnkit.models import precision

COLUMNS = ("shape", "trained", "method", "batch", "tokens")
COLUMNS += ("s/step", "GB", "MFU", "plain s/step", "GB", "MFU", "speed", "memory")


def cells(row: Row, rate: float) -> list[str]:
    """A row of the table; speed is the plain way's seconds over ours, memory our bytes over its."""
    start = [row.shape, "LoRA" if row.lora else "all", METHODS[row.method], str(row.batch), str(row.tokens or "-")]
    if row.ours is None:
        why = f"does not fit: {row.least / 1e9:.0f} GB at least" if row.least else "does not fit"
        return [*start, why, *[""] * 7]
    ratios = ["", ""]
    if row.plain:
        ratios = [f"{row.plain.seconds / row.ours.seconds:.2f}", f"{row.ours.peak / row.plain.peak:.2f}"]
    return [*start, *_way(row.ours, rate), *_way(row.plain, rate), *ratios]


def _way(timed: Timed | None, rate: float) -> list[str]:
    if timed is None:
        return ["does not fit", "", ""]
    return [f"{timed.seconds:.3f}", f"{timed.peak / 1e9:.2f}", f"{timed.flops / timed.seconds / rate:.0%}"]


def table(lines: list[list[str]], markdown: bool) -> str:
    """The lines below their headings, in columns of plain text or as Markdown."""
    if markdown:
        heading = [list(COLUMNS), ["---"] * 5 + ["---:"] * 8]
        return "\n".join("| " + " | ".join(line) + " |" for line in [*heading, *lines])
    widths = [max(map(len, column)) for column in zip(COLUMNS, *lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [list(COLUMNS), *lines]
    )


def verdict(checks: list[Check], timed: list[Row], broken: list[str]) -> str:
    """The last line: what failed, else what passed, with the worst errors, and what did not fit."""
    parts = []
    for kind, word in (
        ("loss", "losses"),
        ("gradient", "gradients"),
        ("kernel", "kernels' outputs and gradients"),
        ("start", "bf16 start values"),
        ("step", "steps"),
    ):
        errors = [check.error for check in checks if check.name.startswith(kind)]
        if errors:
            what = "losses as the plain way's" if kind == "step" else word
            worst = max(errors, key=lambda error: (math.isnan(error), error))
            parts.append(f"{len(errors)} {what} (worst {worst:.0e})")
    failed = [f"{check.name} (off by {check.error:.1e})" for check in checks if not check.passed] + broken
    parts.append(f"{sum(row.ours is not None for row in timed)} timings")
    line = f"FAILED: {'; '.join(failed)}. Of " if failed else "PASSED: "
    line += ", ".join(parts)
    unfit = [row.name for row in timed if row.ours is None]
    unfit += [f"{row.name} the plain way" for row in timed if row.ours and not row.plain]
    return line + (f"; DID NOT FIT: {', '.join(unfit)}" if unfit else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--check", choices=SHAPES, default="4M", help="the shape that is checked")
    parser.add_argument("--shapes", nargs="*", choices=SHAPES, default=["1B", "7B"], help="the shapes that are timed")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    chosen = parser.parse_args()
    if chosen.device == "cuda" and not torch.cuda.is_available():
        print(
            "There is no GPU here, so nothing was checked.\n  Fix: --device cpu --check 1M --shapes 4M --batch-size 2"
        )
        return 2
    transformers.utils.logging.disable_progress_bar()
    began, broken = time.perf_counter(), []

    def attempt(what: str, do: Callable[[], None]) -> None:
        """One part; if it breaks the others are still made, for a lent machine is not had twice."""
        try:
            do()
        except Exception as error:
            traceback.print_exc()
            broken.append(f"{what} broke ({type(error).__name__})")
        free()
        print(f"[{time.perf_counter() - began:.0f} s] {what}", file=sys.stderr, flush=True)

    checks: list[Check] = []
    timed: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        # Not the user's cache: what was kept there would stand in for what this machine computes.
        os.environ["UNLEARNKIT_CACHE"] = f"{place}/cache"
        path = folder(chosen.check, Path(place) / chosen.check)
        for lora in (True, False):
            kind = "LoRA" if lora else "full"
            attempt(f"fp32, {kind}", lambda: checks.extend(losses_and_gradients(path, lora, chosen.device)))  # noqa: B023
            attempt(f"start, {kind}", lambda: checks.extend(start_values(path, lora, "bfloat16")))  # noqa: B023
    attention: list[AttentionTimes] = []
    if chosen.device == "cuda":
        attempt("kernels", lambda: checks.extend(kernels(chosen.device)))
        for shape in chosen.shapes:
            alone = partial(attention_times, shape, chosen.device, chosen.batch_size, chosen.steps)
            attempt(f"attention at {shape}", lambda: attention.append(alone()))  # noqa: B023
    for shape in chosen.shapes:
        for lora in (True, False):

            def measure() -> None:
                for row in rows(shape, lora, chosen.device, chosen.batch_size, chosen.steps):  # noqa: B023
                    timed.append(row)
                    if row.ours and row.plain:
                        error = abs(row.ours.loss - row.plain.loss) / abs(row.plain.loss)
                        checks.append(Check(f"step of {row.name}", error, 1e-2))

            attempt(f"{shape} {'LoRA' if lora else 'full'}", measure)
    dtype = precision.chosen("auto", llama((chosen.shapes or ["4M"])[0]))
    rate = matmul_rate(dtype, 8192 if chosen.device == "cuda" else 1024, device=chosen.device)
    name = torch.cuda.get_device_name() if chosen.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(
        f"{name}; torch {torch.__version__}, transformers {transformers.__version__}; computes in {dtype}, a matmul at"
    )
    print(f"{rate / 1e12:.3g} TFLOP/s; {time.perf_counter() - began:.0f} s\n")
    print(table([cells(row, rate) for row in timed], chosen.markdown) + "\n")
    for one in attention:
        print(
            f"Attention of a {one.shape} layer over {one.tokens} tokens, forward and backward: {one.varlen:.2f} ms by"
            f" varlen, {one.flex:.2f} ms by flex, {one.blocks:.2f} ms in blocks"
        )
    print("\n" * bool(attention) + verdict(checks, timed, broken))
    return int(bool(broken) or not all(check.passed for check in checks))


if __name__ == "__main__":
    sys.exit(main())
