"""Probability, its share and the truth ratio: by hand, and against the plain formulas of TOFU's and later code."""

import math
from statistics import fmean

import numpy as np
import pytest

from unlearnkit.measures import Probability, ProbabilityNormalised, TruthRatio
from unlearnkit.records.record import Record, read_parquet, write_parquet

LN2 = math.log(2)


def record(answer, paraphrases=None, wrong=None, name="1", sample=0):
    """Rows of log-probabilities, a number a token."""
    kinds = {"paraphrases": paraphrases, "wrong": wrong}
    scored = {kind: rows for kind, rows in kinds.items() if rows is not None}
    return Record("asked", name, "p", answer_log_probs=answer, alternative_log_probs=scored or None, sample=sample)


HALVES = record([-LN2, -3 * LN2], [[-LN2]], [[-2 * LN2, -2 * LN2], [-4 * LN2]])  # 1/4; 1/2; 1/4 and 1/16


def drawn(seed, count=20):
    """Answers of unequal lengths, each with a paraphrase and three to five wrong answers."""
    rng = np.random.default_rng(seed)

    def row():
        return (-rng.gamma(2, 1, rng.integers(1, 9))).tolist()

    return [record(row(), [row()], [row() for _ in range(rng.integers(3, 6))], str(n)) for n in range(count)]


def test_by_hand():
    assert Probability()([HALVES], "retain").value == pytest.approx(1 / 4)
    assert ProbabilityNormalised()([HALVES], "retain").value == pytest.approx((1 / 4) / (1 / 4 + 1 / 4 + 1 / 16))
    assert TruthRatio()([HALVES], "forget").value == pytest.approx((1 / 8) / (1 / 2))  # sqrt(1/4 * 1/16) is 1/8
    assert TruthRatio("true")([HALVES], "retain").value == pytest.approx(3 / 4)
    assert TruthRatio(arithmetic=True)([HALVES], "forget").value == pytest.approx((5 / 32) / (1 / 2))
    assert TruthRatio("share")([HALVES], "forget").value == pytest.approx(4 / 5)
    assert TruthRatio("true", arithmetic=True)([HALVES], "retain").value == pytest.approx(1 - 5 / 16)


def test_where_wrong_answers_are_likelier():
    other = record([-LN2], [[-3 * LN2]], [[-LN2], [-LN2]])  # R is 4
    assert TruthRatio()([other], "forget").value == pytest.approx(1 / 4)
    assert TruthRatio("true")([other], "retain").value == 0
    even = record([-LN2], [[-LN2]], [[-LN2, -LN2]])
    assert TruthRatio()([even], "forget").value == 1 and TruthRatio("true")([even], "retain").value == 0


def test_without_a_paraphrase_the_own_answer_takes_its_place():
    for paraphrases in (None, []):
        alone = record([-LN2, -3 * LN2], paraphrases, [[-4 * LN2]])
        assert TruthRatio()([alone], "forget").value == pytest.approx(1 / 4)
        assert TruthRatio("true")([alone], "retain").value == pytest.approx(3 / 4)


def test_several_paraphrases_are_averaged_as_wrong_answers_are():
    several = record([-9.0], [[-LN2], [-3 * LN2]], [[-4 * LN2]])
    assert TruthRatio()([several], "forget").value == pytest.approx((1 / 16) / (1 / 4))
    assert TruthRatio(arithmetic=True)([several], "forget").value == pytest.approx((1 / 16) / (5 / 16))


@pytest.mark.parametrize("seed", range(5))
def test_against_the_plain_formulas(seed):
    """With 1e-10 beside each divisor, as the field's code has it, and losses as means of negative logs."""
    rows = drawn(seed)
    right = [math.exp(-fmean([-x for x in row.alternative_log_probs["paraphrases"][0]])) for row in rows]
    losses = [[-fmean(one) for one in row.alternative_log_probs["wrong"]] for row in rows]
    wrong = [math.exp(-fmean(each)) for each in losses]
    ratio = [w / (r + 1e-10) for w, r in zip(wrong, right, strict=True)]
    own = [math.exp(sum(row.answer_log_probs) / len(row.answer_log_probs)) for row in rows]
    share = [p / (p + sum(math.exp(-x) for x in each) + 1e-10) for p, each in zip(own, losses, strict=True)]
    paper = [fmean([math.exp(-x) for x in each]) / r for each, r in zip(losses, right, strict=True)]
    for measure, role, values in (
        (Probability(), "retain", own),
        (ProbabilityNormalised(), "retain", share),
        (TruthRatio(), "forget", [min(r, 1 / r) for r in ratio]),
        (TruthRatio("true"), "retain", [max(0, 1 - r) for r in ratio]),
        (TruthRatio(arithmetic=True), "forget", [min(r, 1 / r) for r in paper]),
        (TruthRatio("true", arithmetic=True), "retain", [max(0, 1 - r) for r in paper]),
        (TruthRatio("share"), "forget", [c / (c + w) for c, w in zip(right, wrong, strict=True)]),
        (TruthRatio("share", arithmetic=True), "forget", [1 / (1 + r) for r in paper]),
    ):
        found = measure(rows, role, seed=3)
        assert measure.values(rows, role) == pytest.approx(values, abs=1e-7)
        assert (found.value, found.n, found.seed) == (pytest.approx(fmean(values), abs=1e-7), 20, 3)
        assert 0 <= found.low < found.value < found.high <= 1


MEASURES = [
    Probability(),
    ProbabilityNormalised(),
    *(TruthRatio(form, arithmetic) for form in ("even", "true", "share") for arithmetic in (False, True)),
]


@pytest.mark.parametrize("measure", MEASURES)
def test_of_a_diverged_model_they_are_numbers(measure):
    """The mean log-probability a token is below -745, of which a float's exp is 0."""
    far = record([-1000.0], [[-1000.0, -1002.0]], [[-1000.0], [-1002.0, -1000.0]])
    assert 0 <= measure([far], "retain").value <= 1 and measure([far], "retain").n == 1
    near = record([-3.0], [[-3.0, -5.0]], [[-3.0], [-5.0, -3.0]])
    if type(measure) is not Probability:
        assert measure.values([far], "retain") == pytest.approx(measure.values([near], "retain"))


@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_nearly_sure_or_impossible_stays_in_0_to_1(measure):
    sure, never = [1e-8], [-math.inf]  # rounding may leave a log-probability above 0
    for own in (sure, never):
        for wrong in (sure, never, [-2.0]):
            for value in measure.values([record(own, [own], [wrong, wrong])], "retain"):
                assert -1e-6 <= value <= 1 + 1e-6
    assert TruthRatio().values([record(sure, [sure], [never])], "forget") == [0]
    assert TruthRatio("true").values([record(sure, [sure], [never])], "retain") == [1]
    assert TruthRatio("true").values([record(never, [never], [sure])], "retain") == [0]
    shares = TruthRatio("share").values([record(never, [never], [sure]), record(sure, [sure], [never], "2")], "forget")
    assert shares == [pytest.approx(0, abs=1e-300), 1]


@pytest.mark.parametrize("measure", MEASURES)
def test_what_was_not_scored_is_left_out(measure):
    rows = [record([], name="a"), record([], [[]], [[]], name="b"), record([], None, [[-1.0]], name="c")]
    assert measure(rows, "retain").n == 0 and math.isnan(measure(rows, "retain").value)
    assert measure([*rows, HALVES], "retain").value == measure([HALVES], "retain").value


@pytest.mark.parametrize("measure", MEASURES[1:])
def test_without_wrong_answers_nothing_is_said(measure):
    assert measure([record([-1.0], [[-1.0]]), record([-1.0], [[-1.0]], [], name="2")], "retain").n == 0


@pytest.mark.parametrize("measure", MEASURES)
def test_samples_beside_which_nothing_was_forced_do_not_count(measure):
    samples = [record([], sample=sample) for sample in (1, 2)]
    assert measure([HALVES, *samples], "retain") == measure([HALVES], "retain")


def test_alternatives_survive_parquet(tmp_path):
    rows = [*drawn(1, 3), record([-1.0], None, [[-2.0]], name="x"), record([-1.0], name="y")]
    write_parquet(rows, tmp_path / "records.parquet")
    for measure in MEASURES:
        assert measure(read_parquet(tmp_path / "records.parquet"), "retain") == measure(rows, "retain")


@pytest.mark.parametrize(
    ("measure", "forget", "retain"),
    [
        (Probability(), "lower", "higher"),
        (ProbabilityNormalised(), "lower", "higher"),
        (TruthRatio("true"), "lower", "higher"),  # near 1 where the right answer is known
        (TruthRatio("share"), "lower", "higher"),
        (TruthRatio("even"), "higher", None),  # near 0 both where it is known and where wrong ones are
    ],
)
def test_which_way_is_better(measure, forget, retain):
    assert (measure.display("forget").better, measure.display("retain").better) == (forget, retain)


def test_what_they_read():
    assert Probability().reads == ("answer_log_probs",)
    assert ProbabilityNormalised().reads == TruthRatio().reads == ("answer_log_probs", "alternative_log_probs")
