"""The layout of a packed row, written out by hand, and what the tokeniser refuses."""

from random import Random

import pytest
import torch

from unlearnkit.data.examples import Example
from unlearnkit.errors import UserError
from unlearnkit.models.layout import Piece
from unlearnkit.models.packing import Tokenise, filled, pack

STREAMS = {
    "forget": [((5, 6), (7, 8, 2)), ((9,), (2,))],
    "mismatched": [((5, 6), (9, 2)), ((5, 6), (7, 8, 2))],
}


def test_shared_prompts_and_duplicate_responses():
    row = pack(STREAMS, shared=2)
    assert row.input_ids.tolist() == [[5, 6, 7, 8, 9, 9]]
    assert row.position_ids.tolist() == [[0, 1, 2, 3, 2, 0]]
    assert row.keep.tolist() == [1, 2, 3, 5, 1, 4, 1, 2, 3]
    assert row.labels.tolist() == [7, 8, 2, 2, 9, 2, 7, 8, 2]
    assert row.streams == {"forget": slice(0, 4), "mismatched": slice(4, 9)}
    assert row.lengths == {"forget": [3, 1], "mismatched": [2, 3]}
    assert row.places == {"forget": [[0, 1, 2, 3], [5]], "mismatched": [[0, 1, 4], [0, 1, 2, 3]]}
    assert row.layout.pieces == [Piece(0, 2), Piece(2, 4, continues=0), Piece(4, 5, continues=0), Piece(5, 6)]


def test_without_sharing_every_example_has_its_block():
    row = pack(STREAMS, shared=None)
    assert row.input_ids.tolist() == [[5, 6, 7, 8, 9, 5, 6, 9]]
    assert row.position_ids.tolist() == [[0, 1, 2, 3, 0, 0, 1, 2]]
    assert row.layout.pieces == [Piece(0, 4), Piece(4, 5), Piece(5, 8)]
    assert row.keep.tolist() == [1, 2, 3, 4, 6, 7, 1, 2, 3]
    assert row.labels.tolist() == [7, 8, 2, 2, 9, 2, 7, 8, 2]


def test_a_system_prompt_a_prompt_and_answers_that_begin_alike_stand_once():
    a, b = (1, 2, 3), (1, 2, 4, 5)
    row = pack({"forget": [(a, (6, 7, 8, 9)), (b, (6, 9))], "retain": [(a, (6, 7, 9, 8)), (a, (3, 3))]}, shared=2)
    assert row.input_ids.tolist() == [[1, 2, 3, 6, 7, 8, 9, 4, 5, 6, 3, 3]]
    assert row.position_ids.tolist() == [[0, 1, 2, 3, 4, 5, 5, 2, 3, 4, 2, 3]]
    assert row.places["forget"] == [[0, 1, 2, 3, 4, 5], [0, 1, 7, 8, 9]]
    assert row.places["retain"] == [[0, 1, 2, 3, 4, 6], [0, 1, 10, 11]]
    assert row.layout.pieces == [
        Piece(0, 2),
        Piece(2, 5, continues=0),
        Piece(5, 6, continues=1),
        Piece(6, 7, continues=1),
        Piece(7, 10, continues=0),
        Piece(10, 12, continues=0),
    ]
    assert row.keep.tolist() == [2, 3, 4, 5, 8, 9, 2, 3, 4, 6, 10, 11]


def test_a_beginning_shorter_than_asked_stands_in_each():
    examples = {"forget": [((1, 2, 3, 4), (7, 8)), ((1, 2, 3, 5), (7, 8))]}
    assert pack(examples, shared=3).input_ids.tolist() == [[1, 2, 3, 4, 7, 5, 7]]
    assert pack(examples, shared=4).input_ids.tolist() == [[1, 2, 3, 4, 7, 1, 2, 3, 5, 7]]
    assert pack(examples).layout.pieces == [Piece(0, 5), Piece(5, 10)]


def test_what_begins_another_is_part_of_its_piece():
    examples = {"forget": [((5, 6), (2,)), ((5, 6), (7, 8)), ((5, 6), (7, 8, 9))]}
    row = pack(examples)
    assert row.input_ids.tolist() == [[5, 6, 7, 8]]
    assert row.keep.tolist() == [1, 1, 2, 1, 2, 3]
    assert row.labels.tolist() == [2, 7, 8, 7, 8, 9]
    assert row.layout.pieces == [Piece(0, 4)]
    assert pack(examples, shared=None).layout.pieces == [Piece(0, 2), Piece(2, 5), Piece(5, 9)]


def test_one_answer_twice_is_one_piece():
    row = pack({"forget": [((5,), (7, 8))], "retain": [((5,), (7, 8))]})
    assert row.input_ids.tolist() == [[5, 7]]
    assert row.layout.pieces == [Piece(0, 2)]
    assert row.streams == {"forget": slice(0, 2), "retain": slice(2, 4)}


@pytest.mark.parametrize("seed", range(20))
def test_a_row_holds_every_example_where_it_says_and_a_token_no_oftener_than_it_must(seed):
    random = Random(seed)
    text = lambda most: tuple(random.randint(1, 2) for _ in range(random.randint(1, most)))  # noqa: E731
    examples = [(text(6), text(6)) for _ in range(12)]
    row = pack({"forget": examples[:7], "retain": examples[7:]}, shared=1)
    texts = [prompt + response[:-1] for prompt, response in examples]
    places = row.places["forget"] + row.places["retain"]
    ids, positions = row.input_ids[0].tolist(), row.position_ids[0].tolist()
    assert [tuple(ids[place] for place in example) for example in places] == texts
    assert [[positions[place] for place in example] for example in places] == [list(range(len(one))) for one in texts]
    assert len(ids) == len({one[: end + 1] for one in texts for end in range(len(one))})
    starts = [piece.start for piece in row.layout.pieces]
    assert starts == [0, *(piece.end for piece in row.layout.pieces[:-1])] and row.layout.pieces[-1].end == len(ids)


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
    with pytest.raises(UserError, match="'f1' has 3 \\+ 3 tokens") as raised:
        Tokenise(letters, max_length=limit, truncate=True)(Example("f1", "abc", "de"))
    assert raised.value.fix.startswith("Shorten its prompt, for responses alone are cut")


def test_each_text_is_tokenised_once():
    seen = []
    tokenise = Tokenise(lambda *texts: seen.append(texts) or letters(*texts), max_length=9)
    for name in ("f1", "f2", "f1"):
        tokenise(Example(name, "abc", "de"))
    assert seen == [("abc", "de")]


def test_rows_are_filled_by_the_tokens_that_stand_in_them():
    system = tuple(range(10))  # what all begin with
    one, two, three = [[(system + (20 + n,), (30, 31, 32))] for n in range(3)]
    # 13 of the first (its last token is no input), 3 more of each other; the third would be the twentieth.
    assert [size for _, size in filled([one, two, three], 18)] == [16, 13]
    assert filled([one, two, three], 19) == [([*one, *two, *three], 19)]
    few = (1, 2, 3, 4, 5, 6, 7)  # fewer than it pays to share, but for an equal text
    short = [[(few, (8,))], [(few, (9,))], [(few, (9, 10))], [(few, (11, 12))]]
    assert filled(short, 16) == [([row for group in short for row in group], 7 + 0 + 1 + 8)]
    together = [(system, (1, 2)), (system, (3, 4, 5)), (system, (6,))]
    assert filled([together], 5) == [(together, 10 + 1 + 2)]  # a group stays in one row
    for groups in ([one, two, three], short, [together]):
        for row, size in filled(groups, 1000):
            assert pack({"answers": row}).input_ids.numel() == size
