"""What a paper's rows say is held against what would read them, whether or not the run takes the row."""

import copy

import pytest
from composed import composed
from omegaconf import OmegaConf

from unlearnkit.errors import UserError
from unlearnkit.settings.check import check
from unlearnkit.settings.run import Run


@pytest.fixture(scope="module")
def sku():
    return composed("+method=sku", "model=tiny")


def changed(config, key, value):
    config = copy.deepcopy(config)
    OmegaConf.update(config, key, value, merge=False, force_add=True)
    return config


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("max_steps", "two", "=two, and it takes a whole number at least 1, or null"),
        ("max_steps", True, "=true, and it takes a whole number"),
        ("batch_size", [2], "=[2], and it takes a whole number"),
        ("learning_rate", "fast", "=fast, and it takes a number at least 0"),
        ("learning_rates", {"sku": -1}, ".sku=-1, and it takes a number at least 0"),
        ("schedule", "lineer", "=lineer"),
        ("eps1", "much", "=much, and it takes a number"),
        ("eps3", "much", "=much, and it takes what stages.acquire.terms.preservation_divergence.weight reads"),
        ("eval_every", -1, "=-1, and it takes a whole number at least 0"),
    ],
)
@pytest.mark.parametrize("row", ["llama2-7b", "smollm2-135m", "a-new-one"])
def test_a_wrong_value_of_a_row_that_is_not_taken(sku, row, key, value, said):
    with pytest.raises(UserError) as caught:
        check(changed(sku, f"paper.rows.{row}", {key: value}), Run)
    assert caught.value.what.startswith(f"paper.rows.{row}.{key}{said}")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("rates.lora.any", "fast", "paper.rates.lora.any=fast, and it takes"),
        ("rates.whole.1B", -1e-5, "paper.rates.whole.1B=-1e-05, and it takes"),
        ("rates.lora.big", 1e-5, "Nothing reads 'paper.rates.lora.big'"),
        ("teaching.adapter", {"any": 1e-3}, "Nothing reads 'paper.teaching.adapter'"),
        ("teaching.lora.4B", 0, "paper.teaching.lora.4B=0, and it takes"),
    ],
)
def test_a_rate_that_is_none_in_a_table_that_is_not_reached(sku, key, value, said):
    with pytest.raises(UserError) as caught:
        check(changed(sku, f"paper.{key}", value), Run)
    assert caught.value.what.startswith(said)


@pytest.mark.parametrize("key", ["paper", "paper.row", "paper.rows", "paper.rows.tiny", "paper.rows.llama2-7b"])
@pytest.mark.parametrize("value", ["two", 2, [1]])
def test_what_is_no_table(sku, key, value):
    with pytest.raises(UserError, match=f"{key}=.*, and it takes a mapping"):
        check(changed(sku, key, value), Run)


@pytest.mark.parametrize("value", [{"max_steps": None, "epochs": 3}, {"learning_rates": {"sku": 1e-3}}, {}])
def test_a_right_row(sku, value):
    check(changed(sku, "paper.rows.mine", value), Run)


@pytest.mark.parametrize(
    "words",
    [
        ("+method=dpo", "data=concepts", "model=llama2-7b", "eval=concepts"),
        ("+method=memflex", "data=authors"),
        ("+method=memit_entropy", "data=facts", "model=tiny", "eval=facts"),
        ("+method=ga", "data=knowundo_copyright"),
        ("+method=ga", "data=knowundo_privacy"),
    ],
)
def test_our_own_rows(words):
    check(composed(*words), Run)
