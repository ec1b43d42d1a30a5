"""Every YAML there is composes and instantiates, and the papers' hyperparameters apply by themselves."""

import pytest
from composed import composed
from hydra.utils import get_class, get_method, instantiate
from omegaconf import DictConfig, OmegaConf

from unlearnkit import configuration
from unlearnkit.losses import Loss
from unlearnkit.stages import Stage

TOFU = "tofu_Llama-3.2-1B-Instruct_full"
METHODS, MODELS = configuration.options("method"), configuration.options("model")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_instantiates(method):
    cfg = composed(f"+method={method}", "model=tiny", "data=authors")
    stages = instantiate(cfg.stages, _convert_="all")
    assert stages and all(isinstance(stage, Stage) for stage in stages.values())
    terms = [term for stage in stages.values() for term in getattr(stage, "terms", {}).values()]
    assert all(isinstance(term, Loss) for term in terms) and bool(terms) != method.startswith("memit")
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


@pytest.mark.parametrize("model", sorted(set(MODELS) - {"tiny", "hub"}))
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


@pytest.mark.parametrize(
    ("model", "data", "rate", "epochs", "mu", "sigma"),
    [  # Tian et al. 2024, tables 7 and 12
        ("llama2-7b-chat", "copyright", 3e-4, 20, 0.92, 6e-4),
        ("qwen1.5-7b-chat", "copyright", 3e-4, 20, 0.94, 7e-4),
        ("llama2-7b-chat", "privacy", 1e-4, 10, 0.96, 4e-4),
        ("qwen1.5-7b-chat", "privacy", 1e-4, 10, 0.94, 2e-4),
    ],
)
def test_tables_7_and_12_apply_by_model_and_data_name(model, data, rate, epochs, mu, sigma):
    names = (f"model={model}", f"data=knowundo_{data}")
    cfg = composed("+method=memflex", *names)
    teaching = cfg.target.stage
    assert (teaching.epochs, teaching.arguments.learning_rate, teaching.arguments.weight_decay) == (epochs, rate, 1e-4)
    assert (teaching.batch_size, teaching.accumulation) == (64, 4)  # 16 x 4
    assert (cfg.stages.locate.max_cosine, cfg.stages.locate.min_gradient) == (mu, sigma)
    assert list(cfg.stages) == ["locate", "finetune"]
    for method, expected in (("memflex", 3e-4), ("ga", 5e-5), ("ga_gd", 5e-5), ("ga_kl_ood", 5e-5)):
        stage = composed(f"+method={method}", *names).stages.finetune
        assert (stage.max_steps, stage.epochs, stage.batch_size, stage.accumulation) == (None, 2, 16, 16)
        assert (stage.arguments.learning_rate, stage.arguments.weight_decay) == (expected, 0.0)
        assert stage.max_length == 256
    own = composed("+method=memflex", *names, "train.arguments.learning_rate=1")
    assert own.stages.finetune.arguments.learning_rate == 1


def test_memflex_weights_of_the_code_and_of_the_paper():
    weights = {}
    for method in ("memflex", "memflex_plain", "memflex_weighted", "memflex_as_published"):
        terms = composed(f"+method={method}", "data=authors").stages.finetune.terms
        weights[method] = (terms.forget.weight, terms.retain.weight)
    assert weights == {
        **dict.fromkeys(("memflex", "memflex_plain"), (-1.0, 1.0)),
        **dict.fromkeys(("memflex_weighted", "memflex_as_published"), (-0.4, 2.0)),
    }


def test_memflex_is_ga_gd_on_what_is_located():
    terms = {m: composed(f"+method={m}", "data=authors").stages.finetune.terms for m in ("memflex", "ga_gd")}
    assert terms["memflex"] == terms["ga_gd"]


@pytest.mark.parametrize(
    ("method", "rate", "epochs"),
    [  # the best of each method in the UDS study's sweep; OpenUnlearning's defaults where it has none
        ("altpo", 5e-5, 5),
        ("npo_gd", 2e-5, 10),
        ("simnpo", 5e-5, 10),
        ("idk_dpo", 5e-5, 10),
        ("grad_diff", 2e-5, 5),
        ("undial", 1e-4, 10),
        ("wga", 1e-5, 10),
    ],
)
def test_tofu_as_it_was_tuned(method, rate, epochs):
    for model in (("model=llama3.2-1b-instruct",), ("model=hub", f"model.hub=open-unlearning/{TOFU}")):
        cfg = composed(f"+method={method}", *model, "data=files", "paper=tofu", "model.lora=null")
        stage = cfg.stages.finetune
        assert (stage.max_steps, stage.epochs, stage.batch_size, stage.accumulation) == (None, epochs, 32, 4)
        assert (stage.arguments.learning_rate, stage.arguments.weight_decay) == (rate, 0.01)
    terms = stage.terms
    if method == "simnpo":
        assert (terms.forget.weight, terms.forget.beta, terms.forget.margin) == (0.125, 3.5, 3.5)
    assert terms.get("retain", {}).get("weight", 1.0) == (5.0 if method == "grad_diff" else 1.0)


def test_pdu_takes_epsilon_from_the_row():
    for words, expected in (
        (("data=files", "paper=tofu", "model=llama3.2-1b-instruct"), 0.3),
        (("model=tiny",), 5.0),
        (("data=authors", "model=tiny"), 5.0),
        ((), 3.2),  # mischief
        (("data=authors",), 0.3),
        (("data=tofu",), 0.3),
    ):
        assert composed("+method=pdu", *words).stages.finetune.terms.retain.epsilon == expected
    assert composed("+method=pdu", "model=llama2-7b").stages.finetune.terms.retain.epsilon is None


def test_the_template_of_the_paper_whose_data_it_is():
    assert composed("model=llama2-7b-chat", "data=knowundo_privacy").model.template.text == "{prompt}\n\n"
    assert composed("model=llama2-7b-chat").model.template.text is None


def test_sku_mended_ends_with_the_retain_and_the_safe_side():
    """A KL that keeps in place of the divergence that grows; `sku` itself is what it was."""
    cfg = composed("+method=sku_mended")
    assert list(cfg.stages) == ["acquire", "negate", "mend"]
    acquire, mend = cfg.stages.acquire, cfg.stages.mend
    assert {name: term.weight for name, term in acquire.terms.items()} == {
        "guided_distortion": 2.5,
        "random_disassociation": 2.5,
        "preservation_divergence": 2.5,
    }
    assert {name: (term.stream, term.get("weight", 1.0)) for name, term in mend.terms.items()} == {
        "retain": ("retain", 0.5),
        "safe": ("safe", 1.0),
    }
    sku = composed("+method=sku").stages
    assert list(sku) == ["acquire", "negate"] and sku.acquire.terms.preservation_divergence.weight == -0.5
    paper = composed("+method=sku", "model=llama2-7b", "data=saferlhf").stages
    assert (paper.acquire.max_steps, paper.negate.scale) == (1000, 1.0)


def test_sku_mended_falls_in_a_line_to_half_of_its_rate():
    from torch import nn, optim
    from transformers import get_scheduler

    told = composed("+method=sku_mended").stages.acquire
    optimiser = optim.AdamW([nn.Parameter()], lr=told.arguments.learning_rate)
    kwargs = dict(told.arguments.lr_scheduler_kwargs)
    schedule = get_scheduler(told.arguments.lr_scheduler_type, optimiser, 0, told.max_steps, kwargs)
    rates = []
    for _ in range(told.max_steps):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([4e-4 * (1 - step / 40) for step in range(20)])
