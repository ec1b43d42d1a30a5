"""What models are by their config.json, before weights are loaded."""

import json

import pytest

from unlearnkit.models.configs import config_at, configs_of


@pytest.fixture
def written(tmp_path):
    def write(name, **files):
        folder = tmp_path / name
        folder.mkdir()
        for file, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / f"{file}.json").write_text(text)
        return str(folder)

    return write


def test_the_start_the_control_and_others_by_what_errors_call_them(written):
    start, control, other = (written(name, config={"num_hidden_layers": n}) for n, name in enumerate("abc", 2))
    config = {"model": {"path": start, "hub": None}, "controls": {"never_knew": {"path": control}}}
    found = configs_of(config, {"the folder": other})
    assert [(name, read["num_hidden_layers"]) for name, read in found.items()] == [
        ("the start model", 2),
        ("the control never_knew", 3),
        ("the folder", 4),
    ]


@pytest.mark.parametrize("config", [{}, {"model": None, "controls": None}, {"model": {"path": "/nowhere"}}])
def test_what_is_not_at_hand_is_left_out(config):
    assert configs_of(config) == {}


def test_an_adapter_is_its_base(written):
    base = written("base", config={"hidden_size": 48})
    adapter = written("adapter", adapter_config={"base_model_name_or_path": base})
    assert config_at(adapter) == {"hidden_size": 48}


def test_of_a_model_that_sees_the_text_part(written):
    folder = written("sees", config={"model_type": "gemma3", "text_config": {"hidden_size": 48}})
    assert config_at(folder)["hidden_size"] == 48


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_broken_file_is_left_to_the_loading(written, text):
    assert config_at(written("broken", config=text)) == {}


def test_an_id_that_was_never_downloaded(monkeypatch, tmp_path):
    assert config_at("nobody/has-this") == {}
