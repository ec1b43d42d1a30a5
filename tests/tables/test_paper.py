import math
from itertools import permutations

import pytest
from scipy.stats import spearmanr
from swept import PAPER, SPEC

from unlearnkit.errors import UserError
from unlearnkit.tables.agreement import rank_correlation
from unlearnkit.tables.paper import Printed, as_printed, read_headings, read_paper

KEY, PPL = "safety/unlearned/harmful_rate", "safety/unlearned/perplexity"


def with_row(row, values, **more):
    return {**SPEC, **more, "paper": {"opt-2.7b": {**PAPER["opt-2.7b"], row: values}}}


def test_numbers_as_they_are_printed():
    block = read_paper(SPEC, "sku_table1")["opt-2.7b"]
    assert [block["ft"][heading.key].text for heading in read_headings(SPEC)] == [
        *("18.5%", "18.18", "16.5%", "16.16", "24.01", "-0.898")
    ]
    assert block["original"][KEY].text == "54%" and block["original"][PPL].text == "18.50"
    assert block["ga"][PPL] == Printed(math.inf, ">1e3", 1000.0)


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        (1e4, "1e4", 1e4),
        (7843, "7843", 7843),
        (1e8, "1e8", 1e8),
        (101.7, "101.70", 101.7),
        (">1e10", ">1e10", math.inf),
    ],
)
def test_large_numbers_of_tian_et_al(value, text, number):
    found = read_paper(with_row("ft", [1, value, 1, 1, 1, 1]), "x")["opt-2.7b"]["ft"][PPL]
    assert (found.text, found.value) == (text, number)


def test_null_is_no_number():
    assert KEY not in read_paper(with_row("ft", [None, 1, 1, 1, 1, 1]), "x")["opt-2.7b"]["ft"]


@pytest.mark.parametrize("value", ["54%", "abc", "1000", ">", ">abc", math.nan, math.inf, True, [1], {"a": 1}])
def test_a_value_that_is_not_a_number(value):
    with pytest.raises(UserError) as error:
        read_paper(with_row("ft", [1, value, 1, 1, 1, 1]), "sku_table1")
    where = "sweeps/sku_table1.yaml, paper.opt-2.7b.ft, column 'Unlearned: perplexity': "
    assert error.value.what == f"{where}{value!r} is not a number."


def test_rows_that_do_not_fit():
    with pytest.raises(UserError, match=r"paper\.opt-2\.7b\.ft: 2 where a list of 6 numbers is wanted"):
        read_paper(with_row("ft", [1, 2]), "x")
    with pytest.raises(UserError, match=r"paper\.opt-2\.7b\.ft: 3 where a list"):
        read_paper(with_row("ft", 3), "x")
    with pytest.raises(UserError, match="the sweep's rows have no 'task_vectors'. Did you mean 'task_vector'"):
        read_paper(with_row("task_vectors", [1] * 6), "x")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (">1e10", ">10¹⁰"), ("1.2e+05", "1.2×10⁵"), ("[1.2e-04, >1e10]", "[1.2×10⁻⁴, >10¹⁰]"), ("1e4", "10⁴"),
        ("<-1e10", "<-10¹⁰"), ("18.50", "18.50"), ("nan", "nan"), ("layer1e2", "layer1e2"), ("1e+05%", "10⁵%"),
    ],
)  # fmt: skip
def test_powers_of_ten(text, written):
    assert as_printed(text) == written


def printed(**values):
    return {row: Printed(value, str(value), 1000.0 if value == math.inf else None) for row, value in values.items()}


def test_rank_correlation_by_hand():
    """1 - 6 * sum(d²) / (n (n² - 1)) where nothing is tied: d = (0, 1, -1, 0)."""
    theirs = printed(a=1.0, b=2.0, c=3.0, d=4.0)
    assert rank_correlation({"a": 10, "b": 30, "c": 20, "d": 40, "other": 5}, theirs) == (pytest.approx(0.8), 4, 8 / 24)
    assert rank_correlation({"a": 4, "b": 3, "c": 2, "d": 1}, theirs)[0] == pytest.approx(-1)


def test_what_the_paper_does_not_tell_apart_is_one_tie():
    theirs = printed(a=1.0, b=2.0, c=math.inf, d=math.inf)
    assert rank_correlation({"a": 1, "b": 2, "c": 9000, "d": math.inf}, theirs) == (pytest.approx(1), 4, 2 / 24)
    assert rank_correlation({"a": 1, "b": 2, "c": math.nan, "d": 5000}, theirs) == (pytest.approx(1), 3, 2 / 6)


@pytest.mark.parametrize(
    ("ours", "count"),
    [({}, 0), ({"a": 1, "b": 2}, 2), ({"a": 1, "b": 1, "c": 1}, 3), ({"a": 2e10, "b": 3e11, "c": math.inf}, 3)],
)
def test_no_correlation_of_few_or_equal_values(ours, count):
    assert rank_correlation(ours, printed(a=1.0, b=2.0, c=3.0)) == (None, count, None)
    assert rank_correlation({"a": 1, "b": 2, "c": 3}, printed(a=1.0, b=1.0, c=1.0)) == (None, 3, None)


@pytest.mark.parametrize(
    ("ours", "p"),
    [
        ((1, 2, 3, 4, 5), 2 / 120),
        ((2, 1, 3, 4, 5), 10 / 120),  # rho 0.9: tables of Spearman's rank correlation give 0.083
        ((2, 3, 1, 4, 5), 28 / 120),  # rho 0.7: 0.233
    ],
)
def test_the_p_value_is_exact(ours, p):
    """Against the definition, order by order."""
    theirs = printed(a=0.0, b=1.0, c=2.0, d=3.0, e=4.0)
    found = rank_correlation(dict(zip("abcde", ours, strict=True)), theirs)
    extreme = 0
    for order in permutations(range(1, 6)):
        squares = sum((place - own) ** 2 for place, own in enumerate(order, start=1))
        extreme += abs(1 - 6 * squares / 120) >= abs(found.rho) - 1e-9
    assert found.p == pytest.approx(extreme / 120)
    assert found.p == pytest.approx(p)


def test_of_many_methods_it_is_drawn():
    ours = {f"m{n}": n + 3 * (n % 3) for n in range(12)}
    found = rank_correlation(ours, printed(**{f"m{n}": float(n) for n in range(12)}))
    assert found.rho > 0.7 and found.p == pytest.approx(spearmanr(list(ours.values()), range(12)).pvalue, abs=0.003)
