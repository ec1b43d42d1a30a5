"""A model of anybody's beside the one it was made from, in a run folder of its own."""

import json
import shutil

import pytest
import yaml
from composed import composed
from forked import command

from unlearnkit.compare import compare
from unlearnkit.measure import measure_folder
from unlearnkit.run import run

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
