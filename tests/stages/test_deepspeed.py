"""Every way of dividing a training gives the same losses and weights, on one rank and on two."""

import json
import math
from pathlib import Path

import pytest
from forked import on_ranks, python
from safetensors.torch import load_file

TESTS = Path(__file__).parent.parent
NAMES = ("none", "zero1", "zero2", "zero3", "zero3_offload")
STARTS = [f"{name}:{dtype}" for name in NAMES[:4] for dtype in ("float32", "bfloat16")]
TERMS = ("learn", "mix", "keep", "push", "distil", "bound", "bound/multiplier", "hold")
LOGGED = ("loss", "grad_norm", "learning_rate")
OF_STATES = ("steer", "hold")
OF_THE_FIELD = ("hinge", "lower", "flatten", "other", "weigh", "saturate", "keep")
LOGGED_OF = {"states": OF_STATES, "field": OF_THE_FIELD}
WEIGHTS = ("lora", "full")


def train(source, out, count, *arguments):
    words = (str(TESTS / "trained_on_ranks.py"), str(source), str(out), *arguments)
    done = on_ranks(count, *words, cwd=TESTS.parent) if count > 1 else python(*words, cwd=TESTS.parent, timeout=400)
    assert done.returncode == 0, done.stderr[-4000:]


def trained(name, count, *more, kind=""):
    """A fixture: the folder in which the trainings that the chosen tests ask of it left their losses and weights."""

    @pytest.fixture(scope="module", name=name)
    def made(tiny_folder, tmp_path_factory, request):
        folder = tmp_path_factory.mktemp(name)
        users = [item for item in request.session.items if getattr(item, "fixturenames", None)]
        users = [item for item in users if [each for each in item.fixturenames if each in FOLDERS][-1:] == [name]]
        ways = dict.fromkeys([*more, *(item.callspec.params["way"] for item in users)])
        train(tiny_folder, folder, count, *(way + kind for way in ways))
        return folder

    return made


FOLDERS = ("alone", "together", "states_alone", "states_together", "field_alone", "field_together")
alone = trained("alone", 1, "none:1")
together = trained("together", 2)
states_alone = trained("states_alone", 1, "none:1", kind=":states")
states_together = trained("states_together", 2, kind=":states")
field_alone = trained("field_alone", 1, "none:1", kind=":field")
field_together = trained("field_together", 2, kind=":field")


def some(ways, sample):
    """Those of the sample in the suite, and the others `long`."""
    return [pytest.param(way, marks=() if way in sample else pytest.mark.long) for way in ways]


def same(first, second):
    rows = [[json.loads(line) for line in (f / "log.jsonl").read_text().splitlines()] for f in (first, second)]
    assert len(rows[0]) == len(rows[1]) == 5
    for one, other in zip(*rows, strict=True):
        for key in (*LOGGED, *(f"terms/{name}" for name in LOGGED_OF.get(first.name.split("-")[0], TERMS))):
            assert one[key] == pytest.approx(other[key], rel=1e-5, abs=1e-5), key
    weights = [load_file(f / "weights.safetensors") for f in (first, second)]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        assert (weight - weights[1][name]).abs().max() < 1e-4, name
    seen = [json.loads((f / "seen.json").read_text()) for f in (first, second)]
    assert seen[0] == pytest.approx(seen[1], abs=1e-2) and seen[0].keys() == {"3", "5"}


@pytest.mark.parametrize("way", ["none:2", "zero2:2"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_one_rank(alone, weights, way):
    same(alone / f"{weights}-none:1", alone / f"{weights}-{way}")


@pytest.mark.parametrize(
    "way", some([*(f"{name}:1" for name in NAMES), "zero3:2"], ("none:1", "zero2:1", "zero3:1", "zero3:2"))
)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_two_ranks(alone, together, weights, way):
    same(alone / f"{weights}-none:1", together / f"{weights}-{way}")


@pytest.mark.parametrize("way", ["none:2", "zero2:2"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_passes_that_end_early_on_one_rank(states_alone, weights, way):
    same(states_alone / f"states-{weights}-none:1", states_alone / f"states-{weights}-{way}")


@pytest.mark.parametrize("way", some([f"{name}:1" for name in NAMES[:4]], ("none:1", "zero3:1")))
@pytest.mark.parametrize("weights", WEIGHTS)
def test_passes_that_end_early_on_two_ranks(states_alone, states_together, weights, way):
    same(states_alone / f"states-{weights}-none:1", states_together / f"states-{weights}-{way}")


@pytest.mark.long
@pytest.mark.parametrize("way", ["none:2", "zero2:2"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_fields_losses_on_one_rank(field_alone, weights, way):
    same(field_alone / f"field-{weights}-none:1", field_alone / f"field-{weights}-{way}")


@pytest.mark.long
@pytest.mark.parametrize("way", [f"{name}:1" for name in NAMES[:4]])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_fields_losses_on_two_ranks(field_alone, field_together, weights, way):
    same(field_alone / f"field-{weights}-none:1", field_together / f"field-{weights}-{way}")


def starts(folder):
    """With nothing learnt the terms are what their formulas say of two equal models, whatever computes them."""
    close = 1e-3 if folder.name.endswith("bfloat16") else 1e-5
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    for row in rows:
        assert row["terms/npo"] == pytest.approx(2 * math.log(2) / 0.1, rel=close)
        assert row["terms/dpo"] == pytest.approx(math.log(2), abs=close)
        assert row["terms/kl"] == pytest.approx(0, abs=close)


@pytest.mark.parametrize("way", ["zero1:bfloat16", "zero3:float32"])
@pytest.mark.parametrize("weights", ["lora", "full"])
def test_nothing_learnt_on_one_rank(alone, weights, way):
    starts(alone / f"{weights}-{way}")


@pytest.mark.parametrize("way", some(STARTS, ("zero2:float32", "zero3:bfloat16")))
@pytest.mark.parametrize("weights", ["lora", "full"])
def test_nothing_learnt_on_two_ranks(together, weights, way):
    starts(together / f"{weights}-{way}")
