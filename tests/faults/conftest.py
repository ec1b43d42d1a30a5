"""An HTTP server on 127.0.0.1 whose every reply is scripted down to its bytes."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Scripted(ThreadingHTTPServer):
    """Answers the n-th request with `script[n]`, the last one for ever: (status, JSON or text) or a function."""

    daemon_threads = True

    def __init__(self, *script):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.lock, self.count = script, threading.Lock(), 0
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            step = self.server.script[min(self.server.count, len(self.server.script) - 1)]
            self.server.count += 1
        try:
            if callable(step):
                step(self)
            else:
                status, content = step
                self.say(status, content if isinstance(content, str) else json.dumps(content))
        except OSError:  # the client gave up
            pass

    def say(self, status, content, headers=(), length=None):
        content = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    made = []

    def start(*script):
        made.append(Scripted(*script))
        return made[-1]

    yield start
    for server in made:
        server.shutdown()
        server.server_close()
