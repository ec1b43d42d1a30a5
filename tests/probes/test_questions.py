"""Greedy answers, which of their positions are compared, and how they are laid into rows."""

import pytest
import torch

from unlearnkit.errors import UserError
from unlearnkit.models.layout import Piece
from unlearnkit.probes.questions import Question, ask, lay, published_positions

PROMPTS = ["Hi?", "How does it go on from here?", "What?"]


def test_answers_are_greedy_and_every_token_of_theirs_is_compared(full_model):
    for asked, prompt in zip(ask(full_model, PROMPTS, 5), PROMPTS, strict=True):
        ids = list(full_model.template.encode_prompt(full_model.tokenizer, prompt))
        assert asked.prompt == tuple(ids)
        for token in asked.answer:
            with torch.no_grad():
                assert int(full_model.model(torch.tensor([ids])).logits[0, -1].argmax()) == token
            ids.append(token)
        assert asked.compared == tuple(range(len(asked.prompt) - 1, len(ids) - 1))
        assert len(asked.answer) == 5


def test_an_answer_that_ends_early_has_fewer_positions(full_model):
    whole = ask(full_model, PROMPTS, 5)
    full_model.tokenizer.eos_token = full_model.tokenizer.convert_ids_to_tokens(whole[1].answer[2])
    cut = ask(full_model, PROMPTS, 5)[1]
    end = full_model.tokenizer.eos_token_id
    assert cut.answer == whole[1].answer[: whole[1].answer.index(end) + 1] and cut.answer[-1] == end
    assert cut.compared == whole[1].compared[: len(cut.answer)]


def test_the_published_positions():
    prompt, answer = (9,) * 6, (7,) * 10
    # No padding: one later than those that predict the answer, so the last token's own is among them.
    assert published_positions(prompt, answer, width=6, end=2) == tuple(range(6, 16))
    # Four tokens of padding take the answer's first four.
    assert published_positions(prompt, answer, width=10, end=2) == tuple(range(10, 16))
    # As many as the answer has: logits[-0:] is all there is.
    assert published_positions(prompt, answer, width=16, end=2) == tuple(range(16))
    # More: logits[3:] of a row that begins with 13 of padding, and logits[12:] of one with 2.
    assert published_positions(prompt, answer, width=19, end=2) == tuple(range(16))
    assert published_positions((2,) * 20 + prompt, answer, width=28, end=2) == tuple(range(10, 36))
    # End tokens in the prompt count as padding.
    assert published_positions((2, 9, 9, 9, 9, 2), answer, width=6, end=2) == tuple(range(8, 16))


def test_published_questions_hold_the_last_position(full_model):
    asked = ask(full_model, PROMPTS, 5, as_published=True)
    width = max(len(question.prompt) for question in asked)
    lengths = [5 - (width - len(q.prompt)) - q.prompt.count(2) for q in asked]
    for question, length in zip(asked, lengths, strict=True):
        assert question.answer[-1] == 2 and len(question.answer) == 6
        assert question.compared[-1] == len(question.prompt) + 4
        assert len(question.compared) == length or length <= 0


def test_more_than_the_context_is_refused(full_model):
    with pytest.raises(UserError, match="the context of 'tiny' holds 1024") as caught:
        ask(full_model, ["x" * 900], 400)
    assert caught.value.what.startswith("The question 'xxxx") and "eval.krs.tokens" in caught.value.fix
    with pytest.raises(UserError, match="has .* tokens") as caught:
        ask(full_model, ["short", "Long " + "y" * 2000], 5)
    assert caught.value.what.startswith("The question 'Long yyy")
    assert caught.value.fix == "Shorten or remove the question"


def test_a_common_beginning_stands_once_in_the_row():
    common = tuple(range(10, 20))
    asked = [Question((*common, 30 + n), (40, 41, 2), (10, 11, 12)) for n in range(3)]
    (row,) = lay(asked, 1024, "cpu")
    assert row.inputs["input_ids"].tolist() == [[*common, 30, 40, 41, 31, 40, 41, 32, 40, 41]]
    answers = [Piece(start, start + 3, continues=0) for start in (10, 13, 16)]
    assert row.inputs["layout"].pieces == [Piece(0, 10), *answers]
    assert row.keep.tolist() == list(range(10, 19)) and row.owner.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_rows_hold_about_so_many_tokens():
    asked = [Question((n, n, n), (40, 2), (2, 3)) for n in range(5)]
    rows = lay(asked, 10, "cpu")
    assert [row.owner.tolist() for row in rows] == [[0, 0, 1, 1], [2, 2, 3, 3], [4, 4]]
    assert [row.keep.tolist() for row in rows] == [[2, 3, 6, 7], [2, 3, 6, 7], [2, 3]]
