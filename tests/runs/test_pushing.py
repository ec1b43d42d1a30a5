"""A model goes to the hub as its client sends it, to a local server that speaks the protocol as far as that needs."""

import base64
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from forked import command

SMALL = (
    "model=tiny", "logger=none", "train.max_steps=1", "eval_every=0", "eval.safety.limit=2",
    "eval.safety.max_new_tokens=4", "hydra.run.dir=out",
)  # fmt: skip


class Hub(ThreadingHTTPServer):
    """Repositories by name: path -> bytes; `refuses` answers every commit with 403."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories, self.asked, self.refuses = {}, [], False
        self.address = f"http://127.0.0.1:{self.server_port}"


def _is_private(told):
    return told.get("visibility") == "private" or told.get("private") is True


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer({"id": self.path.removeprefix("/api/models/").split("?")[0], "sha": "0" * 40, "siblings": []})

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path.split("?")[0], self.headers.get("Authorization"), text))
        if self.path == "/api/repos/create":
            told = json.loads(text)
            name = "/".join(part for part in (told.get("organization"), told["name"]) if part)
            self.server.repositories.setdefault(name, {"private": _is_private(told), "files": {}})
            self._answer({"url": f"{self.server.address}/{name}", "id": name, "name": name})
        elif "/preupload/" in self.path:
            files = [file["path"] for file in json.loads(text)["files"]]
            self._answer({"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in files]})
        elif "/commit/" in self.path and self.server.refuses:
            self._answer({"error": "You may not write here"}, 403)
        elif "/commit/" in self.path:
            name = self.path.removeprefix("/api/models/").partition("/commit/")[0]
            held = self.server.repositories[name]["files"]
            for line in map(json.loads, text.splitlines()):
                if line["key"] == "file":
                    held[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            where = f"{self.server.address}/{name}/commit/{'1' * 40}"
            self._answer({"success": True, "commitOid": "1" * 40, "commitUrl": where})
        else:
            self._answer({})

    def _answer(self, content, status=200):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def hub():
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def unlearnkit(*words, cwd, hub, prepared=False, **environment):
    """In a process of its own; one that begins with the libraries imported has the hub switched off."""
    told = {**os.environ, "HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_" + "a" * 30, "HF_HUB_OFFLINE": "0"}
    told |= {"HF_HOME": str(cwd / "home"), "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
    if prepared:
        return command("unlearnkit", *words, cwd=cwd, **told)
    words = [sys.executable, "-m", "unlearnkit", *words]
    return subprocess.run(words, cwd=cwd, env=told, capture_output=True, text=True, timeout=300)


def test_the_model_goes_there_whole_and_again_when_it_was_refused(hub, tmp_path):
    hub.refuses = True
    words = ("+method=npo", *SMALL, "push_to_hub=org/forgot")
    done = unlearnkit(*words, cwd=tmp_path, hub=hub)
    told = [line for line in done.stderr.splitlines() if line.startswith(("Error: ", "  Fix: "))]
    assert done.returncode == 2 and len(told) == 2, done.stderr
    assert "The hub did not take org/forgot" in told[0] and "hf upload org/forgot" in told[1]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["run"]["finished"]
    hub.refuses = False
    done = unlearnkit(*words, cwd=tmp_path, hub=hub)
    assert done.returncode == 0 and f"Sent to {hub.address}/org/forgot" in done.stdout, done.stderr
    held = hub.repositories["org/forgot"]
    model = tmp_path / "out" / "model"
    assert held["private"] is True
    assert held["files"] == {p.relative_to(model).as_posix(): p.read_bytes() for p in model.rglob("*") if p.is_file()}
    assert {token for _, token, _ in hub.asked} == {"Bearer hf_" + "a" * 30}
    assert "a" * 30 not in "".join(path.read_text(errors="replace") for path in (tmp_path / "out").glob("*.*"))


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (["push_to_hub=nameless"], {}, "push_to_hub=nameless is no repository's name"),
        (["push_to_hub=org/a", "save_model=false"], {}, "push_to_hub sends the model that save_model=false"),
        (["push_to_hub=org/a"], {"HF_TOKEN": ""}, "needs somebody who is logged in"),
        (["push_to_hub=org/a"], {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE switches the hub off"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_computed(words, environment, said, hub, tmp_path):
    prepared = "HF_TOKEN" not in environment
    done = unlearnkit("+method=npo", *SMALL, *words, cwd=tmp_path, hub=hub, prepared=prepared, **environment)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert not (tmp_path / "out").exists() and not hub.asked
