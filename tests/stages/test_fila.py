"""FILA against an implementation written out; what the lineage makes of it; that PEFT alone loads what is saved."""

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel
from transformers import AutoModelForCausalLM

from unlearnkit.data.streams import Shuffled
from unlearnkit.errors import UserError
from unlearnkit.losses import KL, NLL, NPO, InvertedHinge
from unlearnkit.models import Template, checkpoints, load_source, tiny
from unlearnkit.stages import Context, Fila, Finetune, Negate
from unlearnkit.stages.fila import decomposed

IDS = torch.tensor([[1, 51, 42, 75, 223, 35, 99, 7]])
QUIET = {"disable_tqdm": True, "save_strategy": "no", "logging_steps": 1, "learning_rate": 1e-2}
PLAIN = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}


@pytest.fixture
def streams(examples):
    return {name: Shuffled(name, rows) for name, rows in examples.items()}


@torch.no_grad()
def logits(network):
    return network.eval()(input_ids=IDS).logits


def fila(model, streams, folder, **settings):
    return Fila(**settings)(model, Context(streams, 0, folder, stage="fila"))


def trained(model, streams, folder, terms=None, **more):
    context = Context(streams, 0, folder, stage="finetune", **more)
    terms = terms or {"forget": InvertedHinge("forget"), "retain": NLL("retain")}
    return Finetune(terms, max_steps=3, batch_size=2, arguments=QUIET)(model, context)


def of(folder, **lora):
    return load_source("tiny", str(folder), "float32", {**PLAIN, **lora}, Template())


def test_the_adapter_begins_as_the_paper_has_it(lora_model, tiny_folder, streams, tmp_path):
    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    before = {name: weight.clone() for name, weight in base.named_parameters()}
    fila(lora_model, streams, tmp_path, batch_size=2)
    shares = {}
    for side in ("retain", "forget"):
        rows = [row for (row,) in streams[side].draw(0, 0, 6)]
        tokens = [lora_model.template.encode(lora_model.tokenizer, row.prompt, row.response) for row in rows]
        total, shares[side] = sum(len(answer) for _, answer in tokens), {}
        for start in range(0, len(tokens), 2):
            losses = []
            for prompt, answer in tokens[start : start + 2]:
                out = base(input_ids=torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
                losses.append(F.cross_entropy(out, torch.tensor(answer), reduction="none"))
            base.zero_grad()
            torch.cat(losses).mean().backward()
            for name, weight in base.named_parameters():
                seen = weight.grad.square() * sum(map(len, losses)) / total
                shares[side][name] = shares[side].get(name, 0) + seen
    layers = lora_model.weights.network.base_model.model
    for name in ("model.layers.0.self_attn.k_proj", "model.layers.1.mlp.down_proj", "model.layers.1.mlp.gate_proj"):
        weight, layer = before[f"{name}.weight"], layers.get_submodule(name)
        importance = shares["forget"][f"{name}.weight"] / (1e-5 + shares["retain"][f"{name}.weight"])
        s = importance.sum(1).sqrt()
        left, size, right = torch.linalg.svd(s[:, None] * weight, full_matrices=False)
        low = (left[:, :4] * size[:4]) @ right[:4] / (s + 1e-5)[:, None]
        product = layer.scaling["default"] * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        torch.testing.assert_close(product, low, rtol=1e-3, atol=1e-5)
        # A and B share each singular value's root
        first = layer.lora_A["default"].weight
        torch.testing.assert_close((first @ first.T).diagonal(), size[:4] / 2, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (3, 40), (700, 90), (1100, 1030)])
def test_a_decomposition_is_the_exact_one(shape):
    torch.manual_seed(0)
    weight, rows = torch.randn(shape) @ torch.diag(0.8 ** torch.arange(shape[1])), torch.rand(shape[0]) + 0.1
    first, second = decomposed(weight, rows, 4, 2.0)
    assert (first.shape, second.shape) == ((4, shape[1]), (shape[0], 4))
    left, size, right = torch.linalg.svd(rows[:, None] * weight, full_matrices=False)
    expected = (left[:, :4] * size[:4]) @ right[:4] / (rows + 1e-5)[:, None]
    torch.testing.assert_close(2.0 * second @ first, expected, rtol=1e-3, atol=1e-4)
    again = decomposed(weight, rows, 4, 2.0)
    assert torch.equal(first, again[0]) and torch.equal(second, again[1])


def test_the_model_is_as_before_and_off_it_is_the_start(lora_model, streams, tmp_path):
    before = logits(lora_model.model)
    fila(lora_model, streams, tmp_path)
    assert all(layer.any() for name, layer in lora_model.model.named_parameters() if "lora_B" in name)
    torch.testing.assert_close(logits(lora_model.model), before, rtol=0, atol=1e-5)
    trained(lora_model, streams, tmp_path)
    assert (logits(lora_model.model) - before).abs().max() > 1e-2
    for state in ("start", "loaded"):
        with lora_model.state(state) as network:
            assert torch.equal(logits(network), before)
    kept = {name for name, weight in lora_model.model.named_parameters() if weight.requires_grad}
    assert kept and all(".default." in name for name in kept)


LORAS = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 8}, "alpha_pattern": {"down_proj": 32}},
    "some": {"target_modules": ["q_proj", "down_proj"], "lora_dropout": 0.2},
}


@pytest.mark.parametrize("lora", LORAS.values(), ids=LORAS)
def test_peft_loads_what_is_saved_over_the_untouched_base(lora, tiny_folder, streams, tmp_path):
    model = of(tiny_folder, **lora)
    trained(fila(model, streams, tmp_path), streams, tmp_path)
    model.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} >= {
        "adapter_model.safetensors",
        "adapter_config.json",
    }
    assert not (tmp_path / "model" / "taken").exists()
    alone = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_folder), tmp_path / "model")
    torch.testing.assert_close(logits(alone), logits(model.model), rtol=0, atol=1e-5)
    merged = load_source("again", str(tmp_path / "model"), "float32", None, Template())
    torch.testing.assert_close(logits(merged.model), logits(model.model), rtol=0, atol=1e-4)
    torch.testing.assert_close(logits(model.weights.merged_copy()), logits(model.model), rtol=0, atol=1e-4)


def test_gpt2_whose_weights_are_stored_the_other_way_round(streams, tmp_path):
    folder = tiny.write(tmp_path / "gpt2", "gpt2")
    model = of(folder)
    before = logits(model.model)
    trained(fila(model, streams, tmp_path), streams, tmp_path)
    with model.start() as network:
        assert torch.equal(logits(network), before)
    model.save(tmp_path / "model")
    alone = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), tmp_path / "model")
    torch.testing.assert_close(logits(alone), logits(model.model), rtol=0, atol=1e-5)


def test_a_run_that_was_cut_off_goes_on(tiny_folder, streams, tmp_path):
    whole, cut = of(tiny_folder), of(tiny_folder)
    fila(whole, streams, tmp_path)
    checkpoints.save_stage(whole, tmp_path / "checkpoints" / "fila", {})
    checkpoints.load_stage(cut, tmp_path / "checkpoints" / "fila")
    assert torch.equal(logits(cut.model), logits(whole.model))
    trained(whole, streams, tmp_path / "whole")
    trained(cut, streams, tmp_path / "cut")
    assert torch.equal(logits(cut.model), logits(whole.model))


@pytest.mark.parametrize("term", [KL("retain"), NPO("forget")], ids=["a pass", "scored"])
def test_what_is_compared_with_is_the_start_without_a_second_model(term, lora_model, streams, tmp_path):
    seen = []
    fila(lora_model, streams, tmp_path)
    assert lora_model.weights.reference("start", torch.float32).frozen is None
    trained(lora_model, streams, tmp_path, {"term": term}, log=seen.append)
    assert seen[0]["terms/term"] == pytest.approx(0.0 if isinstance(term, KL) else 20 * 0.6931472, abs=1e-4)


def test_a_negation_is_of_what_was_learnt(lora_model, streams, tmp_path):
    before = {name: weight.clone() for name, weight in lora_model.weights.merged_copy().named_parameters()}
    trained(fila(lora_model, streams, tmp_path), streams, tmp_path)
    learnt = {name: weight.clone() for name, weight in lora_model.weights.merged_copy().named_parameters()}
    context = Context(streams, 0, tmp_path, stage="negate")
    with Negate(0.5).preview(lora_model, context) as previewed:
        seen = logits(previewed.model)
    Negate(0.5)(lora_model, context)
    assert torch.equal(logits(lora_model.model), seen)
    for name, weight in lora_model.weights.merged_copy().named_parameters():
        torch.testing.assert_close(weight, before[name] - 0.5 * (learnt[name] - before[name]), rtol=0, atol=1e-6)


def test_full_weights_are_refused(full_model):
    with pytest.raises(UserError, match="model.lora=null trains all weights") as told:
        Fila().check_model(full_model)
    assert told.value.fix.startswith("Set model.lora={r: 32")


@pytest.mark.parametrize(
    ("lora", "named"),
    [
        ({"use_dora": True}, "use_dora=True"),
        ({"bias": "all"}, "bias=all"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    ],
)
def test_an_adapter_that_is_more_than_lora_is_refused(lora, named, tiny_folder):
    with pytest.raises(UserError, match=f"model.lora.{named}"):
        Fila().check_model(of(tiny_folder, **lora))


def test_an_adapter_on_embeddings_is_refused(tiny_folder, streams, tmp_path):
    with pytest.raises(UserError, match="the adapter stands on embed_tokens"):
        fila(of(tiny_folder, target_modules=["q_proj", "embed_tokens"]), streams, tmp_path)


def test_after_a_stage_that_trains_it_is_refused(lora_model, streams, tmp_path):
    trained(lora_model, streams, tmp_path, {"forget": NLL("forget")})
    with pytest.raises(UserError, match="a stage before it has trained one"):
        fila(lora_model, streams, tmp_path)
