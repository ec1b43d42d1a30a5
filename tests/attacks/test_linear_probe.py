"""The probe finds a rule that holds for facts it has not seen, and nothing where there is none."""

import inside
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from unlearnkit.attacks import LinearProbe
from unlearnkit.attacks.linear_probe import separation
from unlearnkit.errors import UserError

FOLDS = np.arange(60) % 5


def test_what_a_direction_says_is_found_in_the_layer_that_has_it_and_chance_elsewhere():
    rng = np.random.default_rng(0)
    right, wrong = rng.normal(size=(60, 2, 8)), rng.normal(size=(60, 2, 8))
    right[:, 1, 3] += 4
    first, second = np.array(separation(right, wrong, FOLDS)).mean(axis=0)
    assert 0.3 <= first <= 0.7 and second > 0.95


def test_no_fact_is_on_both_sides():
    """Every fact has a direction of its own: a probe that had seen it would know it."""
    right = np.zeros((60, 1, 60))
    right[range(60), 0, range(60)] = 5
    found = np.array(separation(right, -right, FOLDS))
    assert found.mean() == 0.5
    seen = LogisticRegression().fit(np.concatenate([right, -right])[:, 0], np.repeat([1, 0], 60))
    assert (seen.decision_function(right[:, 0]) > 0).all()


def rows(answer, alternatives=lambda n: {}):
    return [inside.Example(f"f{n}", f"Is {n} so?", answer(n), alternatives=alternatives(n)) for n in range(20)]


def looked(examples):
    attack = inside.bound(LinearProbe(), data=inside.Data("it", {}, {"forget": {"test": examples}}))
    records = attack.measured_by(None).measure(inside.model(inside.network()), attack.point("now"))
    return attack.measured_by(None).compute(records)["inside"]["forget"]


def test_answers_that_differ_by_a_rule_are_told_apart_and_such_as_have_none_are_not():
    ruled = looked(rows(lambda n: f"{n} yes", lambda n: {"wrong": (f"{n} no", "unused")}))
    assert set(ruled) == {"peak", "layer_00", "layer_01", "layer_02"}
    assert ruled["peak"]["value"] == 1.0 and ruled["peak"]["n"] == 10
    letters = np.random.default_rng(1).integers(97, 123, size=(20, 6))
    lawless = looked(rows(lambda n: "".join(map(chr, letters[n]))))  # the wrong answer is another fact's
    assert all(0.2 <= lawless[f"layer_{n:02}"]["value"] <= 0.8 for n in range(3))


def test_the_wrong_answer_is_of_the_same_side_of_the_cross_validation():
    from unlearnkit.attacks.linear_probe import _wrong
    from unlearnkit.records.generate import records_of

    records = records_of({"forget": rows(str)})
    wrong = [int(_wrong(records, n, 5)) for n in range(20)]
    assert all(other % 5 == n % 5 and other != n for n, other in enumerate(wrong)) and len(set(wrong)) == 20


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"folds": 1}, "folds=1 leaves no other side"), ({"folds": 3}, "needs 6: the data 'it' have 5")],
)
def test_too_little_is_refused(settings, said):
    with pytest.raises(UserError, match=said):
        inside.bound(LinearProbe(**settings))
