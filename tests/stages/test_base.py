"""Previews of the stages to come, and nothing left behind."""

import contextlib

from unlearnkit.stages.base import Context, Stage, previewed


class Add(Stage):
    """Adds to a number, which stands in for a model; its preview can be taken back."""

    def __init__(self, amount):
        self.amount = amount

    def __call__(self, model, context):
        return model + self.amount

    @contextlib.contextmanager
    def preview(self, model, context):
        yield model + self.amount


def test_only_the_stages_after_the_running_one_are_previewed(tmp_path):
    stages = [("first", Add(1)), ("second", Add(10)), ("third", Add(100))]
    seen = {}
    for name, _ in stages:
        with previewed(0, stages, Context({}, 0, tmp_path, stage=name)) as model:
            seen[name] = model
    assert seen == {"first": 110, "second": 100, "third": 0}
