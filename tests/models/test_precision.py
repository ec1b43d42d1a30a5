"""One context decides what is computed in; "auto" measures; a term's first value says whether it was the same."""

import math

import pytest
import torch

from unlearnkit.data.examples import Example
from unlearnkit.data.streams import Preferences, Shuffled
from unlearnkit.losses import DPO, KL, NLL, NPO
from unlearnkit.models import Template, load_source, precision, tiny
from unlearnkit.models.lineage import swapped
from unlearnkit.records.forward import score
from unlearnkit.stages import Context, Finetune

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
IDS = torch.tensor([[1, 51, 42, 75, 223, 35]])
CLOSE = {"float32": 1e-5, "bfloat16": 1e-3}


def test_the_context_is_its_own_whatever_stands_around_it(tiny_folder):
    model = load_source("tiny", str(tiny_folder), "float32", None, Template())
    with torch.no_grad(), model.current() as network:
        plain = network(input_ids=IDS).logits
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), model.current() as network:
        assert torch.equal(network(input_ids=IDS).logits, plain)
    narrow = load_source("tiny", str(tiny_folder), "bfloat16", None, Template())
    with torch.no_grad(), narrow.current() as network:
        assert network(input_ids=IDS).logits.dtype == torch.bfloat16
    assert {weight.dtype for weight in narrow.model.parameters()} == {torch.float32}


@pytest.mark.parametrize(("gain", "expected"), [(4.4, torch.bfloat16), (1.1, torch.float32), (0.2, torch.float32)])
def test_auto_takes_what_is_faster_and_says_so(gain, expected, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "speed_of_bfloat16", lambda width, inner: gain)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision.chosen("auto", tiny.config("llama")) == expected
    name = str(expected).removeprefix("torch.")
    assert f"model.dtype=auto: {name}, for" in capsys.readouterr().out


def test_the_measurement_is_of_the_models_own_shapes_and_made_once(monkeypatch, tmp_path):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path))
    asked = []
    monkeypatch.setattr(precision, "speed_of_bfloat16", lambda *shape: asked.append(shape) or 1.0)
    for kind in ("llama", "gpt2", "opt", "qwen2"):
        precision.chosen("auto", tiny.config(kind))
    assert asked == [(32, 64), (32, 128)]  # opt and qwen2 have llama's shape here


def test_it_really_measures():
    assert 0.001 < precision.speed_of_bfloat16(64, 128) < 1000
    assert precision.processor()


def streams():
    rows = {
        name: [Example(f"{name}{n}", f"ask {n} {'x' * n}", name * (n + 1)) for n in range(6)]
        for name in ("forget", "retain")
    }
    found = {name: Shuffled(name, examples) for name, examples in rows.items()}
    found["preferences"] = Preferences("forget", "retain").bind(found)
    return found


def first_values(model, folder, terms, **settings):
    """Each term's value in a step with nothing learnt yet."""
    seen = []
    quiet = {"disable_tqdm": True, "save_strategy": "no", "logging_steps": 1, "learning_rate": 0.0}
    stage = Finetune(terms, max_steps=2, batch_size=4, arguments=quiet, **settings)
    stage(model, Context(streams(), 0, folder, stage="finetune", log=seen.append))
    return [{name.removeprefix("terms/"): row[name] for name in row if name.startswith("terms/")} for row in seen]


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
@pytest.mark.parametrize("architecture", ["llama", "gpt_neox"])
def test_with_nothing_learnt_every_term_is_what_its_formula_says(architecture, lora, dtype, tmp_path):
    """NPO is 2 ln 2 / beta, DPO ln 2, KL 0 for two equal models; the NLL is the scorer's."""
    folder = str(tiny.write(tmp_path / "model", architecture))
    model = load_source("tiny", folder, dtype, lora, Template())
    examples = [
        tuple(map(tuple, model.template.encode(model.tokenizer, e.prompt, e.response)))
        for (e,) in streams()["forget"].draw(0, 0, 4)
    ]
    with model.current() as network:
        scored = score(network, examples)
    tokens = [value for row in scored for value in row.log_probs]
    terms = {"npo": NPO("forget"), "dpo": DPO("preferences"), "kl": KL("retain"), "nll": NLL("forget")}
    for row in first_values(model, tmp_path, terms):
        assert row["npo"] == pytest.approx(2 * math.log(2) / 0.1, abs=CLOSE[dtype] * 13.9)
        assert row["dpo"] == pytest.approx(math.log(2), abs=CLOSE[dtype])
        assert row["kl"] == pytest.approx(0, abs=CLOSE[dtype])
    (row, _) = first_values(model, tmp_path, {"nll": NLL("forget")})
    assert row["nll"] == pytest.approx(-sum(tokens) / len(tokens), rel=CLOSE[dtype])


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_the_same_numbers_after_saving(lora, dtype, tiny_folder, tmp_path):
    """Saved, loaded again in the type that is computed in, and scored."""
    model = load_source("tiny", str(tiny_folder), dtype, lora, Template())
    model.weights.make_trainable()
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.model.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn_like(weight)
    examples = [((5, 6, 7), (8, 9, 10)), ((1, 2), (11, 12, 13, 14))]
    with model.current() as network:
        expected = [row.log_probs for row in score(network, examples)]
    model.save(tmp_path / "model")
    if lora:
        again = load_source("tiny", str(tiny_folder), dtype, lora, Template())
        again.weights.teach(str(tmp_path / "model"))
    else:
        again = load_source("tiny", str(tmp_path / "model"), dtype, lora, Template())
    with again.current() as network:
        found = [row.log_probs for row in score(network, examples)]
    assert [value for row in found for value in row] == pytest.approx([v for row in expected for v in row], abs=1e-5)


def test_against_the_model_as_it_was_loaded(tiny_folder, tmp_path):
    """A term names the state that it compares with."""
    lora = dict(LORA)
    teacher = load_source("tiny", str(tiny_folder), "float32", lora, Template())
    teacher.weights.make_trainable()
    with torch.no_grad():
        for name, weight in teacher.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.2)
    teacher.save(tmp_path / "taught")
    model = load_source("tiny", str(tiny_folder), "float32", lora, Template())
    model.weights.teach(str(tmp_path / "taught"))
    terms = {"start": KL("retain"), "loaded": KL("retain", against="loaded"), "npo": NPO("forget", against="loaded")}
    for row in first_values(model, tmp_path, terms):
        assert row["start"] == pytest.approx(0, abs=1e-6)
        assert row["loaded"] > 1e-3 and abs(row["npo"] - 2 * math.log(2) / 0.1) > 1e-2


def test_swapped_values_come_back(tiny_folder):
    weight = load_source("tiny", str(tiny_folder), "float32", None, Template()).model.lm_head.weight
    before = weight.detach().clone()
    with pytest.raises(ZeroDivisionError), swapped({weight: torch.zeros_like(weight)}):
        assert weight.abs().max() == 0
        raise ZeroDivisionError
    assert torch.equal(weight, before)
