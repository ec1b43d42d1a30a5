"""A leaderboard by hand: who keeps enough, in which order, and what it is refused for."""

from dataclasses import replace

import pytest

from unlearnkit.errors import UserError
from unlearnkit.tables.aggregate import Cell, Table
from unlearnkit.tables.compare import Comparison
from unlearnkit.tables.leaderboard import leaderboards
from unlearnkit.tables.paper import Heading, read_paper
from unlearnkit.tables.render_html import html_page
from unlearnkit.tables.render_markdown import markdown_of

BEST, KEEP, ODD = "tofu/forget/forget_quality", "tofu/all/model_utility", "muse/privleak_forget/privleak"
HEADINGS = [Heading(BEST, "", "Forget quality"), Heading(KEEP, "", "Model utility"), Heading(ODD, "", "PrivLeak")]
NUMBERS = {
    "original": (1.8e-21, 0.60),
    "ga": (1.1e-239, 0.0),
    "npo_gd": (0.02, 0.55),
    "simnpo": (0.4, 0.54),
    "rmu": (3e-15, 0.61),
    "idk_dpo": (0.3, 0.40),
}
SPEC = {"name": "mine", "title": "Mine", "leaderboard": {"best": BEST, "keep": KEEP, "shares": [0.9, 0.5]}}


def comparison(numbers=NUMBERS):
    columns = [heading.column for heading in HEADINGS]
    rows = {
        row: {column: Cell(value, value, value, 1, True) for column, value in zip(columns, values, strict=False)}
        for row, values in numbers.items()
    }
    table = Table("tiny", "tofu", columns, rows, labels={"ga": "GradAscent", "idk_dpo": "IdkDPO"})
    return Comparison("mine", table, HEADINGS, None, False, {}, {}, {}, [], {}, [])


def test_who_keeps_enough_in_order():
    found = leaderboards([comparison()], SPEC)
    assert [list(board.table.rows) for board in found] == [
        ["original", "simnpo", "npo_gd", "rmu"],
        ["original", "simnpo", "idk_dpo", "npo_gd", "rmu"],
    ]
    assert found[0].remarks == [
        "Methods that keep at least 90% of the start's Model utility, by Forget quality. Not among them:"
        " GradAscent keeps 0%; IdkDPO keeps 67%."
    ]


def test_a_perplexity_is_kept_where_it_stays_low():
    board = {"best": BEST, "keep": "safety/normal/answer_perplexity", "shares": [0.9]}
    numbers = {"original": (0.0, 10.0), "ga": (0.9, 1e6), "npo_gd": (0.5, 11.0), "sku": (0.4, 8.0)}
    made = comparison(numbers)
    column = Heading(board["keep"], "", "Perplexity").column
    for row, (_, value) in numbers.items():
        made.table.rows[row] = {**made.table.rows[row], column: Cell(value, value, value, 1, True)}
    headings = [*HEADINGS, Heading(board["keep"], "", "Perplexity")]
    (found,) = leaderboards([replace(made, headings=headings)], {**SPEC, "leaderboard": board})
    assert list(found.table.rows) == ["original", "npo_gd", "sku"]


def test_the_pages():
    boards = leaderboards([comparison()], SPEC)
    page = markdown_of(boards, {**SPEC, "source": {"paper": "P", "arxiv": "1", "place": "t"}}, "command")
    assert "1.8e-21" in page.replace("1.8×10⁻²¹", "1.8e-21") and "0.400" in page and "\ntiny on tofu.\n" in page
    html = html_page(boards, {**SPEC, "source": {"paper": "P", "arxiv": "1", "place": "t"}}, "command")
    assert html.index("simnpo") < html.index("npo_gd</th>") and html.count("<table") == 2


def test_a_start_without_utility_ranks_nobody():
    numbers = {**NUMBERS, "original": (0.0, 0.0)}
    assert [list(board.table.rows) for board in leaderboards([comparison(numbers)], SPEC)] == [["original"]] * 2
    assert leaderboards([comparison(numbers)], SPEC)[0].remarks[0].endswith("The start has none that could be kept.")
    (alone, _) = leaderboards([comparison({"original": (0.1, 0.6)})], SPEC)
    assert list(alone.table.rows) == ["original"]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"best": "tofu/forget/forget_qualty"}, "is no column of the sweep. Did you mean 'tofu/forget/forget_quality'"),
        ({"keep": ODD}, "has no direction that is better"),
        ({"best": None}, "'None' is no column"),
        ({"shares": []}, "are no shares"),
        ({"shares": [0.9, 0]}, "are no shares"),
        ({"shares": [1.1]}, "are no shares"),
    ],
)
def test_what_cannot_be_ranked(told, said):
    spec = {**SPEC, "leaderboard": {**SPEC["leaderboard"], **told}}
    with pytest.raises(UserError, match=said):
        leaderboards([replace(comparison())], spec)


def test_small_numbers_of_a_paper_keep_their_digits():
    spec = {
        "columns": {BEST: "Forget quality", KEEP: "Model utility"},
        "rows": {"original": "", "ga": "GradAscent", "npo_gd": "NPO"},
        "paper": {"m": {"original": [1.66e-21, 0.6], "ga": [1.06e-239, 0], "npo_gd": [0.02, 0.46]}},
    }
    block = read_paper(spec, "mine")["m"]
    assert [block[row][BEST].text for row in block] == ["1.66e-21", "1.06e-239", "0.02"]
    assert [block[row][KEEP].text for row in block] == ["0.60", "0.00", "0.46"]
