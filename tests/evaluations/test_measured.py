"""A measurement of nothing is refused."""

import pytest

from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations, Part, Point
from unlearnkit.evaluations.measured import check_measured
from unlearnkit.records.record import Record


def test_no_records_at_all():
    with pytest.raises(UserError, match="eval.safety measured nothing on the split 'test'"):
        check_measured("safety", "test", [])


def test_one_set_of_which_nothing_was_measured():
    answered = Record("unseen", "a", "What?", "That.", 2)
    with pytest.raises(UserError, match="Of the 2 prompts of the set 'normal' in eval.safety none was answered"):
        check_measured("safety", "test", [answered, Record("normal", "b", "Who?"), Record("normal", "c", "Why?")])


@pytest.mark.parametrize("prompt", ["", " ", "\n\t"])
def test_questions_that_are_all_empty(prompt):
    rows = [Record("normal", name, prompt, "x", 1) for name in "ab"]
    with pytest.raises(UserError, match="Every prompt of the set 'normal' in eval.safety is empty"):
        check_measured("safety", "test", rows)
    check_measured("safety", "test", [*rows, Record("normal", "c", "Why?", "x", 1)])


@pytest.mark.parametrize(
    "made",
    [{"tokens": 1}, {"answer_log_probs": [0.0]}, {"scores": {"acc": 0.0}}, {"original": "x"}, {"unlearned_error": 0.0}],
)
def test_whatever_an_evaluation_makes_counts(made):
    check_measured("any", "test", [Record("s", "a", "What?", **made)])


def test_a_text_without_a_question_may_be_scored():
    check_measured("any", "test", [Record("s", "a", "", answer_log_probs=[-1.0])])


class Mode(Part):
    """Sees the mode in which the network is when it is asked without a context of its own."""

    def __init__(self):
        self.seen = []

    def measure(self, model, point, original):
        self.seen.append([module.training for module in model.model.modules()])
        return [Record("s", "a", "What?", "That.", 2)]

    def compute(self, records, seed=0, controls=None):
        return {}


@pytest.mark.parametrize("training", [True, False])
def test_a_measurement_is_without_dropout_and_leaves_the_mode_as_it_was(training, tiny_model):
    tiny_model.model.train(training)
    mode = Mode()
    Evaluations({"mode": mode}, None, 0).measure(tiny_model, Point("test"))
    assert not any(mode.seen[0]) and tiny_model.model.training is training
