"""Every window and setting against the plain way, on tiny random models of every architecture."""

import copy

import plain_krs
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from unlearnkit.errors import UserError
from unlearnkit.models import LanguageModel, tiny
from unlearnkit.models.anatomy import PLACES, anatomy
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.templates import Template
from unlearnkit.models.whole import WholeLineage
from unlearnkit.probes.patching import SETTINGS, errors, window_of
from unlearnkit.probes.questions import Question
from unlearnkit.probes.trace import Trace

LAYERS = 5
LORA = {"r": 3, "lora_alpha": 6, "target_modules": "all-linear", "lora_dropout": 0.1}


def question(prompt, answer):
    first = len(prompt) - 1
    return Question(tuple(prompt), tuple(answer), tuple(range(first, first + len(answer))))


# A common beginning of ten tokens, answers of unequal lengths, the same answer twice, and a question asked twice.
COMMON = range(5, 15)
QUESTIONS = [
    question([*COMMON, 30, 31], [60, 61, 62, 63]),
    question([*COMMON, 40], [70]),
    question([*COMMON, 50, 51, 52, 53], [60, 61, 62, 63]),
    question([*COMMON, 40], [70]),
]
APART = [question([30 + n, *range(40, 44 + n)], range(80, 82 + n)) for n in range(3)]


def made(architecture="llama", layers=LAYERS, seed=0):
    config = tiny.config(architecture)
    config = type(config).from_dict({**config.to_dict(), "num_hidden_layers": layers, "layer_types": None})
    torch.manual_seed(seed)
    network = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():  # larger than at the start, so that parts matter
            if parameter.dim() > 1:
                parameter.mul_(4)
            elif "bias" in name:
                parameter.normal_(std=0.1)
    use_packed_attention(network)
    return network


def wrapped(network):
    return LanguageModel("tiny", tiny.tokenizer(), Template(), WholeLineage(network, "", None))


def perturbed(network, scale=0.1, where=""):
    torch.manual_seed(1)
    other = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if where in name:
                parameter.add_(torch.randn_like(parameter) * parameter.std().nan_to_num(0.1).clamp_min(0.1) * scale)
    return other


def adapted(network, seed=2, scale=0.3):
    torch.manual_seed(seed)
    model = get_peft_model(copy.deepcopy(network), LoraConfig(task_type="CAUSAL_LM", **LORA)).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=scale)
    return model


def both(original, unlearned, window, questions=QUESTIONS, settings=SETTINGS, tokens_a_row=1024, tokens_a_pass=64):
    """(ours, plain): the KRS of every setting, layer and question."""
    sides = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (2, 1), 5: (2, 2)}
    trace = Trace(wrapped(original), questions, tokens_a_row)
    ours = errors(unlearned, trace, window, settings, tokens_a_pass)
    plainly = plain_krs.errors(unlearned, plain_krs.traced(original, questions), questions, sides[window], settings)
    torch.testing.assert_close(ours[0].float(), plainly[0], rtol=1e-4, atol=1e-7)
    return tuple({name: 1 - patched / whole for name, patched in rows.items()} for whole, rows in (ours, plainly))


def assert_same(ours, plainly):
    for name, scores in plainly.items():
        assert scores.abs().max() > 1e-3, name
        torch.testing.assert_close(ours[name].float(), scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", sorted(PLACES))
@pytest.mark.parametrize("window", [1, 5])
def test_equals_the_plain_way(architecture, window):
    original = made(architecture)
    assert_same(*both(original, perturbed(original), window))


@pytest.mark.parametrize("window", [2, 3, 4])
@pytest.mark.parametrize(("tokens_a_row", "tokens_a_pass"), [(1024, 10_000), (20, 1)])
def test_any_window_row_and_pass(window, tokens_a_row, tokens_a_pass):
    original = made()
    assert_same(*both(original, perturbed(original), window, tokens_a_row=tokens_a_row, tokens_a_pass=tokens_a_pass))


def test_questions_without_a_common_beginning():
    original = made("qwen2")
    assert_same(*both(original, perturbed(original), 3, APART))


@pytest.mark.parametrize("taught", [False, True])
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "opt"])
def test_under_lora_the_whole_effective_weight_is_restored(architecture, taught):
    bare = made(architecture)
    original = adapted(bare, seed=5) if taught else bare
    unlearned = adapted(bare)
    kept = {name: value.clone() for name, value in unlearned.state_dict().items()}
    assert_same(*both(original, unlearned, 3))
    assert all(torch.equal(kept[name], value) for name, value in unlearned.state_dict().items())


def test_an_edit_of_value_vectors_is_undone_by_them_alone():
    original = made()
    edited = copy.deepcopy(original)
    weight = anatomy(edited)[2].value_vectors.weight
    with torch.no_grad():  # as MEMIT edits: a rank of a few
        weight.add_(torch.randn(32, 2) @ torch.randn(2, 64) * 0.3)
    ours, plainly = both(original, edited, 1)
    torch.testing.assert_close(ours["value_vectors"][2], torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(plainly["value_vectors"][2].double(), ours["value_vectors"][2], rtol=0, atol=1e-6)
    for layer in (0, 1, 3, 4):
        torch.testing.assert_close(ours["value_vectors"][layer], torch.zeros(4, dtype=torch.float64), atol=1e-5, rtol=0)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "opt"])
def test_all_restored_is_one_and_nothing_is_zero(architecture):
    original = made(architecture)
    unlearned = perturbed(original, where="weight")
    ours = anatomy(unlearned), anatomy(original)
    # All that is no part of a window: embeddings, norms, biases.
    inner = {id(p) for layer in ours[0] for p in layer.block.parameters() if p.dim() > 1}
    theirs = dict(original.named_parameters())
    with torch.no_grad():
        for name, parameter in unlearned.named_parameters():
            if id(parameter) not in inner:
                parameter.copy_(theirs[name])
    whole = {"all": frozenset({"coefficients", "value_vectors", "attention"}), "nothing": frozenset()}
    trace = Trace(wrapped(original), QUESTIONS, 1024)
    unlearned_error, patched = errors(unlearned, trace, LAYERS, whole)
    assert (unlearned_error > 1e-3).all()
    assert (patched["all"][LAYERS // 2] == 0).all()  # the one whose window of five holds all five layers
    torch.testing.assert_close(patched["nothing"], unlearned_error.expand(LAYERS, -1), rtol=1e-5, atol=0)


def test_a_model_that_is_the_original_still_has_no_error():
    original = made()
    trace = Trace(wrapped(original), QUESTIONS, 1024)
    assert (errors(copy.deepcopy(original), trace, 5)[0] == 0).all()
    assert (errors(adapted(original, scale=0.0), trace, 5)[0] == 0).all()


def test_windows():
    assert [list(window_of(centre, 5, 6)) for centre in (0, 3, 5)] == [[0, 1, 2], [1, 2, 3, 4, 5], [3, 4, 5]]
    assert list(window_of(3, 4, 6)) == [1, 2, 3, 4] and list(window_of(3, 1, 6)) == [3]


def test_a_window_wider_than_the_model_is_refused():
    original = made(layers=2)
    trace = Trace(wrapped(original), APART, 1024)
    with pytest.raises(UserError, match="A window of 3 layers in a model of 2") as caught:
        errors(original, trace, 3)
    assert "1 to 2" in caught.value.fix


def test_another_model_is_refused():
    trace = Trace(wrapped(made()), APART, 1024)
    for other, what in ((made(layers=2), "num_hidden_layers is 5"), (made("qwen2"), "model_type is llama")):
        with pytest.raises(UserError, match=f"do not belong together: {what}"):
            trace.check(wrapped(other))
