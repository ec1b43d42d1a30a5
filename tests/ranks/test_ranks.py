"""What a rank does alone; `stages/test_deepspeed.py` and `test_resume.py` start several."""

import pytest

from unlearnkit import ranks
from unlearnkit.records.generate import Frame, _pieces

LAID = Frame(12, 8)  # of the whole batch


def test_one_process_does_all_the_work():
    assert (ranks.rank(), ranks.count(), ranks.is_first()) == (0, 1, True)
    assert ranks.shared([3, 1, 2], lambda items: [item * 10 for item in items]) == [30, 10, 20]
    assert ranks.from_first(lambda: "made") == "made"
    ranks.start()
    ranks.barrier()
    assert ranks.count() == 1 and ranks.speaks_first()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (0.5, [([5, 3, 9, 7, 1], LAID)]),
        (1.0, [([5, 3, 9, 7, 1], LAID)]),
        (2.0, [([5, 3, 9], LAID), ([7, 1], LAID)]),
        (8.0, [([5], LAID), ([3], LAID), ([9], LAID), ([7], LAID), ([1], LAID)]),
    ],
)
def test_a_batch_is_cut_up_for_ranks_without_one_and_keeps_its_width(wanted, expected):
    assert _pieces([5, 3, 9, 7, 1], LAID, wanted) == expected
