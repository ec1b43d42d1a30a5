"""A cell's words are axes to Hydra while it composes the sweep, and come back as they were written."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from unlearnkit.settings.cells import given, set_aside


@pytest.mark.parametrize(
    "word",
    [
        "target.seed=0", "+method=ga", "++x='${seed}'", "~a", "~a=b", "b=", "c=null", "d=[a,null]", "e={a: 1}", "f=a b",
        'g="it\'s ${x}, [y]="', "h=hf://a/b", "eval@z=q", "i=int('3')", 'j="1"', "+attack=[relearn,samples]",
    ],
)  # fmt: skip
def test_a_word_comes_back_as_it_was_written(word):
    (aside,) = set_aside([word])
    assert aside != word and OverridesParser.create().parse_override(aside).is_discrete_sweep()
    assert given([aside]) == [word]


@pytest.mark.parametrize(
    "word",
    [
        "+sweep=wmdp", "+scale=smoke", "sweep.title=x", "hydra.sweep.dir=x", "hydra/launcher=joblib",
        "seed=0,1", "seed=range(0,3)", "a=choice([1])", "no setting", "p=a(b",
    ],
)  # fmt: skip
def test_the_sweeps_own_words_axes_and_what_is_no_setting_stay(word):
    assert set_aside([word]) == [word] == given([word])
