"""Measures of measures by hand, over sets and roles, and what they refuse."""

import math
from statistics import harmonic_mean

import numpy as np
import pytest

from unlearnkit.data.examples import Data
from unlearnkit.errors import UserError
from unlearnkit.evaluations import Evaluation
from unlearnkit.measures import Bleu, HarmonicMean, KSTest, Mean, Perplexity, Probability, Similarity, Success
from unlearnkit.records.record import Record

OF = {"forget": "success", "retain": "success"}
ROLES = {"gone": "forget", "kept": "retain", "near": "retain", "world": "general"}


@pytest.mark.parametrize(
    ("groups", "mean", "harmonic"),
    [
        ([[1.0], [0.5]], 3 / 4, 2 / 3),
        ([[0.2, 0.4], [0.6], [0.9]], 0.6, 3 / (1 / 0.3 + 1 / 0.6 + 1 / 0.9)),
        ([[0.0], [1.0], [1.0]], 2 / 3, 0),
        ([[0.0], [0.0]], 0, 0),
        ([[1.0] * 50, [1.0]], 1, 1),
        ([[0.25]], 0.25, 0.25),
        ([[1e-300], [1.0]], 0.5, 2e-300),
    ],
)
def test_by_hand(groups, mean, harmonic):
    for measure, value in ((Mean(OF), mean), (HarmonicMean(OF), harmonic)):
        found = measure.of_groups(groups, seed=3)
        assert (found.value, found.n, found.seed) == (pytest.approx(value), sum(map(len, groups)), 3)
        assert 0 <= found.low <= found.value <= found.high <= 1 and found.high - found.low > 0.01


@pytest.mark.parametrize("seed", range(10))
def test_random_groups(seed):
    rng = np.random.default_rng(seed)
    groups = [rng.random(rng.integers(1, 30)).tolist() for _ in range(rng.integers(1, 10))]
    means = [float(np.mean(group)) for group in groups]
    assert HarmonicMean(OF).of_groups(groups).value == pytest.approx(harmonic_mean(means))
    assert Mean(OF).of_groups(groups).value == pytest.approx(sum(means) / len(means))


@pytest.mark.parametrize("measure", [Mean(OF), HarmonicMean(OF)])
def test_a_part_without_values_leaves_nothing(measure):
    for groups in ([], [[]], [[1.0], []]):
        found = measure.of_groups(groups)
        assert math.isnan(found.value) and found.n == 0


def test_of_nothing_is_refused():
    for of in ({}, {"forget": []}):
        with pytest.raises(UserError) as caught:
            HarmonicMean(of)
        assert caught.value.what == "HarmonicMean of nothing: it combines no measure of no set"
        assert caught.value.fix == "Name them: of: {forget: success, retain: success}"


def test_they_are_of_measures():
    with pytest.raises(TypeError, match="Mean is of measures, not of records"):
        Mean(OF)([Record("gone", "1", "p")])


def test_which_way_is_better_and_how_they_are_shown():
    for role in ("forget", "retain", None):
        assert Mean(OF).display(role).better == "higher" and Mean(OF, better="lower").display(role).better == "lower"
    mean, harmonic = Mean(OF).display(None), HarmonicMean(OF).display(None)
    assert (mean.rate, mean.decimals, harmonic.rate, harmonic.decimals) == (True, 1, False, 3)


def evaluation(measure, sets=None, **others):
    measures = {"success": Success(), "probability": Probability(), "all": measure, **others}
    found = Evaluation(measures, sets or {name: ["success"] for name in ROLES} | {"both": ["all"]})
    found.bind("own", Data("made", {}, {name: {"test": []} for name in ROLES}, ROLES))
    return found


def records(name, *rows):
    return [
        Record(name, str(n), "p", answer_hits=[hit == "1" for hit in row], answer_log_probs=[-math.log(2)])
        for n, row in enumerate(rows)
    ]


ROWS = records("gone", "00", "10") + records("kept", "11") + records("near", "10") + records("world", "1000")


@pytest.mark.parametrize(
    ("of", "value", "n"),
    [
        ({"forget": "success", "retain": "success"}, 2 / (1 / 0.75 + 1 / 0.75), 4),  # kept and near are one side
        ({"gone": "success", "kept": "success", "near": "success"}, 3 / (1 / 0.75 + 1 + 2), 4),  # each a part
        ({"retain": ["success", "probability"], "world": "success"}, 3 / (1 / 0.75 + 2 + 4), 5),
        ({"general": ["success"]}, 0.25, 1),
    ],
)
def test_sets_and_roles(of, value, n):
    found = evaluation(HarmonicMean(of)).compute(ROWS, seed=5)["both"]["all"]
    assert (found["value"], found["n"], found["seed"]) == (pytest.approx(value), n, 5)


def test_it_may_stand_with_a_set_as_well():
    found = evaluation(Mean(OF), {"gone": ["success", "all"], "retain": ["success"]}).compute(ROWS)["gone"]
    assert found["success"]["value"] == found["all"]["value"] == 0.75


def test_samples_of_a_prompt_are_one_observation():
    rows = records("gone", "00") * 3 + records("kept", "11") * 2 + records("near", "10")
    found = evaluation(Mean(OF)).compute(rows)["both"]["all"]
    assert (found["value"], found["n"]) == (pytest.approx((1 + 0.75) / 2), 3)


@pytest.mark.parametrize("other", [Perplexity(), Bleu(), Similarity(), Similarity(bounds=None)])
@pytest.mark.parametrize("combined", [Mean, HarmonicMean])
def test_a_measure_that_leaves_0_to_1_is_refused_before_anything_is_computed(combined, other):
    with pytest.raises(UserError) as caught:
        evaluation(combined({"forget": ["success", "other"]}), other=other)
    assert caught.value.what == "The measure 'all' is of 'other', whose values do not all lie between 0 and 1"
    assert caught.value.fix == "Set eval.own.measures.all.of.forget to measures that do, such as success"


def test_a_ks_test_is_of_any_measure():
    evaluation(KSTest("other", "forget"), other=Perplexity())


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ({"forget": "sucess"}, "The measure 'all' is of 'sucess', which is no measure of records. Did you mean"),
        ({"forget": "all"}, "The measure 'all' is of 'all', which is no measure of records"),
        ({"holdout": "success"}, "The measure 'all' is of 'holdout', and the data 'made' has no such set or role"),
        ({"forgot": "success"}, "The measure 'all' is of 'forgot', and the data 'made' has no such set or role"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(of, said):
    with pytest.raises(UserError) as caught:
        evaluation(HarmonicMean(of))
    assert caught.value.what.startswith(said)
