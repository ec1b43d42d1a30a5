"""A secret that a user could have put anywhere comes out nowhere."""

import html
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from forked import command

from unlearnkit import secrets

TOP = Path(__file__).parents[2]
CANARY = "canary-7Qx9/zW&k2v"  # characters that JSON, HTML and addresses write otherwise
PLAIN = "canaryPlain42xyz"  # in places that take no such characters
RUN = (
    "+method=ga", "model=tiny", "train.max_steps=2", "eval_every=1", "eval.safety.limit=1",
    "eval.safety.max_new_tokens=2", "+train.arguments.disable_tqdm=true",
)  # fmt: skip
WRITTEN = (CANARY, html.escape(CANARY), quote(CANARY, safe=""), json.dumps(CANARY)[1:-1], PLAIN)
FORMS = [form.encode() for form in WRITTEN]
NOBODY = "http://127.0.0.1:9/v1"


def found_in(*folders):
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if any(form in path.read_bytes() for form in FORMS)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One for all, so that what no secret decides is computed once."""
    return tmp_path_factory.mktemp("cache")


PLACES = {
    "an address with a password": ((f"judge.base_url=http://me:{PLAIN}@127.0.0.1:9/v1",), {}, 2),
    "an address with a key": ((f"'judge.base_url=\"http://127.0.0.1:9/v1?api_key={PLAIN}\"'".strip("'"),), {}, 2),
    "the server's address in the environment": ((), {"OPENAI_BASE_URL": f"http://me:{PLAIN}@127.0.0.1:9/v1"}, 2),
    "a key in the environment": ((), {"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": NOBODY}, 2),
    "a variable of one's own": (
        ("judge.model=${oc.env:MY_JUDGE}",), {"MY_JUDGE": PLAIN, "OPENAI_BASE_URL": NOBODY}, 2,
    ),
    "a variable with a secret's name": (("logger.group=${oc.env:DB_PASSWORD}",), {"DB_PASSWORD": PLAIN}, 0),
    "a name for W&B": (
        ("logger.name=${oc.env:HF_TOKEN}", 'logger.tags=["${oc.env:HF_TOKEN}"]'), {"HF_TOKEN": PLAIN}, 0,
    ),
    "a refused key": ((f"+judge.api_key={PLAIN}",), {}, 2),
    "a refused key of another name": ((f"+model.token={PLAIN}",), {}, 2),
    "a refused value": (("seed=${oc.env:HF_TOKEN}",), {"HF_TOKEN": PLAIN}, 2),
    "a path": (("model.path=/nowhere/${oc.env:HF_TOKEN}",), {"HF_TOKEN": PLAIN}, 2),
    "an address in a data path": ((f"data.path=https://me:{PLAIN}@host.example/x.jsonl",), {}, 2),
    "a multirun": (("-m", f"judge.base_url=http://me:{PLAIN}@127.0.0.1:9/v1", "seed=0,1"), {}, 2),
    "an address with a user alone": ((f"judge.base_url=http://{PLAIN}@127.0.0.1:9/v1",), {}, 2),
    **{
        f"?{name}= of an address": ((f'judge.base_url="{NOBODY}?{name}={PLAIN}"',), {}, 2)
        for name in ("auth", "pwd", "pass", "credential", "jwt")
    },
    "a path of the hub": ((f"model.path=hf://user:{PLAIN}@models/org/name",), {}, 2),
    "a model's address": ((f"model.path=https://{PLAIN}@host.example/model",), {}, 2),
    "a model of the hub": (("model.path=null", f"model.hub=https://me:{PLAIN}@host.example/org/name"), {}, 2),
    "an address of rows": (("data=files", f'data.forget="https://host.example/x?token={PLAIN}"'), {}, 2),
    "a header": ((f"+judge.headers={{Authorization: Bearer {PLAIN}}}",), {}, 2),
    "a header's own key": ((f"+judge.headers.authorization={PLAIN}",), {}, 2),
    "a bearer": ((f"+judge.bearer={PLAIN}",), {}, 2),
    "a word that is no setting": ((f"judge.base_url=http://me:{PLAIN}@h:{{",), {}, 2),
    "a value that is cut": ((f"seed=http://{'a' * 40}/:me:{PLAIN}@h",), {}, 2),
    "push_to_hub": ((f"push_to_hub=https://me:{PLAIN}@hub.example/x",), {}, 2),
    "push_to_hub of a variable": (("push_to_hub=org/${oc.env:HF_TOKEN}",), {"HF_TOKEN": PLAIN}, 2),
    "a proxy": (
        (), {name: f"http://me:{PLAIN}@127.0.0.1:9" for name in ("HTTPS_PROXY", "http_proxy", "ALL_PROXY")}, 0,
    ),
    "W&B's key": ((), {"WANDB_API_KEY": "c0ffee" + PLAIN * 2}, 0),
    "W&B's server": ((), {"WANDB_BASE_URL": f"https://me:{PLAIN}@wandb.example"}, 0),
    "a token of transformers": ((f"+train.arguments.hub_token={PLAIN}",), {}, 0),
    "the config printed": ((f"judge.base_url=http://me:{PLAIN}@h/v1", "--cfg", "job"), {}, 0),
    "a key of the config printed": (
        ("judge.model=${oc.env:MY_SECRET}", "--cfg", "job", "--resolve"), {"MY_SECRET": PLAIN}, 0,
    ),
    "Hydra's own words": ((f"judge.base_url=http://me:{PLAIN}@h/v1", "--info=all"), {}, 0),
    "a traceback": ((f"judge.base_url=http://me:{PLAIN}@127.0.0.1:9/v1",), {"HYDRA_FULL_ERROR": "1"}, 1),
    "a traceback of a key": (
        (), {"HYDRA_FULL_ERROR": "1", "OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": NOBODY}, 1,
    ),
}  # fmt: skip
SAMPLE = ("a name for W&B", "a refused key", "a multirun")


@pytest.mark.parametrize(
    "place", [place if place in SAMPLE else pytest.param(place, marks=pytest.mark.long) for place in PLACES]
)
def test_a_secret_comes_out_nowhere(place, cache, tmp_path):
    words, environment, code = PLACES[place]
    asked = any("judge." in word for word in words) or "OPENAI_BASE_URL" in environment
    judge = ("judge=openai", "judge.retries=0") if asked else ()
    out = (f"hydra.sweep.dir={tmp_path / 'run'}",) if "-m" in words else (f"hydra.run.dir={tmp_path / 'run'}",)
    environment = {"UNLEARNKIT_CACHE": str(cache), **environment}
    (tmp_path / "streams").mkdir()
    ended = command("unlearnkit", *words, *RUN, *judge, *out, cwd=tmp_path, **environment)
    (tmp_path / "streams" / "out").write_text(ended.stdout)
    (tmp_path / "streams" / "err").write_text(ended.stderr)
    assert ended.returncode == code, ended.stderr[-2000:]
    assert found_in(tmp_path, cache) == []


REPLY = {"choices": [{"message": {"content": json.dumps({"why": f"The key {CANARY} says so.", "kind": "denied"})}}]}


@pytest.mark.parametrize(
    ("answer", "code"),
    [((200, REPLY), 0), ((401, {"error": {"message": f"Bad key {CANARY}"}}), 2), ((200, f"<b>{CANARY}</b>"), 2)],
    ids=["a reason", "a refusal", "nonsense"],
)
def test_a_server_that_quotes_the_key(answer, code, serve, tmp_path):
    server = serve(answer)
    (tmp_path / "streams").mkdir()
    settings = ("judge=openai", f"judge.base_url={server.url}", "judge.retries=0", f"hydra.run.dir={tmp_path / 'run'}")
    own = {"UNLEARNKIT_CACHE": str(tmp_path / "cache"), "OPENAI_API_KEY": CANARY}
    ended = command("unlearnkit", *RUN, *settings, cwd=tmp_path, **own)
    (tmp_path / "streams" / "out").write_text(ended.stdout)
    (tmp_path / "streams" / "err").write_text(ended.stderr)
    assert ended.returncode == code, ended.stderr[-2000:]
    assert "***" in ended.stderr or code == 0
    assert found_in(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "max_new_tokens=40", "api_key_env=OPENAI_API_KEY", "a sketch of sk-tools", "https://host.example/v1?version=2",
        "mail me@host.example", "The bearer of this letter", "KEYBOARD", "path/to/key.txt",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text):
    assert secrets.redact(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://u:p@h/v1", "http://***@h/v1"),
        ("postgres://u:p%40x@h:1/d?sslkey=abc&x=1", "postgres://***@h:1/d?sslkey=***&x=1"),
        ("hf_abcdefghijklmnopqrstuv", "***"),
        ("Authorization: Bearer abcdefghij.klmnop", "Authorization: Bearer ***"),
        ("AKIAIOSFODNN7EXAMPLE", "***"),
    ],
)
def test_the_shape_of_a_secret(text, shown):
    assert secrets.redact(text) == shown


def test_a_key_of_a_config_hides_its_value():
    held = {"api_key": "x", "password": "y", "token": "", "api_key_env": "NAME", "n_tokens": 3}
    hidden = {**held, "api_key": "***", "password": "***"}
    assert secrets.redacted({"a": held, "l": [{"secret": "z"}]}) == {"a": hidden, "l": [{"secret": "***"}]}


def test_variables_by_name(monkeypatch):
    for name in ("SOME_KEY", "my_token", "DB_PASSWORD", "APP_SECRET", "X_CREDENTIALS"):
        monkeypatch.setenv(name, f"value-of-{name}")
        assert secrets.redact(f"<value-of-{name}>") == "<***>"
    monkeypatch.setenv("KEYBOARD", "qwertz-layout")
    monkeypatch.setenv("SHORT_KEY", "none")
    assert secrets.redact("qwertz-layout none") == "qwertz-layout none"
