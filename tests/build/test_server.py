"""The client against a real HTTP server: what is sent, what is kept, and every way in which a server fails."""

import pytest

from unlearnkit.build.server import ChatServer
from unlearnkit.build.tally import Answer
from unlearnkit.errors import UserError

KEY = "sk-do-not-print-me-1234567890"
ASKED = [{"role": "user", "content": "Hello"}]
NULL = {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}


def failed(chat, server, **settings):
    with pytest.raises(UserError) as caught:
        chat(server, **settings).ask(ASKED, 0)
    assert len(str(caught.value).splitlines()) == 2 and KEY not in str(caught.value)
    return caught.value


def test_what_is_asked_and_what_comes_back(serve, chat):
    server = serve("Hi.")
    made = chat(server, temperature=0.5, temperature_step=0.25, max_tokens=9, extra={"top_p": 0.9})
    assert made.ask(ASKED, 7, attempt=2) == Answer("Hi.", True, 100, 10)
    assert server.bodies == [
        {"model": "m", "messages": ASKED, "temperature": 1.0, "max_tokens": 9, "seed": 9, "top_p": 0.9}
    ]
    assert server.keys == {f"Bearer {KEY}"}


def test_what_is_null_is_not_sent(serve, chat):
    server = serve("Hi.")
    chat(server, temperature=None, max_tokens=None).ask(ASKED, None)
    assert server.bodies == [{"model": "m", "messages": ASKED}]


def test_an_answer_is_asked_for_once_and_other_tries_are_others(serve, chat, tmp_path):
    server = serve("Hi.")
    chat(server).ask(ASKED, 0)
    assert chat(server).ask(ASKED, 0) == Answer("Hi.", True, 100, 10, cached=True)
    assert len(server.bodies) == 1
    still = chat(server, temperature=None)
    for attempt in (0, 1, 1):
        still.ask(ASKED, None, attempt)
    assert len(server.bodies) == 3
    assert all(KEY not in path.read_text() for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_a_damaged_cache_file_is_asked_for_again(serve, chat, tmp_path):
    server = serve("Hi.")
    chat(server).ask(ASKED, 0)
    (path,) = (tmp_path / "cache").rglob("answer.json")
    path.write_text('{"text": "H')
    assert chat(server).ask(ASKED, 0) == Answer("Hi.", True, 100, 10)
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    ("received", "answer"),
    [
        (NULL, Answer("", True, None, None)),
        ({**NULL, "usage": {"prompt_tokens": "x", "completion_tokens": 4}}, Answer("", True, None, 4)),
        ({**NULL, "usage": []}, Answer("", True, None, None)),
        ({"choices": [{"message": {"content": None, "refusal": "No."}}]}, Answer("No.", True, None, None)),
        ({"choices": [{"message": {"content": "Hi"}, "finish_reason": "length"}]}, Answer("Hi", False, None, None)),
    ],
)
def test_sparse_completions(serve, chat, received, answer):
    assert chat(serve((200, received))).ask(ASKED, 0) == answer


@pytest.mark.parametrize(
    "received",
    ["<html>a proxy</html>", "", "{", {}, [], "null", {"choices": []}, {"choices": [{"message": {"content": 3}}]}],
    ids=str,
)
def test_what_is_no_completion(serve, chat, received, tmp_path):
    error = failed(chat, serve((200, received)))
    assert "answered something other than a chat completion" in error.what and "server.base_url" in error.fix
    assert not list((tmp_path / "cache").rglob("*.json"))


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        (400, "Check server.model; where a model takes no temperature, max_tokens or seed, set it to null"),
        (401, "Check $OPENAI_API_KEY"),
        (403, "Check $OPENAI_API_KEY and what it may use"),
        (404, "Check server.model and server.base_url (it usually ends in /v1)"),
        (429, "Lower concurrency or wait"),
        (500, "Wait or lower concurrency"),
    ],
)
def test_refusals(serve, chat, status, fix, tmp_path):
    error = failed(chat, serve((status, {"error": {"message": f"not with {KEY}"}})))
    assert f"answered {status}" in error.what and "not with ***" in error.what
    assert error.what.endswith("0 requests were done.")
    assert error.fix == (
        f"{fix}, then run the same command again: finished requests are kept in {tmp_path / 'cache'} "
        "and not asked again"
    )


def test_rate_limits_and_busy_servers_are_asked_again(serve, chat):
    answers = [(429, {"error": {"message": "slow"}}), (503, {"error": {"message": "busy"}}), "Hi."]
    server = serve(lambda prompt, number: answers[number - 1])
    assert chat(server, retries=2).ask(ASKED, 0).text == "Hi."


def test_a_hanging_server(serve, chat):
    assert "did not answer within 0.2 s in 1 tries" in failed(chat, serve(1.0), timeout=0.2).what


def test_a_cache_that_goes_away(serve, chat, tmp_path):
    made = chat(serve("Hi."))
    (tmp_path / "cache").rmdir()
    (tmp_path / "cache").write_text("")
    with pytest.raises(UserError, match="The cache .*cache/answers cannot be written: .*\n.*cache=FOLDER"):
        made.ask(ASKED, 0)


def test_no_server(serve, chat):
    server = serve("Hi.")
    server.shutdown()
    server.server_close()
    assert "could not be reached" in failed(chat, server).what


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"model": None}, "No model is chosen."),
        ({"model": ""}, "No model is chosen."),
        ({"base_url": "localhost:8000"}, "server.base_url 'localhost:8000' is no address."),
        ({"base_url": None}, "The environment has no OTHER_KEY."),
        ({"timeout": "long"}, "server.timeout=long is not a number from 0.01 to 86400."),
        ({"retries": -1}, "server.retries=-1 is not a whole number from 0 to 100."),
        ({"temperature": 3}, "server.temperature=3 is not a number from 0 to 2."),
        ({"max_tokens": 0}, "server.max_tokens=0 is not a whole number from 1 to 1e+07."),
        ({"cache": "/proc/nowhere"}, "The cache /proc/nowhere cannot be made: No such file or directory"),
    ],
)
def test_bad_settings(settings, what, tmp_path, monkeypatch):
    for variable in ("OTHER_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    good = {"model": "m", "cache": tmp_path, "base_url": "http://127.0.0.1:9/v1", "api_key_env": "OTHER_KEY"}
    with pytest.raises(UserError) as caught:
        ChatServer(**good | settings)
    assert caught.value.what == what


def test_a_key_that_no_header_can_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("OTHER_KEY", "schl\u00fcssel")
    with pytest.raises(UserError, match=r"\$OTHER_KEY holds more than ASCII"):
        ChatServer("m", tmp_path, api_key_env="OTHER_KEY")
