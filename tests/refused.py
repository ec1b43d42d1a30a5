"""Six configs, the wrong values of every key there, and what is said of one."""

import copy
import functools
import math

import pytest
from composed import composed
from omegaconf import OmegaConf

from unlearnkit.errors import UserError
from unlearnkit.settings.check import check
from unlearnkit.settings.run import Run

CONFIGS = (
    ("+method=sku", "model=tiny"),
    ("+method=memflex", "model=smollm2-135m", "data=authors", "eval=[scopes,krs,general]"),
    ("+method=memit_entropy", "data=facts", "model=tiny", "eval=facts", "judge=openai", "logger=none"),
    ("+method=dpo", "data=concepts", "model=llama2-7b", "eval=[concepts,safety_paper]", "judge=classifier"),
    ("+method=npo", "data=saferlhf", "model=opt-2.7b"),
    ("+method=ga", "data=knowundo_copyright", "eval=scope_classifier_paper"),
)
# What no key takes whose value is of that type; a number of steps may be a share, and 5 is a name of a concept.
WRONG = {
    bool: ["no", 3, [True], {"a": 1}],
    int: ["two", -7, True, [1], {"a": 1}, math.nan],
    float: ["abc", math.nan, math.inf, True, [0.1], {"a": 1}],
    str: [True, {"a": 1}],
    type(None): [{"nosuch": 1}],
    list: [5, True, {"a": 1}],
}


@functools.cache
def config(*words):
    return composed(*words)


def refused(words, key=None, value=None):
    cfg = copy.deepcopy(config(*words))
    if key is not None:
        OmegaConf.update(cfg, key, value, merge=False, force_add=True)
    with pytest.raises(UserError) as caught:
        check(cfg, Run)
    assert "\n" not in caught.value.what + caught.value.fix
    return caught.value


def leaves(part, path=""):
    if isinstance(part, dict):
        for key, value in part.items():
            yield from leaves(value, f"{path}.{key}".removeprefix("."))
    else:
        yield path, part


def wrong_values():
    """(words, key, a value that it cannot take), of every key of six configs; a chat template takes any arguments."""
    for words in CONFIGS:
        for key, value in leaves(OmegaConf.to_container(config(*words), resolve=True)):
            if not key.startswith(("paper.", "deepspeed.", "model.template.arguments")):
                yield from ((words, key, wrong) for wrong in WRONG[type(value)])
