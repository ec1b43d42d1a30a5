"""Keys and states at the subject's last token, packed, against plain hooks on one prompt at a time."""

import pytest
import torch

from unlearnkit.data.examples import Example
from unlearnkit.models import tiny
from unlearnkit.models.anatomy import PLACES, anatomy
from unlearnkit.models.templates import Template
from unlearnkit.stages.activations import gather
from unlearnkit.stages.memit import keys_and_states
from unlearnkit.stages.requests import make_request

CONTEXTS = ["", "I said. ", "It is true that. "]
FACTS = [
    Example("a", "The tower of London stands in", "England", subject="London"),
    Example("b", "Åsgård lies in", "Norway", subject="Åsgård"),
]


def plain(model, prompt, subject, layer):
    """Input of the layer's value vectors and output of the last layer, at the subject's last token."""
    text = prompt[: prompt.rindex(subject) + len(subject)]  # a byte a token: what stands before does not depend on it
    place = len(model.tokenizer(text)["input_ids"]) - 1
    ids = torch.tensor([model.tokenizer(prompt)["input_ids"]])
    seen = {}
    layers = anatomy(model.model)
    hooks = [
        layers[layer].value_vectors.register_forward_hook(lambda m, args, out: seen.update(key=args[0])),
        layers[1].block.register_forward_hook(
            lambda m, args, out: seen.update(state=out[0] if isinstance(out, tuple) else out)
        ),
    ]
    with torch.no_grad():
        model.model(ids, use_cache=False)
    for hook in hooks:
        hook.remove()
    return seen["key"].reshape(ids.shape[1], -1)[place], seen["state"][0, place]


@pytest.mark.parametrize("architecture", sorted(PLACES))
def test_keys_and_states_equal_a_plain_hooks(architecture):
    model = tiny.load(architecture=architecture, template=Template("{prompt}", " ", closed=False))
    requests = [make_request(model, fact, CONTEXTS, "dummy") for fact in FACTS]
    for layer in (0, 1):
        keys, states = keys_and_states(model, requests, layer, 1)
        for fact, key, state in zip(FACTS, keys, states, strict=True):
            found = [plain(model, context + fact.prompt, fact.subject, layer) for context in CONTEXTS]
            expected = found[0][0] / 2 + (found[1][0] + found[2][0]) / 4
            torch.testing.assert_close(key, expected, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(state, found[0][1], atol=1e-5, rtol=1e-4)


def test_rows_of_any_length_say_the_same():
    model = tiny.load(template=Template("{prompt}", " ", closed=False))
    requests = [make_request(model, fact, CONTEXTS, None) for fact in FACTS]
    tokens, places = requests[0].prompts + requests[1].prompts, requests[0].places + requests[1].places
    layer = anatomy(model.model)[1]
    one, many = (gather(model, tokens, places, layer.value_vectors, 1, size) for size in (1, 4096))
    for first, second in zip(one, many, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)
    twice = gather(model, tokens[:1] * 2, places[:1] * 2, layer.value_vectors, 1)
    torch.testing.assert_close(twice[0][0], twice[0][1])  # equal prompts lie in a row once
