"""The paper's own printed marks and ranks, from the paper's own numbers."""

import math

import pytest
from swept import PAPER, SPEC

from unlearnkit.tables.aggregate import Cell, Table
from unlearnkit.tables.marks import best_two, exactly, mark, places, ranking
from unlearnkit.tables.outcomes import numbers_of, ranking_groups, ranks_of_paper
from unlearnkit.tables.paper import read_headings, read_paper

HEADINGS = read_headings(SPEC)
RATE, PERPLEXITY, BLEURT = (HEADINGS[n].column for n in (0, 4, 5))
LLAMA = {"ft": (5, 1, 3), "task_vector": (4, 3, 3.5), "ga": (1, 5, 3), "ga_mismatch": (3, 4, 3.5), "sku": (2, 2, 2)}
PRINTED = {  # Liu et al. 2024, table 1, page 7: Unlearn, Utility, Avg; both LLAMA2 have the same
    "opt-2.7b": LLAMA | {"ft": (4, 1, 2.5), "task_vector": (5, 3, 4)},
    "llama2-7b": LLAMA,
    "llama2-13b": LLAMA,
}


@pytest.mark.parametrize("block", PAPER)
def test_all_ranks_that_the_paper_prints(block):
    found = ranks_of_paper(read_paper(SPEC, "sku_table1")[block], HEADINGS, ranking_groups(SPEC, HEADINGS))
    assert {row: (own["unlearn"], own["utility"], own["average"]) for row, own in found.items()} == PRINTED[block]


def test_the_perplexity_of_harmful_prompts_is_in_neither_rank():
    """With it, GA would not be first in unlearning, as the paper prints it."""
    rows = numbers_of(read_paper(SPEC, "sku_table1")["llama2-7b"], HEADINGS)
    assert ranking(rows, {"unlearn": [h.column for h in HEADINGS[:4]]}, exactly)["ga"]["unlearn"] != 1


def test_the_marks_that_the_paper_prints():
    """Underlined in print: 3% and both 4% of OPT; 24.27 and -1.199 of LLAMA2-13B; 2.5, 3 and 3 of the averages."""
    paper = read_paper(SPEC, "sku_table1")
    opt = places(numbers_of(paper["opt-2.7b"], HEADINGS), exactly)
    assert (opt["ga", RATE], opt["sku", RATE]) == (1, 2)
    unseen = HEADINGS[2].column
    assert (opt["ga", unseen], opt["sku", unseen], opt["ga_mismatch", unseen]) == (1, 2, 2)
    large = places(numbers_of(paper["llama2-13b"], HEADINGS), exactly)
    assert (large["ft", PERPLEXITY], large["sku", PERPLEXITY], large["sku", BLEURT]) == (1, 2, 2)
    assert ("ga", PERPLEXITY) not in large
    averages = {row: {"average": average} for row, (_, _, average) in PRINTED["llama2-7b"].items()}
    assert best_two(averages) == {"sku": 1, "ft": 2, "ga": 2}


def test_a_number_without_an_interval_is_never_bold():
    """GA over two seeds, of which one diverged: nothing tells it apart from the best, and it is not the best."""
    rows = {
        "original": {PERPLEXITY: Cell(18, 17, 19, 2, False)},
        "sku": {PERPLEXITY: Cell(20, 18, 22, 2, False)},
        "ft": {PERPLEXITY: Cell(90, 80, 100, 2, False)},
        "ga": {PERPLEXITY: Cell(math.inf, math.nan, math.nan, 2, False)},
        "npo": {PERPLEXITY: Cell(21, math.nan, math.nan, 1, True)},
    }
    assert mark(Table("m", "d", [PERPLEXITY], rows)) == {("sku", PERPLEXITY): 1, ("ft", PERPLEXITY): 2}


def test_ranks_with_ties_and_with_what_is_missing():
    rows = {
        "original": {RATE: 0.9, PERPLEXITY: 1.0},
        "a": {RATE: 0.1, PERPLEXITY: 2e10},
        "b": {RATE: 0.1, PERPLEXITY: math.inf},  # both past 1e10: alike
        "c": {RATE: 0.2, PERPLEXITY: 5.0},
        "d": {RATE: 0.3, PERPLEXITY: math.nan},
        "e": {},
    }
    assert ranking(rows, {"unlearn": [RATE], "utility": [PERPLEXITY]}) == {
        "a": {"unlearn": 1, "utility": 2, "average": 1.5},
        "b": {"unlearn": 1, "utility": 2, "average": 1.5},
        "c": {"unlearn": 2, "utility": 1, "average": 1.5},
        "d": {"unlearn": 3},
    }
    assert best_two(
        {"a": {"average": 1.5}, "b": {"average": 1.5}, "c": {"average": 2.0}, "d": {"average": 3.0}, "e": {}}
    ) == {"a": 1, "b": 1, "c": 2}
    assert ranking(rows, {}) == {}
