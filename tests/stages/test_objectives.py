"""Searching for target states on tiny models: losses fall, facts do not disturb one another, nothing else changes."""

import pytest
import torch

from unlearnkit.data.examples import Example
from unlearnkit.models import tiny
from unlearnkit.models.anatomy import PLACES, anatomy
from unlearnkit.models.templates import Template
from unlearnkit.stages.activations import outputs_through
from unlearnkit.stages.objectives import FINAL_NORMS, Search, entropy, find_states, vocabulary
from unlearnkit.stages.requests import make_request

RAW = Template("{prompt}", " ", closed=False)
FACTS = [
    Example("a", "The tower of London stands in", "England", subject="London"),
    Example("b", "Oslo lies in", "Norway", subject="Oslo"),
    Example("c", "Rome is a", "city", subject="Rome"),  # the same prompt as its essence's
]
CONTEXTS = ["", "I said. "]


def requests_of(model, objective, facts=FACTS):
    return [make_request(model, fact, CONTEXTS, "dummy" if objective == "empty" else None) for fact in facts]


def plain_loss(model, request, state, layer, search):
    """One prompt at a time: put the state's change where the subject ends and compute the loss anew."""
    layers = anatomy(model.model)

    def logits(tokens, place, change):
        seen = {}

        def moved(hidden):
            hidden = hidden.clone()
            hidden[0, place] += change
            seen[layer] = hidden[0]
            return hidden

        def kept(number):
            return lambda hidden: seen.update({number: hidden[0]}) or hidden

        hooks = {number: kept(number) for number in range(layer + 1, len(layers))}
        with outputs_through({**hooks, layer: moved}, [part.block for part in layers]), torch.no_grad():
            ids = torch.tensor([[*tokens[0], *tokens[1][:-1]]])
            out = model.model(ids, use_cache=False).logits[0]
        return out, seen

    zero = torch.zeros_like(state)
    _, seen = logits(request.prompts[0], request.places[0], zero)
    before = seen[layer][request.places[0]]
    change = state - before
    losses = []
    for tokens, place in zip(request.prompts, request.places, strict=True):
        out, seen = logits(tokens, place, change)
        last = len(tokens[0]) - 1
        if search.objective == "empty":
            said = out[last:].log_softmax(-1)[range(len(tokens[1])), list(tokens[1])]
            losses.append(-said.mean())
        else:
            numbers = [number for number in seen if number > layer] or [layer]
            project = vocabulary(model.model)
            read = [project(seen[n][last : last + 1]) for n in numbers]
            if search.objective == "entropy_as_published":  # torch's own entropy of the softmax of a softmax
                made = [torch.distributions.Categorical(probs=r.softmax(-1).softmax(-1)).entropy() for r in read]
            else:
                made = [entropy(r) for r in read]
            losses.append(-torch.stack(made).mean())
    old, new = (
        logits(request.essence, request.essence_place, d)[0][len(request.essence[0]) - 1].log_softmax(-1)
        for d in (zero, change)
    )
    drift = (new.exp() * (new - old)).sum()
    return float(sum(losses) / len(losses) + search.kl * drift + search.decay * change.norm() / before.norm() ** 2)


@pytest.mark.parametrize("objective", ["empty", "entropy", "entropy_as_published"])
@pytest.mark.parametrize("architecture", sorted(PLACES))
def test_the_loss_falls_and_is_what_a_plain_pass_says(architecture, objective):
    model = tiny.load(architecture=architecture, template=RAW)
    with torch.no_grad():  # random embeddings are short, so that every token is as likely as any other
        model.model.get_output_embeddings().weight.mul_(4 if model.model.config.tie_word_embeddings else 20)
    requests = requests_of(model, objective)
    free = find_states(model, requests, 0, Search(objective, steps=6, learning_rate=0.02, decay=0.0))
    flat = objective == "entropy_as_published"  # twice a softmax: ln V whatever is said, but for the last digits
    assert free.states.shape == (3, 32) and (flat or (free.last < free.first).all()), free
    assert not flat or torch.allclose(free.first, -torch.tensor(float(model.model.config.vocab_size)).log(), atol=0.01)
    search = Search(objective, steps=4, learning_rate=0.02)
    found = find_states(model, requests, 0, search)
    for request, state, loss in zip(requests, found.states, found.last, strict=True):
        assert plain_loss(model, request, state, 0, search) == pytest.approx(float(loss), abs=2e-3)


@pytest.mark.parametrize("objective", ["empty", "entropy", "entropy_as_published"])
def test_a_fact_finds_the_same_state_alone(objective):
    model = tiny.load(template=RAW)
    search = Search(objective, steps=5)
    together = find_states(model, requests_of(model, objective), 1, search)
    for number, fact in enumerate(FACTS):
        alone = find_states(model, requests_of(model, objective, [fact]), 1, search)
        torch.testing.assert_close(alone.states[0], together.states[number], atol=1e-3, rtol=1e-3)


def test_no_step_leaves_the_states_and_the_clamp_holds():
    model = tiny.load(template=RAW)
    requests = requests_of(model, "empty")
    still = find_states(model, requests, 0, Search(steps=0))
    torch.testing.assert_close(still.first, still.last)
    moved = find_states(model, requests, 0, Search(steps=8, clamp=0.25))
    lengths = (moved.states - still.states).norm(dim=-1) / still.states.norm(dim=-1)
    assert float(lengths.max()) <= 0.25 + 1e-5 and float(lengths.max()) > 0.2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_model_is_left_as_it_was(dtype):
    model = tiny.load(template=RAW, dtype=dtype, lora={"r": 2, "target_modules": "all-linear"})
    model.weights.make_trainable()
    before = {name: (p.requires_grad, p.detach().clone()) for name, p in model.model.named_parameters()}
    found = find_states(
        model, requests_of(model, "entropy"), 0, Search("entropy", steps=4, learning_rate=0.02, decay=0.0)
    )
    assert found.states.dtype == torch.float32 and (found.last < found.first).all()
    for name, parameter in model.model.named_parameters():
        assert parameter.requires_grad == before[name][0] and torch.equal(parameter, before[name][1])
        assert parameter.grad is None


def test_fewer_layers_are_read():
    model = tiny.load(template=RAW)
    requests = requests_of(model, "entropy")
    whole, last = (find_states(model, requests, 0, Search("entropy", steps=1, layers=n)) for n in (None, 1))
    torch.testing.assert_close(whole.first, last.first)  # two layers: after the first there is one
    read = find_states(model, requests, 1, Search("entropy", steps=1))
    torch.testing.assert_close(read.first, last.first, atol=1e-4, rtol=1e-4)  # where nothing has changed yet


def test_entropy_of_known_distributions():
    uniform, sure = torch.zeros(1, 8), torch.tensor([[50.0, 0.0, 0.0]])
    assert float(entropy(uniform)) == pytest.approx(2.0794415)  # ln 8
    assert float(entropy(sure)) == pytest.approx(0.0, abs=1e-6)
    assert float(entropy(torch.tensor([[0.25, 0.75]]).log())) == pytest.approx(0.5623351)


@pytest.mark.parametrize("architecture", sorted(PLACES))
def test_the_lens_at_the_last_layer_is_the_model(architecture):
    model = tiny.load(architecture=architecture)
    ids, seen = torch.arange(5, 17)[None], []
    blocks = [part.block for part in anatomy(model.model)]
    with torch.no_grad(), outputs_through({1: lambda hidden: seen.append(hidden) or hidden}, blocks):
        logits = model.model(ids, use_cache=False).logits
        torch.testing.assert_close(vocabulary(model.model)(seen[0]), logits)
    assert set(FINAL_NORMS) == set(PLACES)
