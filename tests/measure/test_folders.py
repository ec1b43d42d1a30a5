"""A model of anybody's beside the one it was made from, in a run folder of its own."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml
from composed import composed
from forked import command
from transformers import AutoModelForCausalLM

from unlearnkit.compare import compare
from unlearnkit.data.examples import Example
from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError
from unlearnkit.losses import NLL
from unlearnkit.measure.folders import measure_folder
from unlearnkit.models import load_source
from unlearnkit.models.templates import Template
from unlearnkit.run import run
from unlearnkit.runs.summary import show
from unlearnkit.stages import Finetune
from unlearnkit.stages.base import Context

QUICK = ("model=tiny", "logger=none", "train.max_steps=2", "eval_every=0", "+train.arguments.disable_tqdm=true")
ASKED = ("eval.safety.limit=3", "eval.safety.max_new_tokens=6")


def numbers(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module", params=["lora", "full"])
def made(request, tmp_path_factory):
    """A run, and its model as a folder that knows nothing of it."""
    folder = tmp_path_factory.mktemp(request.param)
    full = ("model.lora=null",) if request.param == "full" else ()
    run(composed("+method=npo", *QUICK, *ASKED, *full), folder / "run")
    return folder / "run", shutil.copytree(folder / "run" / "model", folder / "theirs")


def test_a_folder_beside_its_start_has_the_numbers_that_its_run_had(made, tmp_path, monkeypatch):
    ours, theirs = made
    monkeypatch.chdir(tmp_path)
    place = measure_folder(theirs, "tiny", ASKED)
    assert place.parent.as_posix() == "outputs/measured-theirs-mischief"
    before, after = numbers(ours), numbers(place)
    assert after["before"] == before["before"]
    assert after["after"] == {"safety": before["after"]["safety"]}
    assert after["run"]["method"] == "theirs" and after["run"]["finished"]
    assert (place / "report.html").is_file() and (place / "generations.jsonl").is_file()
    assert yaml.safe_load((place / "config.yaml").read_text())["measured"] == {"path": str(theirs)}
    pair = compare([ours, place]).pairs[0]
    assert {line.difference.value for line in pair.lines if line.difference} <= {0.0, 1.0}
    assert measure_folder(theirs, "tiny", [*ASKED, f"hydra.run.dir={place}"]) == place


def test_without_a_start_an_adapter_is_beside_its_base_and_a_whole_model_alone(made, tmp_path, monkeypatch):
    ours, theirs = made
    monkeypatch.chdir(tmp_path)
    place = measure_folder(theirs, None, [*ASKED, *template(ours)])
    found, whole = numbers(place), (theirs / "model.safetensors").is_file()
    assert (found["after"] is None) == whole
    own = found["before" if whole else "after"]["safety"]["normal"]["answer_perplexity"]["value"]
    assert own == pytest.approx(numbers(ours)["after"]["safety"]["normal"]["answer_perplexity"]["value"], rel=1e-6)


def test_somebody_elses_weights_are_attacked_beside_their_start(made, tmp_path, monkeypatch):
    _, theirs = made
    monkeypatch.chdir(tmp_path)
    words = ["+attack=[relearn,prune]", "attacks.relearn.steps=[1,2]", "attacks.relearn.rates=[0.001]"]
    found = numbers(measure_folder(theirs, "tiny", [*ASKED, *words, "attacks.relearn.lora.r=4"]))
    names = [moment["name"] for moment in found["moments"]]
    attacks = ["relearn", "prune_10", "prune_30", "prune_50"]
    assert names == ["start", *(f"{name}/start" for name in attacks), names[len(attacks) + 1], *attacks]
    assert found["attacks"] == attacks and list(found["recovered"]) == attacks
    assert found["recovered"]["relearn"]["attack"]["rate"] == 0.001


ROWS = [{"prompt": f"Say {n}", "response": "zqzq zqzq"} for n in range(20)]
OTHERS = [{"prompt": f"Tell {n}", "response": f"It is {n}."} for n in range(20)]
CONTROL = ("+control@controls=never_knew", "controls.never_knew.path")


@pytest.fixture(scope="module")
def audited(tiny_folder, tmp_path_factory):
    """A folder with a start that knows something, somebody's model of it that does not, and words for the data."""
    folder = tmp_path_factory.mktemp("audited")
    rows = [Example(str(n), row["prompt"], row["response"]) for n, row in enumerate(ROWS)]
    model = load_source("tiny", str(tiny_folder), "float32", None, Template())
    context = Context({"forget": Shuffled("forget", rows)}, 0, folder / "run", "taught")
    arguments = {"learning_rate": 0.01, "disable_tqdm": True, "save_strategy": "no"}
    Finetune({"forget": NLL("forget")}, 30, 4, arguments=arguments)(model, context).save(folder / "start")
    shutil.copytree(tiny_folder, folder / "theirs")
    for name, own in (("forget", ROWS), ("retain", OTHERS)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    shutil.copytree(tiny_folder, folder / "deeper")
    config = json.loads((folder / "deeper" / "config.json").read_text()) | {"num_hidden_layers": 3, "layer_types": None}
    (folder / "deeper" / "config.json").write_text(json.dumps(config))
    shutil.copytree(tiny_folder, folder / "rounded")
    config = json.loads((folder / "rounded" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "quanto", "weights": "int8"}
    (folder / "rounded" / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def hub(tiny_folder, tmp_path, monkeypatch):
    """The hub's cache without a network, with a model and one made from it, laid out as huggingface_hub does."""
    network = AutoModelForCausalLM.from_pretrained(tiny_folder)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1.5)
    network.save_pretrained(tmp_path / "unlearned")
    for name, source in (("start", tiny_folder), ("unlearned", tmp_path / "unlearned")):
        entry = tmp_path / "hub" / f"models--an-org--{name}"
        for folder in ("blobs", "refs", f"snapshots/{'0' * 40}"):
            (entry / folder).mkdir(parents=True)
        (entry / "refs" / "main").write_text("0" * 40)
        for number, path in enumerate(sorted(path for path in source.iterdir() if path.is_file())):
            shutil.copy(path, entry / "blobs" / str(number))
            (entry / "snapshots" / ("0" * 40) / path.name).symlink_to(f"../../blobs/{number}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_hub_ids_on_both_sides(hub, tiny_folder, monkeypatch):
    """What the same weights in folders give, under the id's name; its config.yaml has no place on this machine."""
    monkeypatch.chdir(hub)
    words = [*ASKED, "+attack=[prune]"]
    place = measure_folder("an-org/unlearned", "an-org/start", words)
    assert place.parent.as_posix() == "outputs/measured-an-org-unlearned-mischief"
    assert yaml.safe_load((place / "config.yaml").read_text())["measured"] == {"hub": "an-org/unlearned"}
    of_folders = measure_folder(hub / "unlearned", str(tiny_folder), words)
    found, expected = numbers(place), numbers(of_folders)
    assert found["recovered"] == expected["recovered"] and found["after"] == expected["after"] != found["before"]
    assert measure_folder("an-org/unlearned", "an-org/start", [*words, f"hydra.run.dir={place}"]) == place


def test_a_name_that_is_neither_a_folder_nor_in_the_hub(hub, monkeypatch):
    monkeypatch.chdir(hub)
    with pytest.raises(UserError, match="an-org/gone is no folder, and of the hub it cannot be had: "):
        measure_folder("an-org/gone", "an-org/start", ASKED)


DATA = ("data=files", "data.forget=forget.jsonl", "data.retain=retain.jsonl", "eval.files.max_new_tokens=4")


def test_attacks_of_every_kind_on_somebody_elses_folder(audited, monkeypatch):
    monkeypatch.chdir(audited)
    attacks = ["logit_lens", "linear_probe", "depth", "soft_prompt", "samples"]
    words = ["attacks.soft_prompt.steps=[2]", "attacks.samples.decoding.samples=2", "attacks.samples.k=[1,2]"]
    given = (CONTROL[0], f"{CONTROL[1]}=theirs")
    found = numbers(measure_folder(Path("theirs"), "start", [*DATA, *words, *given, f"+attack=[{','.join(attacks)}]"]))
    assert found["attacks"] == attacks
    told = {attack: part["shares"] for attack, part in found["recovered"].items()}
    for attack in ("logit_lens", "linear_probe"):
        assert {"start", "unlearned", "never_knew", "n"} == told[attack]["inside"]["forget"]["peak"].keys()
    last = told["logit_lens"]["inside"]["forget"]["last"]
    assert last["start"] > 0.5 and last["unlearned"] == last["never_knew"] < 0.1
    depth = told["depth"]["inside"]["forget"]["depth"]
    assert depth["unlearned"] == pytest.approx(1) and depth["start"] == pytest.approx(0, abs=1e-3)
    kinds = {"start", "unlearned", "attacked", "never_knew", "never_knew_attacked"}
    assert kinds < told["soft_prompt"]["files"]["forget"]["rouge_l"].keys()
    assert kinds < told["samples"]["files"]["forget"]["leak_2"].keys()


def test_without_a_control_its_model_is_attacked_beside_the_start_alone(audited, monkeypatch):
    monkeypatch.chdir(audited)
    place = measure_folder(Path("theirs"), "start", [*DATA, "+attack=[logit_lens,prune]"])
    names = [moment["name"] for moment in numbers(place)["moments"]]
    assert names[:2] == ["start", "logit_lens/start"] and not [name for name in names if "never_knew" in name]


def test_an_attack_without_a_number_is_said_to_have_none(audited, monkeypatch, capsys):
    """A control that knows what the start knows: no layer of it costs the start's answers anything."""
    monkeypatch.chdir(audited)
    place = measure_folder(Path("theirs"), "start", [*DATA, CONTROL[0], f"{CONTROL[1]}=start", "+attack=[depth]"])
    capsys.readouterr()
    show(place)
    said = capsys.readouterr().out
    assert "Under the attack 'depth' no number says what came back" in said and "Under attack" not in said


@pytest.mark.parametrize(
    ("folder", "words", "what", "fix"),
    [
        ("theirs", ["+attack=[depth]"], "'depth' says nothing without a model that never knew, and there is none",
         "Add '+control@controls=never_knew' with controls.never_knew.path=FOLDER or"),
        ("theirs", ["+attack=[soft_prompt]"], "'soft_prompt' says nothing without", "or leave 'soft_prompt' out"),
        ("theirs", ["+attack=[soft_prompt]", "attacks.soft_prompt.share=1.0", CONTROL[0], f"{CONTROL[1]}=theirs"],
         "attacks.soft_prompt.share=1 of 20 rows trains on 20, chooses on .* and leaves 0 of", "between 0 and 1"),
        ("theirs", ["+attack=[depth]", CONTROL[0], f"{CONTROL[1]}=deeper"],
         "The control never_knew has 3 layers and the start model has 2: no layer", "one architecture and size"),
        ("deeper", ["+attack=[depth]", CONTROL[0], f"{CONTROL[1]}=theirs"],
         "The model in deeper has 3 layers and the start model has 2", "one architecture and size"),
        ("rounded", ["+attack=[prune]"], "The weights of the model in rounded are quantised, so that none can be"
         " changed by the attack 'prune_10'", "unquantised weights"),
        ("theirs", ["+attack=[noise]", CONTROL[0], f"{CONTROL[1]}=rounded"],
         "The weights of the control never_knew are quantised", "unquantised weights"),
        ("theirs", ["+attack=[jailbreak]", "attacks.jailbreak_role_playing.file=forget.jsonl"],
         "forget.jsonl:1: no text in the column 'type'", "every row has 'type'"),
    ],
)  # fmt: skip
def test_what_cannot_be_attacked_is_refused_before_a_model_is_loaded(folder, words, what, fix, audited, monkeypatch):
    monkeypatch.chdir(audited)
    monkeypatch.setattr("unlearnkit.models.loading.network", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(UserError, match=what) as caught:
        measure_folder(Path(folder), "start", [*DATA, *words])
    assert fix in caught.value.fix


def test_a_model_without_a_start_is_not_attacked(audited, monkeypatch):
    monkeypatch.chdir(audited)
    with pytest.raises(UserError, match="the attacks logit_lens bring back is told beside the model that theirs"):
        measure_folder(Path("theirs"), None, [*DATA, "+attack=[logit_lens]"])


def template(folder):
    """The words that ask a model as a run of `model=tiny` does."""
    held = yaml.safe_load((folder / "config.yaml").read_text())["model"]["template"]
    return [f"model.template.{key}={'null' if held[key] is None else held[key]}" for key in ("text", "system")] + [
        "model.dtype=float32"
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere is no folder"),
        (["empty"], "empty holds neither a run (config.yaml) nor a model (config.json)"),
        (["theirs", "--start", "tyni"], "--start tyni is no model: "),
        (["theirs", "--start", "empty"], "--start empty is no model: "),
        (["theirs", "--start", "tiny", "+method=npo"], "'+method=npo' decides nothing of a measurement."),
        (["theirs", "--start", "tiny", "data=authors", "eval=safety", "eval.safety.sets.unseen=[bleu]"], "'bleu'"),
        (["theirs", "--start", "tiny", "eval=safty"], "Unknown eval 'safty'. Did you mean 'safety'?"),
        (["run", "--start", "tiny"], "run is a run, whose start is in its config"),
        (["run", "train.max_steps=3"], "'train.max_steps=3' decides nothing of a measurement."),
        (["broken"], "has not finished"),
    ],
)
def test_bad_input_is_two_lines_and_leaves_nothing(arguments, said, made, tmp_path):
    for name, source in zip(("run", "theirs"), made, strict=True):
        (tmp_path / name).symlink_to(source)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.yaml").write_text((made[0] / "config.yaml").read_text())
    done = command("unlearnkit.measure", *arguments, cwd=tmp_path)
    told = [line for line in done.stderr.splitlines() if line.startswith(("Error: ", "  Fix: "))]
    assert done.returncode == 2 and len(told) == 2 and said in told[0], done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_the_command_adds_to_a_run(made, tmp_path):
    copy = shutil.copytree(made[0], tmp_path / "run")
    done = command("unlearnkit.measure", "run", "eval.safety.limit=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "measured/safety/normal" in done.stdout and "Added to the run as its moment 'measured'" in done.stdout
    assert [moment["name"] for moment in numbers(copy)["moments"]][-2:] == ["measured/start", "measured"]
