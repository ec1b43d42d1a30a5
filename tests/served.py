"""An OpenAI-compatible server on 127.0.0.1: real HTTP, in which every reply is the test's, down to its bytes."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """`reply(body, number)` -> text, (status, text or JSON), seconds to hang, or a function of the handler.

    `requests`: path and body of what came. `keys`: what it brought. `busiest`: how many were there at once.
    """

    daemon_threads = True

    def __init__(self, reply, delay=0.0):
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply, self.delay, self.lock = reply, delay, threading.Lock()
        self.requests, self.keys, self.busy, self.busiest = [], set(), 0, 0
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def bodies(self):
        return [body for _, body in self.requests]

    @property
    def prompts(self):
        return [prompt_of(body) for body in self.bodies]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the second packet of an answer waits 40 ms

    def do_POST(self):
        body, server = json.loads(self.rfile.read(int(self.headers["Content-Length"]))), self.server
        with server.lock:
            server.requests.append((self.path, body))
            server.keys.add(self.headers["Authorization"])
            server.busy += 1
            server.busiest = max(server.busiest, server.busy)
            number = len(server.requests)
        reply = server.reply(body, number)
        time.sleep(reply if isinstance(reply, float) else server.delay)
        with server.lock:
            server.busy -= 1
        try:
            if callable(reply):
                reply(self)
            else:
                self.say(*(reply if isinstance(reply, tuple) else (200, completion(reply))))
        except OSError:
            pass  # the client gave up waiting

    def say(self, status, content, headers=(), length=None):
        kind = "text/html" if isinstance(content, str) else "application/json"
        content = content if isinstance(content, bytes | str) else json.dumps(content)
        content = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        for name, value in (*headers, ("Content-Type", kind)):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


def prompt_of(body):
    return body["messages"][-1]["content"]


def completion(text, finish="stop"):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


def script(*replies):
    """Answers the n-th request with `replies[n]`, the last one for ever."""
    return lambda _, number: replies[min(number, len(replies)) - 1]


@contextlib.contextmanager
def servers():
    """start(reply, delay) -> a running server; all end with the `with`."""
    made = []

    def start(reply, delay=0.0):
        made.append(Server(reply, delay))
        return made[-1]

    yield start
    for server in made:
        server.shutdown()
        server.server_close()
