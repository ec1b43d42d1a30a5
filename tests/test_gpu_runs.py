"""Whole runs on a GPU give the CPU's numbers: the tiny model in fp32, in processes of their own."""

import json
import os
import subprocess
import sys

import pytest
import torch

pytest.importorskip("rouge_score")
pytest.importorskip("plotly")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
AUTHORS = (
    "data=authors",
    "target.min_accuracy=0",
    "eval.scopes.limit=10",
    "eval.scopes.max_new_tokens=8",
    "eval_every=4",
)
SELECT = "train.select={measure: answer_perplexity, role: forget}"
KRS = ("eval=krs", "data=concepts", "eval.krs.window=1", "eval.krs.limit=2", "eval.krs.tokens=4")
RUNS = {
    "selected": ("+method=ga_gd", *AUTHORS, SELECT, "+attack=[system]", "train.arguments.learning_rate=0.02"),
    "krs": ("+method=grad_diff", *KRS),
    "dual": ("+method=pdu", *AUTHORS, "train.arguments.learning_rate=0.02"),
    "distilled": ("+method=undial", *AUTHORS, "train.arguments.learning_rate=0.02"),
    # flex on the GPU
    "softcapped": ("+method=ga_gd", *AUTHORS, "model.architecture=gemma2", "train.arguments.learning_rate=0.02"),
}


def numbers(folder, *overrides, **environment):
    command = [sys.executable, "-m", "unlearnkit", "model=tiny", "logger=none", "train.max_steps=8", *overrides]
    environment = {**os.environ, "UNLEARNKIT_CACHE": str(folder / "cache"), **environment}
    done = subprocess.run(
        [*command, f"hydra.run.dir={folder / 'run'}"], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    return metrics.get("chosen"), {
        f"{moment['name']}/{evaluation}/{name}/{measure}": number["value"]
        for moment in metrics["moments"]
        for evaluation, sets in moment["numbers"].items()
        if evaluation != "cost"
        for name, own in sets.items()
        for measure, number in own.items()
    }


@pytest.mark.parametrize("name", RUNS)
def test_the_same_run_on_both(name, tmp_path):
    chosen, found = numbers(tmp_path / "gpu", *RUNS[name])
    on_cpu, expected = numbers(tmp_path / "cpu", *RUNS[name], CUDA_VISIBLE_DEVICES="")
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3) and len(found) > 4
    assert (chosen or {}).keys() == (on_cpu or {}).keys()
    assert all(chosen[stage]["step"] == on_cpu[stage]["step"] for stage in chosen or {})
