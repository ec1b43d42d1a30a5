"""What configs say differently: what decides before what follows, and nothing that decides no result."""

from dataclasses import dataclass

import pytest

from unlearnkit.compare.configs import settings
from unlearnkit.identity import ABSENT


@dataclass
class Told:
    config: dict


def differing(*configs):
    return [(row.key, row.written, row.follows) for row in settings([Told(config) for config in configs])]


def test_equal_configs_and_what_decides_nothing():
    assert differing({"seed": 1}, {"seed": 1}) == []
    assert differing({"logger": {"name": "a"}, "resume": "auto"}, {"logger": {"name": "b"}, "resume": "never"}) == []


def test_what_is_made_from_another_key_follows_it():
    made = [{"stages": {"one": {"rate": rate}}, "train": {"rate": rate}} for rate in (0.1, 0.001, None)]
    assert differing(*made) == [
        ("train.rate", ["0.1", "0.001", "null"], False),
        ("stages.one.rate", ["0.1", "0.001", "null"], True),
    ]


def test_a_stages_own_setting_follows_nothing():
    stages = [{"stages": {"one": {"rate": rate}}, "train": {"rate": other}} for rate, other in ((1, 1), (2, 1))]
    assert differing(*stages) == [("stages.one.rate", ["1", "2"], False)]


def test_a_key_that_one_lacks():
    (row,) = settings([Told({"seed": 1, "note": "x"}), Told({"seed": 1})])
    assert row.values == ("x", ABSENT) and row.written == ["x", "absent"]


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"seed": 1}, []),  # of an earlier version, which told none
        ({"seed": 1, "inputs": {"data_rows": "b"}}, [("inputs.data_rows", ["a", "b"], False)]),
    ],
)
def test_inputs_are_compared_where_all_tell_them(other, found):
    assert differing({"seed": 1, "inputs": {"data_rows": "a"}}, other) == found


def test_no_password_is_shown():
    made = [{"judge": {"api_key": key}} for key in ("one-that-is-secret", "two-that-is-secret")]
    assert "secret" not in str(differing(*made))
