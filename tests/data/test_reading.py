"""Rows are read before torch is imported, so that a user does not wait for a misspelt path."""

import subprocess
import sys

import pytest

from unlearnkit.data.examples import Data, Example
from unlearnkit.data.reading import check_splits, check_texts
from unlearnkit.errors import UserError

EVERY = """
import importlib, pkgutil, sys
import unlearnkit.data, unlearnkit.data.reading
for module in pkgutil.iter_modules(unlearnkit.data.__path__):
    importlib.import_module(f"unlearnkit.data.{module.name}")
print({"torch", "transformers"} & set(sys.modules))
"""
ROW = Example("a", "Who?", "Ann")
DATA = Data("own", {"forget": [ROW]}, {"forget": {"validation": [ROW], "test": [ROW]}})


def test_no_data_set_waits_for_torch():
    done = subprocess.run([sys.executable, "-c", EVERY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (["dev"], "curve_split=dev is no split of the data 'own'. Valid: validation, test"),
        (["test", "test"], "curve_split=[test,test] names a split twice"),
        ([], "curve_split=[] names no split"),
    ],
)
def test_splits_that_the_data_do_not_have(splits, message):
    check_splits(["validation", "test"], DATA)
    with pytest.raises(UserError) as caught:
        check_splits(splits, DATA)
    assert caught.value.what == message


def test_half_a_character():
    check_texts(DATA)
    broken = Data("own", {"forget": [Example("b", "Who?", "A\ud800")]}, {})
    with pytest.raises(UserError, match="The row 'b' of the data 'own' holds a lone surrogate, half of a character"):
        check_texts(broken)
