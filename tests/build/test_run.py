"""Whole builds against a real HTTP server: the files, going on after a failure, malformed answers."""

import json
import time

import pytest

from unlearnkit.build.run import run
from unlearnkit.data import knowundo
from unlearnkit.errors import UserError

NAMES = ("+domain=privacy", "names=[Ida Moser,Jon Fell,Uma Rao]")


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k")


def written(tmp_path):
    return {path.name: json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()}


def failed(cfg):
    with pytest.raises(UserError) as caught:
        run(cfg)
    assert len(str(caught.value).splitlines()) == 2
    return caught.value


def test_a_data_set_that_the_loader_reads(serve, config, replies, tmp_path, capsys):
    run(config(serve(replies["privacy"]), *NAMES, "price_per_million={input: 1, output: 10}"))
    files = written(tmp_path)
    assert {name: len(rows) for name, rows in files.items() if name != "build.json"} == {
        "unlearn_train.json": 24,
        "unlearn_val.json": 6,
        "retention_train.json": 24,
        "retention_val.json": 6,
        "full.json": 60,
    }
    assert all(set(row) == {"text", "labels"} for row in files["full.json"])
    for name in ("Ida Moser", "Jon Fell", "Uma Rao"):
        assert sum(name in row["text"] for row in files["unlearn_val.json"]) == 2
    told = files["build.json"]
    assert told["requests"]["asked"] == {
        "requests": 6,
        "prompt_tokens": 600,
        "completion_tokens": 60,
        "uncounted": 0,
    }
    assert told["requests"]["cost"] == {"this_run": pytest.approx(0.0012), "all": pytest.approx(0.0012)}
    assert (told["skipped"], told["refused"], told["duplicates"]) == ([], [], [])
    assert told["names"]["Uma Rao"]["unlearn"] == 10 and told["settings"]["server"]["model"] == "m"
    shown = capsys.readouterr().out
    assert "6 requests done, 0 of them cached; 0 answers refused; 600 prompt and 60 completion tokens" in shown
    assert "cost 0.0012" in shown and "60 rows (unlearn 30, retention 30) of 3 names" in shown

    data = knowundo.load("mine", "privacy", str(tmp_path / "out"), validation=2)
    assert data.sets  # the loader refuses a folder that lacks a scope or a file


def test_running_again_asks_nothing_and_gives_the_same(serve, config, replies, tmp_path):
    server = serve(replies["copyright"])
    cfg = config(server, "+domain=copyright", "names=[Emma,The New Book]")
    run(cfg)
    first = written(tmp_path)
    run(cfg)
    second = written(tmp_path)
    assert len(server.bodies) == 60
    assert second.pop("build.json")["requests"]["cached"]["requests"] == 60
    first.pop("build.json")
    assert first == second and len(first["full.json"]) == 44


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_server_that_stops_halfway_and_going_on(serve, config, replies, tmp_path, concurrency, capsys):
    def half(prompt, number):
        return replies["copyright"](prompt) if number <= 20 else (503, {"error": {"message": "going down"}})

    first = serve(half)
    overrides = ("+domain=copyright", "names=[Emma,The New Book]", f"concurrency={concurrency}")
    error = failed(config(first, *overrides))
    done = range(21 - concurrency, 21)  # an answer on its way is kept, but counted a moment later
    assert "answered 503" in error.what
    assert error.what.endswith(tuple(f"{count} requests were done." for count in done))
    assert "run the same command again" in error.fix
    told = capsys.readouterr().err
    assert any(f"{count} requests done" in told for count in done)
    assert written(tmp_path) == {}

    second = serve(replies["copyright"])
    run(config(second, *overrides))
    assert len(second.bodies) == 40
    assert len(written(tmp_path)["full.json"]) == 44


def test_a_malformed_answer_is_asked_for_again_at_another_seed_and_temperature(serve, config, replies, tmp_path):
    def second_time(prompt, number):
        return "Sure, here it is!" if number == 1 else replies["privacy"](prompt)

    server = serve(second_time)
    run(config(server, "+domain=privacy", "names=[Ida]", "seed=5"))
    assert [(body["seed"], body["temperature"]) for body in server.bodies] == [(5, 0.7), (6, 0.8), (5, 0.7)]
    told = written(tmp_path)["build.json"]
    assert told["refused"] == [
        {
            "name": "Ida",
            "step": "profile",
            "attempt": 1,
            "why": "'Sure, here it is!' is no line of name, genre, born, awards, parents, email, address",
            "answer": "Sure, here it is!",
        }
    ]
    assert told["skipped"] == [] and told["requests"]["refused"] == 1


def test_what_stays_malformed_is_skipped_and_told(serve, config, replies, tmp_path, capsys):
    def lazy(prompt, number):
        wanted = "Write 20 different questions" in prompt and "Jon Fell" in prompt
        return "1. Who is Jon Fell?" if wanted else replies["privacy"](prompt)

    server = serve(lazy)
    run(config(server, *NAMES, "attempts=2"))
    told = written(tmp_path)["build.json"]
    assert len(server.bodies) == 7 and told["rows"]["full.json"] == 40
    assert [(entry["name"], entry["step"], entry["attempt"]) for entry in told["skipped"]] == [
        ("Jon Fell", "questions", 2)
    ]
    assert "Skipped: questions of 'Jon Fell': 1 lines and not 60" in capsys.readouterr().out


def test_too_many_malformed_answers_end_the_build(serve, config, tmp_path):
    server = serve("I am a parrot.")
    error = failed(config(server, *NAMES, "attempts=2", "concurrency=1"))
    assert error.what.startswith("1 of the 1 requests for 'Ida Moser' had only malformed answers: profile: 'I am a")
    assert "max_failed (now 0.5)" in error.fix
    assert len(server.bodies) <= 4 and written(tmp_path) == {}


def test_nothing_left(serve, config):
    error = failed(config(serve("I am a parrot."), *NAMES, "attempts=1", "max_failed=1"))
    assert error.what.startswith("No row is left in the unlearn scope: profile: 'I am a parrot.'")


def test_answers_that_are_cut_off_are_refused(serve, config, replies):
    def cut(prompt, number):
        return 200, replies["completion"](replies["privacy"](prompt), finish="length")

    error = failed(config(serve(cut), *NAMES, "attempts=1"))
    assert "cut off at server.max_tokens=3000" in error.what


def test_concurrency_is_bounded_and_used(serve, config, replies):
    def slow(prompt, number):
        time.sleep(0.03)
        return replies["copyright"](prompt)

    server = serve(slow)
    run(config(server, "+domain=copyright", "names=[Emma,The New Book,A Third]", "concurrency=3"))
    assert server.busiest == 3


def test_an_output_that_cannot_be_written_in_the_end(serve, config, replies, tmp_path):
    (tmp_path / "out" / "full.json").mkdir(parents=True)
    error = failed(config(serve(replies["privacy"]), *NAMES))
    assert "out cannot be written: Is a directory" in error.what and "nothing is asked again" in error.fix


def test_a_data_set_from_elsewhere_is_not_overwritten(serve, config, replies, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "unlearn_train.json").write_text("[]")
    server = serve(replies["privacy"])
    assert "holds a data set from elsewhere" in failed(config(server, *NAMES)).what
    assert server.bodies == [] and (tmp_path / "out" / "unlearn_train.json").read_text() == "[]"


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("attempts=0", "attempts=0 is not a whole number from 1 to 100."),
        ("concurrency=0", "concurrency=0 is not a whole number from 1 to 1000."),
        ("max_failed=2", "max_failed=2 is not a number from 0 to 1."),
        ("validation=0.9", "validation=0.9 is not a number from 0.01 to 0.5."),
        ("seed=x", "seed=x is not a whole number from 0 to 2.14748e+09."),
        ("names=[Ida,ida]", "names has 'ida' twice."),
        ("output=/proc/nowhere", "/proc/nowhere cannot be written: No such file or directory"),
    ],
)
def test_bad_settings_are_told_before_anything_is_asked(serve, config, override, what):
    server = serve("x")
    assert failed(config(server, *NAMES, override)).what == what
    assert server.bodies == []
