"""A check without the libraries says what the check with them says, or nothing; each reads in a process of its own."""

import inspect
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from composed import composed
from refused import CONFIGS, refused, wrong_values

from unlearnkit.errors import UserError
from unlearnkit.settings.check import check
from unlearnkit.settings.readers import object_at, reader
from unlearnkit.settings.run import Run
from unlearnkit.settings.yaml import FOLDER, options

TESTS = Path(__file__).parents[1]
TARGET = re.compile(r"_target_: (unlearnkit[\w.]+)")
OF_LIBRARIES = ("transformers.training_args.TrainingArguments", "peft.tuners.lora.config.LoraConfig")
LOADED = """
import json, sys
from settings.test_unloaded import sample, signature  # what is imported by now is no stand-in
"""
UNLOADED = f"""{LOADED}
from unlearnkit.settings import unloaded
sys.meta_path.insert(0, unloaded.Finder())
"""
SIGNATURES = """
print(json.dumps({name: signature(name) for name in sys.argv[1:]}))
"""
REFUSALS = """
import copy
from omegaconf import OmegaConf
from refused import CONFIGS, config
from unlearnkit.errors import UserError
from unlearnkit.settings.check import check
from unlearnkit.settings.run import Run

def said(words, key=None, value=None):
    cfg = copy.deepcopy(config(*words))
    if key is not None:
        OmegaConf.update(cfg, key, value, merge=False, force_add=True)
    try:
        check(cfg, Run)
    except UserError as error:
        return str(error)

print(json.dumps([[said(words) for words in CONFIGS], [said(*wrong) for wrong in sample()]]))
"""
CHOICES = """
import copy
from composed import composed
from unlearnkit.errors import UserError
from unlearnkit.settings.check import check
from unlearnkit.settings.run import Run

told = {}
for word in sys.argv[1:]:
    words = ["model=tiny"] * ("model=" not in word) + ["+method=npo"] * ("+method=" not in word) + [word]
    try:
        check(composed(*words), Run)
    except UserError as error:
        told[word] = str(error)
    except unloaded.Unread:
        told[word] = "read with the libraries"
print(json.dumps(told))
"""
EARLY = """
import sys
from unlearnkit.errors import UserError
from unlearnkit.settings import unloaded

def endless():
    while True:
        pass

def wrong():
    print("not shown")
    import torch
    raise UserError(type(torch).__name__, "mend it")

try:
    unloaded.early(wrong)
except UserError as error:
    print(error)
passed = [unloaded.early(check) for check in (lambda: None, lambda: 1 / 0)]
unloaded.PATIENCE = 1
print([*passed, unloaded.early(endless)], "torch" in sys.modules)
"""


def signature(name):
    """What is known of a target, as plain data; a name's annotation as Python shows it."""
    read = reader(object_at(name))
    hints = {key: repr(hint) for key, hint in read.parameters.items()}
    return [hints, sorted(read.required), read.takes_all, read.makes and read.makes.__name__]


def sample():
    return random.Random(1).sample(list(wrong_values()), 40)


def python(script, *words):
    path = [str(TESTS), str(TESTS.parent)]
    script = f"import sys; sys.path[:0] = {path}\n{script}"
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_target_has_the_signature_that_it_has_with_the_libraries():
    texts = (path.read_text() for path in FOLDER.rglob("*.yaml"))
    targets = sorted({name for text in texts for name in TARGET.findall(text)})
    told = json.loads(python(UNLOADED + SIGNATURES, *targets, *OF_LIBRARIES))
    assert len(targets) > 80
    for name in targets:
        assert told[name] == signature(name), name
        own = inspect.signature(object_at(name)).parameters.values()
        assert list(told[name][0]) == [p.name for p in own if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)], name
    # Enums are not read. The true ones in a process of its own, whatever other tests have imported into this one.
    own_process = json.loads(python(LOADED + SIGNATURES, *OF_LIBRARIES))
    for name in OF_LIBRARIES:
        (hints, required, *_), (true, needed, *_) = told[name], own_process[name]
        assert list(hints) == list(true) and required == needed
        differing = [key for key in hints if hints[key] != true[key]]
        assert len(differing) < 10 and all("Unloaded" in hints[key] for key in differing), differing


def test_what_is_refused_is_refused_in_the_same_words_and_what_is_right_is_not():
    right, wrong = json.loads(python(UNLOADED + REFUSALS))
    assert right == [None] * len(CONFIGS)
    for told, (words, key, value) in zip(wrong, sample(), strict=True):
        assert told in (None, str(refused(words, key, value))), (words, key, value)
    assert sum(told is not None for told in wrong) > 35


@pytest.mark.parametrize("kind", ["chosen", "added"])
def test_no_option_of_any_group_is_refused_for_what_a_library_alone_knows(kind):
    """`deepspeed=zero2` was, whose keys are read from DeepSpeed: there were none."""
    group_of = {"chosen": ["data", "deepspeed", "eval", "judge", "logger", "model", "target", "train"]}
    added = {"method": "+method={}", "attack": "+attack=[{}]", "control": "+control@controls={}"}
    forms = {name: f"{name}={{}}" for name in group_of["chosen"]} if kind == "chosen" else added
    words = [form.format(option) for name, form in forms.items() for option in options(name)]
    told = json.loads(python(UNLOADED + CHOICES, *words))
    with_the_libraries = {word: said(word) for word, sentence in told.items() if sentence != "read with the libraries"}
    assert {word: told[word] for word in with_the_libraries} == with_the_libraries
    assert [word for word in told if word not in with_the_libraries] == (
        [f"deepspeed={name}" for name in ("zero1", "zero2", "zero3", "zero3_offload")] if kind == "chosen" else []
    )


def said(word):
    """What the check with the libraries says of a choice."""
    words = ["model=tiny"] * ("model=" not in word) + ["+method=npo"] * ("+method=" not in word) + [word]
    try:
        check(composed(*words), Run)
    except UserError as error:
        return str(error)
    return None


def test_a_command_with_an_engine_gets_as_far_as_its_stages(tmp_path):
    """In a process that has not imported torch, as a user starts it."""
    words = ["+method=npo", "model=tiny", "data=authors", "deepspeed=zero2", "train.max_steps=0"]
    done = subprocess.run([sys.executable, "-m", "unlearnkit", *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and "Error: train.max_steps=0" in done.stderr, done.stderr


def test_a_check_that_comes_to_nothing_lets_pass_and_leaves_nothing():
    assert python(EARLY).splitlines() == ["Unloaded", "mend it", "[True, False, False] False"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("train.max_steps=-3", "train.max_steps=-3, and it takes"),
        ("train.arguments.learning_rate=fast", "train.arguments.learning_rate=fast, and it takes"),
        ("stages.finetune.terms.forget.beta=abc", "stages.finetune.terms.forget.beta=abc, and it takes"),
        ("curve_split=dev", "curve_split=dev is no split of the data 'mischief'"),
        ("data=files data.forget=gone.csv data.retain=gone.csv", "No file or folder at gone.csv"),
        ("data=tofu data.path=gone", "No data file at gone/retain90.json"),
        ("model=smollm2-135m model.path=gone", "model.path=gone holds no model: there is no such folder"),
    ],
)
def test_what_is_wrong_is_said_before_torch_is_imported(word, message, tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    words = [sys.executable, "-m", "unlearnkit", "+method=npo", "model=tiny", *word.split()]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{TESTS.parent}"}
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 2 and done.stderr.startswith(f"Error: {message}"), done.stderr
