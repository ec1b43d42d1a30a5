"""Which tensors are chosen: by hand, and what the error offers is tried out."""

import math
import re

import numpy as np
import pytest
import torch

from unlearnkit.errors import UserError
from unlearnkit.stages.region import Tensor, compare, fill, inverted_region, located, random_region, thresholds


def tensors(*rows, size=10):
    """(cosine, gradient) a tensor."""
    return [Tensor(f"t{n}", cosine, gradient, size) for n, (cosine, gradient) in enumerate(rows)]


def names(chosen):
    return [tensor.name for tensor in chosen]


def test_compare_by_hand():
    found = compare("w", torch.tensor([[3.0, 0.0], [0.0, -4.0]]), torch.tensor([[1.0, 2.0], [2.0, 0.0]]))
    assert found == Tensor("w", pytest.approx(3 / 15), 1.75, 4)


def test_compare_equals_plain_loops():
    torch.manual_seed(0)
    unlearn, retention = torch.randn(7, 5) * 1e-6, torch.randn(7, 5) * 1e-3
    pairs = list(zip(unlearn.flatten().tolist(), retention.flatten().tolist(), strict=True))
    dot = sum(a * b for a, b in pairs)
    lengths = math.sqrt(sum(a * a for a, _ in pairs)) * math.sqrt(sum(b * b for _, b in pairs))
    found = compare("w", unlearn, retention)
    assert found.cosine == pytest.approx(dot / lengths, rel=1e-4)
    assert found.gradient == pytest.approx(sum(abs(a) for a, _ in pairs) / 35, rel=1e-5)


def test_no_gradient_counts_as_aligned():
    some, none = torch.tensor([1.0, -3.0]), torch.zeros(2)
    assert compare("w", none, some) == Tensor("w", 1.0, 0.0, 2)
    assert compare("w", some, none) == Tensor("w", 1.0, 2.0, 2)
    assert compare("w", none, none) == Tensor("w", 1.0, 0.0, 2)


def test_thresholds():
    rows = tensors((0.1, 5.0), (0.9, 1.0), (0.4, 3.0), (0.6, 8.0))
    assert thresholds(rows, 0.95, 1e-4) == (0.95, 1e-4)
    assert thresholds(rows, None, 0.0) == (0.5, 0.0)
    assert thresholds(rows[:3], None, None) == (0.4, 3.0)


def test_located_is_strict_in_both():
    rows = tensors((0.1, 5.0), (0.5, 5.0), (0.1, 3.0), (-0.9, 3.1), (0.9, 9.0))
    assert names(located(rows, max_cosine=0.5, min_gradient=3.0)) == ["t0", "t3"]


ROWS = {
    "both conditions, never together": (tensors((0.9, 3e-4), (0.2, 1.2345e-6)), 0.5, 1e-4),
    "no strong tensor": (tensors((0.1, 1.23456e-5), (0.9, 9.8765e-6)), 0.5, 1e-3),
    "no tensor apart": (tensors((0.98765, 3e-3), (0.95, 1e-2)), 0.5, 1e-3),
    "neither": (tensors((0.98765, 3.21e-5), (0.95, 1.2e-7)), 0.5, 1e-3),
    "negative cosines": (tensors((-0.123456, 3e-3), (-0.3, 1e-6)), -0.4, 1e-3),
    "very small gradients": (tensors((0.98765, 1.23e-38), (0.95, 1e-45)), 0.5, 1e-3),
    "no gradient at all": (tensors((1.0, 0.0), (1.0, 0.0)), 0.5, 0.0),
    "a cosine of zero": (tensors((0.0, 1e-2), (0.5, 1e-6)), -0.5, 1e-3),
    "few digits": (tensors((0.3, 0.94), (0.6, 0.011)), 0.3, 0.01),
    "few digits, negative": (tensors((-0.3, 0.697), (-0.011, 0.7)), -0.3, 0.7),
}
rng = np.random.default_rng(0)
ROWS |= {
    f"drawn, {digits} digits": (
        tensors(*((round(c, digits), round(g, digits)) for c, g in rng.uniform(0.3, 1, (2000, 2)))),
        0.3,
        1.0,
    )
    for digits in (2, 4, 12)
}


def offers(rows, max_cosine, min_gradient):
    """What the error's second line says would select a tensor, each as both thresholds."""
    with pytest.raises(UserError) as caught:
        located(rows, max_cosine, min_gradient)
    given = {"max_cosine": max_cosine, "min_gradient": min_gradient}
    told = caught.value.fix.partition("; null")[0].split(" or ")
    found = [{k: float(v) for k, v in re.findall(r"(max_cosine|min_gradient)=([^\s;,]+)", text)} for text in told]
    assert all(found)
    return [{**given, **values} for values in found]


@pytest.mark.parametrize("case", ROWS)
def test_each_threshold_that_the_error_offers_selects(case):
    for offered in offers(*ROWS[case]):
        assert located(ROWS[case][0], **offered)


@pytest.mark.parametrize("digits", [1, 2, 3, 4, 8])
def test_whatever_the_digits(digits):
    for cosine, gradient in np.random.default_rng(digits).uniform(-1, 1, (500, 2)).round(digits):
        row = tensors((float(cosine), abs(float(gradient))))
        for offered in offers(row, float(cosine), abs(float(gradient))):
            assert located(row, **offered)


def test_the_offers_are_near():
    rows, mu, sigma = ROWS["both conditions, never together"]
    first, second = offers(rows, mu, sigma)
    assert first == {"max_cosine": pytest.approx(0.9, rel=2e-3), "min_gradient": sigma}
    assert second == {"max_cosine": mu, "min_gradient": pytest.approx(1.2345e-6, rel=2e-3)}


def test_the_error_says_what_there_is():
    with pytest.raises(UserError) as caught:
        located(tensors((0.9, 3e-4), (0.95, 1e-5)), 0.5, 1e-3)
    assert caught.value.what == (
        "max_cosine=0.5 and min_gradient=0.001 select none of 2 tensors: their cosines are 0.9 to 0.95, their"
        " gradients 1e-05 to 0.0003"
    )


SIZES = [Tensor(f"t{n}", 0.0, 1.0, size) for n, size in enumerate([7, 40, 3, 12, 90, 1, 25, 18])]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("budget", [0, 2, 50, 100, 195, 196])
def test_a_random_region_fills_its_budget(seed, budget):
    chosen = random_region(SIZES, budget, seed)
    used = sum(tensor.size for tensor in chosen)
    assert used <= budget and len(set(names(chosen))) == len(chosen)
    assert all(tensor.size > budget - used for tensor in SIZES if tensor not in chosen)  # nothing left out fits
    assert names(chosen) == names(random_region(SIZES, budget, seed))


def test_seeds_draw_other_regions():
    drawn = [frozenset(names(random_region(SIZES, 60, seed))) for seed in range(40)]
    assert len(set(drawn)) > 5 and set().union(*drawn) == {f"t{n}" for n in range(8)} - {"t4"}  # 90 never fits


def test_an_inverted_region_by_hand():
    rows = [Tensor(f"t{n}", c, 1.0, size) for n, (c, size) in enumerate([(0.1, 6), (0.9, 5), (0.7, 4), (0.8, 3)])]
    rows += [Tensor("t4", 0.2, 1.0, 4), Tensor("t5", 0.3, 1.0, 1)]
    chosen = inverted_region(rows, [rows[0], rows[4]])  # 10 parameters: t1, t3, not t2, then t5
    assert names(chosen) == ["t1", "t3", "t5"]
    assert inverted_region(rows, rows) == []


def test_an_inverted_region_is_disjoint_and_within_budget():
    random = np.random.default_rng(0)
    for _ in range(50):
        rows = [
            Tensor(f"t{n}", float(c), float(g), int(random.integers(1, 50)))
            for n, (c, g) in enumerate(random.uniform(size=(12, 2)))
        ]
        found = located(rows, *thresholds(rows, 1.1, None))
        chosen = inverted_region(rows, found)
        assert not {*names(found)} & {*names(chosen)}
        assert sum(tensor.size for tensor in chosen) <= sum(tensor.size for tensor in found)


def test_fill_skips_what_does_not_fit():
    assert names(fill(SIZES, 20)) == ["t0", "t2", "t5"]  # 7, not 40, 3, not 12, not 90, 1, not 25, not 18
