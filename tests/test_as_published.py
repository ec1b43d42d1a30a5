"""What the papers' code does beside their text: the rows of their tables take it, by name."""

import pytest
from composed import composed
from hydra.utils import instantiate
from omegaconf import OmegaConf

from unlearnkit.losses import NLL, KLAsPublished
from unlearnkit.settings.yaml import options
from unlearnkit.stages import Finetune
from unlearnkit.sweeps import composing

PRIVACY = ("model=llama2-7b-chat", "data=knowundo_privacy")
LISTED = ("ga_gd", "ga_gd_ood", "ga_kl", "ga_kl_ood", "memflex")
ALONE = ("ga", "random_labels", "adversarial")


def terms(method, *overrides):
    cfg = composed(f"+method={method}", *overrides)
    stages = instantiate(cfg.stages, _convert_="all")
    return {
        name: term for stage in stages.values() if isinstance(stage, Finetune) for name, term in stage.terms.items()
    }


@pytest.mark.parametrize("method", [*LISTED, *ALONE])
def test_knowundo_takes_batches_of_one_with_accumulation(method):
    cfg = composed(f"+method={method}_as_published", *PRIVACY)
    stage = cfg.stages.finetune
    assert (stage.batch_size, stage.accumulation, stage.epochs, stage.max_steps) == (16, 16, 2, None)
    assert all(term.mean == "step" for term in terms(f"{method}_as_published", *PRIVACY).values())
    other = "general" if "ood" in method else "retain"
    wanted = {"forget": other, "retain": other} if method in LISTED else {}
    assert {side: cfg.streams[f"{side}_listed"].retain for side in wanted} == wanted
    assert stage.arguments.learning_rate == (3e-4 if method == "memflex" else 5e-5)


@pytest.mark.parametrize(("method", "steps"), [("ga", 50), *((name, 100) for name in LISTED)])
def test_its_steps(method, steps):
    class Counted:
        def __init__(self, size):
            self.size = size

    stage = instantiate(composed(f"+method={method}_as_published", *PRIVACY).stages.finetune, _convert_="all")
    streams = {"forget": Counted(400), "forget_listed": Counted(800)}
    assert stage.steps(streams) == steps


def test_ga_kl_weighs_a_cross_entropy_over_256_places():
    term = terms("ga_kl_as_published", *PRIVACY)["retain"]
    assert isinstance(term, KLAsPublished) and (term.reads.length, term.weight, term.mean) == (256, 1.0, "step")


def test_memflex_has_its_codes_weights():
    found = terms("memflex_as_published", *PRIVACY)
    assert {name: term.weight for name, term in found.items()} == {"forget": -0.4, "retain": 2.0}


def test_sku_counts_answers_alike_and_takes_no_part_of_kl_off():
    found = terms("sku_as_published", "model=llama2-7b", "data=saferlhf")
    assert [found[name].mean for name in ("guided_distortion", "random_disassociation")] == ["answers"] * 2
    kl = found["preservation_divergence"]
    assert isinstance(kl, KLAsPublished) and (kl.weight, kl.reads.length, kl.mean) == (-0.5, None, "answers")
    for part in ("random", "divergence"):
        assert len(terms(f"sku_no_{part}_as_published", "model=llama2-7b", "data=saferlhf")) == 2


@pytest.mark.parametrize("method", ["sku", "sku_no_random"])
def test_plain_names_are_the_papers_equations(method):
    assert all(term.mean == "tokens" for term in terms(method).values() if isinstance(term, NLL))


@pytest.mark.parametrize("model", ["opt-2.7b", "llama2-7b", "llama2-13b"])
def test_sku_neither_clips_nor_drops_out(model):
    cfg = composed("+method=sku_as_published", f"model={model}", "data=saferlhf")
    arguments = cfg.stages.acquire.arguments
    assert (arguments.weight_decay, arguments.max_grad_norm) == (0.01, 0)
    assert OmegaConf.select(cfg, "model.lora.lora_dropout", default=None) in (None, 0.0)


def test_our_own_rows_clip_as_before():
    arguments = composed("+method=sku").stages.acquire.arguments
    assert (arguments.weight_decay, arguments.max_grad_norm) == (0.0, 1.0)


@pytest.mark.parametrize(("data", "warmup"), [("privacy", 0.1), ("copyright", 0.05)])
def test_a_target_warms_up_for_an_epoch_and_falls_in_a_line(data, warmup):
    arguments = composed("model=llama2-7b-chat", f"data=knowundo_{data}").target.stage.arguments
    assert (arguments.lr_scheduler_type, arguments.warmup_steps) == ("linear", warmup)
    assert composed("data=authors").target.stage.arguments.lr_scheduler_type == "cosine"


def test_memit_on_concepts():
    memit = composed("+method=memit_entropy_as_published", "model=llama2-7b-chat", "data=concepts").stages.memit
    assert (memit.last_layer, memit.layers, memit.moment_weight) == ("facts", 4, 15000)
    assert (memit.search.decay, memit.search.layers, memit.search.objective) == (1e-3, 10, "entropy_as_published")
    facts = composed("+method=memit_empty", "model=llama2-7b-chat", "data=facts").stages.memit
    assert (facts.last_layer, facts.search.decay) == (None, 0.5)


def test_tables_of_knowundo_and_sku_are_of_what_was_published():
    with composing.loader() as loader:  # the sweeps alone: their cells take minutes to compose
        specs = {name: composing.compose_master([f"+sweep={name}"], loader).sweep for name in options("sweep")}
    for name, spec in specs.items():
        if name.startswith(("knowundo", "sku", "dissecting")):
            rows = set(spec.get("rows") or {})
            assert not rows & {*LISTED, "random_labels", "adversarial", "sku", "sku_no_random", "memit_entropy"}, name
    grid = specs["knowundo_table2"].grid
    assert grid["data.validation"] == 0 and "memflex_as_published" in grid["+method"]


def test_words_that_ask_to_refuse_end_before_the_question():
    attack = instantiate(composed("+attack=[refusing]").attacks.refusing)
    assert attack.question("Who is it?").endswith("The request: Who is it?")
