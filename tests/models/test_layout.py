"""Who sees whom in a packed row, written out by hand."""

import torch

from unlearnkit.models.layout import Layout, Piece

CPU = torch.device("cpu")
ROW = Layout([Piece(0, 2), Piece(2, 4, continues=0), Piece(4, 5, continues=0), Piece(5, 8)])


def test_masks():
    own, first, second, other = ROW.masks(CPU)
    assert own is None and other is None
    assert first.int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert second.int().tolist() == [[1, 1, 1]]


def test_masks_under_a_window():
    own, first, second, other = ROW.masks(CPU, window=2)
    assert own is None
    assert first.int().tolist() == [[0, 1, 1, 0], [0, 0, 1, 1]]
    assert second.int().tolist() == [[0, 1, 1]]
    assert other.int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]


def test_a_wide_window_cuts_nothing():
    assert [mask is None for mask in ROW.masks(CPU, window=4)] == [True, False, False, True]
    assert ROW.masks(CPU, window=4)[1].int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_sequences():
    made = ROW.sequences(CPU)
    assert made.keys.tolist() == [0, 1, 0, 1, 2, 3, 0, 1, 4, 5, 6, 7]
    assert made.query_ends.tolist() == [0, 2, 4, 5, 8]
    assert made.key_ends.tolist() == [0, 2, 6, 9, 12]
    assert (made.longest_query, made.longest_key) == (3, 4)
    assert made.query_ends.dtype == made.key_ends.dtype == torch.int32


def test_a_piece_sees_all_that_its_chain_goes_on_from():
    row = Layout([Piece(0, 1), Piece(1, 3, continues=0), Piece(3, 4, continues=1), Piece(4, 6, continues=0)])
    assert row.chains == [[], [0], [0, 1], [0]]
    assert [row.before(number) for number in range(4)] == [0, 1, 3, 1]
    assert row.masks(CPU)[2].int().tolist() == [[1, 1, 1, 1]]
    assert row.masks(CPU, window=2)[2].int().tolist() == [[0, 0, 1, 1]]
    assert row.masks(CPU)[3].int().tolist() == [[1, 1, 0], [1, 1, 1]]
    made = row.sequences(CPU)
    assert made.keys.tolist() == [0, 0, 1, 2, 0, 1, 2, 3, 0, 4, 5]
    assert made.query_ends.tolist() == [0, 1, 3, 4, 6] and made.key_ends.tolist() == [0, 1, 4, 8, 11]


def test_examples_alone_need_no_copies():
    assert Layout([Piece(0, 2), Piece(2, 5)]).sequences(CPU).keys is None


def test_both_are_made_once_a_device():
    assert ROW.masks(CPU, 3) is ROW.masks(CPU, 3)
    assert ROW.sequences(CPU) is ROW.sequences(CPU)


def test_a_mask_of_a_scoring_serves_a_backward_pass_too():
    row = Layout([Piece(0, 2), Piece(2, 4, continues=0)])
    with torch.inference_mode():
        row.masks(CPU)
    assert not row.masks(CPU)[1].is_inference()
