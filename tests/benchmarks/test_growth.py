"""How a step's cost grows: measured at the smallest size, fitted on numbers whose growth is known."""

from functools import partial

import pytest
from growth import Cost, Rows, Setting, drawn, encode, fitted, measured, once, table

SMALL = Setting(rows=1, answer=8, vocabulary=64, layers=1)
AXES = {"rows": (1, 2, 4), "answer": (8, 16, 32), "vocabulary": (64, 128, 256), "layers": (1, 2, 3)}


def test_the_smallest_step_on_every_axis(capsys):
    costs = measured(AXES, SMALL, 1, partial(once, steps=1, shape="100K"))
    assert {axis: len(along) for axis, along in costs.items()} == {axis: 3 for axis in AXES}
    assert costs["rows"][0] == costs["layers"][0]  # the same setting, measured once
    assert all(cost.seconds > 0 for along in costs.values() for cost in along)
    assert capsys.readouterr().out.count("Setting") == 9


def test_rows_have_just_the_tokens_that_are_asked_for():
    setting = Setting(rows=3, answer=8, vocabulary=64)
    rows = [encode(one.prompt, one.response) for (one,) in Rows("forget", setting).draw(0, 0, 3)]
    assert [(len(prompt), len(response)) for prompt, response in rows] == [(16, 8)] * 3
    assert len({tuple(prompt) for prompt, _ in rows}) == 3
    assert all(0 <= token < 64 for row in rows for part in row for token in part)
    assert Rows("retain", setting).draw(0, 0, 3) != Rows("forget", setting).draw(0, 0, 3)


def test_a_line_is_found_with_its_constant():
    fit = fitted([1, 2, 4, 8], [5, 7, 11, 19])
    assert (fit.constant, fit.slope) == pytest.approx((3, 2))
    assert fit.residual == pytest.approx(0, abs=1e-9)
    assert fit.exponent == pytest.approx(1, abs=1e-3)
    assert fit.doubling == pytest.approx(19 / 11)
    assert fit.share(8) == pytest.approx(3 / 19)


def test_a_square_is_no_line():
    fit = fitted([1, 2, 4, 8], [4, 7, 19, 67])  # 3 + x^2
    assert fit.exponent == pytest.approx(2, abs=1e-3)
    assert fit.residual > 0.2
    costs = {"rows": [Cost(1, 1e9), Cost(4, 2e9), Cost(16, 4e9), Cost(64, 8e9)]}
    seconds, peak = table({"rows": (1, 2, 4, 8)}, costs).splitlines()[2:]
    assert "4.00: more than linear" in seconds
    assert "more than linear" not in peak


def test_a_repetition_that_was_disturbed_does_not_count():
    given = iter([Cost(9.0, 1), Cost(3.0, 2), Cost(4.0, 6)])
    assert measured({"rows": [1]}, SMALL, 3, lambda _: next(given)) == {"rows": [Cost(3.0, 2)]}


def test_the_picture_has_a_panel_a_cost_and_axis(tmp_path):
    values = {"rows": (1, 2, 4, 8), "layers": (1, 2, 4, 8)}
    figure = drawn(values, {axis: [Cost(n, n * 1e9) for n in along] for axis, along in values.items()})
    figure.savefig(tmp_path / "growth.png")
    labels = [(panel.get_xlabel(), panel.get_ylabel()) for panel in figure.axes]
    assert labels == [
        ("rows a stream", "CPU seconds a step"),
        ("layers", ""),
        ("rows a stream", "peak memory, GB"),
        ("layers", ""),
    ]
