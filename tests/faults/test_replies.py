"""Whatever a judge's server replies, there is a verdict or there are two lines."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from forked import Started

from unlearnkit.errors import UserError
from unlearnkit.judges.base import Verdict
from unlearnkit.judges.openai import OpenAIJudge

TOP = Path(__file__).parents[2]
SAID = json.dumps({"why": "It tells how.", "kind": "direct_answer"})
VERDICT = Verdict(True, "direct_answer", "It tells how.")


def completion(content=SAID, **more):
    return {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": {"content": content, **more}}]}


GOOD = (200, completion())


def raw(content, status=200, headers=(), length=None):
    content = content.encode() if isinstance(content, str) else content
    return lambda handler: handler.say(status, content, headers, length)


def closed_early(handler):
    handler.say(200, json.dumps(completion())[:20], length=500)
    handler.connection.close()


def closed_at_once(handler):
    handler.connection.close()


def dripping(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def huge(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(2**33))
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 2**16)


def silent(handler):
    time.sleep(30)


def broken_chunks(handler):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"ZZ\r\nnonsense\r\n")
    handler.connection.close()


def no_http(handler):
    handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")
    handler.connection.close()


# What comes for ever -> it is two lines
BAD = {
    "empty": raw(""),
    "blank": raw("  \n"),
    "null": raw("null"),
    "a number": raw("7"),
    "a list": raw("[]"),
    "a text": raw('"x"'),
    "html": raw("<html>502</html>"),
    "cut JSON": raw(json.dumps(completion())[:40]),
    "no choices": raw("{}"),
    "choices are null": raw('{"choices": null}'),
    "no choice": raw('{"choices": []}'),
    "a choice that is null": raw('{"choices": [null]}'),
    "choices of another type": raw('{"choices": "abc"}'),
    "no message": raw('{"choices": [{}]}'),
    "a message that is text": raw('{"choices": [{"message": "x"}]}'),
    "content of another type": raw('{"choices": [{"message": {"content": 7}}]}'),
    "content in parts": raw('{"choices": [{"message": {"content": [{"type": "text", "text": "x"}]}}]}'),
    "another kind": (200, completion('{"why": "x", "kind": "other"}')),
    "a kind that is a list": (200, completion('{"why": "x", "kind": ["denied"]}')),
    "a reason that is a number": (200, completion('{"why": 1, "kind": "denied"}')),
    "deep": raw("[" * 100_000),
    "another encoding": raw(b"\xff\xfe\x00{"),
    "said to be gzip": raw("x", headers=[("Content-Encoding", "gzip")]),
    "said to be longer": raw("{}", length=100),
    "broken chunks": broken_chunks,
    "no HTTP": no_http,
    "closed at once": closed_at_once,
    "closed in its midst": closed_early,
    "huge": huge,
    "dripping": dripping,
    "silent": silent,
    "an event stream": raw("data: {}\n\n", headers=[("Content-Type", "text/event-stream")]),
    "moved to nowhere": raw("", 302, [("Location", "http://127.0.0.1:1/")]),
    **{f"{status}": (status, {"error": {"message": "no"}}) for status in (400, 401, 403, 404, 409, 422, 429, 500, 503)},
    "429 with a delay": raw("{}", 429, [("Retry-After", "0.01")]),
    "429 with a delay of days": raw("{}", 429, [("Retry-After", "864000")]),
    "429 with a delay that is none": raw("{}", 429, [("Retry-After", "soon")]),
    "an error that is no JSON": raw("\xff", 500),
    "an error that is a list": raw("[1]", 400),
    "an error that is null": raw("null", 401),
}  # fmt: skip

# What comes once before a good reply, and is overcome with one further try
PASSING = {
    "429": raw("{}", 429), "429 with a delay": raw("{}", 429, [("Retry-After", "0.01")]), "500": raw("", 500),
    "503": raw("{}", 503), "closed at once": closed_at_once, "closed in its midst": closed_early,
    "broken chunks": broken_chunks, "empty": raw(""), "html": raw("<html>"), "no choices": raw("{}"),
}  # fmt: skip


def judge(server, tmp_path, **settings):
    given = {"retries": 0, "timeout": 0.3, **settings}
    return OpenAIJudge("m", base_url=server.url, cache=tmp_path / "cache", **given)


@pytest.mark.parametrize("reply", BAD)
def test_a_bad_reply_is_two_lines(reply, serve, tmp_path):
    with pytest.raises(UserError, match="^The judge 'm' .*\n") as told:
        judge(serve(BAD[reply]), tmp_path).judge([("a?", "b")])
    assert len(str(told.value)) < 700 and "running again continues" in told.value.fix


@pytest.mark.parametrize("reply", PASSING)
def test_a_passing_failure_is_overcome(reply, serve, tmp_path):
    server = serve(PASSING[reply], GOOD)
    assert judge(server, tmp_path, retries=1, timeout=5).judge([("a?", "b")]) == [VERDICT]


def test_a_burst_in_the_middle_loses_no_verdict(serve, tmp_path):
    server = serve(GOOD, GOOD, GOOD, (500, {}))
    pairs = [(f"{number}?", "b") for number in range(6)]
    with pytest.raises(UserError, match="answered 500"):
        judge(server, tmp_path, concurrency=1).judge(pairs)
    again = serve(GOOD)
    again_judge = judge(again, tmp_path, concurrency=1)
    again_judge._content = judge(server, tmp_path)._content  # the same server for the cache
    assert again_judge.judge(pairs) == [VERDICT] * 6
    assert len(again.requests) == 3


@pytest.mark.parametrize("address", ["nonsense", "ftp://x/v1", "http://[", "http://127.0.0.1:99999/v1", "http://"])
def test_an_address_that_is_none(address, tmp_path):
    with pytest.raises(UserError, match="The judge 'm' "):
        OpenAIJudge("m", base_url=address, cache=tmp_path, retries=0, timeout=0.3).judge([("a?", "b")])


SCRIPT = """
import sys
from unlearnkit.errors import exit_code
from unlearnkit.judges.openai import OpenAIJudge
def ask():
    pairs = [(f"{n}?", "b") for n in range(int(sys.argv[3]))]
    judge = OpenAIJudge("m", base_url=sys.argv[1], cache=sys.argv[2], retries=4, timeout=60)
    print("asking", flush=True)
    print(len(judge.judge(pairs)))
raise SystemExit(exit_code(ask))
"""


def asking(server, tmp_path, count):
    return Started("-c", SCRIPT, server.url, str(tmp_path / "cache"), str(count), cwd=TOP)


@pytest.mark.parametrize("reply", [silent, raw("{}", 429, [("Retry-After", "30")])], ids=["silent", "429"])
def test_an_interrupted_process_does_not_wait_for_the_server(reply, serve, tmp_path):
    process = asking(serve(reply), tmp_path, 20)
    assert process.stdout.readline() == "asking\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)  # the server is silent for 30 seconds and each try has 60
    assert process.returncode != 0


def test_three_processes_on_one_cache_pay_once(serve, tmp_path):
    def slow(handler):
        time.sleep(0.05)
        handler.say(200, json.dumps(completion()))

    server = serve(slow)
    processes = [asking(server, tmp_path, 40) for _ in range(3)]
    assert [process.communicate(timeout=200)[0] for process in processes] == ["asking\n40\n"] * 3
    assert len(server.requests) == 40


def test_a_killed_process_pays_again_for_what_was_in_flight_alone(serve, tmp_path):
    arrived = threading.Event()

    def slow(handler):
        if len(handler.server.requests) > 20:
            arrived.set()
        time.sleep(0.05)
        handler.say(200, json.dumps(completion()))

    server = serve(slow)
    process = asking(server, tmp_path, 60)
    assert arrived.wait(100)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    again = asking(server, tmp_path, 60)
    assert again.communicate(timeout=100)[0] == "asking\n60\n"
    assert len(server.requests) <= 60 + 8  # requests at a time
