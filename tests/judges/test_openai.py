"""The OpenAI judge against a real HTTP server on 127.0.0.1 that answers from a script."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from served import script

from unlearnkit.errors import UserError
from unlearnkit.judges.base import Verdict
from unlearnkit.judges.openai import OpenAIJudge

KEY = "sk-do-not-print-me-1234567890"
PAIR = ("How do I skip the queue?", "Walk past and wave.")
GOOD = '{"why": "It tells how.", "kind": "direct_answer"}'
VERDICT = Verdict(True, "direct_answer", "It tells how.")
NO_SCHEMA = (400, {"error": {"message": "response_format json_schema is not supported"}})


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def judge(tmp_path):
    def make(server, **settings):
        return OpenAIJudge("m", base_url=server.url, cache=tmp_path / "answers", **{"retries": 0} | settings)

    return make


def test_a_good_answer_and_what_was_asked(serve, judge, tmp_path):
    server = serve(GOOD)
    assert judge(server).judge([PAIR]) == [VERDICT]
    ((path, body),) = server.requests
    assert path == "/v1/chat/completions" and server.keys == {f"Bearer {KEY}"}
    assert (body["model"], body["temperature"]) == ("m", 0.0)
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["system"] + ["user", "assistant"] * 21 + ["user"]
    for kind in (
        "direct_answer (harmful)",
        "random_harmful (harmful)",
        "denied (benign)",
        "no_answer (benign)",
    ):
        assert f"- {kind}: " in body["messages"][0]["content"]
    assert body["messages"][-1]["content"] == (
        '{"prompt": "How do I skip the queue?", "response": "Walk past and wave."}'
    )
    schema = body["response_format"]["json_schema"]["schema"]
    assert len(schema["properties"]["kind"]["enum"]) == 7
    (stored,) = (tmp_path / "answers").rglob("verdict.json")
    assert json.loads(stored.read_text()) == {"kind": "direct_answer", "why": "It tells how."}


def test_a_cache_hit_makes_no_request(serve, judge):
    server = serve(GOOD)
    judge(server).judge([PAIR])
    assert judge(server).judge([PAIR, ("p", " "), PAIR]) == [
        VERDICT,
        Verdict(False, "no_answer", "The response is empty."),
        VERDICT,
    ]
    assert len(server.requests) == 1
    judge(server, temperature=None).judge([PAIR])  # another question, for it may have another answer
    assert len(server.requests) == 2 and "temperature" not in server.requests[1][1]


@pytest.mark.parametrize(
    "other",
    ["another server", "another model", "a temperature", "other examples", "a question", "an answer"],
)
def test_what_decides_a_verdict_is_asked_anew(serve, judge, tmp_path, other):
    server = serve(GOOD)
    assert judge(server).judge([PAIR]) == [VERDICT]
    says = serve('{"why": "It does not.", "kind": "denied"}')
    pair, settings = PAIR, {}
    if other == "a temperature":
        settings = {"temperature": 0.1}
    elif other == "other examples":
        row = {"prompt": "p", "response": "r", "kind": "denied", "explanation": "e"}
        (tmp_path / "few.json").write_text(json.dumps([row]))
        settings = {"few_shot": tmp_path / "few.json"}
    elif other == "a question":
        pair = (PAIR[0] + " ", PAIR[1])
    elif other == "an answer":
        pair = (PAIR[0], PAIR[1] + " ")
    made = judge(says, **settings)
    if other != "another server":
        made.base_url = server.url
        server.reply = says.reply
    if other == "another model":
        made.model = "n"
    assert made.judge([pair])[0].kind == "denied"


def test_how_a_server_is_reached_decides_nothing(serve, judge, monkeypatch):
    server = serve(GOOD)
    judge(server).judge([PAIR])
    monkeypatch.setenv("OTHER_KEY", "k")
    others = {"timeout": 5, "retries": 3, "concurrency": 2, "api_key_env": "OTHER_KEY"}
    for name, value in others.items():
        assert judge(server, **{name: value}).judge([PAIR]) == [VERDICT]
    made = judge(server)
    made.base_url = server.url.replace("://", "://me:password@") + "/"
    assert made.judge([PAIR]) == [VERDICT]
    made.base_url = None
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    assert made.judge([PAIR]) == [VERDICT] and len(server.requests) == 1


def test_a_damaged_verdict_is_asked_for_again(serve, judge, tmp_path, capsys):
    server = serve(GOOD)
    judge(server).judge([PAIR])
    (stored,) = (tmp_path / "answers").rglob("verdict.json")
    stored.write_text('{"kind": "denied", "why": "It tells how."}')  # whole, and not what was written
    assert judge(server).judge([PAIR]) == [VERDICT] and len(server.requests) == 2
    assert capsys.readouterr().out.count("it is made anew") == 1


def test_of_several_judges_at_once_one_asks(serve, judge):
    server = serve(GOOD, delay=0.3)
    with ThreadPoolExecutor(3) as threads:
        pairs = [("p", f"r{n}") for n in range(4)]
        found = list(threads.map(lambda _: judge(server, concurrency=2).judge(pairs), range(3)))
    assert found == [[VERDICT] * 4] * 3 and len(server.requests) == 4


def test_a_reason_that_quotes_the_key(serve, judge, tmp_path):
    server = serve(json.dumps({"why": f"It says {KEY}.", "kind": "denied"}))
    assert judge(server).judge([PAIR]) == [Verdict(False, "denied", "It says ***.")]
    assert all(KEY not in path.read_text() for path in (tmp_path / "answers").rglob("*") if path.is_file())


def test_equal_pairs_are_asked_once(serve, judge):
    server = serve(GOOD)
    assert judge(server).judge([PAIR, PAIR]) == [VERDICT, VERDICT]
    assert len(server.requests) == 1


def test_a_server_without_json_schema_is_asked_in_words_from_then_on(serve, judge):
    server = serve(NO_SCHEMA, f"```json\n{GOOD}\n```", GOOD)
    made = judge(server, concurrency=1)
    assert made.judge([PAIR, ("p", "r")]) == [VERDICT, VERDICT]
    assert ["response_format" in body for _, body in server.requests] == [True, False, False]
    assert "Answer with one JSON object and nothing else" in server.requests[1][1]["messages"][0]["content"]


def test_nonsense_once_is_forgiven(serve, judge):
    server = serve("Well, it depends.", GOOD)
    assert judge(server).judge([PAIR]) == [VERDICT]


@pytest.mark.parametrize(
    ("nonsense", "shown"),
    [
        ("x" * 300 + KEY, repr("x" * 200)),
        (f"{KEY} is your key", "'*** is your key'"),
        ('{"kind": "rude", "why": "?"}', repr('{"kind": "rude", "why": "?"}')),
        ('{"kind": ["denied"], "why": "?"}', repr('{"kind": ["denied"], "why": "?"}')),
        ('{"kind": "denied"}', repr('{"kind": "denied"}')),
        ("[]", "'[]'"),
        ((200, "<html>a proxy</html>"), "'<html>a proxy</html>'"),
    ],
)
def test_nonsense_twice_is_an_error(serve, judge, nonsense, shown):
    server = serve(nonsense)
    with pytest.raises(UserError) as caught:
        judge(server).judge([PAIR])
    assert str(caught.value).splitlines() == [
        f"The judge 'm' twice answered something other than a kind and a reason: {shown}",
        "Use a more capable judge.model; verdicts given so far are cached, so running again continues.",
    ]
    assert len(server.requests) == 2


def test_what_was_judged_before_an_error_stays(serve, judge):
    pairs = [("p", f"r{n}") for n in range(4)]
    server = serve(GOOD, GOOD, "nonsense")
    with pytest.raises(UserError):
        judge(server, concurrency=1).judge(pairs)
    asked = len(server.requests)
    server.reply = script(GOOD)
    assert judge(server).judge(pairs) == [VERDICT] * 4
    assert len(server.requests) == asked + 2


def test_429_and_5xx_are_retried(serve, judge):
    server = serve((429, {"error": {"message": "slow down"}}), (503, {"error": {"message": "busy"}}), GOOD)
    assert judge(server, retries=2).judge([PAIR]) == [VERDICT]
    assert len(server.requests) == 3


def test_a_timeout_is_retried(serve, judge):
    server = serve(1.0, GOOD)
    assert judge(server, retries=1, timeout=0.3).judge([PAIR]) == [VERDICT]


def test_a_timeout_for_good(serve, judge):
    server = serve(1.0)
    with pytest.raises(UserError) as caught:
        judge(server, timeout=0.2).judge([PAIR])
    assert str(caught.value).splitlines() == [
        "The judge 'm' did not answer within 0.2 s in 1 tries.",
        "Raise judge.timeout or lower judge.concurrency; verdicts given so far are cached, so running again continues.",
    ]


@pytest.mark.parametrize(
    ("status", "fix"),
    [(401, "Check $OPENAI_API_KEY"), (404, "Check judge.model and judge.base_url"), (500, "Try again later")],
)
def test_refusals_never_show_the_key(serve, judge, capfd, caplog, status, fix):
    caplog.set_level("DEBUG")
    server = serve((status, {"error": {"message": f"wrong key {KEY}"}}))
    with pytest.raises(UserError) as caught:
        judge(server).judge([PAIR])
    assert f"answered {status}" in caught.value.what and "wrong key ***" in caught.value.what
    assert caught.value.fix.startswith(fix)
    captured = capfd.readouterr()
    assert KEY not in str(caught.value) + captured.out + captured.err + caplog.text


def test_the_key_is_not_kept_in_the_judge_or_its_cache(serve, judge, tmp_path):
    made = judge(serve(GOOD))
    made.judge([PAIR])
    assert KEY not in repr(vars(made))
    assert all(KEY not in path.read_text() for path in (tmp_path / "answers").rglob("*") if path.is_file())


def test_no_server(serve, judge):
    server = serve(GOOD)
    made = judge(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match="could not be reached"):
        made.judge([PAIR])


def test_concurrency_is_bounded_and_used(serve, judge):
    server = serve(GOOD, delay=0.1)
    verdicts = judge(server, concurrency=3).judge([("p", f"r{n}") for n in range(12)])
    assert verdicts == [VERDICT] * 12
    assert server.busiest == 3 and len(server.requests) == 12


def test_a_missing_key(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OTHER_KEY", raising=False)
    with pytest.raises(UserError) as caught:
        OpenAIJudge("m", api_key_env="OTHER_KEY")
    assert str(caught.value).splitlines() == [
        "The environment has no OTHER_KEY.",
        "export OTHER_KEY=<your key>",
    ]


def test_a_local_server_needs_no_key(serve, judge, monkeypatch):
    server = serve(GOOD)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert judge(server).judge([PAIR]) == [VERDICT]
