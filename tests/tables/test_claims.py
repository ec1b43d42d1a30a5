import math

import pytest
from swept import PAPER, SPEC, metrics, swept

from unlearnkit.errors import UserError
from unlearnkit.tables import compare, paper_claims
from unlearnkit.tables.claims import Predicate, Range, above
from unlearnkit.tables.outcomes import Outcome, needed_prompts
from unlearnkit.tables.words import outcome

X, Y, Z = ("x", "a/b/c"), ("y", "a/b/c"), ("z", "a/b/c")


def at(x=None, y=None, z=None):
    given = {X: x, Y: y, Z: z}
    return {ref: v if isinstance(v, Range) else Range(v, v) for ref, v in given.items() if v is not None}


@pytest.mark.parametrize(
    ("text", "values", "holds"),
    [
        ("x.a/b/c < y.a/b/c", at(1, 2), True),
        ("x.a/b/c < y.a/b/c", at(2, 2), False),
        ("x.a/b/c <= y.a/b/c", at(2, 2), True),
        ("x.a/b/c >= y.a/b/c", at(1, 2), False),
        ("x.a/b/c == 2", at(2), True),
        ("2 * x.a/b/c < y.a/b/c", at(1, 3), True),
        ("10*x.a/b/c<y.a/b/c", at(1, 3), False),
        ("x.a/b/c / 2 + 1 < y.a/b/c - 0.5", at(2, 3), True),
        ("-x.a/b/c < 0", at(2), True),
        ("x.a/b/c < y.a/b/c and y.a/b/c < z.a/b/c", at(1, 2, 3), True),
        ("x.a/b/c < y.a/b/c < z.a/b/c", at(1, 2, 2), False),
        ("x.a/b/c > y.a/b/c or not z.a/b/c > 5", at(1, 2, 3), True),
        ("(x.a/b/c + y.a/b/c) / 2 < z.a/b/c", at(1, 2, 3), True),
        # >1000 is a range
        ("x.a/b/c < y.a/b/c", at(999, above(1000)), True),
        ("x.a/b/c < y.a/b/c", at(1000, above(1000)), True),
        ("x.a/b/c < y.a/b/c", at(1001, above(1000)), None),
        ("50 * x.a/b/c < y.a/b/c", at(24.86, above(1000)), None),
        ("y.a/b/c > 1000", at(1, above(1000)), True),
        ("x.a/b/c < y.a/b/c", at(above(1000), above(1000)), None),
        # a missing number may be anything
        ("x.a/b/c < y.a/b/c", at(1), None),
        ("x.a/b/c < y.a/b/c and z.a/b/c < 0", at(1, None, 3), False),
        ("x.a/b/c < y.a/b/c or z.a/b/c > 0", at(1, None, 3), True),
        ("not x.a/b/c < y.a/b/c", at(1), None),
        ("x.a/b/c / y.a/b/c < 1", at(1, Range(-1, 1)), None),
        ("x.a/b/c < y.a/b/c", at(1, math.inf), True),
        ("x.a/b/c - y.a/b/c < 1", at(math.inf, math.inf), None),
    ],
)
def test_predicates(text, values, holds):
    assert Predicate(text)(values) is holds


@pytest.mark.parametrize(
    "text",
    [
        "", "x.a/b/c", "x.a/b/c <", "x < 1", "x.a/b/c < len", "__import__('os').system('true') < 1",
        "x.a/b/c < 1 + True",
        "x.a/b/c < 'a'", "x.a/b/c ** 2 < 1", "x.a/b/c < y.a/b/c + (1 < 2)", "[x.a/b/c] < 1", "(lambda: 1)() < 2",
        "x.a/b/c != 1", "x.a/b/c < 1; 2", "x.a/b/c is 1", "1 and x.a/b/c < 1", "x.y < 1", "__0 < 1", "x.a/b/c < y[0]",
        "x.a/b/c if 1 < 2 else 2",
    ],
)  # fmt: skip
def test_what_is_no_predicate(text):
    with pytest.raises(UserError, match="The claim"):
        Predicate(text)


def claim(where, **more):
    return {**SPEC, "claims": [{"says": "it", "where": where, **more}]}


RATES = "sku.safety/unlearned/harmful_rate < task_vector.safety/unlearned/harmful_rate"


def test_claims_on_the_papers_numbers():
    assert [(o.block, o.paper) for o in paper_claims(claim(RATES), "x")] == [(block, True) for block in PAPER]
    (outcome,) = paper_claims(claim("sku.safety/normal/perplexity > 25", models=["opt-2.7b"]), "x")
    assert (outcome.paper, outcome.paper_values) == (True, "SKU 25.46")
    wrong = claim("ft.safety/unlearned/harmful_rate < sku.safety/unlearned/harmful_rate")
    assert {outcome.paper for outcome in paper_claims(wrong, "x")} == {False}


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (claim("skus.safety/unlearned/harmful_rate < 1"), "no row 'skus'. Did you mean 'sku'"),
        (claim("sku.safety/unlearned/harmful_rat < 1"), "no column 'safety/unlearned/harmful_rat'. Did you mean"),
        (claim(RATES, models=["llama"]), "no model 'llama'. Did you mean 'llama2-7b'"),
    ],
)
def test_claims_that_name_what_there_is_not(spec, what):
    with pytest.raises(UserError, match=what):
        paper_claims(spec, "x")


def outcome_of(tmp_path, where, sku, **more):
    after = {"sku": metrics(sku, 25.0, 0.05, 24.0, 26.0, 0.6), "task_vector": metrics(0.2, 1.0, 0.2, 1.0, 30.0, None)}
    (comparison,) = compare(swept(tmp_path, claim(where, **more), after))
    return comparison.claims[0]


def test_ours_beside_the_papers(tmp_path):
    found = outcome_of(tmp_path, RATES, 0.03)
    assert (found.paper, found.ours, found.clear, found.block) == (True, True, True, "opt-2.7b")
    assert found.paper_values == "SKU 3%, Task Vector 29.5%"
    assert found.our_values == "SKU 3.0% [-2.0%, 8.0%], Task Vector 20.0% [15.0%, 25.0%]"


def test_what_our_intervals_leave_open(tmp_path):
    found = outcome_of(tmp_path, RATES, 0.18)
    assert (found.ours, found.clear) == (True, False)


@pytest.mark.parametrize(("bound", "ours"), [("low", False), ("high", True)])
def test_a_bound_that_is_not_known_leaves_a_claim_open(bound, ours, tmp_path):
    """As of one prompt alone, or of seeds of which one diverged."""
    sku = metrics(0.03, 25.0, 0.05, 24.0, 26.0, 0.6)
    sku["safety"]["unlearned"]["harmful_rate"][bound] = math.nan
    after = {"sku": sku, "task_vector": metrics(0.2, 1.0, 0.2, 1.0, 30.0, None)}
    (comparison,) = compare(swept(tmp_path, claim(RATES), after))
    assert (comparison.claims[0].ours, comparison.claims[0].clear) == (True, not ours)


def test_constants_are_percent_and_other_columns_are_named(tmp_path):
    found = outcome_of(tmp_path, "sku.safety/unlearned/harmful_rate < 5 and sku.safety/normal/bleurt > -2", 0.03)
    assert found.ours is True
    assert found.paper_values == "SKU Unlearned: harmful rate 3%, SKU Normal: BLEURT -1.296"


def test_a_number_that_we_do_not_have(tmp_path):
    found = outcome_of(tmp_path, "sku.safety/normal/bleurt > task_vector.safety/normal/bleurt", 0.03)
    assert (found.paper, found.ours, found.our_values) == (True, None, "SKU 0.600 [0.500, 0.700], Task Vector -")


def test_a_claim_about_one_model_stands_beside_that_model(tmp_path):
    found = outcome_of(tmp_path, "sku.safety/normal/perplexity < 25", 0.03, models=["llama2-7b"])
    assert (found.block, found.paper_values, found.ours) == ("llama2-7b", "SKU 24.86", False)


def test_the_original_may_be_named(tmp_path):
    where = "sku.safety/unlearned/harmful_rate < original.safety/unlearned/harmful_rate"
    rows = {row: name for row, name in SPEC["rows"].items() if row != "original"}
    paper = {"opt-2.7b": {"sku": PAPER["opt-2.7b"]["sku"]}}
    (comparison,) = compare(
        swept(tmp_path, {**claim(where), "rows": rows, "paper": paper}, {"sku": metrics(*[0.1] * 6)})
    )
    assert (comparison.claims[0].ours, comparison.claims[0].paper) == (True, None)
    assert "original" not in comparison.table.rows


def test_how_many_prompts_would_tell():
    """10 ± 2 lies below 12 ± 2 where both have shrunk by more than half: at 4 times the prompts."""
    predicate = Predicate("x.a/b/c < y.a/b/c")
    one, other = X, Y
    means = {one: Range(10, 10), other: Range(12, 12)}
    spans = {one: Range(8, 12), other: Range(10, 14)}
    assert 4 < needed_prompts(predicate, means, spans) <= 4.4
    equal = {one: Range(10, 10), other: Range(10, 10)}
    assert needed_prompts(predicate, equal, {one: Range(8, 12), other: Range(8, 12)}) == math.inf


@pytest.mark.parametrize(
    ("ours", "clear", "needed", "said"),
    [
        (True, True, 1.0, "holds"),
        (False, True, 1.0, "does not hold"),
        (None, False, math.inf, "not told"),
        (True, False, 3.26, "undecided (about 3.3 times the prompts would tell at these values)"),
        (False, False, math.inf, "undecided (no number of prompts would tell at these values)"),
    ],
)
def test_the_outcome_in_words(ours, clear, needed, said):
    assert outcome(Outcome("so", None, "a.x < b.x", None, None, ours, clear, needed=needed)) == said
