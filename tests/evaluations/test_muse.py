"""MUSE on the tiny model: a whole run beside its control, and its numbers from the records by hand."""

from statistics import fmean

import pytest
from composed import composed
from rouge_score.rouge_scorer import RougeScorer

from unlearnkit.controls import NEVER_KNEW
from unlearnkit.records.record import read_parquet, records_path
from unlearnkit.run import run

QUICK = (
    *("model=tiny", "data=muse", "logger=none", "train.max_steps=2", "eval_every=1", "eval.muse.limit=4"),
    *("+train.arguments.disable_tqdm=true", "+target.stage.arguments.disable_tqdm=true"),
)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLEARNKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        folder = tmp_path_factory.mktemp("run")
        yield folder, run(composed("+method=npo", *QUICK), folder)


def test_a_run_and_its_control(done):
    folder, metrics = done
    assert [moment["name"] for moment in metrics["moments"]] == [NEVER_KNEW, "start", "finetune"]
    assert metrics["moments"][0]["numbers"]["muse"]["privleak_forget"]["privleak"]["value"] == 0
    measured = {name: set(found) for name, found in metrics["after"]["muse"].items()}
    assert measured["knowmem_forget"] == measured["knowmem_retain"] == {"knowmem"}
    assert {"privleak", "min_k_auc", "loss_auc"} < measured["privleak_forget"]
    assert set(metrics["after"]["verbmem"]["verbmem_forget"]) == {"verbmem"}
    assert metrics["curve"] and "verbmem" not in metrics["curve"][-1]["metrics"].get("muse", {})


def test_numbers_from_the_records(done):
    folder, metrics = done
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    rows = [row for row in read_parquet(records_path(folder, "after", "verbmem")) if row.tokens]
    wanted = fmean(scorer.score(row.answer, row.response)["rougeL"].fmeasure for row in rows)
    assert metrics["after"]["verbmem"]["verbmem_forget"]["verbmem"]["value"] == pytest.approx(wanted)
    rows = read_parquet(records_path(folder, "after", "muse"))
    scores = {
        side: [
            -fmean(sorted(row.answer_log_probs)[: int(0.4 * len(row.answer_log_probs))])
            for row in rows
            if row.set == f"privleak_{side}"
        ]
        for side in ("forget", "holdout")
    }
    pairs = [(a, b) for a in scores["forget"] for b in scores["holdout"]]
    auc = fmean((b > a) + (a == b) / 2 for a, b in pairs)
    assert metrics["after"]["muse"]["privleak_forget"]["min_k_auc"]["value"] == pytest.approx(auc)
