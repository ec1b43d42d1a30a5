"""A run that was cut off ends with the numbers of an unbroken one, to the last bit."""

import json
import signal
from pathlib import Path

import pytest
from composed import composed
from dying import Died
from forked import command, on_ranks

from unlearnkit.errors import UserError
from unlearnkit.models import checkpoints
from unlearnkit.run import run

TESTS = Path(__file__).parent
RUN = (
    "model=tiny", "logger=none", "train.max_steps=6", "train.save_every=2", "eval_every=3",
    "eval.safety.limit=3", "eval.safety.curve_limit=2", "eval.safety.max_new_tokens=4",
    "train.arguments.learning_rate=1e-3", "+train.arguments.disable_tqdm=true",
)  # fmt: skip
DROPOUT = ("+model.lora.lora_dropout=0.2",)
FULL = ("model.lora=null",)
SCOPES = (
    *(override for override in RUN if not override.startswith("eval.safety")),
    "data=authors", "data.authors=2", "eval.scopes.limit=3", "eval.scopes.max_new_tokens=4",
    "target.min_accuracy=0", "target.stage.epochs=1", "+target.stage.arguments.disable_tqdm=true",
)  # fmt: skip


def dying(stage, step):
    return ("logger._target_=dying.Dies", f"+logger.stage={stage}", f"+logger.step={step}")


def numbers(metrics):
    """All that is not time or memory."""
    metrics = json.loads(json.dumps(metrics))
    (metrics["after"] or {}).pop("cost", None)
    return {key: metrics[key] for key in ("before", "after", "curve")}


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """kind of run -> its overrides, its folder and metrics when nothing happens to it."""
    made = {}

    def make(kind):
        if kind not in made:
            overrides = {
                "lora": ("+method=sku", *RUN, *DROPOUT),
                "full": ("+method=sku", *RUN, *FULL),
                "locate": ("+method=memflex", *SCOPES),
            }[kind]
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = overrides, folder, run(composed(*overrides), folder)
        return made[kind]

    return make


def check(kind, unbroken, folder):
    overrides, other, metrics = unbroken(kind)
    resumed = run(composed(*overrides), folder)
    assert numbers(resumed) == numbers(metrics)
    mine, theirs = log(folder), log(other)
    steps = [(row["stage"], row.get("step")) for row in mine if row["stage"] != "target"]
    assert steps == [(row["stage"], row.get("step")) for row in theirs if row["stage"] != "target"]
    assert [row.get("loss") for row in mine] == [row.get("loss") for row in theirs][-len(mine) :]
    for name, cost in metrics["after"]["cost"].items():
        if "seconds_a_step" in cost:
            assert resumed["after"]["cost"][name]["seconds_a_step"]["n"] == cost["seconds_a_step"]["n"]
    assert not (folder / "checkpoints").exists()


LONG = [pytest.param(*one, marks=pytest.mark.long) for one in (("lora", 1), ("lora", 5), ("full", 4))]


@pytest.mark.parametrize(("kind", "step"), [("lora", 3), ("full", 5), *LONG])
def test_died_while_training(kind, step, unbroken, tmp_path):
    overrides, _, _ = unbroken(kind)
    with pytest.raises(Died):
        run(composed(*overrides, *dying("acquire", step)), tmp_path)
    kept = [path.name for path in checkpoints.checkpoints(tmp_path / "checkpoints" / "acquire")]
    assert kept == [f"checkpoint-{saved}" for saved in (2, 4) if saved < step]
    check(kind, unbroken, tmp_path)


@pytest.mark.long
def test_died_twice(unbroken, tmp_path):
    overrides, _, _ = unbroken("lora")
    for step in (3, 5):
        with pytest.raises(Died):
            run(composed(*overrides, *dying("acquire", step)), tmp_path)
    check("lora", unbroken, tmp_path)


@pytest.mark.parametrize(
    "damage", ["cut", *(pytest.param(one, marks=pytest.mark.long) for one in ("unmarked", "torn log"))]
)
def test_a_half_written_checkpoint_is_passed_over(damage, unbroken, tmp_path):
    overrides, _, _ = unbroken("lora")
    with pytest.raises(Died):
        run(composed(*overrides, *dying("acquire", 5)), tmp_path)
    last = tmp_path / "checkpoints" / "acquire" / "checkpoint-4"
    if damage == "cut":
        (last / "optimizer.pt").write_bytes((last / "optimizer.pt").read_bytes()[:100])
    elif damage == "unmarked":
        (last / checkpoints.MARK).unlink()
    else:
        with (tmp_path / "log.jsonl").open("a") as file:
            file.write('{"stage": "acq')
    check("lora", unbroken, tmp_path)


def test_died_after_locating(unbroken, tmp_path):
    overrides, _, _ = unbroken("locate")
    with pytest.raises(Died):
        run(composed(*overrides, *dying("finetune", 3)), tmp_path)
    region = (tmp_path / "region.json").read_text()
    (tmp_path / "region.json").unlink()
    check("locate", unbroken, tmp_path)
    assert not (tmp_path / "region.json").exists() and '"chosen": true' in region  # not located a second time


@pytest.mark.parametrize("kind", ["lora", pytest.param("full", marks=pytest.mark.long)])
def test_died_after_its_stages(kind, unbroken, tmp_path, monkeypatch):
    overrides, _, _ = unbroken(kind)
    with monkeypatch.context() as patched, pytest.raises(Died):
        patched.setattr("unlearnkit.runs.folder.RunFolder.write_model", lambda *_: (_ for _ in ()).throw(Died))
        run(composed(*overrides), tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["negate"]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    metrics["after"]["safety"]["normal"]["perplexity"]["value"] = -1.0
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "SHA256SUMS").unlink()  # or it would be refused as damaged
    again = run(composed(*overrides), tmp_path)
    assert again["after"]["safety"]["normal"]["perplexity"]["value"] == -1.0  # measured already, so taken as it was
    _, other, _ = unbroken(kind)
    (name,) = (path.name for path in (other / "model").glob("*model.safetensors"))
    assert (tmp_path / "model" / name).read_bytes() == (other / "model" / name).read_bytes()


def test_killed_under_an_attack(tmp_path, monkeypatch):
    """The attacks that were made stay, on the start and on the unlearned model; the others are made."""
    monkeypatch.setenv("TIMES", str(tmp_path / "times"))
    kills = "+attacks.kills={_target_: dying.Kills}"
    sets = "eval.safety.sets={unlearned: [perplexity]}"
    overrides = ("+method=ga", "+attack=[prune,logit_lens]", kills, *RUN, sets, "eval_every=0", "save_model=false")
    ended = command("unlearnkit", *overrides, f"hydra.run.dir={tmp_path / 'cut'}", cwd=TESTS)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    held = json.loads((tmp_path / "cut" / "metrics.json").read_text())
    names = ["prune_10", "prune_30", "prune_50", "logit_lens", "kills"]
    assert [moment["name"] for moment in held["moments"]] == [
        "start", *(f"{name}/start" for name in names), "finetune", *names[:-1],
    ]  # fmt: skip
    with monkeypatch.context() as patched:
        for kind in ("Prune.on", "LogitLens.look"):
            patched.setattr(f"unlearnkit.attacks.{kind}", lambda *_: (_ for _ in ()).throw(AssertionError))
        resumed = run(composed(*overrides), tmp_path / "cut")
    whole = run(composed(*overrides), tmp_path / "whole")
    assert [moment["name"] for moment in resumed["moments"]] == [moment["name"] for moment in whole["moments"]]
    assert numbers(resumed) == numbers(whole) and resumed["recovered"] == whole["recovered"]
    assert (tmp_path / "times").read_text() == "x" * 5


def test_died_while_the_target_was_taught(tmp_path, monkeypatch):
    overrides = (*SCOPES, "+method=ga", "target.cache=false", "target.stage.max_steps=5", "target.stage.epochs=null")
    whole = run(composed(*overrides), tmp_path / "whole")
    mark = checkpoints.mark

    def dies(folder, told):
        if folder.name == "checkpoint-4":
            raise Died
        mark(folder, told)

    with monkeypatch.context() as patched, pytest.raises(Died):
        patched.setattr(checkpoints, "mark", dies)
        run(composed(*overrides), tmp_path / "cut")
    assert numbers(run(composed(*overrides), tmp_path / "cut")) == numbers(whole)
    assert [row["step"] for row in log(tmp_path / "cut") if row["stage"] == "target"] == [1, 2, 3, 4, 5]


def test_a_dual_variable_goes_on(tmp_path):
    overrides = ("+method=pdu", *RUN, "train.save_every=1")
    run(composed(*overrides), tmp_path / "whole")
    with pytest.raises(Died):
        run(composed(*overrides, *dying("finetune", 4)), tmp_path / "cut")
    run(composed(*overrides), tmp_path / "cut")
    rows = [
        [(row["loss"], row["terms/retain/multiplier"]) for row in log(tmp_path / name)] for name in ("whole", "cut")
    ]
    assert rows[0] == rows[1] and len({multiplier for _, multiplier in rows[0]}) == len(rows[0])


def test_the_limit_of_checkpoints(tmp_path):
    with pytest.raises(Died):
        run(composed("+method=ga_mismatch", *RUN, "train.save_every=1", *dying("finetune", 6)), tmp_path)
    kept = checkpoints.checkpoints(tmp_path / "checkpoints" / "finetune")
    assert [path.name for path in kept] == ["checkpoint-4", "checkpoint-5"]


def test_nothing_is_kept_where_that_is_wished(tmp_path):
    with pytest.raises(Died):
        run(composed("+method=ga_mismatch", *RUN, "train.save_every=0", *dying("finetune", 6)), tmp_path)
    assert not [path for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()]
    metrics = run(composed("+method=ga_mismatch", *RUN, "train.save_every=0"), tmp_path)
    assert [point["step"] for point in metrics["curve"]] == [0, 3, 6]
    assert [row["step"] for row in log(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_finished_run_is_not_done_again_and_another_is_refused(unbroken):
    overrides, folder, metrics = unbroken("lora")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert run(composed(*overrides), folder) == metrics
    with pytest.raises(UserError, match="holds a run of another config: seed is 0 there, 1 here") as caught:
        run(composed(*overrides, "seed=1"), folder)
    assert "hydra.run.dir=" in caught.value.fix
    with pytest.raises(UserError, match="holds a run already, and resume=never"):
        run(composed(*overrides, "resume=never"), folder)
    with pytest.raises(UserError, match="Unknown resume 'always'. Valid: auto, never"):
        run(composed(*overrides, "resume=always"), folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_kill_9(unbroken, tmp_path):
    overrides, _, _ = unbroken("lora")
    there = (*dying("acquire", 5), "+logger.kill=true", f"hydra.run.dir={tmp_path}")
    killed = command("unlearnkit", *overrides, *there, cwd=TESTS.parent)
    assert killed.returncode == -9
    check("lora", unbroken, tmp_path)


FIELD = ["pdu", *(pytest.param(name, marks=pytest.mark.long) for name in ("rmu", "undial", "gru", "loku"))]


@pytest.mark.parametrize("method", FIELD)
def test_kill_9_in_a_method_of_the_field(method, tmp_path):
    """What it carries, compares with or began its adapter with is there again: losses to the last bit."""
    overrides = (f"+method={method}", *RUN)
    whole = run(composed(*overrides), tmp_path / "whole")
    there = (*overrides, *dying("finetune", 5), "+logger.kill=true", f"hydra.run.dir={tmp_path / 'cut'}")
    assert command("unlearnkit", *there, cwd=TESTS.parent).returncode == -9
    assert numbers(run(composed(*overrides), tmp_path / "cut")) == numbers(whole)
    rows = [
        [{key: held for key, held in row.items() if key == "loss" or key.startswith("terms/")} for row in log(folder)]
        for folder in (tmp_path / "whole", tmp_path / "cut")
    ]
    assert rows[0] == rows[1] and sum("loss" in row for row in rows[0]) >= 6


def test_a_rank_dies(unbroken, tmp_path):
    overrides, _, metrics = unbroken("full")
    there = ("-m", "unlearnkit", *overrides, "deepspeed=zero2", f"hydra.run.dir={tmp_path}")
    killed = on_ranks(2, *there, *dying("acquire", 5), "+logger.kill=true", cwd=TESTS.parent)
    assert killed.returncode != 0
    assert [path.name for path in checkpoints.checkpoints(tmp_path / "checkpoints" / "acquire")][-1] == "checkpoint-4"
    done = on_ranks(2, *there, cwd=TESTS.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    resumed = json.loads((tmp_path / "metrics.json").read_text())
    for when in ("before", "after"):
        for name, kinds in metrics[when]["safety"].items():
            for metric, estimate in kinds.items():
                assert resumed[when]["safety"][name][metric]["value"] == pytest.approx(estimate["value"], rel=1e-4)
    assert [row["step"] for row in log(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert done.stdout.count("Going on from ") == 1 and done.stdout.count("Report: ") == 1
