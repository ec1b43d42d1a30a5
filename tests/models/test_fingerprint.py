"""The fingerprint of a model: any byte that decides a number changes it, and nothing else does."""

import json
import os
import shutil
from copy import copy
from dataclasses import fields

import pytest
import torch
from conftest import LORA
from safetensors.torch import load_file, save_file

from unlearnkit.content import digest
from unlearnkit.models import load_source, tiny
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.models.templates import Template


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))


def of(source, template=None, dtype="float32", lora=LORA, adapter=None, attention="auto"):
    model = load_source("tiny", str(source), dtype, dict(lora) if lora else None, template or Template(), attention)
    if adapter is not None:
        model.weights.teach(str(adapter))
    return digest(fingerprint(model))


@pytest.fixture
def folder(tmp_path):
    """As people have it: weights in both forms, an index, and all the small files."""
    made = tiny.write(tmp_path / "model")
    torch.save(load_file(made / "model.safetensors"), made / "pytorch_model.bin")
    (made / "pytorch_model.bin.index.json").write_text('{"weight_map": {}}')
    (made / "special_tokens_map.json").write_text("{}")
    (made / "vocab.txt").write_text("a\nb\n")
    (made / "additional_chat_templates").mkdir()
    (made / "additional_chat_templates" / "tool.jinja").write_text("{{ messages }}")
    return made


SMALL = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
    "special_tokens_map.json", "vocab.txt", "additional_chat_templates/tool.jinja", "model.safetensors",
    "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip


def test_those_are_all_its_files(folder):
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == set(SMALL)


@pytest.fixture
def now(folder, lora_model):
    """The fingerprint of a model that was loaded from what the folder holds now."""
    lora_model.weights.source = str(folder)
    return lambda: digest(fingerprint(lora_model))


@pytest.mark.parametrize("name", SMALL)
def test_any_byte_of_any_file(folder, now, name):
    """The same size and date, one bit of a weight or of a word."""
    before, file = now(), folder / name
    about, content = file.stat(), bytearray(file.read_bytes())
    content[-1 if name.endswith("safetensors") else len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert now() != before


@pytest.mark.parametrize("name", ["generation_config.json", "chat_template.jinja", "vocab.txt"])
def test_a_file_that_goes(folder, now, name):
    before = now()
    (folder / name).unlink()
    after = now()
    (folder / f"other-{name}").write_text("x")
    assert len({before, after, now()}) == 3


def test_what_decides_nothing(folder, tmp_path):
    before = of(folder)
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    assert of(folder) == before
    (folder / "README.md").write_text("# A card")
    (folder / ".gitattributes").write_text("x")
    (folder / "checkpoint-5").mkdir()
    (folder / "checkpoint-5" / "optimizer.pt").write_text("x")
    assert of(folder) == before
    assert of(folder.rename(tmp_path / "moved")) == before
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in (tmp_path / "moved").iterdir():
        (linked / path.name).symlink_to(path)
    assert of(linked) == before
    assert of(linked, lora={**LORA, "r": 2}) == before  # no adapter yet


OTHER = {
    "text": "{prompt} Answer:",
    "separator": " ",
    "system": "Be kind.",
    "closed": False,
    "arguments": {"enable_thinking": False},
    "date": "2031-01-02",
}


def test_every_field_of_the_template(folder):
    assert {field.name for field in fields(Template) if field.init} == set(OTHER)
    found = [of(folder)] + [of(folder, Template(**{name: value})) for name, value in OTHER.items()]
    assert len(set(found)) == len(OTHER) + 1


def test_how_it_computes(folder):
    found = [of(folder), of(folder, dtype="bfloat16"), of(folder, dtype="bfloat16", lora=None)]
    found.append(of(folder, attention="blocks"))
    assert len(set(found)) == 4


def test_every_file_of_an_adapter(folder, tmp_path):
    model = load_source("tiny", str(folder), "float32", dict(LORA), Template())
    torch.manual_seed(0)
    model.weights.make_trainable()
    model.save(tmp_path / "adapter")
    before = of(folder, adapter=tmp_path / "adapter")
    assert before != of(folder)
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    write = (tmp_path / "adapter" / "adapter_config.json").write_text
    write(json.dumps({**settings, "base_model_name_or_path": "/elsewhere"}))
    assert of(folder, adapter=tmp_path / "adapter") == before
    write(json.dumps({**settings, "lora_alpha": 16}))
    assert of(folder, adapter=tmp_path / "adapter") != before
    write(json.dumps(settings))
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    next(iter(weights.values()))[0, 0] += 1e-6
    save_file(weights, tmp_path / "adapter" / "adapter_model.safetensors", metadata={"format": "pt"})
    assert of(folder, adapter=tmp_path / "adapter") != before


def test_of_the_hubs_cache(folder, tmp_path, monkeypatch):
    """By what is in the snapshot that is loaded: the same as of a folder with these files."""
    import huggingface_hub

    hub = tmp_path / "hub" / "models--an-org--a-model"
    (hub / "blobs").mkdir(parents=True)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("0" * 40)
    (hub / "snapshots" / ("0" * 40)).mkdir(parents=True)
    for number, path in enumerate(path for path in folder.iterdir() if path.is_file()):
        shutil.copy(path, hub / "blobs" / str(number))
        (hub / "snapshots" / ("0" * 40) / path.name).symlink_to(f"../../blobs/{number}")
    shutil.rmtree(folder / "additional_chat_templates")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    model = load_source("tiny", str(folder), "float32", dict(LORA), Template())
    expected = digest(fingerprint(model))
    hubs = copy(model)
    hubs.weights = copy(model.weights)
    hubs.weights.source = "an-org/a-model"
    assert digest(fingerprint(hubs)) == expected
    (blob,) = [path.resolve() for path in (hub / "snapshots" / ("0" * 40)).iterdir() if "chat" in path.name]
    blob.write_text(blob.read_text() + " ")
    assert digest(fingerprint(hubs)) != expected
    other = copy(hubs)
    other.weights = copy(hubs.weights)
    other.weights.source = "an-org/another"
    assert digest(fingerprint(other)) not in (expected, digest(fingerprint(hubs)))
