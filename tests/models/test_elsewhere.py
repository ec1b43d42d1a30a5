"""A run's `model/` in other people's tools, as it is: each gives the loss that the run measured."""

import json

import pytest
import torch
import yaml
from composed import composed
from forked import python
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from unlearnkit.models.templates import Template
from unlearnkit.records.record import read_parquet
from unlearnkit.run import run

SMALL = (
    "model=tiny", "logger=none", "train.max_steps=3", "eval_every=0", "eval.safety.limit=4",
    "eval.safety.max_new_tokens=4", "train.arguments.learning_rate=0.01", "+train.arguments.disable_tqdm=true",
)  # fmt: skip


@pytest.fixture(scope="module", params=["lora", "full"])
def made(request, tmp_path_factory):
    """The run's `model/`, and its fixed batch: (prompt ids, answer ids, the run's log-probability of the answer)."""
    folder = tmp_path_factory.mktemp(request.param)
    full = ("model.lora=null",) if request.param == "full" else ()
    run(composed("+method=grad_diff", *SMALL, *full), folder)
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    rows = [row for row in read_parquet(folder / "records" / "after-safety.parquet") if row.answer_log_probs]
    batch = [(*Template().encode(tokenizer, row.prompt, row.answer), sum(row.answer_log_probs)) for row in rows]
    before = [row for row in read_parquet(folder / "records" / "before-safety.parquet") if row.answer_log_probs]
    assert len(batch) == 4 and abs(sum(before[0].answer_log_probs) - batch[0][2]) > 0.1  # something was learnt
    return folder / "model", tokenizer, batch


def loss(model, batch):
    """Mean negative log-probability of an answer token, as transformers computes it."""
    total, count = 0.0, 0
    for prompt, answer, _ in batch:
        labels = torch.tensor([[-100] * len(prompt) + list(answer)])
        with torch.no_grad():
            found = model.eval()(input_ids=torch.tensor([[*prompt, *answer]]), labels=labels).loss
        total, count = total + found.item() * len(answer), count + len(answer)
    return total / count


def own(batch):
    """The same of the run's own records."""
    return -sum(number for *_, number in batch) / sum(len(answer) for _, answer, _ in batch)


def load(folder):
    whole = (folder / "config.json").is_file()
    return (AutoModelForCausalLM if whole else AutoPeftModelForCausalLM).from_pretrained(folder)


def test_peft_and_transformers_load_it(made):
    folder, _, batch = made
    assert loss(load(folder), batch) == pytest.approx(own(batch), rel=1e-5)


def test_lm_evals_own_command_line_takes_it(made, tmp_path):
    folder, tokenizer, batch = made
    rows = [{"asked": tokenizer.decode(prompt), "said": tokenizer.decode(answer)} for prompt, answer, _ in batch]
    assert all(tokenizer(row["asked"], add_special_tokens=False)["input_ids"] == list(prompt)
               for row, (prompt, *_) in zip(rows, batch, strict=True))  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {
        "task": "own_batch",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "rows.jsonl")}},
        "test_split": "test",
        "output_type": "loglikelihood",
        "doc_to_text": "{{asked}}",
        "doc_to_target": "{{said}}",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc"}],
    }
    (tmp_path / "own_batch.yaml").write_text(yaml.safe_dump(task))
    adapter = folder / "adapter_config.json"
    source = f"pretrained={folder}"
    if adapter.is_file():
        source = f"pretrained={json.loads(adapter.read_text())['base_model_name_or_path']},peft={folder}"
    words = ["--model", "hf", "--model_args", f"{source},dtype=float32", "--tasks", "own_batch", "--device", "cpu"]
    more = ["--include_path", str(tmp_path), "--batch_size", "2", "--output_path", str(tmp_path), "--log_samples"]
    done = python("-m", "lm_eval", *words, *more, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    (told,) = tmp_path.rglob("samples_own_batch_*.jsonl")
    samples = sorted(map(json.loads, told.read_text().splitlines()), key=lambda sample: sample["doc_id"])
    found = [float(sample["resps"][0][0][0]) for sample in samples]
    assert found == pytest.approx([number for *_, number in batch], rel=1e-5)


def test_trl_trains_it_on(made, tmp_path):
    trl = pytest.importorskip("trl", reason="the package trl is not installed")
    from datasets import Dataset

    folder, tokenizer, batch = made
    rows = [
        {
            "input_ids": [*prompt, *answer],
            "labels": [-100] * len(prompt) + list(answer),
            "completion_mask": [0] * len(prompt) + [1] * len(answer),  # of versions that make the labels of it
        }
        for prompt, answer, _ in batch
    ]
    settings = trl.SFTConfig(
        output_dir=str(tmp_path), per_device_eval_batch_size=1, per_device_train_batch_size=1, max_steps=2,
        learning_rate=1e-3, report_to=[], use_cpu=True, completion_only_loss=True, bf16=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    model = load(folder)
    model.requires_grad_(True)
    trainer = trl.SFTTrainer(
        model=model, args=settings, train_dataset=Dataset.from_list(rows), eval_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )  # fmt: skip
    each = [loss(load(folder), [one]) for one in batch]
    assert trainer.evaluate()["eval_loss"] == pytest.approx(sum(each) / len(each), rel=1e-4)
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < sum(each) / len(each)
