"""A step traced without values: drawn out to more layers, against the whole; its gradients and FLOPs in closed form."""

import pytest
import torch
from transformers import AutoConfig

from unlearnkit.losses import KL, NLL, NPO, KeepStates, RandomLabels, Steer
from unlearnkit.plan.sizes import sizes_of, skeleton
from unlearnkit.plan.trace import TRACED, alike, peaks, trace
from unlearnkit.stages.steps import Step

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
VOCABULARY = 500


def config(architecture="llama", **changes):
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 7, "max_position_embeddings": 256}
    inner = {"ffn_dim": 160, "word_embed_proj_dim": 64} if architecture == "opt" else {"intermediate_size": 160}
    return AutoConfig.for_model(architecture, vocab_size=VOCABULARY, **{**sizes, **inner, **changes})


def step():
    """Two prompts of which one is shared, answers of unequal lengths."""
    prompt, other = tuple(range(3, 23)), tuple(range(4, 20))
    answers = [tuple(range(30, 30 + length)) for length in (12, 25)]
    rows = {"forget": [(prompt, answers[0]), (prompt, answers[1])], "retain": [(other, answers[0])]}
    return Step(0, rows, {name: (10, 2) for name in rows})


TERMS = {
    "kl": {"forget": NLL("forget", -1.0), "retain": KL("retain")},
    "npo": {"forget": NPO("forget"), "retain": NLL("retain")},
    "labels": {"forget": RandomLabels("forget"), "retain": NLL("retain", mean="answers")},
}


def peak(layers, drawn_from, terms="kl", lora=None, made=None, **settings):
    made = made or config(num_hidden_layers=layers)
    model = skeleton(made, lora, torch.bfloat16 if settings.get("autocast") else torch.float32, drawn_from)
    live = trace(model, TERMS[terms], step(), VOCABULARY, **settings)
    return peaks(live, drawn_from, layers)


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("setting", [None, "autocast", "keeps_gradients", "checkpointing"])
def test_three_layers_drawn_out_are_the_whole(lora, setting):
    settings = {setting: True} if setting else {}
    assert peak(7, TRACED, "kl", lora, **settings) == peak(7, 7, "kl", lora, **settings)


@pytest.mark.parametrize("architecture", ["opt", "qwen2", "olmo", "gpt_neox", "mistral"])
def test_other_architectures_are_drawn_out_too(architecture):
    made = config(architecture, **{"num_key_value_heads": 2} if architecture in ("qwen2", "mistral") else {})
    assert peak(7, TRACED, made=made) == peak(7, 7, made=made)


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_a_pass_that_ends_early_is_drawn_out_too(lora):
    def traced(layers):
        terms = {"forget": Steer("forget", layers - 1, 2.0), "retain": KeepStates("retain", layers - 1, at="all")}
        model = skeleton(config(), lora, torch.float32, layers)
        return peaks(trace(model, terms, step(), VOCABULARY), layers, 5)

    assert traced(TRACED) == traced(5) and traced(5)[0].logits == 0


def test_random_labels_are_traced_without_values():
    assert peak(3, 3, "labels")[0].total > 0


def test_logits_are_those_of_answer_tokens():
    # 12 + 25 + 12 answer tokens; in fp32 an NLL keeps the logits and their log-softmax, and its gradient comes on top
    full, _ = peak(3, 3, "labels", LORA)
    assert full.logits % (VOCABULARY * 4) == 0
    assert 2 * 49 <= full.logits // (VOCABULARY * 4) <= 5 * 49


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_logits_that_do_not_stand(lora, monkeypatch):
    """Of four positions at a time, and no more at once than a few such pieces."""
    standing = peak(7, TRACED, "kl", lora)
    monkeypatch.setattr("unlearnkit.plan.trace.STANDING", 0)
    monkeypatch.setattr("unlearnkit.losses.projected.PIECE", 4 * VOCABULARY)
    pieces = peak(7, TRACED, "kl", lora)
    assert pieces == peak(7, 7, "kl", lora)
    assert peak(7, TRACED, "kl", lora, sharded=True) == standing
    assert (pieces[0].flops > standing[0].flops) is (lora is None)  # a head that is trained is asked twice
    assert max(peak.logits for peak in pieces) <= 6 * 4 * VOCABULARY * 4 < max(peak.logits for peak in standing)


def test_gradients_of_all_weights_are_held_at_the_end():
    made = config(num_hidden_layers=3, tie_word_embeddings=False)
    sizes = sizes_of(skeleton(made, None, torch.float32))
    model = skeleton(made, None, torch.float32)
    live = trace(model, TERMS["npo"], step(), VOCABULARY)
    assert live.now[2] == 4 * sizes.parameters
    kept = trace(skeleton(made, None, torch.float32), TERMS["npo"], step(), VOCABULARY, keeps_gradients=True)
    assert kept.starts["start", 0][2] == 4 * sizes.parameters


def test_checkpointing_saves_activations_and_costs_a_forward_pass():
    plain, again = peak(7, 7, "npo", LORA)[0], peak(7, 7, "npo", LORA, checkpointing=True)[0]
    assert again.activations < plain.activations / 2
    assert 1.3 < again.flops / plain.flops < 1.5  # 2 + 2 + 2 for 2 + 2 passes, beside attention and adapters


@pytest.mark.parametrize(("lora", "a_token"), [(None, 6), ({**LORA, "r": 1}, 4)], ids=["full", "lora"])
def test_flops_are_6_n_t_and_4_n_t_under_lora(lora, a_token):
    made = config(hidden_size=256, intermediate_size=640)
    layers = sum(
        parameter.numel()
        for name, parameter in skeleton(made, None, torch.float32).named_parameters()
        if "layers" in name
    )
    tokens, kept = step().row(("forget", "retain")).input_ids.numel(), 49
    expected = a_token * (layers * tokens + 256 * VOCABULARY * kept)
    assert peak(7, 7, "npo", lora, made)[0].flops == pytest.approx(expected, rel=0.06)


def test_layers_of_which_some_are_trained_are_not_alike():
    assert alike(skeleton(config(), LORA, torch.float32))
    assert not alike(
        skeleton(config(), {**LORA, "target_modules": ["q_proj"], "layers_to_transform": [1]}, torch.float32)
    )
