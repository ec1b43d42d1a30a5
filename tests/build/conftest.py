"""A real OpenAI-compatible server on 127.0.0.1 that answers each request by what it asks for."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from unlearnkit import configuration
from unlearnkit.build.server import ChatServer

KEY = "sk-do-not-print-me-1234567890"


class Server(ThreadingHTTPServer):
    """`reply(prompt, number)` -> text, (status, body), or seconds to hang; `prompts` and `bodies` are what came."""

    daemon_threads = True

    def __init__(self, reply):
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply, self.lock, self.bodies, self.prompts = reply, threading.Lock(), [], []
        self.keys, self.busy, self.busiest = set(), 0, 0
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the second packet of an answer waits 40 ms

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server, prompt = self.server, body["messages"][-1]["content"]
        with server.lock:
            server.bodies.append(body)
            server.prompts.append(prompt)
            server.keys.add(self.headers["Authorization"])
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
            number = len(server.bodies)
        reply = server.reply(prompt, number)
        if isinstance(reply, float):
            time.sleep(reply)
        with server.lock:
            server.busy -= 1
        status, answer = reply if isinstance(reply, tuple) else (200, completion(reply))
        content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            pass  # the client gave up waiting

    def log_message(self, *args):
        pass


def completion(text, finish="stop"):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


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
    made = []

    def start(reply):
        made.append(Server(reply if callable(reply) else lambda prompt, number: reply))
        return made[-1]

    yield start
    for server in made:
        server.shutdown()
        server.server_close()


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
