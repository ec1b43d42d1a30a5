"""Resolvers, and errors of Hydra and the system in two lines."""

import pytest
from omegaconf import OmegaConf

from unlearnkit import configuration
from unlearnkit.configuration import exit_with_two_lines, explain
from unlearnkit.errors import UserError


def test_a_table_row_by_a_name_with_a_dot():
    configuration.register_resolvers()
    table = {"rows": {"opt-2.7b": {"a": 1}, "other": {"a": 2}}, "row": "${row:${rows},${name},${rows.other}}"}
    assert OmegaConf.create({**table, "name": "opt-2.7b"}).row.a == 1
    assert OmegaConf.create({**table, "name": "unknown"}).row.a == 2


def test_options_leave_out_what_is_only_inherited_from():
    models = configuration.options("model")
    assert "tiny" in models and not [name for name in models if name.startswith("_")]


def test_an_error_is_two_lines_and_exit_code_2(capsys, monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def fail():
        raise UserError("what arrived", "the fix")

    with pytest.raises(SystemExit) as stopped:
        exit_with_two_lines(fail)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "Error: what arrived\n  Fix: the fix\n"


def test_a_full_disk_names_the_way_out():
    told = explain(OSError(28, "No space left on device", "/x/metrics.json"))
    assert told is not None and told.what.startswith("The run folder ") and " is full: No space left" in told.what
    assert "hydra.run.dir=FOLDER" in told.fix


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    assert explain(ZeroDivisionError()) is None

    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exit_with_two_lines(fail)
