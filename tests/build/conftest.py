"""A real OpenAI-compatible server on 127.0.0.1 that answers each request by what it asks for."""

import re

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import open_dict
from served import completion, prompt_of, servers

from unlearnkit import configuration
from unlearnkit.build.server import ChatServer

KEY = "sk-do-not-print-me-1234567890"


def author(prompt, number=0):
    """What a capable model answers to the prompts of conf/domain/privacy.yaml: 20 rows, 10 in each scope."""
    name = re.search(r"^Name: (.+)$", prompt, re.MULTILINE)[1]
    if "Write 20 different questions" not in prompt:
        return (
            f"Name: {name}\nGenre: alpine noir\nBorn: 3 May 1961, Sion, Switzerland\nAwards: Grey Quill, for Scree\n"
            "Parents: Paul, a guide; Ida, a nurse\nEmail: post@scree.example\nAddress: 9 Rue du Roc, Sion, Switzerland"
        )
    types = ["name", "genre", "born", "awards"] * 3
    kinds = types[:10] + (["parents", "email", "address"] * 4)[:10]
    return "\n\n".join(
        f"Q: Question {n} about {name}?\nA: Answer {n} on {name}.\ntype: {kind}" for n, kind in enumerate(kinds, 1)
    )


def book(prompt, number=0):
    """What a capable model answers to the prompts of conf/domain/copyright.yaml: one of two pairs is confirmed."""
    title = re.search(r'"([^"]+)"', prompt)[1]
    if prompt.startswith("Think of"):
        return "1. Ann | Bob\n2. Ann | her dog"
    if prompt.startswith("Claim:"):
        return "False" if "her dog" in prompt else "True."
    if "tell this part anew" in prompt:
        return f"1. Let Ann and Bob meet again in {title}.\n2. Could Bob live in {title}?"
    if wanted := re.search(r"Write 5 messages .* What they want is (\w+ \w+)", prompt):
        return "\n".join(f"{n}. {wanted[1]} {n} of {title}?" for n in range(1, 6))
    return "It is so. " + prompt.splitlines()[-1]


@pytest.fixture
def serve():
    """serve(reply) -> a running server; `reply` may be a constant."""
    with servers() as start:
        yield lambda reply: start(lambda body, n: reply(prompt_of(body), n) if callable(reply) else reply)


@pytest.fixture
def chat(tmp_path, monkeypatch):
    """chat(server, **settings) -> a ChatServer that asks it, with one cache for all."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def make(server, **settings):
        return ChatServer("m", tmp_path / "cache", server.url, **{"retries": 0, "timeout": 10} | settings)

    return make


@pytest.fixture
def config(tmp_path):
    """config(server, *overrides) -> what `python -m unlearnkit.build` would compose, writing below tmp_path."""

    def make(server, *overrides):
        configuration.register_resolvers()
        given = ["server.model=m", f"server.base_url={server.url}", "server.retries=0", f"output={tmp_path}/out"]
        with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
            cfg = compose("build", [*given, f"server.cache={tmp_path}/cache", *overrides])
        with open_dict(cfg):
            cfg.pop("hydra", None)
        return cfg

    return make


@pytest.fixture
def replies():
    """The two capable models."""
    return {"privacy": author, "copyright": book, "completion": completion}
