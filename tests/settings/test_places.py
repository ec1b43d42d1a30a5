"""Folders of one process alone."""

import multiprocessing
from pathlib import Path

import pytest

from unlearnkit.settings import places


@pytest.fixture(autouse=True)
def claiming(monkeypatch):
    monkeypatch.setattr(places, "_claims", True)
    places.unused.cache_clear()
    yield
    places.unused.cache_clear()


def test_a_folder_that_is_there_gets_a_number(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a-2").mkdir()
    name = str(tmp_path / "a")
    assert places.unused(name) == f"{name}-3" == places.unused(name)
    assert (tmp_path / "a-3").is_dir()


def claim(folder, barrier, found):
    places.claim_folders()
    barrier.wait()
    found.put(places.unused(folder))


def test_six_processes_at_once_have_six_folders(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier, found = context.Barrier(6), context.Queue()
    every = [context.Process(target=claim, args=(str(tmp_path / "x" / "run"), barrier, found)) for _ in range(6)]
    for process in every:
        process.start()
    names = {found.get(timeout=60) for _ in every}
    for process in every:
        process.join()
    assert len(names) == 6 and sorted(map(str, (tmp_path / "x").iterdir())) == sorted(names)


def test_a_command_that_only_shows_makes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["unlearnkit", "--cfg", "hydra"])
    assert places.unused(str(tmp_path / "a")) == str(tmp_path / "a") and not (tmp_path / "a").exists()


def test_an_empty_folder_is_taken_away_and_a_used_one_stays(tmp_path):
    empty, used = tmp_path / "outputs" / "ga" / "1", tmp_path / "outputs" / "sku" / "1"
    for folder in (empty, used):
        folder.mkdir(parents=True)
    (used / "config.yaml").write_text("")
    for folder in (empty, used):
        places.remove_empty(folder)
    assert not (tmp_path / "outputs" / "ga").exists() and used.is_dir()


def test_the_working_folder_and_those_above_stay(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    for folder in (tmp_path / "a" / "b", tmp_path / "a", Path(), Path("..")):
        places.remove_empty(folder)
    assert (tmp_path / "a" / "b").is_dir()


def test_what_a_refused_run_wrote_is_taken_away_and_nothing_else(tmp_path):
    refused, begun = tmp_path / "refused", tmp_path / "begun"
    for folder in (refused, begun):
        (folder / "records").mkdir(parents=True)
        (folder / "config.yaml").write_text("")
    (begun / "records" / "before-safety.parquet").write_text("")
    for folder in (refused, begun):
        places.remove_unbegun(folder)
    assert not list(refused.iterdir()) and len(list(begun.rglob("*"))) == 3


@pytest.mark.parametrize(
    ("text", "word"), [("opt-2.7b", "opt-2.7b"), ("../../x", "x"), ("a b/c", "a-b-c"), ("..", "model")]
)
def test_a_word_of_a_path_climbs_nowhere(text, word):
    assert places.word(text) == word
