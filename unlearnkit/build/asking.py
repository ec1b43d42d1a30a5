"""The requests of one name: asked together, read by a parser, made again where the answer is malformed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor
from dataclasses import dataclass
from typing import Any

from unlearnkit.build.parse import Malformed
from unlearnkit.build.server import ChatServer
from unlearnkit.build.tally import Answer
from unlearnkit.errors import beginning


@dataclass(frozen=True)
class Request:
    """`parse` returns what the answer holds, or raises `Malformed`."""

    step: str
    prompt: str
    parse: Callable[[str], Any]


class Asking:
    """One name's way to the server.

    Args:
        attempts: tries for a request whose answers are malformed, each at another seed and temperature.
        pool: where requests run; `stop` ends those that have not begun.

    `request_count`: requests so far. `refused`: every malformed answer. `skipped`: the requests given up on, with the
    last reason and answer.
    """

    def __init__(
        self,
        name: str,
        system: str,
        server: ChatServer,
        seed: int | None,
        attempts: int,
        pool: Executor,
        stop: threading.Event,
    ):
        self.name, self.system, self.server = name, system, server
        self.seed, self.attempts, self.pool, self.stop = seed, attempts, pool, stop
        self.request_count = 0
        self.refused: list[dict[str, Any]] = []
        self.skipped: list[dict[str, Any]] = []

    def one(self, request: Request) -> Any:
        """What the answer holds, or None if every answer was malformed."""
        return self.many([request])[0]

    def many(self, requests: list[Request]) -> list[Any]:
        """One result a request, in order."""
        self.request_count += len(requests)
        results = []
        for future in [self.pool.submit(self._settle, request) for request in requests]:
            result, refused = future.result()
            self.refused += refused
            if len(refused) == self.attempts:
                self.skipped.append(refused[-1])
            results.append(result)
        return results

    def _settle(self, request: Request) -> tuple[Any, list[dict[str, Any]]]:
        messages = [{"role": "system", "content": self.system}, {"role": "user", "content": request.prompt}]
        refused: list[dict[str, Any]] = []
        for attempt in range(self.attempts):
            if self.stop.is_set():
                raise CancelledError
            answer = self.server.ask(messages, self.seed, attempt)
            try:
                return request.parse(self._whole(answer)), refused
            except Malformed as error:
                self.server.tally.refuse()
                why = {"why": str(error), "answer": beginning(answer.text)}
                refused.append({"name": self.name, "step": request.step, "attempt": attempt + 1, **why})
        return None, refused

    def _whole(self, answer: Answer) -> str:
        if not answer.whole:
            raise Malformed(f"cut off at server.max_tokens={self.server.max_tokens}")
        return answer.text
