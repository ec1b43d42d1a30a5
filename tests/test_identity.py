import copy
import json

import pytest
import yaml
from composed import composed
from hydra.utils import get_class, get_method, instantiate
from omegaconf import OmegaConf

from unlearnkit.errors import UserError
from unlearnkit.identity import config_in, differences, fingerprint, rename, renamed, resolved
from unlearnkit.probes.__main__ import measure
from unlearnkit.runs.folder import RunFolder

# What configs of the last version before the rooms name and this one has elsewhere.
EARLIER_CLASSES = [
    "unlearnkit.concepts.Concepts",
    "unlearnkit.facts.Facts",
    "unlearnkit.facts.Known",
    "unlearnkit.safety.Safety",
    "unlearnkit.scope_classifier.EmbeddedClassifier",
    "unlearnkit.scope_classifier.TransformerClassifier",
    "unlearnkit.scope_guard.Guard",
    "unlearnkit.scopes.Scopes",
    "unlearnkit.target.Taught",
    "unlearnkit.target.Untaught",
    "unlearnkit.templates.Template",
    "unlearnkit.tracking.Nowhere",
    "unlearnkit.tracking.WandB",
]
EARLIER_MEASURES = [
    "unlearnkit.metrics.bleurt.Bleurt",
    "unlearnkit.metrics.similarity.EncoderSimilarity",
    "unlearnkit.metrics.bleu.bleu",
    "unlearnkit.metrics.harmful_rate.harmful_rate",
    "unlearnkit.metrics.known_rate.forgotten_rate",
    "unlearnkit.metrics.known_rate.known_rate",
    "unlearnkit.metrics.perplexity.answer_perplexity",
    "unlearnkit.metrics.perplexity.perplexity",
    "unlearnkit.metrics.rouge_l.rouge_l",
    "unlearnkit.metrics.similarity.similarity",
    "unlearnkit.metrics.success.average_success",
    "unlearnkit.metrics.success.retention_success",
    "unlearnkit.metrics.success.retention_success_whole",
    "unlearnkit.metrics.success.unlearn_success",
    "unlearnkit.metrics.success.unlearn_success_whole",
]
EARLIER_FUNCTIONS = ["unlearnkit.tiny.load"]
# And what they name that stood in its place already.
STAYED_CLASSES = [
    "unlearnkit.build.copyright.Copyright",
    "unlearnkit.build.privacy.Privacy",
    "unlearnkit.build.server.ChatServer",
    "unlearnkit.data.streams.MismatchedResponses",
    "unlearnkit.data.streams.Preferences",
    "unlearnkit.general.General",
    "unlearnkit.judges.classifier.ClassifierJudge",
    "unlearnkit.judges.embedded.EmbeddedJudge",
    "unlearnkit.judges.openai.OpenAIJudge",
    "unlearnkit.losses.Adversarial",
    "unlearnkit.losses.DPO",
    "unlearnkit.losses.KL",
    "unlearnkit.losses.NLL",
    "unlearnkit.losses.NPO",
    "unlearnkit.losses.RandomLabels",
    "unlearnkit.probes.krs.KRS",
    "unlearnkit.stages.Finetune",
    "unlearnkit.stages.Locate",
    "unlearnkit.stages.Memit",
    "unlearnkit.stages.Negate",
    "unlearnkit.stages.covariance.Text",
    "unlearnkit.stages.objectives.Search",
]
STAYED_FUNCTIONS = [
    "unlearnkit.data.authors.load",
    "unlearnkit.data.concepts.load",
    "unlearnkit.data.facts.load",
    "unlearnkit.data.knowundo.load",
    "unlearnkit.data.mischief.load",
    "unlearnkit.data.saferlhf.load",
    "unlearnkit.models.load",
]
EARLIER = """
method: ga
model: {_target_: unlearnkit.tiny.load, name: tiny, template: {_target_: unlearnkit.templates.Template, kind: plain}}
target: {_target_: unlearnkit.target.Untaught}
data: {_target_: unlearnkit.data.mischief.load, name: mischief}
eval:
  safety:
    _target_: unlearnkit.safety.Safety
    sets: {unseen: [harmful_rate]}
    metrics: {harmful_rate: {_target_: unlearnkit.metrics.harmful_rate.harmful_rate, _partial_: true}}
stages: {one: {parts: [{_target_: unlearnkit.scope_guard.Guard}, unlearnkit.safety]}}
logger: {_target_: unlearnkit.tracking.WandB, project: unlearnkit}
seed: 0
"""
TODAY = """
method: ga
model:
  _target_: unlearnkit.models.tiny.load
  name: tiny
  template: {_target_: unlearnkit.models.Template, kind: plain}
target: {_target_: unlearnkit.controls.Untaught}
data: {_target_: unlearnkit.data.mischief.load, name: mischief}
eval:
  safety:
    _target_: unlearnkit.evaluations.Evaluation
    sets: {unseen: [harmful_rate]}
    metrics: {harmful_rate: {_target_: unlearnkit.measures.HarmfulRate, _partial_: true}}
stages: {one: {parts: [{_target_: unlearnkit.evaluations.Evaluation}, unlearnkit.safety]}}
logger: {_target_: unlearnkit.runs.tracking.WandB, project: unlearnkit}
seed: 0
"""


def test_what_decides_a_result_makes_its_own_folder():
    def of(*overrides):
        return fingerprint(resolved(composed("+method=sku", "model=tiny", *overrides)))

    plain = of()
    assert of("resume=never") == of("logger=none") == of("train.save_every=1") == of("train.save_limit=9") == plain
    assert of("+scale=smoke") == plain
    others = [of("seed=1"), of("train.max_steps=5"), of("data=authors"), of("model.lora.r=2")]
    assert len({plain, *others}) == 5
    assert fingerprint({"a": {"b": 1, "c": [2]}, "d": 3}) == fingerprint({"d": 3, "a": {"c": [2], "b": 1}})
    # The description of the sweep is no part of it.
    assert of("+sweep=sku_table1", "eval_every=5") == of("+sweep=sku_table2", "eval_every=5")


def test_what_two_configs_say_differently():
    held = {"seed": 0, "train": {"save_every": 2, "steps": 3}, "logger": {"a": 1}, "resume": "auto", "old": {}}
    wanted = {"seed": 1, "train": {"save_every": 9, "steps": 3}, "logger": {"b": 1}, "resume": "never", "new": None}
    assert differences(held, wanted) == [
        "seed is 0 there, 1 here",
        "old is {} there, absent here",
        "new is absent there, None here",
    ]
    assert differences(held, held) == []


@pytest.mark.parametrize("name", [*EARLIER_CLASSES, *STAYED_CLASSES])
def test_a_class_that_an_earlier_config_names_is_there(name):
    assert (renamed(name) == name) == (name in STAYED_CLASSES)
    today = get_class(renamed(name)).__name__
    assert today == name.split(".")[-1] or (today == "Evaluation" and name not in STAYED_CLASSES)


@pytest.mark.parametrize("name", EARLIER_MEASURES)
def test_a_measure_that_an_earlier_config_names_is_there(name):
    assert renamed(name) != name and get_class(renamed(name)).__module__.startswith("unlearnkit.measures.")


@pytest.mark.parametrize("name", [*EARLIER_FUNCTIONS, *STAYED_FUNCTIONS])
def test_a_function_that_an_earlier_config_names_is_there(name):
    assert (renamed(name) == name) == (name in STAYED_FUNCTIONS)
    assert get_method(renamed(name)).__name__ == name.split(".")[-1]


def test_an_earlier_config_is_read_as_if_written_today():
    held, today = yaml.safe_load(EARLIER), yaml.safe_load(TODAY)
    kept = copy.deepcopy(held)
    assert renamed(held) == today and held == kept
    assert differences(held, today) == []
    assert differences({**held, "seed": 1}, today) == ["seed is 1 there, 0 here"]
    # A word that only begins like a name, and a key, are the user's own.
    own = {"unlearnkit.tiny.load": "unlearnkit.tiny.loads", "note": ["see unlearnkit.tiny.load"]}
    assert renamed(own) == own


def test_a_parameter_that_an_earlier_config_names_is_todays():
    target = "unlearnkit.measures.TruthRatio"
    held, today = ({"eval": {"true": {"_target_": target, name: "true"}}} for name in ("told", "form"))
    assert renamed(held) == renamed(today) == today
    assert differences(held, today) == [] and fingerprint(held) == fingerprint(today)
    config = OmegaConf.create(held)
    OmegaConf.set_struct(config, True)
    rename(config)
    assert config == today
    assert renamed({"told": "true"}) == {"told": "true"}  # of no class


def test_a_folders_config_has_todays_names(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 1\nlogger:\n  _target_: unlearnkit.tracking.Nowhere\n")
    assert config_in(tmp_path) == {"seed": 1, "logger": {"_target_": "unlearnkit.runs.tracking.Nowhere"}}


@pytest.mark.parametrize("held", [None, b"", b"seed", b"- seed: 1\n", b"{", b"a: \xff\n", b"a: !!python/tuple [1]\n"])
def test_a_config_that_cannot_be_read_says_nothing(tmp_path, held):
    if held is not None:
        (tmp_path / "config.yaml").write_bytes(held)
    assert config_in(tmp_path) == {}


def test_a_run_goes_on_in_a_folder_of_an_earlier_version(tmp_path):
    (tmp_path / "config.yaml").write_text(EARLIER)
    (tmp_path / "metrics.json").write_text('{"run": {"minutes": 1.0}, "before": null, "after": null, "curve": []}')
    assert RunFolder(tmp_path, yaml.safe_load(TODAY)).metrics["run"] == {"minutes": 1.0}
    with pytest.raises(UserError, match="holds a run of another config: seed is 0 there, 1 here"):
        RunFolder(tmp_path, {**yaml.safe_load(TODAY), "seed": 1})


def test_a_probe_opens_a_folder_of_an_earlier_version(tmp_path):
    """As far as the saved model, which there is none of: all that the old names say has been made by then."""
    config = resolved(composed("+method=ga", "model=tiny", "data=concepts"))
    text = yaml.safe_dump(config)
    back = {
        "unlearnkit.models.tiny.load": "unlearnkit.tiny.load",
        "unlearnkit.models.Template": "unlearnkit.templates.Template",
        "unlearnkit.controls.Untaught": "unlearnkit.target.Untaught",
    }
    for new, old in back.items():
        assert new in text
        text = text.replace(new, old)
    (tmp_path / "config.yaml").write_text(text)
    run = {"method": "ga", "model": "tiny", "data": "concepts", "seed": 0}
    (tmp_path / "metrics.json").write_text(json.dumps({"run": run, "before": {}, "after": {}}))
    with pytest.raises(UserError, match="There is no saved model in"):
        measure(tmp_path)


def test_a_command_line_may_say_an_earlier_name():
    config = composed("model=tiny", "logger=none", "logger._target_=unlearnkit.tracking.Nowhere")
    rename(config)
    assert config.logger._target_ == "unlearnkit.runs.tracking.Nowhere"
    assert type(instantiate(config.logger)).__module__ == "unlearnkit.runs.tracking"


def test_a_key_that_came_later_is_no_difference_at_what_was_done_without_it():
    old, new = {"model": {"name": "x"}}, {"model": {"name": "x", "quantise": None}}
    assert fingerprint(old) == fingerprint(new) and not differences(old, new)
    rounded = {"model": {"name": "x", "quantise": "nf4"}}
    assert fingerprint(rounded) != fingerprint(new)
    assert differences(old, rounded) == ["model.quantise is absent there, nf4 here"]
