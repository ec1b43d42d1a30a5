"""The hash of content: what differs is apart, what is the same is one, what is unknown is refused."""

import enum
import functools
import itertools
import math
import os
import re
from collections import OrderedDict
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from unlearnkit import content
from unlearnkit.content import contents_of, digest, digest_of
from unlearnkit.data.examples import Data, Example
from unlearnkit.models.templates import Template


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Settings:
    name: str = "a"
    rate: float = 0.1
    steps: int | None = 3
    on: bool = False
    nested: tuple = (1, (2,))
    hidden: str = field(default="h", repr=False, compare=False)


@dataclass(frozen=True)
class Others(Settings):
    pass


APART = [
    None, True, False, 0, 1, 2, -1, 2**70, 0.5, 1.0, 0.1, -0.0, 0.0, math.inf, math.nan, "", "1", "1.0", "True", "None",
    "null", "NaN", [], [[]], [1], [1, 2], [2, 1], [[1], 2], ["1"], [None], {}, {"a": 1}, {"a": "1"}, {"a": 1.0},
    {"a": None}, {"b": 1}, {1: "a"}, {"1": "a"}, {None: 1}, {"null": 1}, {True: 1}, {"a": {"b": 1}}, {"a.b": 1},
    {(1, 2): 3}, {"!path": None}, {"!dict": []}, b"", b"1", {1}, {1, 2}, {"1"}, Settings(), Settings("b"), Others(),
    Template(), Template(closed=False), Colour.RED, Colour.BLUE, torch.float32, torch.bfloat16, "torch.float32",
    torch.device("cpu"), torch.device("cuda"), np.dtype("float32"), np.float32(0.1), np.zeros(2), np.zeros((2, 1)),
    np.zeros(2, np.float32), np.array([0.0, 1.0]), torch.zeros(2), torch.zeros(2, dtype=torch.bfloat16),
    torch.ones(2, dtype=torch.bfloat16), Settings, Others, len, os.path.join, Path("/nowhere/at/all"),
    functools.partial(len), functools.partial(round, ndigits=1), functools.partial(round, ndigits=2), "\ud800", "é",
    Example("1", "p", "r"), Example("1", "p", "r", "c"), Example("1", "pr", ""),
]  # fmt: skip


def test_what_differs_is_apart():
    hashes = [digest(value) for value in APART]
    same = [(a, b) for (a, x), (b, y) in itertools.combinations(zip(APART, hashes, strict=True), 2) if x == y]
    assert same == []
    # Neither do they meet inside of other things.
    for wrap in (lambda v: [v], lambda v: {"k": v}, lambda v: Settings(nested=(v,)), lambda v: [0, {"x": [v]}]):
        assert len({digest(wrap(value)) for value in APART}) == len(APART)


SAME = [
    ({"a": 1, "b": {"c": 2, "d": 3}}, OrderedDict(b={"d": 3, "c": 2}, a=1)),
    ([1, [2, 3]], (1, (2, 3))),
    ({1: "a", "b": 2}, {"b": 2, 1: "a"}),
    ({3, 1, 2}, frozenset([2, 3, 1])),
    (np.float64(0.5), 0.5),
    (np.int64(3), 3),
    (np.bool_(True), True),
    (torch.tensor(0.5), 0.5),
    (torch.tensor(3), 3),
    (OmegaConf.create({"a": [1, "${b}"], "b": 2}), {"a": [1, 2], "b": 2}),
    (Settings(), Settings()),
    (torch.arange(6).view(2, 3).T.contiguous().T, torch.arange(6).view(2, 3)),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_what_is_the_same_is_one(first, second):
    assert digest(first) == digest(second)


def test_it_is_the_same_in_every_process():
    # sha256sum of {"a": "x", "b": [1, 2.0, null]}
    expected = "557e1089880810a524193c99e82826cd99030e11aba4da988eb0aee4b66b076d"
    assert digest({"b": [1, 2.0, None], "a": "x"}) == expected


@pytest.mark.parametrize(
    "change", [{"name": "b"}, {"rate": 0.2}, {"steps": None}, {"on": True}, {"nested": (1,)}, {"hidden": "i"}]
)
def test_every_field_of_a_dataclass_counts(change):
    assert digest(replace(Settings(), **change)) != digest(Settings())


def test_every_field_of_any_dataclass_counts():
    """Also one that is added tomorrow: fields are asked for, not listed."""
    for count in range(1, 8):
        made = make_dataclass("Made", [(f"f{n}", int, field(default=n)) for n in range(count)])
        hashes = {digest(made())} | {digest(made(**{f"f{n}": -1})) for n in range(count)}
        assert len(hashes) == count + 1
    data = Data("d", {"forget": [Example("1", "p", "r")]}, {"unseen": {"test": [Example("2", "p")]}})
    rows = [replace(data, name="e"), replace(data, streams={"forget": []}), replace(data, sets={})]
    assert len({digest(part) for part in [data, *rows]}) == 4


class Unknown:
    def __repr__(self):
        return "the same text for all"


@pytest.mark.parametrize(
    "value",
    [Unknown(), [Unknown()], {"a": Unknown()}, lambda: 1, Unknown().__repr__, re.compile("x"), iter([]), object(),
     np.array([None]), Settings(nested=(Unknown(),)), (n for n in [1])],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_an_unknown_type_is_refused(value):
    with pytest.raises(TypeError, match="cannot decide a key of the cache"):
        digest(value)


def test_a_path_stands_for_what_is_in_it(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file.txt").write_text("same")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    before = digest(tmp_path / "one")
    (tmp_path / "one" / ".hidden").write_text("x")
    os.utime(tmp_path / "one" / "deep" / "file.txt", (1, 1))
    assert digest(tmp_path / "one") == before
    (tmp_path / "one" / "deep" / "file.txt").write_text("samf")
    assert digest(tmp_path / "one") != before
    (tmp_path / "two" / "deep" / "file.txt").rename(tmp_path / "two" / "deep" / "other.txt")
    assert digest(tmp_path / "two") != before


@pytest.fixture
def large(tmp_path, monkeypatch):
    monkeypatch.setenv("UNLEARNKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(content, "LARGE", 10)
    file = tmp_path / "files" / "file"
    file.parent.mkdir()
    file.write_bytes(bytes(1000))
    return file


def read(monkeypatch):
    """Files whose bytes are read from here on."""
    files, real = [], content._sha256
    monkeypatch.setattr(content, "_sha256", lambda file: files.append(file.name) or real(file))
    return files


def old(monkeypatch):
    """Time has passed since a file was written."""
    now = content.time.time_ns
    monkeypatch.setattr(content.time, "time_ns", lambda: now() + 10**10)


def test_a_large_file_is_read_once(large, monkeypatch):
    old(monkeypatch)
    files = read(monkeypatch)
    first = digest_of(large)
    assert digest_of(large) == first and contents_of(large.parent)["file"] == first and files == ["file"]
    large.with_name("link").symlink_to(large)
    assert digest_of(large.with_name("link")) == first and files == ["file"]


def test_a_large_file_is_read_again_when_it_was_written_again(large, monkeypatch):
    old(monkeypatch)
    first, about = digest_of(large), large.stat()
    with large.open("r+b") as file:
        file.write(b"x")
    os.utime(large, ns=(about.st_atime_ns, about.st_mtime_ns))  # the same size and date, another change time
    assert digest_of(large) != first


def test_what_was_just_written_is_not_remembered(large, monkeypatch):
    files = read(monkeypatch)
    digest_of(large)
    digest_of(large)
    assert files == ["file", "file"]


@pytest.mark.parametrize("damage", [b"", b"x", b"0" * 64 + b" " + b"0" * 64, b"\xff\xfe", None])
def test_a_damaged_memory_of_digests_is_not_believed(large, damage, monkeypatch):
    old(monkeypatch)
    first = digest_of(large)
    (memory,) = (large.parents[1] / "cache" / "digests").iterdir()
    if damage is None:
        memory.unlink()
        memory.mkdir()
    else:
        memory.write_bytes(damage)
    assert digest_of(large) == first
