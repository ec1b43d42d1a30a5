"""Where a learning rate stands in stages and in a config."""

from unlearnkit.losses import NLL
from unlearnkit.runs.tuned import config_with, first_training, rate_of, with_rate
from unlearnkit.stages import Finetune, Negate


def stage(rate):
    return Finetune({"a": NLL("s")}, max_steps=1, batch_size=1, arguments={"learning_rate": rate, "weight_decay": 0.1})


def test_the_first_training_and_those_at_its_rate():
    stages = {"turn": Negate(), "one": stage("1e-3"), "two": stage(1e-3), "three": stage(5e-4)}
    assert first_training(stages)[0] == "one"
    assert first_training({"turn": Negate()}) is None
    changed = with_rate(stages, 3e-3)
    assert [rate_of(changed[name]) for name in ("one", "two", "three")] == [3e-3, 3e-3, 5e-4]
    assert changed["one"].arguments["weight_decay"] == 0.1


def test_a_config_says_what_it_was_before():
    rate = {"learning_rate": 1e-3}
    config = {
        "stages": {"locate": {"k": 1}, "one": {"arguments": dict(rate)}, "two": {"arguments": {"learning_rate": 1.0}}},
        "train": {"arguments": dict(rate), "tune": 3},
    }
    assert config_with(config, 3e-3) == {
        "stages": {
            "locate": {"k": 1},
            "one": {"arguments": {"learning_rate": 3e-3}},
            "two": {"arguments": {"learning_rate": 1.0}},
        },
        "train": {"arguments": {"learning_rate": 3e-3}, "tune": 3},
        "tuned": {"default": 1e-3, "rate": 3e-3},
    }
    assert config["train"]["arguments"] == rate
