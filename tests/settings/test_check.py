"""A config held against what reads it: unknown keys and wrong values, over every key there is."""

import copy
import math
import random

import pytest
from omegaconf import OmegaConf
from refused import CONFIGS, config, leaves, refused, wrong_values

from unlearnkit.errors import UserError
from unlearnkit.losses import Loss
from unlearnkit.settings.check import check, check_hydra, check_merged
from unlearnkit.settings.run import Run


class OwnLoss(Loss):
    """A user's own."""

    def __init__(self, stream, temperature=1.0, weight=1.0):
        super().__init__(stream, weight)
        self.temperature = temperature

    def __call__(self, answers):
        return answers.logits.sum() * 0


@pytest.mark.parametrize("words", CONFIGS, ids=lambda words: words[0])
def test_what_is_written_is_read(words):
    check(config(*words), Run)


def test_a_sample_of_wrong_values_is_refused():
    for words, key, value in random.Random(0).sample(list(wrong_values()), 60):
        refused(words, key, value)


@pytest.mark.long
def test_every_wrong_value_is_refused():
    wrong = []
    for words, key, value in wrong_values():
        try:
            refused(words, key, value)
        except (Exception, pytest.fail.Exception) as error:
            wrong.append(f"{words[0]} {key}={value!r}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


def interpolated(key):
    """The node stands elsewhere, where it is looked at."""
    parent, _, last = key.rpartition(".")
    node = config(*CONFIGS[0])
    return OmegaConf.is_interpolation(OmegaConf.select(node, parent) if parent else node, last)


def test_a_key_that_nothing_reads_is_refused_at_any_depth():
    nodes = {key.rpartition(".")[0] for key, _ in leaves(OmegaConf.to_container(config(*CONFIGS[0]), resolve=True))}
    open_nodes = ("eval.safety.sets", "eval.safety.metrics", "paper", "stages.acquire.terms", "sweep")
    for node in sorted(nodes - {""}):
        parents = [node.rsplit(".", up)[0] for up in range(node.count(".") + 1)]
        if node in open_nodes or node.startswith("paper.row") or any(map(interpolated, parents)):
            continue
        assert f"Nothing reads '{node}.nosuch'" in refused(CONFIGS[0], f"{node}.nosuch", 1).what


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("train.lr", "train.arguments.learning_rate"),
        ("max_steps", "train.max_steps"),
        ("methd", "method"),
        ("batch_size", "train.batch_size"),
        ("learning_rate", "train.arguments.learning_rate"),
        ("train.arguments.learning_rat", "train.arguments.learning_rate"),
        ("paper.rows.tiny.max_stepz", "paper.rows.tiny.max_steps"),
        ("model.lora.alpha", "model.lora.lora_alpha"),
        ("stages.negate.scael", "stages.negate.scale"),
    ],
)
def test_the_key_that_was_meant(key, meant):
    assert f"Did you mean '{meant}'?" in refused(CONFIGS[0], key, 1).what


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("train.arguments.max_steps", 3, "would be overruled"),
        ("train.arguments.lr_scheduler_type", "lineer", "linear, cosine"),
        ("train.epochs", 3, "train.epochs=3 does nothing: train.max_steps=4"),
        ("model.dtype", "fp16", "Did you mean 'bfloat16'?"),
        ("model.name", "../x", "a name without a slash"),
        ("model.lora.lora_dropout", 1, "below 1"),
        ("seed", 2**32, "at most 4294967295"),
        ("stages.acquire._target_", "nosuch.Stage", "cannot be imported"),
        ("stages.acquire._target_", "unlearnkit.losses.NLL", "makes no Stage"),
        ("judge._target_", "unlearnkit.losses.NLL", "makes no Judge"),
        ("data.name", "\ud800", "lone surrogate"),
        ("deepspeed", {"zero_optimization": {"stage": 7}}, "zero_optimization.stage"),
    ],
)
def test_what_is_said_of_a_value(key, value, said):
    assert said in refused(CONFIGS[0], key, value).what


@pytest.mark.parametrize(
    ("words", "key", "value", "said"),
    [
        (0, "stages.acquire.terms.guided_distortion.against", "begin", "is none of what it can be."),
        *((0, "model.dtype", wrong, "Valid: auto, bfloat16, float32") for wrong in ("float16", "fp16", "bf16", "int8")),
        (0, "model.attention", "flash", "Valid: auto, blocks, varlen, flex"),
        (0, "stages.negate.scale", math.inf, "takes a number"),
        (0, "eval.safety.decoding.temperature", 1e-300, "takes a number at least 1e-06"),
        (0, "stages.acquire.terms.guided_distortion.mean", "answer", "Did you mean 'answers'?"),
        (4, "data.test", 0, "takes a whole number at least 1"),
        (1, "stages.locate.region", "randon", "Did you mean 'random'?"),
        (1, "eval.general.limit", 0, "takes a whole number at least 1"),
        (1, "eval.general.limit", 0.5, "takes a whole number at least 1"),
        (1, "eval.general.curve_limit", -1, "takes a whole number at least 1"),
        (1, "eval.general.num_fewshot.mmlu", -1, "takes a whole number at least 0"),
        (1, "eval.general.batch_size", 0, "takes a whole number at least 1"),
        (1, "eval.general.batch_size", "many", "takes a whole number at least 1 or auto"),
        (2, "stages.memit.search.objective", "entrpy", "Did you mean 'entropy'?"),
        (2, "stages.memit.moment_weight", 0, "takes a number above 0"),
        (2, "data.split", "train", "Valid: validation, test"),
        (2, "data.edited", 0, "takes a whole number at least 1"),
        (4, "data.normal.answers", "worst", "Valid: best, correct"),
        (4, "data.max_rows", 0, "takes a whole number at least 1"),
    ],
)
def test_what_cannot_be_is_told_by_its_key(words, key, value, said):
    told = refused(CONFIGS[words], key, value)
    assert told.what.startswith(f"{key}={value}") and said in told.what


def test_epochs_of_a_papers_row_stand_beside_the_steps_of_a_scale():
    plain = OmegaConf.create(OmegaConf.to_container(config(*CONFIGS[0]), resolve=True))
    OmegaConf.update(plain, "train.epochs", 10, force_add=True)
    check(plain, Run, resolved=True)
    with pytest.raises(UserError, match="train.epochs=10 does nothing"):
        check(plain, Run)


def test_a_missing_parameter_is_named():
    cfg = copy.deepcopy(config(*CONFIGS[0]))
    OmegaConf.set_struct(cfg, False)
    del cfg.stages.acquire.terms.guided_distortion["stream"]
    with pytest.raises(UserError, match="stages.acquire.terms.guided_distortion.stream is missing"):
        check(cfg, Run)


def own(**more):
    cfg = copy.deepcopy(config(*CONFIGS[0]))
    term = {"_target_": f"{__name__}.OwnLoss", "stream": "forget", **more}
    OmegaConf.update(cfg, "stages.acquire.terms.own", term, force_add=True)
    return cfg


@pytest.fixture
def importable(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules[OwnLoss.__module__])


def test_a_users_own_loss_takes_its_own_keys(importable):
    check(own(temperature=2.0), Run)
    with pytest.raises(UserError, match="Did you mean 'stages.acquire.terms.own.temperature'"):
        check(own(temprature=2.0), Run)


def test_a_users_own_variable_is_read_by_an_interpolation():
    cfg = copy.deepcopy(config(*CONFIGS[0]))
    OmegaConf.update(cfg, "mine", {"weight": 2.0}, force_add=True)
    cfg.stages.acquire.terms.guided_distortion.weight = "${mine.weight}"
    check(cfg, Run)


def test_hydras_own_keys():
    check_hydra(["hydra.run.dir=x", "+hydra.job.env_set.A=1", "hydra.sweeper.params={}"])
    with pytest.raises(UserError, match="Did you mean 'hydra.run.dir'"):
        check_hydra(["+hydra.run.dirr=x"])


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"])
@pytest.mark.parametrize("value", ["", "''", '""', "' '", "null"])
def test_no_folder_where_hydra_wants_one(key, value):
    with pytest.raises(UserError, match=f"'{key}=' names no folder"):
        check_hydra([f"{key}={value}"])
    check_hydra([f"{key}=.", f"{key}=null-and-void"])


@pytest.mark.parametrize("word", ["stages={}", "eval={}", "+eval={}", "++stages.finetune.terms={ }", "model.lora={}"])
def test_an_empty_mapping_that_would_be_merged(word):
    cfg = config("+method=npo", "model=tiny")
    with pytest.raises(UserError, match="takes nothing out of") as caught:
        check_merged(["+method=npo", "model=tiny", word], cfg)
    key = word.lstrip("+").partition("=")[0]
    assert f"'~{key}.{next(iter(OmegaConf.select(cfg, key)))}'" in caught.value.fix


def test_other_words_are_merged_as_ever():
    words = ["eval=[safety]", "attacks={}", "model.lora={r: 4}", "~eval.safety", "train.select=null"]
    check_merged(words, config("+method=npo", "model=tiny"))
