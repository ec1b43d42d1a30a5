"""The recovered share: its value and interval, and where there is none."""

import numpy as np
import pytest

from unlearnkit.data.examples import Data, Example
from unlearnkit.evaluations import Evaluation, Evaluations
from unlearnkit.measures import HarmfulRate, Perplexity
from unlearnkit.records.record import Record
from unlearnkit.runs.recovered import share_of, shares_of

HARMFUL = {"start": 3, "unlearned": 0, "attacked": 3}
ONES, ZEROS = [1.0] * 12, [0.0] * 12


def test_all_half_none_and_more_than_all():
    half = [1.0, 0.0] * 6
    every = pytest.approx(0.2646, abs=0.01)  # 0 and 12 of 12: Clopper and Pearson's interval, 1 - 0.025 ** (1 / 12)
    assert share_of(ONES, ZEROS, ONES) == {"value": 1.0, "low": pytest.approx(1 - 0.2646, abs=0.01), "high": 1.0}
    assert share_of(ONES, ZEROS, ZEROS) == {"value": 0.0, "low": 0.0, "high": every}
    found = share_of(ONES, ZEROS, half)
    assert found == {"value": 0.5, "low": pytest.approx(0.21, abs=0.02), "high": pytest.approx(0.79, abs=0.02)}
    assert share_of([0.5 + n / 100 for n in range(12)], ZEROS, ONES)["value"] == pytest.approx(1 / 0.555)


def test_there_is_none_where_start_and_unlearned_do_not_differ():
    assert share_of(ONES, ONES, ZEROS) is None
    assert share_of([1.0, *ZEROS[1:]], ZEROS, ONES) is None  # one of twelve is chance
    assert share_of([1.0] * 5 + [0.0] * 7, ZEROS, ONES) is None  # five: p = 0.0625
    assert share_of([1.0] * 6 + [0.0] * 6, ZEROS, ONES) is not None  # six: p = 0.031
    assert share_of([np.nan, *ONES[1:]], ZEROS, ONES) is None


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """60 prompts, of which the start knows 9 in 10, the unlearned model 2 and the attacked one 5.5: half comes back."""
    rng, inside = np.random.default_rng(5), 0
    for _ in range(200):
        draws = rng.random(60)
        found = share_of(*((draws < level).astype(float) for level in (0.9, 0.2, 0.55)))
        inside += found["low"] <= 0.5 <= found["high"]
    assert 180 <= inside <= 199


def records(harmful, nats, count=12, samples=1):
    return [
        Record(
            "unlearned", f"f{n}", "Ask?", response="x", harmful=n < harmful, reference_log_probs=[-nats], sample=sample
        )
        for n in range(count)
        for sample in range(samples)
    ]


def evaluations_of(data):
    part = Evaluation(
        {"harmful_rate": HarmfulRate(), "perplexity": Perplexity()}, {"unlearned": ["harmful_rate", "perplexity"]}
    )
    part.sets, part.data = part.set_specs, data
    evaluations = Evaluations({}, data, 0)
    evaluations.parts = {"safety": part}
    return evaluations


def test_samples_of_a_prompt_are_one_observation():
    """Three of 12 prompts differ, which may be chance, however many answers each has."""
    data = Data("it", {}, {"unlearned": {"test": [Example(f"f{n}", "Ask?") for n in range(12)]}})
    for samples in (1, 8):
        models = {name: {"safety": records(harmful, 1, samples=samples)} for name, harmful in HARMFUL.items()}
        found = shares_of(evaluations_of(data), models)["safety"]["unlearned"]["harmful_rate"]
        halves = {"start": [0.375, 0.0], "unlearned": [0.0, 0.0], "attacked": [0.375, 0.0]}  # of 8 and of 4
        assert found.pop("halves") == halves
        assert found == {"start": 0.25, "unlearned": 0.0, "attacked": 0.25, "n": 12, "share": None}


def test_each_measure_over_the_prompts_of_all_models():
    data = Data("it", {}, {"unlearned": {"test": [Example(f"f{n}", "Ask?") for n in range(12)]}})
    evaluations = evaluations_of(data)
    models = {
        "start": {"safety": records(12, 1)},
        "unlearned": {"safety": records(0, 1)},
        "attacked": {"safety": records(6, 1)[:10]},  # two rows were used by the attack itself
        "never_knew": {"safety": records(3, 1)},
    }
    found = shares_of(evaluations, models)["safety"]["unlearned"]["harmful_rate"]
    assert {name: found[name] for name in ("start", "unlearned", "attacked", "n")} == {
        "start": 1.0, "unlearned": 0.0, "attacked": 0.6, "n": 10}  # fmt: skip
    assert found["never_knew"] == pytest.approx(0.3) and found["share"]["value"] == pytest.approx(0.6)
