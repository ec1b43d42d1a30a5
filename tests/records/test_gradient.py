"""Gradient norms against a plain backward pass, under an adapter and merged; other models' answers; fluency."""

import pytest
import torch

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluation, Point
from unlearnkit.measures import Fluency, FluencyClassifier, MembershipGradient, MembershipReference
from unlearnkit.models import tiny
from unlearnkit.records.generate import records_of
from unlearnkit.records.gradient import gradient_norms

ROWS = [Example("1", "Who?", "Ann Ash."), Example("2", "", "A text without a question.")]
LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}


def moved(lora):
    model = tiny.load(lora=lora)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in model.model.named_parameters():
            if lora is None or "lora_" in name:
                weight.add_(0.05 * torch.randn_like(weight))
    return model


def plain(network, model, row):
    before, after = model.template.encode(model.tokenizer, row.prompt, row.response)
    network.requires_grad_(True)
    network.zero_grad()
    logits = network(input_ids=torch.tensor([[*before, *after]])).logits[0, len(before) - 1 : -1]
    torch.nn.functional.cross_entropy(logits, torch.tensor(after)).backward()
    return torch.stack([weight.grad.norm() for weight in network.parameters()]).mean().item()


def test_full_weights():
    model = moved(None)
    records = records_of({"forget": ROWS})
    gradient_norms(model, records)
    assert [record.gradient_norm for record in records] == pytest.approx(
        [plain(model.model, model, row) for row in ROWS], rel=1e-4
    )


def test_an_adapter_and_its_merged_weights_give_the_same():
    model = moved(LORA)
    trained = {name for name, weight in model.model.named_parameters() if weight.requires_grad}
    records = records_of({"forget": ROWS})
    gradient_norms(model, records)
    assert trained == {name for name, weight in model.model.named_parameters() if weight.requires_grad}
    assert all(weight.grad is None for weight in model.model.parameters())
    merged = tiny.load(lora=None).model
    with torch.no_grad():
        for name, layer in model.model.named_modules():
            if hasattr(layer, "base_layer"):
                (adapter,) = layer.active_adapters
                merged.get_submodule(name).weight.add_(layer.get_delta_weight(adapter))
    assert [record.gradient_norm for record in records] == pytest.approx(
        [plain(merged, model, row) for row in ROWS], rel=1e-4
    )


class Counted:
    def score(self, texts):
        return [min(1.0, len(text) / 10) for text in texts]


def evaluation(**more):
    sets = {"forget": ["gradient_norm", "reference"], "retain": ["fluency"]}
    measures = {"gradient_norm": MembershipGradient(), "reference": MembershipReference(), "fluency": Fluency()}
    return Evaluation(measures, sets, max_new_tokens=3, **more)


def measured(part, model):
    part.bind("own", Data("own", {}, {side: {"test": ROWS[:1]} for side in ("forget", "retain")}))
    return part.measure(model, Point("test"), original=[])


def test_the_reference_is_the_model_as_it_was_loaded():
    model = moved(LORA)
    records = measured(evaluation(fluency=Counted), model)
    (record,) = [record for record in records if record.set == "forget"]
    with model.loaded() as network, torch.no_grad():
        before, after = model.template.encode(model.tokenizer, ROWS[0].prompt, ROWS[0].response)
        logits = network(input_ids=torch.tensor([[*before, *after]])).logits[0, len(before) - 1 : -1].log_softmax(-1)
    assert record.answer_reference_log_probs == pytest.approx(
        logits[torch.arange(len(after)), torch.tensor(after)].tolist(), abs=1e-4
    )
    wanted = (sum(record.answer_reference_log_probs) - sum(record.answer_log_probs)) / len(after)
    assert MembershipReference().value(record, None) == pytest.approx(wanted)
    (answered,) = [record for record in records if record.set == "retain"]
    assert answered.fluency == min(1.0, len(answered.response) / 10) and answered.gradient_norm is None


def test_a_classifier_that_cannot_be_had_is_said_and_its_measure_left_out(capsys, tmp_path):
    part = evaluation(fluency=lambda: FluencyClassifier(str(tmp_path / "nowhere")))
    records = measured(part, moved(LORA))
    assert "Fluency is left out: " in capsys.readouterr().out
    numbers = part.compute(records)
    assert "retain" not in numbers and set(numbers["forget"]) == {"gradient_norm", "reference"}


def test_a_real_classifier(tmp_path):
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = tmp_path / "classifier"
    config = AutoConfig.for_model(
        "bert", vocab_size=259, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        id2label={0: "clean", 1: "noise"}, label2id={"clean": 0, "noise": 1},
    )  # fmt: skip
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    clean, noise = (
        FluencyClassifier(str(folder), label=label).score(["A text.", " ", "x"]) for label in ("clean", "noise")
    )
    assert clean[1] == noise[1] == 0.0
    assert [a + b for a, b in zip(clean, noise, strict=True)][::2] == pytest.approx([1.0, 1.0])
    with pytest.raises(UserError, match="has no label 'claen'. Did you mean 'clean'"):
        FluencyClassifier(str(folder), label="claen")
