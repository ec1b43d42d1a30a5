"""`python -m unlearnkit.plan`: the run's own overrides, bad input in two lines."""

import json

import pytest
from forked import command
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException

from unlearnkit import configuration
from unlearnkit.errors import UserError
from unlearnkit.models.packing import pack
from unlearnkit.models.templates import Template
from unlearnkit.plan.__main__ import PlannedRun
from unlearnkit.plan.rows import StandIn
from unlearnkit.plan.run import run
from unlearnkit.settings.check import check


def planned(*overrides, engine="none"):
    configuration.register_resolvers()
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        return run(compose("plan", overrides=list(overrides)), engine)


def test_the_command(tmp_path):
    done = command(
        "unlearnkit.plan",
        "+method=ga_kl", "model=tiny", "data=mischief", "model.lora=null", "deepspeed=zero2", "plan.gpus=2",
        "plan.json=plan.json", "plan.memory=2e9", "plan.runtime=1e9", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for said in (
        "zero2 on 2 GPUs",
        "full weights",
        "zero3_offload",
        "The smallest that fits: 1 x 2 GB",
        "hours at MFU",
    ):
        assert said in done.stdout, done.stdout
    found = json.loads((tmp_path / "plan.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    assert found["smallest"] == {"gpus": 1, "engine": "none"}
    assert len(found["grid"]) == 5 * 7
    asked = found["asked"]["finetune"]
    assert asked["parts"]["reference"] == 4 * found["sizes"]["parameters"]  # the tiny model is fp32
    assert asked["steps"] == 4 and asked["hours"] > 0


def test_bad_input_is_two_lines(tmp_path):
    done = command("unlearnkit.plan", "+method=sku", "model=tiny", "plan.mfu=2", cwd=tmp_path)
    told = [line for line in done.stderr.splitlines() if line.startswith(("Error: ", "  Fix: "))]
    assert done.returncode == 2 and len(told) == 2 and "plan.mfu=2, and it takes" in told[0], done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("plan.gpus=0", "plan.gpus=0, and it takes a whole number at least 1"),
        ("plan.gpus=1.5", "plan.gpus=1.5, and it takes a whole number at least 1"),
        ("plan.grid=[1,0]", "plan.grid[1]=0, and it takes a whole number at least 1"),
        ("plan.runtime=-1", "plan.runtime=-1, and it takes a number at least 0"),
        ("plan.dtype=bf16", "plan.dtype=bf16 is none of what it can be. Did you mean 'bfloat16'?"),
        ("plan.stand_in.rows=0", "plan.stand_in.rows=0, and it takes a whole number at least 1"),
        ("plan.memory=-1", "plan.memory=-1, and it takes a number above 0"),
        ("plan.peak_flops=0", "plan.peak_flops=0, and it takes a number above 0"),
        ("plan.mfu=1.1", "plan.mfu=1.1, and it takes a number above 0 and at most 1"),
        ("plan.mfu=0", "plan.mfu=0, and it takes a number above 0 and at most 1"),
    ],
)
def test_numbers_that_make_no_sense(override, said):
    configuration.register_resolvers()
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("plan", overrides=[override])
    with pytest.raises(UserError) as error:
        check(cfg, PlannedRun)
    assert said in error.value.what


def test_a_grid_of_nothing():
    with pytest.raises(UserError, match="names no GPUs"):
        planned("+method=ga", "model=tiny", "plan.grid=[]")


def test_nothing_to_train():
    with pytest.raises(UserError, match="Nothing is trained here"):
        planned("model=tiny")


def test_sizes_that_are_not_known(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="The sizes of 'nobody/nothing' are not known"):
        planned("+method=ga", "model=llama2-7b", "model.hub=nobody/nothing")


SHORT = ("plan.stand_in.rows=20", "plan.stand_in.prompt_tokens=16", "plan.stand_in.response_tokens=32")


def test_data_of_the_hub_are_stood_in_for_and_the_target_is_planned(monkeypatch, capsys):
    for library in ("huggingface_hub.constants.HF_HUB_OFFLINE", "datasets.config.HF_HUB_OFFLINE"):
        monkeypatch.setattr(library, True)
    found = planned("+method=ga_kl", "model=tiny", "data=knowundo_privacy", "plan.grid=[1]", *SHORT)
    assert list(found["asked"]) == ["target", "finetune"]
    assert any("20 rows a stream of 16 + 32 tokens are assumed" in note for note in found["notes"])
    assert found["asked"]["finetune"]["parts"]["reference"] > 0  # the taught adapter, frozen
    assert "hours at MFU" in capsys.readouterr().out


def test_wrong_data_are_not_stood_in_for():
    with pytest.raises(InstantiationException) as caught:
        planned("+method=ga_kl", "model=tiny", "data=knowundo_privacy", "data.path=nowhere")
    told = configuration.explain(caught.value)
    assert told is not None and "No data file at nowhere" in told.what


def test_a_stand_in_shares_prompts_as_a_tokenizer_does():
    encode = StandIn(4, 16, 64, 192, 10).encode(Template())
    first, second = (encode("Where is Paris?", answer) for answer in ("In France.", "In the north of France."))
    assert first[0] == second[0] and len(first[0]) == 16 + 4
    assert len(first[1]) == 3 + 1  # ten characters and the end token
    rows = [tuple(map(tuple, example)) for example in (first, second)]
    assert pack({"forget": rows}).input_ids.numel() == 20 + 3 + 6


def test_a_pass_that_ends_early_and_what_a_stage_restricts_to():
    # The tiny model has 2 layers, of which RMU's shares name the first.
    found = planned("+method=rmu", "model=tiny", "model.lora=null", "plan.gpus=1", "plan.grid=[1]")
    assert found["sizes"]["trainable"] == 64 * 32
    whole = planned("+method=ga_kl", "model=tiny", "model.lora=null", "plan.gpus=1", "plan.grid=[1]")
    asked, other = found["asked"]["finetune"], whole["asked"]["finetune"]
    assert asked["parts"]["optimiser"] == 2 * 4 * 64 * 32 and asked["parts"]["logits"] == 0
    assert asked["hours"] < other["hours"] / 2
    assert asked["parts"]["reference"] == other["parts"]["reference"]  # a whole second model, as before
    under_lora = planned("+method=rmu", "model=tiny", "plan.gpus=1", "plan.grid=[1]")
    assert under_lora["sizes"]["trainable"] == 4 * (64 + 32)


def test_rates_that_are_tried_before_the_run_are_counted(capsys):
    plain, tuned = (
        planned("+method=sku", "model=tiny", "plan.gpus=1", "plan.grid=[1]", *more)["asked"]["acquire"]
        for more in ((), ("train.tune=3",))
    )
    assert (plain["times"], tuned["times"]) == (1, 4)
    assert tuned["steps"] == plain["steps"] and tuned["bytes"] == plain["bytes"]
    assert tuned["hours"] == pytest.approx(4 * plain["hours"]) and tuned["flops"] == pytest.approx(4 * plain["flops"])
    said = capsys.readouterr().out
    assert said.count("times (train.tune") == 1 and f"acquire: 4 times (train.tune=3) {plain['steps']:,} steps" in said


def test_a_pass_of_each_side_and_a_running_average():
    words = ("model=tiny", "plan.gpus=1", "plan.grid=[1]", "train.batch_size=4", "train.accumulation=2")
    found = [planned(f"+method={name}", *words) for name in ("gru", "ga_gd")]
    gru, plain = (one["asked"]["finetune"] for one in found)
    trained = 4 * found[0]["sizes"]["trainable"]
    assert (gru["parts"]["optimiser"], plain["parts"]["optimiser"]) == (3 * trained, 2 * trained)
    assert (gru["parts"]["gradients"], plain["parts"]["gradients"]) == (2 * trained, trained)
    assert gru["hours"] == pytest.approx(plain["hours"], rel=0.02)
    assert gru["micro_batch"]["tokens"] < plain["micro_batch"]["tokens"]
    assert gru["parts"]["logits"] < plain["parts"]["logits"]
    assert gru["parts"]["activations"] < 0.8 * plain["parts"]["activations"]


@pytest.mark.parametrize(
    ("words", "trainings", "rows"),
    [
        (("data=tofu", "data.authors=3"), ["target", "never_knew", "finetune"], [50, 30]),
        (("data=tofu", "data.authors=3", "controls.never_knew=null"), ["target", "finetune"], [50]),
        (("data=tofu", "data.authors=3", "controls.never_knew.hub=a/b"), ["target", "finetune"], [50]),
        (("data=tofu", "data.authors=3", "eval=files"), ["target", "finetune"], [50]),  # nothing is taken against it
        (
            ("data=tofu", "data.authors=3", "eval=files", "+attack=prune"),
            ["target", "never_knew", "finetune"],
            [50, 30],
        ),
        (("data=muse",), ["target", "never_knew", "finetune"], [50, 40]),
    ],
)
def test_the_control_s_teaching_is_counted(words, trainings, rows):
    """Of one epoch, two rows a step."""
    epochs = ("target.stage.max_steps=null", "target.stage.epochs=1")
    found = planned("+method=ga", "model=tiny", "plan.gpus=1", "plan.grid=[1]", *words, *epochs)
    assert list(found["asked"]) == trainings
    assert [found["asked"][name]["steps"] for name in trainings[:-1]] == [count // 2 for count in rows]


def test_a_base_in_4_bit_is_planned_without_deepspeed(tmp_path, capsys):
    words = ("+method=npo", "model=tiny", "plan.gpus=1", "plan.grid=[1]")
    plain, packed = planned(*words), planned(*words, "model.quantise=nf4", f"plan.json={tmp_path / 'p.json'}")
    said = capsys.readouterr().out
    assert "(LoRA beside nf4," in said and packed["sizes"]["parameters"] == plain["sizes"]["parameters"]
    assert packed["sizes"]["weights"] < plain["sizes"]["weights"]
    assert "zero3" not in json.dumps(packed["grid"])
    for more, why in (
        (("model.lora=null",), "model.lora=null trains them"),
        (("deepspeed=zero3",), "DeepSpeed divides"),
    ):
        with pytest.raises(UserError, match=why):
            planned(*words, "model.quantise=nf4", *more)
