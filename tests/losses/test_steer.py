"""Steer against numbers worked out by hand, on packed rows and apart."""

import zlib
from functools import partial

import pytest
import torch

from unlearnkit.losses import Answers, KeepStates, Steer
from unlearnkit.models.reading import Outputs, layers_of, read
from unlearnkit.stages.steps import Step
from unlearnkit.stages.trainer import weighted_sum

PROMPT = tuple(range(20, 26))
EXAMPLES = [(PROMPT, (40, 41, 42)), (PROMPT, (50, 51, 52, 53, 54)), ((60, 61), (62,)), ((1,), (70, 71, 72, 73))]


def answers(states, lengths, total, seed=3, step=0):
    labels = torch.zeros(len(states), dtype=torch.long)
    logits = torch.empty(len(states), 0)
    return Answers(logits, labels, lengths, 99, total, draw=(seed, step), states=states, state_lengths=lengths)


def direction(size, seed=3, stream="forget"):
    drawn = torch.rand(size, generator=torch.Generator().manual_seed(zlib.crc32(f"({seed}, '{stream}')".encode())))
    return drawn / drawn.norm()


def test_value():
    u = direction(2)
    states = torch.stack([2 * u, 2 * u + 1.0, 2 * u - 3.0])
    # An answer of two states, at squared distances 0 and 1 a dimension, and one of one, at 9: (0.5 + 9) / 2.
    assert Steer("forget", 1, 2.0)(answers(states, [2, 1], 2)).item() == pytest.approx(4.75)


def test_a_slice_is_its_share_of_the_step():
    states = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    term = Steer("forget", 0.3, 6.5)
    whole = term(answers(states, [2, 3], 2))
    parts = term(answers(states[:2], [2], 2)) + term(answers(states[2:], [3], 2))
    assert whole.item() == pytest.approx(parts.item())


def test_gradient_is_that_of_finite_differences():
    states = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    term = Steer("forget", 1, 2.0)
    assert torch.autograd.gradcheck(lambda x: term(answers(x, [2, 3], 3)), (states,), eps=1e-2, atol=1e-4, rtol=1e-3)


def test_the_direction_is_of_length_one_and_in_the_positive_corner_and_stays():
    u = Steer("forget", 1, 1.0).direction(3, 64)
    assert u.norm().item() == pytest.approx(1) and (u >= 0).all()
    torch.testing.assert_close(u, direction(64))
    states = torch.zeros(2, 8)
    values = {Steer("forget", 1, 4.0)(answers(states, [2], 1, step=step)).item() for step in range(3)}
    assert len(values) == 1


@pytest.mark.parametrize("other", [("forget", 4), ("retain", 3)])
def test_another_seed_or_stream_has_another(other):
    stream, seed = other
    assert Steer(stream, 1, 1.0).direction(seed, 64) @ direction(64) < 0.95


def test_keep_states_value_and_gradient():
    reference = torch.tensor([[1.0, 2.0], [0.0, 0.0], [5.0, 5.0]])
    states = (reference + torch.tensor([[1.0, 1.0], [0.0, 2.0], [3.0, 0.0]])).requires_grad_()
    seen = answers(states, [2, 1], 2)
    seen.reference_states = reference
    value = KeepStates("retain", 1)(seen)
    assert value.item() == pytest.approx(((1 + 2) / 2 + 4.5) / 2)
    value.backward()
    expected = torch.tensor([[1.0, 1.0], [0.0, 2.0], [6.0, 0.0]]) / 4  # 2 (h - h') / (d |y| n)
    torch.testing.assert_close(states.grad, expected)


def test_keep_states_is_zero_where_nothing_moved():
    seen = answers(torch.ones(2, 3), [2], 1)
    seen.reference_states = torch.ones(2, 3)
    assert KeepStates("retain", 1)(seen).item() == 0


@pytest.mark.parametrize("term", [Steer("forget", 1, 1.0), KeepStates("forget", 1)])
def test_without_states(term):
    with pytest.raises(ValueError, match="needs (hidden|the reference's) states"):
        term(Answers(torch.zeros(1, 3), torch.zeros(1), [1], 1, 1))


@pytest.mark.parametrize("at", ["answers", "all"])
@pytest.mark.parametrize("layer", [0, 0.9])
def test_packed_is_each_example_alone(full_model, at, layer):
    model = full_model.model
    full_model.weights.make_trainable()
    terms = {"forget": Steer("forget", layer, 6.5, at=at)}
    u = 6.5 * direction(32)
    totals = {"forget": (13, len(EXAMPLES))}
    loss = weighted_sum(partial(read, model), terms, Step(0, {"forget": EXAMPLES}, totals, 3), None)
    loss.backward()
    packed = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    number = round(layer)
    values = []
    for prompt, response in EXAMPLES:
        seen = []
        hook = layers_of(model)[number].register_forward_hook(
            lambda module, args, output, seen=seen: seen.append(output)
        )
        model(input_ids=torch.tensor([[*prompt, *response]]))
        hook.remove()
        states = seen[0][0][0 if at == "all" else len(prompt) - 1 : -1]
        values.append((states - u).square().mean())
    alone = sum(values) / len(values)
    alone.backward()
    torch.testing.assert_close(loss, alone, atol=1e-6, rtol=1e-5)
    for name, gradient in packed.items():
        torch.testing.assert_close(gradient, dict(model.named_parameters())[name].grad, atol=1e-6, rtol=1e-4)
    assert len(packed) > 5


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_add_up(full_model, shards):
    model = full_model.model
    terms = {"forget": Steer("forget", 0, 2.0), "more": Steer("forget", 0.9, 3.0, weight=0.5, at="all")}
    totals = {"forget": (13, len(EXAMPLES))}

    def value(examples):
        with torch.no_grad():
            return weighted_sum(partial(read, model), terms, Step(0, {"forget": examples}, totals, 3), None).item()

    parts = sum(value(EXAMPLES[shard::shards]) for shard in range(shards))
    assert parts == pytest.approx(value(EXAMPLES), rel=1e-5)


def test_a_pass_gives_what_all_terms_read(full_model):
    seen = []

    def watched(row, wanted):
        seen.append(wanted)
        return read(full_model.model, row, wanted)

    step = Step(0, {"forget": EXAMPLES}, {"forget": (13, 4)}, 3)
    terms = {"forget": Steer("forget", 0, 2.0), "keep": KeepStates("forget", 0.9)}
    weighted_sum(watched, terms, step, lambda state, row, wanted: watched(row, wanted))
    assert seen == [Outputs(False, frozenset({0, 0.9})), Outputs(False, frozenset({0.9}))]
