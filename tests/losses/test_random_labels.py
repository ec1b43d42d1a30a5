"""Random labels: what they depend on, and the loss on them against a plain computation."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from unlearnkit.losses import Answers, RandomLabels
from unlearnkit.models.reading import read
from unlearnkit.stages.steps import Step
from unlearnkit.stages.trainer import weighted_sum

ANSWERS = [(4, 4, 9, 2), (7, 2), (5, 11, 8, 13, 12, 2)]
STREAMS = {
    "forget": [((5, 6, 7), ANSWERS[0]), ((5, 6, 7), ANSWERS[1]), ((8, 9), ANSWERS[2])],
    "retain": [((5, 6), (11, 12, 2))],
}


def labels(rows, draw=(0, 0), size=1000):
    """One tuple of labels an answer."""
    own = torch.tensor([token for row in rows for token in row])
    found = RandomLabels("forget").labels(Answers(torch.zeros(len(own), size), own, [*map(len, rows)], 1, 1, draw=draw))
    return [tuple(part.tolist()) for part in found.split([*map(len, rows)])]


def test_never_the_token_itself_and_all_over_the_rest_of_the_vocabulary():
    counts = torch.bincount(torch.tensor(labels([(3,) * 40_000], size=20)[0]), minlength=20)
    assert counts[3] == 0 and len(counts) == 20
    assert all(1900 < count < 2310 for token, count in enumerate(counts) if token != 3)  # 40,000 / 19 = 2,105 -+ 45


def test_with_two_tokens_it_is_the_other_one():
    assert labels([(0, 1, 1), (1, 0)], size=2) == [(1, 0, 0), (0, 1)]


def test_the_split_and_the_rest_of_the_step_do_not_matter():
    whole = labels(ANSWERS, draw=(3, 7))
    assert [labels([row], draw=(3, 7))[0] for row in ANSWERS] == whole
    assert labels([ANSWERS[2], (6, 6), ANSWERS[0]], draw=(3, 7)) == [whole[2], labels([(6, 6)], (3, 7))[0], whole[0]]


def test_seed_step_and_answer_matter():
    row = tuple(range(20))
    drawn = [labels([row], draw) for draw in ((0, 0), (0, 1), (1, 0), (1, 1))] + [labels([(*row[:-1], 30)])]
    assert len({found[0][:19] for found in drawn}) == 5
    assert labels([row]) == drawn[0]


def test_the_loss_is_cross_entropy_on_them():
    torch.manual_seed(0)
    logits, own = torch.randn(6, 15), torch.tensor([*ANSWERS[0], *ANSWERS[1]])
    loss = RandomLabels("forget")(Answers(logits, own, [4, 2], total_tokens=10, total_answers=3, draw=(1, 2)))
    drawn = [token for row in labels(ANSWERS[:2], (1, 2), 15) for token in row]
    expected = -sum(logits[n].double().softmax(-1)[token].log() for n, token in enumerate(drawn)) / 10
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_prompts_are_no_labels(full_model):
    """One packed forward on a real model, against rows padded to one length whose labels are -100 in the prompts."""
    model = full_model.model.eval()
    totals = {"forget": (12, 3), "retain": (3, 1)}
    step = Step(4, STREAMS, totals, seed=3)
    loss = weighted_sum(partial(read, model), {"term": RandomLabels("forget", 2.0)}, step, None)
    loss.backward()
    found = {name: weight.grad.clone() for name, weight in model.named_parameters()}

    ids, wanted = torch.zeros(3, 8, dtype=torch.long), torch.full((3, 8), -100)
    for row, (prompt, answer) in enumerate(STREAMS["forget"]):
        first, last = len(prompt), len(prompt) + len(answer)
        ids[row, :last] = torch.tensor([*prompt, *answer])
        wanted[row, first:last] = torch.tensor(labels([answer], (3, 4), model.config.vocab_size)[0])
    model.zero_grad()
    logits = model(input_ids=ids).logits  # padded on the right, so causal attention never sees the padding
    plain = 2.0 * F.cross_entropy(logits[:, :-1].flatten(0, 1), wanted[:, 1:].flatten(), ignore_index=-100)
    plain.backward()
    torch.testing.assert_close(loss, plain, atol=1e-5, rtol=1e-4)
    expected = {name: weight.grad for name, weight in model.named_parameters()}
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-3)
    assert max(grad.abs().max() for grad in expected.values()) > 1e-2
