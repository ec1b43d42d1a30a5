"""A real OpenAI-compatible server on 127.0.0.1 that answers from a script."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Server(ThreadingHTTPServer):
    """Answers the n-th request with `script[n]` (the last one for ever): text, (status, body), or seconds."""

    daemon_threads = True

    def __init__(self, *script, delay=0.0):
        super().__init__(("127.0.0.1", 0), Answer)
        self.script, self.delay, self.lock = list(script), delay, threading.Lock()
        self.requests, self.keys, self.busy, self.busiest = [], set(), 0, 0
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            step = server.script[min(len(server.requests), len(server.script) - 1)]
            server.requests.append((self.path, body))
            server.keys.add(self.headers["Authorization"])
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
        time.sleep(step if isinstance(step, float) else server.delay)
        with server.lock:
            server.busy -= 1
        status, answer = step if isinstance(step, tuple) else (200, completion(step))
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


def completion(text):
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}


@pytest.fixture
def serve():
    """serve(*script, delay=seconds) -> a running server."""
    made = []

    def start(*script, delay=0.0):
        made.append(Server(*script, delay=delay))
        return made[-1]

    yield start
    for server in made:
        server.shutdown()
        server.server_close()
