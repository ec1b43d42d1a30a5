"""Keywords become words that Hydra reads as what they were."""

from pathlib import Path

import pandas
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from unlearnkit.api.words import words_of, written

VALUES = [
    *(None, True, False, 0, -3, 1.5, 1e-5, 3e20, "plain", "a/b-c.d", "null", "true", "NaN", "inf", "12", "1e3", ""),
    *("two words", "it's", 'say "x"', "a\\", "a\\'b", "\\\\", "a=b,c", "[1,2]", "{a:1}", "comma, ", " lead", "é漢"),
    *("tab\there", "line\nbreak", "~x", "+x", "$x", "#", "%", "a:b", "http://x/y?z=1&w=2", "'", '"', "\\", "a,b"),
    *([], [1, "a b", None], {"a": 1, "b": [True, "x'y"]}, [[1], ["\\'"]], {}),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_read_as_it_was(value):
    (override,) = OverridesParser.create().parse_overrides([f"key={written(value, 'key')}"])
    assert override.value() == value and type(override.value()) is type(value)


def test_keywords_are_words():
    assert words_of(["seed=1"], {"method": "npo", "data": "files", "eval": ["scopes", "general"]}) == [
        "seed=1", "+method=npo", "data=files", "eval=[scopes,general]",
    ]  # fmt: skip
    assert words_of([], {"data": {"path": Path("/x y"), "columns": {"prompt": "q"}}, "train__max_steps": 3}) == [
        "data.path='/x y'", "data.columns={prompt:q}", "train.max_steps=3",
    ]  # fmt: skip
    assert words_of([], {"hydra.run.dir": "out/1", "scale": "cpu"}) == ["hydra.run.dir=out/1", "+scale=cpu"]


def test_an_empty_cell_of_a_frame_is_null():
    frame = pandas.DataFrame({"prompt": ["a", "b"], "response": ["x", float("nan")], "n": pandas.array([1, None])})
    (word,) = words_of([], {"data__forget": frame})
    path = Path(word.partition("=")[2].strip("'"))
    assert path.read_text() == (
        '{"prompt": "a", "response": "x", "n": 1}\n{"prompt": "b", "response": null, "n": null}\n'
    )
