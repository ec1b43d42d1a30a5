"""Log-probabilities of whole answers under the reference, against a plain forward an answer."""

import pytest
import torch

from unlearnkit.data.examples import Example
from unlearnkit.data.streams import Preferences, Shuffled
from unlearnkit.losses import DPO, NPO
from unlearnkit.stages import Context, Finetune
from unlearnkit.stages import reference as module
from unlearnkit.stages.reference import reference_log_probs

EXAMPLES = [((5, 6, 7), (8, 9, 10)), ((1,), (11, 12, 13, 14))]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "reference"


def plain(model, example):
    prompt, answer = example
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None]).sum().item()


def test_they_are_those_of_a_plain_forward(tiny_model):
    expected = [plain(tiny_model.model, example) for example in EXAMPLES]
    assert list(reference_log_probs(tiny_model, EXAMPLES).values()) == pytest.approx(expected, abs=1e-5)


def test_the_second_run_takes_them_from_the_cache(tiny_model, cache, monkeypatch):
    first = reference_log_probs(tiny_model, EXAMPLES)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(module, "score", None)
    assert reference_log_probs(tiny_model, EXAMPLES) == first
    with pytest.raises(TypeError):
        reference_log_probs(tiny_model, EXAMPLES[:1])


def test_under_lora_they_are_the_base_models_whatever_the_adapter_learnt(lora_model):
    expected = [plain(lora_model.model, example) for example in EXAMPLES]
    lora_model.weights.make_trainable()
    for name, weight in lora_model.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    assert plain(lora_model.model, EXAMPLES[0]) != pytest.approx(expected[0], abs=1e-2)
    assert list(reference_log_probs(lora_model, EXAMPLES).values()) == pytest.approx(expected, abs=1e-5)


def test_of_trained_weights_they_are_those_of_the_start(full_model):
    expected = [plain(full_model.model, example) for example in EXAMPLES]
    full_model.weights.make_trainable()
    with torch.no_grad():
        for weight in full_model.model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    assert plain(full_model.model, EXAMPLES[0]) != pytest.approx(expected[0], abs=1e-2)
    assert list(reference_log_probs(full_model, EXAMPLES).values()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("loss", [NPO, DPO])
def test_the_first_step_of_training_starts_at_the_reference(tiny_model, tmp_path, loss):
    """At ratio 1 NPO is (2 / beta) ln 2 and DPO ln 2, whatever the model: the log-probs reach the right answers."""
    rows = {
        name: [Example(f"{name}{n}", "" if n % 2 else f"ask {n}", name * (n + 1)) for n in range(6)]
        for name in ("forget", "retain")
    }
    streams = {name: Shuffled(name, examples) for name, examples in rows.items()}
    streams["preferences"] = Preferences("forget", "retain").bind(streams)
    stream = "forget" if loss is NPO else "preferences"
    quiet = {"disable_tqdm": True, "save_strategy": "no", "logging_steps": 1}
    seen = []
    stage = Finetune({"term": loss(stream, beta=0.1)}, max_steps=2, batch_size=4, accumulation=2, arguments=quiet)
    stage(tiny_model, Context(streams, 0, tmp_path, stage="finetune", log=seen.append))
    expected = 20 * 0.6931472 if loss is NPO else 0.6931472
    assert seen[0]["terms/term"] == pytest.approx(expected, rel=1e-4)
