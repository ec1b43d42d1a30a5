"""What goes to TensorBoard is read back from its files by its own reader."""

import importlib.util
import json
import sys

import pytest
from composed import composed
from hydra.utils import instantiate
from written import metrics, scores

from unlearnkit.errors import UserError
from unlearnkit.run import run
from unlearnkit.runs.tensorboard import TensorBoard

HERE = importlib.util.find_spec("tensorboard") is not None
needed = pytest.mark.skipif(not HERE, reason="the package tensorboard is not installed")
ANSWERS = [{"set": "unseen", "prompt": f"a{n}?", "before": "b", "after": None} for n in range(3)]


def read(folder):
    """Tag -> (step, value) pairs, and tag -> texts."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0, "scalars": 0}).Reload()
    tags = events.Tags()
    scalars = {tag: [(e.step, pytest.approx(e.value)) for e in events.Scalars(tag)] for tag in tags["scalars"]}
    texts = {tag: [e.tensor_proto.string_val[0].decode() for e in events.Tensors(tag)] for tag in tags["tensors"]}
    return scalars, texts


@needed
def test_a_run_holds_its_curves_numbers_and_answers(tmp_path):
    tracker = TensorBoard(answers=2)
    tracker.start({"method": "sku", "judge": {"api_key": "sk-0123456789abcdef0123"}}, tmp_path)
    tracker.point({"stage": "acquire", "step": 0, "safety/normal/perplexity": 8.0})
    tracker.log({"stage": "acquire", "step": 1, "loss": 2.5, "terms/forget": 1.5})
    tracker.log({"stage": "acquire", "step": 2, "loss": 1.5})
    tracker.point({"stage": "acquire", "step": 2, "safety/normal/perplexity": 9.0, "krs/attention/layer_00": 1.0})
    after = metrics(0.03, 19.0) | {"krs": {"attention": scores(0.1, 0.6)}}
    tracker.finish({"before": metrics(0.55, 18.5), "after": after, "attacks": []}, ANSWERS)
    scalars, texts = read(tmp_path)
    assert scalars["train/acquire/loss"] == [(1, 2.5), (2, 1.5)]
    assert scalars["train/acquire/terms/forget"] == [(1, 1.5)]
    assert scalars["curve/safety/normal/perplexity"] == [(0, 8.0), (2, 9.0)]
    assert scalars["krs/attention"] == [(0, 0.1), (1, 0.6)]
    assert not any("layer_" in tag for tag in scalars)
    assert {tag.partition("/")[0] for tag in scalars} == {"train", "curve", "krs", "before", "after"}
    (answers,) = [found for tag, found in texts.items() if tag.startswith("answers/unseen")]
    assert len(answers) == 2 and "a1?" in answers[1] and "None" not in answers[1]
    (config,) = [found for tag, found in texts.items() if tag.startswith("config")]
    assert "method: sku" in config[0] and "0123456789" not in config[0]


@needed
def test_a_whole_run_tells_tensorboard_what_metrics_json_says(tmp_path):
    small = ("eval.safety.limit=2", "eval.safety.max_new_tokens=4", "eval.safety.curve_limit=1")
    quick = ("model=tiny", "logger=tensorboard", "train.max_steps=2", "eval_every=1")
    run(composed("+method=sku", *quick, *small), tmp_path)
    scalars, _ = read(tmp_path)
    raw = json.loads((tmp_path / "metrics.json").read_text())
    number = raw["after"]["safety"]["normal"]["answer_perplexity"]["value"]
    assert scalars["after/safety/normal/answer_perplexity"] == [(0, number)]
    assert len(scalars["train/acquire/loss"]) == 2 and len(scalars["curve/safety/normal/answer_perplexity"]) == 3


def test_without_the_package_two_lines_say_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install tensorboard"):
        TensorBoard()


@pytest.mark.skipif(HERE, reason="the package tensorboard is installed")
def test_the_option_says_so_before_a_model_is_loaded(tmp_path):
    with pytest.raises(Exception, match="needs the package tensorboard"):
        run(composed("+method=npo", "model=tiny", "logger=tensorboard"), tmp_path)
    assert instantiate(composed("logger=none").logger)
