"""The layout of a packed row, written out by hand, and what the tokeniser refuses."""

import pytest
import torch

from unlearnkit.data.examples import Example
from unlearnkit.errors import UserError
from unlearnkit.models.layout import Piece
from unlearnkit.models.packing import Tokenise, pack

STREAMS = {
    "forget": [((5, 6), (7, 8, 2)), ((9,), (2,))],
    "mismatched": [((5, 6), (9, 2)), ((5, 6), (7, 8, 2))],
}


def test_shared_prompts_and_duplicate_responses():
    row = pack(STREAMS)
    assert row.input_ids.tolist() == [[5, 6, 7, 8, 9, 9]]
    assert row.position_ids.tolist() == [[0, 1, 2, 3, 2, 0]]
    assert row.keep.tolist() == [1, 2, 3, 5, 1, 4, 1, 2, 3]
    assert row.labels.tolist() == [7, 8, 2, 2, 9, 2, 7, 8, 2]
    assert row.streams == {"forget": slice(0, 4), "mismatched": slice(4, 9)}
    assert row.lengths == {"forget": [3, 1], "mismatched": [2, 3]}
    assert row.layout.pieces == [Piece(0, 2), Piece(2, 4, continues=0), Piece(4, 5, continues=0), Piece(5, 6)]


def test_without_sharing_every_example_has_its_block():
    row = pack(STREAMS, share_prompts=False)
    assert row.input_ids.tolist() == [[5, 6, 7, 8, 9, 5, 6, 9]]
    assert row.position_ids.tolist() == [[0, 1, 2, 3, 0, 0, 1, 2]]
    assert row.layout.pieces == [Piece(0, 4), Piece(4, 5), Piece(5, 8)]
    assert row.keep.tolist() == [1, 2, 3, 4, 6, 7, 1, 2, 3]
    assert row.labels.tolist() == [7, 8, 2, 2, 9, 2, 7, 8, 2]


def test_a_one_token_response_beside_a_longer_one():
    row = pack({"forget": [((5, 6), (2,)), ((5, 6), (7, 8))]})
    assert row.input_ids.tolist() == [[5, 6, 7]]
    assert row.keep.tolist() == [1, 1, 2]
    assert row.labels.tolist() == [2, 7, 8]
    assert row.layout.pieces == [Piece(0, 3)]


def test_one_answer_twice_is_one_piece():
    row = pack({"forget": [((5,), (7, 8))], "retain": [((5,), (7, 8))]})
    assert row.input_ids.tolist() == [[5, 7]]
    assert row.layout.pieces == [Piece(0, 2)]
    assert row.streams == {"forget": slice(0, 2), "retain": slice(2, 4)}


def test_texts_after_a_start_token_alone_share_nothing():
    row = pack({"forget": [((1,), (7, 8)), ((1,), (9, 10))]})
    assert row.input_ids.tolist() == [[1, 7, 1, 9]]
    assert row.layout.pieces == [Piece(0, 2), Piece(2, 4)]


def test_a_response_that_begins_another_is_its_own():
    row = pack({"forget": [((5, 6), (7, 8)), ((5, 6), (7, 8, 9))]})
    assert row.input_ids.tolist() == [[5, 6, 7, 7, 8]]
    assert row.position_ids.tolist() == [[0, 1, 2, 2, 3]]
    assert row.keep.tolist() == [1, 2, 1, 3, 4]
    assert row.layout.pieces == [Piece(0, 2), Piece(2, 3, continues=0), Piece(3, 5, continues=0)]


def test_to_moves_every_tensor():
    row = pack(STREAMS).to("meta", non_blocking=True)
    tensors = [row.input_ids, row.position_ids, row.keep, row.labels]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_inputs_hold_what_the_model_needs():
    row = pack(STREAMS)
    inputs = row.inputs()
    assert inputs["layout"] is row.layout
    assert torch.equal(inputs["logits_to_keep"], row.keep)
    assert inputs["use_cache"] is False


def letters(prompt, response):
    return [ord(letter) for letter in prompt], [ord(letter) for letter in response] + [2]


def test_tokens_up_to_the_limit_pass():
    tokens = Tokenise(letters, max_length=6)(Example("f1", "abc", "de"))
    assert tokens == ((97, 98, 99), (100, 101, 2))


def test_too_long_is_refused_by_id_and_numbers():
    with pytest.raises(UserError) as raised:
        Tokenise(letters, max_length=5)(Example("f1", "abc", "de"))
    assert raised.value.what == "Example 'f1' has 3 + 3 tokens (prompt + response), the context holds 5"
    assert "train.truncate=true" in raised.value.fix


def test_truncate_cuts_the_response():
    tokens = Tokenise(letters, max_length=5, truncate=True)(Example("f1", "abc", "de"))
    assert tokens == ((97, 98, 99), (100, 101))


@pytest.mark.parametrize("limit", [2, 3])
def test_truncate_keeps_at_least_one_response_token(limit):
    with pytest.raises(UserError, match="'f1' has 3 \\+ 3 tokens"):
        Tokenise(letters, max_length=limit, truncate=True)(Example("f1", "abc", "de"))


def test_each_text_is_tokenised_once():
    seen = []
    tokenise = Tokenise(lambda *texts: seen.append(texts) or letters(*texts), max_length=9)
    for name in ("f1", "f2", "f1"):
        tokenise(Example(name, "abc", "de"))
    assert seen == [("abc", "de")]
