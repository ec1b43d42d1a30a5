"""Which sets an evaluation is of: by name, by role, by a paper's name, and what is refused."""

import pytest

from unlearnkit.data.examples import Data, Example
from unlearnkit.errors import UserError
from unlearnkit.evaluations.sets import check_known, check_measures, find_sets, members
from unlearnkit.measures import HarmfulRate, HarmonicMean, KSTest, Mean, Perplexity, Success

ROWS = {"test": [Example("1", "p", "r")]}
MEASURES = {"hits": Success(), "mean": Mean({"forget": "hits", "kept": "hits"})}


def data(**roles):
    """Sets by name, each with its role."""
    return Data("made", {}, dict.fromkeys(roles, ROWS), roles)


TWO = data(gone="forget", more="forget", kept="retain")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"gone": ["hits"]}, {"gone": ["hits"]}),
        ({"forget": ["hits"]}, {"gone": ["hits"], "more": ["hits"]}),
        ({"unlearn": ["hits"]}, {"gone": ["hits"], "more": ["hits"]}),  # a paper's name of the role
        ({"gone": [], "forget": ["hits"]}, {"gone": [], "more": ["hits"]}),  # one that is named stands for itself
        ({"kept": ["hits"], "both": ["mean"]}, {"kept": ["hits"], "both": ["mean"]}),
        ({"retain": ["hits"], "holdout": ["hits"]}, {"kept": ["hits"]}),  # a role that the data have no set of
    ],
)
def test_sets_by_name_and_by_role(asked, found):
    assert find_sets("own", TWO, asked, MEASURES) == found


@pytest.mark.parametrize(
    ("asked", "what", "fix"),
    [
        ({"kepd": ["hits"]}, "Unknown evaluation set 'kepd'. Did you mean 'kept'?", "Remove it with '~eval.own.sets.k"),
        ({"kept": ["hit"]}, "Unknown measure 'hit' for the set 'kept'. Did you mean 'hits'?", "Set eval.own.sets.kept"),
        ({"holdout": ["hits"]}, "eval.own measures holdout, and the data 'made' has gone (forget), mor", "Choose an"),
        ({"both": ["mean"]}, "eval.own measures both, and the data 'made' has gone (forget)", "Choose an evaluation"),
        ({}, "eval.own measures nothing, and the data 'made' has gone (forget)", "Choose an evaluation"),
    ],
)  # fmt: skip
def test_sets_that_there_are_not(asked, what, fix):
    with pytest.raises(UserError) as told:
        find_sets("own", TWO, asked, MEASURES)
    assert told.value.what.startswith(what) and told.value.fix.startswith(fix)


def test_members_of_a_side():
    assert members("gone", TWO) == ["gone"]
    assert members("forget", TWO) == ["gone", "more"]
    assert members("forget", data(forget="retain", gone="forget")) == ["forget"]  # a set's own name comes first
    assert members("general", TWO) == []


@pytest.mark.parametrize(
    ("measure", "what"),
    [
        (
            HarmfulRate(),
            "The measure 'm' reads 'harmful' of a record, which nothing here gives; there are: answer_h",
        ),
        (Mean({"kept": ["hits", "harm"]}), "The measure 'harm' reads 'harmful' of a record, which nothing here gives;"),
        (KSTest("harm", "kept"), "The measure 'harm' reads 'harmful' of a record, which nothing here gives;"),
        (Mean({"forget": "none"}), "The measure 'm' is of 'none', which is no measure of records."),
        (Mean({"forget": "m"}), "The measure 'm' is of 'm', which is no measure of records."),
        (HarmonicMean({"kept": "odd"}), "The measure 'm' is of 'odd', whose values do not all lie between 0 and 1"),
        (
            Mean({"holdout": "hits"}),
            "The measure 'm' is of 'holdout', and the data 'made' has no such set or role:",
        ),
    ],
)
def test_what_cannot_be_measured(measure, what):
    measures = {"hits": Success(), "odd": Perplexity(), "harm": HarmfulRate(), "m": measure}
    with pytest.raises(UserError) as told:
        check_measures("own", TWO, {"gone": ["m"]}, measures, ["answer_hits"])
    assert told.value.what.startswith(what)


def test_a_ks_test_takes_values_anywhere():
    measures = {"odd": Perplexity(), "m": KSTest("odd", "kept")}
    check_measures("own", TWO, {"gone": ["m"]}, measures, ["response", "reference_log_probs"])


def test_a_measure_that_there_is_not():
    check_known(["hits"], MEASURES, "here", "Mend it")
    with pytest.raises(UserError, match="Unknown measure 'hit' here. Did you mean 'hits'.* Valid: hits, mean\nMend"):
        check_known(["hits", "hit"], MEASURES, "here", "Mend it")
