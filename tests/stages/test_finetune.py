"""The finetune stage against a plain implementation: one forward an example, AdamW written out."""

import copy
import json
from contextlib import nullcontext
from functools import partial

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from unlearnkit.data.examples import Example
from unlearnkit.data.streams import MismatchedResponses, Shuffled
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations, Part, Point
from unlearnkit.losses import KL, NLL, Loss
from unlearnkit.models import checkpoints, load_source
from unlearnkit.models.reading import layers_of
from unlearnkit.models.templates import Template
from unlearnkit.records.record import Record
from unlearnkit.stages import Context, Finetune, Negate
from unlearnkit.stages.base import previewed

RATE = 1e-3
EPSILON = 1e-5  # so that the sign of a gradient of rounding size does not become a full step
ARGUMENTS = {
    "learning_rate": RATE,
    "lr_scheduler_type": "linear",
    "max_grad_norm": 1.0,
    "adam_epsilon": EPSILON,
    "logging_steps": 1,
    "save_strategy": "no",
    "disable_tqdm": True,
}


@pytest.fixture
def streams(examples):
    named = {name: Shuffled(name, rows) for name, rows in examples.items()}
    return {**named, "mismatched": MismatchedResponses("forget", 2).bind(named)}


def sku():
    return {"learn": NLL("forget", 2.5), "mix": NLL("mismatched", 2.5), "keep": KL("retain", -1.0)}


def finetune(model, streams, folder, terms=None, seed=0, arguments=None, measure=None, every=0, **kwargs):
    kwargs = {"max_steps": 2, "batch_size": 2, **kwargs}
    stage = Finetune(terms or sku(), arguments={**ARGUMENTS, **(arguments or {})}, **kwargs)
    folder.mkdir(exist_ok=True)
    context = Context(streams, seed, folder, "acquire", measure, every)
    return stage(model, context)


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def trained(model):
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def answer_logits(model, tokens):
    """One example alone, without padding or packing."""
    prompt, response = tokens
    return model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]


def plain_losses(model, reference, groups, encode):
    """Mean over answer tokens of each term."""
    nll, kl, tokens = dict.fromkeys(groups, 0.0), dict.fromkeys(groups, 0.0), dict.fromkeys(groups, 0)
    for name, drawn in groups.items():
        for example in [example for group in drawn for example in group]:
            pair = encode(example)
            log_q = answer_logits(model, pair).log_softmax(-1)
            nll[name] = nll[name] - sum(log_q[place, label] for place, label in enumerate(pair[1]))
            with torch.no_grad():
                log_p = answer_logits(reference, pair).log_softmax(-1)
            kl[name] = kl[name] + (log_p.exp() * (log_p - log_q)).sum()
            tokens[name] += len(pair[1])
    return {
        "learn": nll["forget"] / tokens["forget"],
        "mix": nll["mismatched"] / tokens["mismatched"],
        "keep": kl["retain"] / tokens["retain"],
    }


def plain_training(model, reference, streams, encode, max_steps, batch_size, seed):
    """SKU's first stage with AdamW, a linear schedule and clipping at 1; the loss of every step."""
    weights = [p for p in model.parameters() if p.requires_grad]
    first, second = [torch.zeros_like(p) for p in weights], [torch.zeros_like(p) for p in weights]
    losses = []
    for step in range(max_steps):
        groups = {name: stream.draw(seed, step, batch_size) for name, stream in streams.items()}
        parts = plain_losses(model, reference, groups, encode)
        loss = 2.5 * parts["learn"] + 2.5 * parts["mix"] - 1.0 * parts["keep"]
        gradients = torch.autograd.grad(loss, weights)
        norm = sum((g**2).sum() for g in gradients).sqrt()
        rate = RATE * (1 - step / max_steps)
        with torch.no_grad():
            for p, g, m, v in zip(weights, gradients, first, second, strict=True):
                g = g * min(1.0, 1.0 / (norm.item() + 1e-6))
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g**2)
                unbiased = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
                p.sub_(rate * unbiased[0] / (unbiased[1].sqrt() + EPSILON))
        losses.append({"loss": loss.item(), **{f"terms/{name}": value.item() for name, value in parts.items()}})
    return losses


def test_equals_a_plain_implementation(tiny_model, tiny_folder, streams, tmp_path):
    plain = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32, attn_implementation="eager")
    reference = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    if tiny_model.weights.lora:
        torch.manual_seed(0)
        plain = get_peft_model(plain, LoraConfig(task_type="CAUSAL_LM", **tiny_model.weights.lora))

    def encode(example):
        return tiny_model.template.encode(tiny_model.tokenizer, example.prompt, example.response)

    expected = plain_training(plain, reference, streams, encode, max_steps=3, batch_size=2, seed=0)
    model = finetune(tiny_model, streams, tmp_path, max_steps=3)
    rows = log(tmp_path)
    assert expected[2]["terms/keep"] > 1e-5  # the divergence has begun to grow
    for row, values in zip(rows, expected, strict=True):
        assert {name: row[name] for name in values} == pytest.approx(values, rel=1e-5, abs=1e-6)
    found, wanted = trained(model.model), trained(plain)
    assert found.keys() == wanted.keys()
    for name, weight in wanted.items():
        torch.testing.assert_close(found[name], weight, atol=1e-5, rtol=1e-5)


class Spy(Loss):
    """An NLL that keeps the logits it was given."""

    needs_reference = True

    def __init__(self, stream, weight=1.0):
        super().__init__(stream, weight)
        self.seen = []

    def __call__(self, answers):
        self.seen.append((answers.logits.detach().clone(), answers.reference_logits.clone()))
        return NLL(self.stream)(answers)


def test_the_reference_is_a_frozen_copy(tiny_model, tiny_folder, streams, tmp_path):
    spy = Spy("retain")
    if tiny_model.weights.lora:
        tiny_model.weights.lora["lora_dropout"] = 0.5
    finetune(tiny_model, streams, tmp_path, {"learn": NLL("forget"), "spy": spy})
    frozen = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32).eval()
    for step, (_, reference) in enumerate(spy.seen):
        drawn = [example for (example,) in streams["retain"].draw(0, step, 2)]
        pairs = [tiny_model.template.encode(tiny_model.tokenizer, e.prompt, e.response) for e in drawn]
        with torch.no_grad():
            expected = torch.cat([answer_logits(frozen, pair) for pair in pairs])
        torch.testing.assert_close(reference, expected, atol=1e-5, rtol=1e-5)
    logits, reference = spy.seen[1]
    assert (logits - reference).abs().max() > 1e-3  # while the model has moved on


@pytest.mark.parametrize("lora", [None, {"r": 4, "target_modules": "all-linear"}])
def test_in_bf16_the_reference_starts_where_the_model_does(tiny_folder, streams, tmp_path, lora):
    model = load_source("tiny", str(tiny_folder), "bfloat16", lora, Template())
    spy = Spy("retain")
    finetune(model, streams, tmp_path, {"spy": spy}, max_steps=1)
    logits, reference = spy.seen[0]
    torch.testing.assert_close(logits.float(), reference.float(), atol=1e-6, rtol=0)
    assert {p.dtype for p in model.model.parameters() if p.requires_grad} == {torch.float32}


def test_accumulation_changes_nothing(tiny_folder, tiny_model, streams, tmp_path):
    other = load_source("tiny", str(tiny_folder), "float32", tiny_model.weights.lora, Template())
    whole = finetune(tiny_model, streams, tmp_path / "whole", batch_size=4)
    split = finetune(other, streams, tmp_path / "split", batch_size=4, accumulation=2)
    for one, two in zip(log(tmp_path / "whole"), log(tmp_path / "split"), strict=True):
        for key in ("loss", "grad_norm", "terms/learn", "terms/mix", "terms/keep"):
            assert one[key] == pytest.approx(two[key], rel=1e-5, abs=1e-6)
    wanted = trained(whole.model)
    for name, weight in trained(split.model).items():
        torch.testing.assert_close(weight, wanted[name], atol=1e-5, rtol=1e-5)


def test_a_seed_decides_everything(tiny_folder, streams, tmp_path):
    def adapter(seed, disturbance):
        lora = {"r": 4, "target_modules": "all-linear", "lora_dropout": 0.1}
        model = load_source("tiny", str(tiny_folder), "float32", lora, Template())
        torch.manual_seed(disturbance)
        return trained(finetune(model, streams, tmp_path / f"{seed}-{disturbance}", seed=seed).model)

    one, same, other = adapter(3, 1), adapter(3, 2), adapter(4, 1)
    assert one.keys() == same.keys()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_a_term_of_weight_0_costs_nothing(lora_model, streams, tmp_path):
    streams["long"] = Shuffled("long", [Example("long", "p", "x" * 2000)])  # would be refused, were it read
    spy = Spy("long", weight=0)
    finetune(lora_model, streams, tmp_path, {"learn": NLL("forget"), "spy": spy})
    assert spy.seen == []
    assert [key for key in log(tmp_path)[0] if key.startswith("terms/")] == ["terms/learn"]


def test_a_too_long_example_stops_it_before_it_starts(lora_model, streams, tmp_path):
    rows = [Example("short", "p", "x"), Example("long", "p", "x" * 40)]
    streams["forget"] = Shuffled("forget", rows)
    with pytest.raises(UserError, match="Example 'long' has .* the context holds 50"):
        finetune(lora_model, streams, tmp_path, {"learn": NLL("forget")}, batch_size=1, max_steps=4, max_length=50)
    assert not (tmp_path / "log.jsonl").exists()
    finetune(
        lora_model, streams, tmp_path, {"learn": NLL("forget")}, max_length=50, truncate=True
    )  # and truncated it fits


@pytest.mark.parametrize(("warmup", "refused"), [(4, True), (10, True), (3, False), (0.9, False), (0, False)])
def test_a_warmup_that_no_step_comes_after_is_refused(warmup, refused, lora_model, streams):
    stage = Finetune({"learn": NLL("forget")}, max_steps=4, batch_size=1, arguments={"warmup_steps": warmup})
    context = pytest.raises(UserError, match="is no shorter than the training's 4 steps") if refused else nullcontext()
    with context:
        stage.check_rows(lora_model, streams, 0)


def test_the_context_bounds_max_length(lora_model, streams, tmp_path):
    streams["forget"] = Shuffled("forget", [Example("long", "p", "x" * 1100)])
    with pytest.raises(UserError, match="the context holds 1024"):
        finetune(lora_model, streams, tmp_path, {"learn": NLL("forget")}, batch_size=1, max_length=4096)


class Breaks(Loss):
    """Not finite from its second step on."""

    def __init__(self, value):
        super().__init__("forget")
        self.value, self.calls = value, 0

    def __call__(self, answers):
        self.calls += 1
        return answers.logits.float().mean() * (1.0 if self.calls < 2 else self.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_term_that_is_not_finite_is_named_with_its_step(lora_model, streams, tmp_path, value):
    terms = {"learn": NLL("forget"), "odd": Breaks(value)}
    with pytest.raises(UserError) as raised:
        finetune(lora_model, streams, tmp_path, terms, max_steps=3)
    assert raised.value.what.startswith("The term 'odd' became ")
    assert "at step 2 of 3" in raised.value.what
    assert len(log(tmp_path)) == 1


def test_log_rows(lora_model, streams, tmp_path):
    finetune(lora_model, streams, tmp_path, max_steps=3)
    rows = log(tmp_path)
    assert [(row["stage"], row["step"]) for row in rows] == [("acquire", 1), ("acquire", 2), ("acquire", 3)]
    for row in rows:
        total = 2.5 * row["terms/learn"] + 2.5 * row["terms/mix"] - row["terms/keep"]
        assert row["loss"] == pytest.approx(total, rel=1e-5)
        assert {"grad_norm", "learning_rate"} <= row.keys()
    assert rows[0]["terms/keep"] == pytest.approx(0, abs=1e-6)  # B = 0: still the base model
    assert [row["learning_rate"] for row in rows] == pytest.approx([RATE, RATE * 2 / 3, RATE / 3])


def test_log_rows_over_several_steps_are_means(tiny_folder, lora_model, streams, tmp_path):
    other = load_source("tiny", str(tiny_folder), "float32", lora_model.weights.lora, Template())
    finetune(lora_model, streams, tmp_path / "each", max_steps=4)
    arguments = {"logging_steps": 3, "logging_first_step": True}
    finetune(other, streams, tmp_path / "some", max_steps=4, arguments=arguments)
    each, some = log(tmp_path / "each"), log(tmp_path / "some")
    assert [row["step"] for row in some] == [1, 3]
    for key in ("loss", "terms/learn", "terms/mix"):
        assert some[0][key] == pytest.approx(each[0][key], rel=1e-5)
        assert some[1][key] == pytest.approx((each[1][key] + each[2][key]) / 2, rel=1e-5)


@pytest.mark.parametrize(("every", "expected"), [(2, [2, 4, 5]), (5, [5]), (9, [5]), (0, [])])
def test_measured_at_the_right_steps(lora_model, streams, tmp_path, every, expected):
    seen, modes = [], []

    class Watching(Part):
        def measure(self, model, point, original):
            modes.append([module.training for module in model.model.modules()])
            return [Record("own", "1", "p", response="r")]

        def compute(self, records, seed=0, controls=None):
            return {}

    evaluations = Evaluations({"own": Watching()}, None, 0)

    def measure(model, step):
        seen.append(step)
        assert model.model.training
        evaluations.measure(model, Point("test", curve=True))
        assert model.model.training  # the next step has dropout again

    model = finetune(lora_model, streams, tmp_path, {"a": NLL("forget")}, max_steps=5, measure=measure, every=every)
    assert seen == expected
    assert len(modes) == len(expected) and not any(any(mode) for mode in modes)
    assert not model.model.training


def test_measuring_as_after_the_last_stage_leaves_training_alone(tiny_folder, tiny_model, streams, tmp_path):
    other = load_source("tiny", str(tiny_folder), "float32", tiny_model.weights.lora, Template())
    alone = trained(finetune(tiny_model, streams, tmp_path / "alone", max_steps=3).model)
    (tmp_path / "measured").mkdir()
    if not other.weights.lora:
        other.model.save_pretrained(tmp_path / "measured" / "base.partial")
    context = Context(streams, 0, tmp_path / "measured", "acquire")
    signs = []

    def measure(model, step):
        before = trained(model.model)
        with previewed(model, [("acquire", None), ("negate", Negate())], context) as finished:
            now = trained(finished.model)
            signs.append(any(not torch.equal(now[name], before[name]) for name in before))

    measured = trained(finetune(other, streams, tmp_path / "measured", max_steps=3, measure=measure, every=1).model)
    assert signs == [True, True, True]
    assert all(torch.equal(alone[name], measured[name]) for name in alone)


def test_a_checkpoint_of_another_stage_of_zero_is_two_lines(tmp_path):
    (tmp_path / "checkpoint-2").mkdir()
    checkpoints.mark(tmp_path / "checkpoint-2", {"ranks": 1, "zero": 2})
    settings = {"terms": sku(), "max_steps": 2, "batch_size": 2, "save_every": 1}
    for stage, said in ((None, 0), (3, 3)):
        config = {"zero_optimization": {"stage": stage}} if stage else None
        with pytest.raises(UserError) as told:
            Finetune(deepspeed=config, **settings)._checkpoint(tmp_path)
        assert told.value.what.endswith(f"was written under ZeRO-2, this training is under ZeRO-{said}")
    same = Finetune(deepspeed={"zero_optimization": {"stage": 2}}, **settings)
    assert same._checkpoint(tmp_path) == tmp_path / "checkpoint-2"


def test_adamw_in_8_bit_follows_the_losses_of_fp32(tiny_folder, streams, tmp_path):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    losses = {}
    for name in ("adamw_torch", "adamw_bnb_8bit"):
        model = load_source("tiny", str(tiny_folder), "float32", None, Template())
        arguments = {"optim": name, "lr_scheduler_type": "constant"}
        finetune(model, streams, tmp_path / name, {"a": NLL("retain")}, max_steps=20, arguments=arguments)
        losses[name] = [line["loss"] for line in log(tmp_path / name)]
    plain, packed = losses["adamw_torch"], losses["adamw_bnb_8bit"]
    assert plain[-1] < 0.8 * plain[0]
    assert plain != packed == pytest.approx(plain, rel=0.02)


def test_compiled_layers_give_the_same_losses_and_are_gone_when_something_is_measured(
    lora_model, streams, tmp_path, monkeypatch
):
    compiled_as_python = partial(torch.compile, backend="aot_eager")  # the same graphs in seconds
    monkeypatch.setattr(torch, "compile", compiled_as_python)
    made = []
    for folder, compiles in (("plain", False), ("compiled", True)):
        model = copy.deepcopy(lora_model)
        layers = layers_of(model.model)
        look = lambda model, step: made.append(vars(layers[0]).get("forward"))  # noqa: B023,E731
        finetune(model, streams, tmp_path / folder, arguments={"torch_compile": compiles}, measure=look, every=1)
    plain, compiled = (
        [line["loss"] for line in log(tmp_path / folder) if "loss" in line] for folder in ("plain", "compiled")
    )
    assert len(plain) == 2 and compiled == pytest.approx(plain, rel=1e-5)
    assert made and set(made) == {None}


@pytest.mark.parametrize(
    ("arguments", "deepspeed", "said", "fix"),
    [
        ({}, {"zero_optimization": {"stage": 3}}, "which ZeRO-3 has hooks in", "Set deepspeed=none"),
        (
            {"gradient_checkpointing": True},
            None,
            "which gradient_checkpointing computes anew",
            "Leave gradient_checkpointing out",
        ),
    ],
)
def test_layers_that_cannot_be_compiled_are_refused(arguments, deepspeed, said, fix):
    stage = Finetune(sku(), 2, 2, arguments={"torch_compile": True, **arguments}, deepspeed=deepspeed)
    with pytest.raises(UserError, match=f"torch_compile compiles whole layers, {said}") as refusal:
        stage.check("stages.acquire")
    assert refusal.value.fix == f"{fix}, or leave torch_compile out"
