"""Every YAML there is composes and instantiates, and the papers' hyperparameters apply by themselves."""

import pytest
from composed import composed
from hydra.utils import get_class, get_method, instantiate
from omegaconf import DictConfig, OmegaConf

from unlearnkit import configuration
from unlearnkit.losses import Loss
from unlearnkit.stages import Stage

METHODS, MODELS = configuration.options("method"), configuration.options("model")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_instantiates(method):
    cfg = composed(f"+method={method}", "model=tiny")
    stages = instantiate(cfg.stages, _convert_="all")
    assert stages and all(isinstance(stage, Stage) for stage in stages.values())
    terms = [term for stage in stages.values() for term in getattr(stage, "terms", {}).values()]
    assert terms and all(isinstance(term, Loss) for term in terms)
    assert cfg.method == method


@pytest.mark.parametrize("group", ["model", "data", "eval", "judge", "logger", "train"])
def test_every_option_composes_and_its_targets_exist(group):
    for option in configuration.options(group):
        cfg = composed(f"{group}={option}", "+method=sku")
        OmegaConf.to_container(cfg, resolve=True)
        for target in targets(cfg):
            found = target.rsplit(".", 1)[1]
            assert callable(get_class(target) if found[0].isupper() else get_method(target)), target


def targets(node):
    if isinstance(node, DictConfig):
        if "_target_" in node:
            yield node["_target_"]
        for key in node:
            yield from targets(node[key])


@pytest.mark.parametrize("model", sorted(set(MODELS) - {"tiny"}))
def test_every_model_names_its_weights(model):
    cfg = composed(f"model={model}")
    assert cfg.model.name == model and cfg.model.hub.count("/") == 1


@pytest.mark.parametrize(
    ("model", "steps", "batch", "rate", "weights"),
    [  # Liu et al. 2024, table 4
        ("opt-2.7b", 1000, 2, 2e-4, (2.5, 2.5, -1.0)),
        ("llama2-7b", 1000, 2, 2e-5, (2.5, 1.0, -0.5)),
        ("llama2-13b", 1000, 1, 2e-4, (2.5, 1.0, -0.5)),
    ],
)
def test_table_4_applies_by_model_name(model, steps, batch, rate, weights):
    acquire = composed("+method=sku", f"model={model}", "data=saferlhf").stages.acquire
    assert (acquire.max_steps, acquire.batch_size, acquire.arguments.learning_rate) == (steps, batch, rate)
    terms = acquire.terms
    assert weights == (
        terms.guided_distortion.weight,
        terms.random_disassociation.weight,
        terms.preservation_divergence.weight,
    )


def test_the_command_line_beats_the_paper():
    cfg = composed("+method=sku", "model=llama2-7b", "train.max_steps=7", "train.arguments.learning_rate=0.1")
    assert cfg.stages.acquire.max_steps == 7 and cfg.stages.acquire.arguments.learning_rate == 0.1
    name = "stages.acquire.terms.random_disassociation.weight"
    assert OmegaConf.select(composed("+method=sku", f"{name}=0"), name) == 0


def test_lora_or_full_weights_as_in_the_paper():
    assert composed("model=opt-2.7b").model.lora is None
    assert composed("model=llama2-7b").model.lora.r == 32
    assert composed("model=llama2-13b").model.lora.r == 16


def test_templates_by_model():
    assert composed("model=llama2-7b").model.template.text == "### Question: {prompt}\n ### Answer:"
    assert composed("model=llama2-7b-chat").model.template.text is None
