"""Any OpenAI-compatible chat server, every answer kept on disk so that a rerun continues."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import openai

from unlearnkit.build.checks import check_number
from unlearnkit.build.tally import Answer, Tally
from unlearnkit.cache import load_or_make
from unlearnkit.errors import UserError, beginning
from unlearnkit.files import write
from unlearnkit.secrets import keep_secret

FILE = "answer.json"


class ChatServer:
    """Asks a chat model. An answer is kept by what was asked of which model, not by the server's address.

    Args:
        model: the name the server knows.
        cache: folder of the answers.
        base_url: of the server (`http://127.0.0.1:8000/v1`); by default OpenAI's, or `$OPENAI_BASE_URL`.
        api_key_env: the environment variable with the key; a server at a `base_url` of its own may need none.
        temperature: of the first try; None leaves it out, for models that refuse it.
        temperature_step: added for each further try after a malformed answer.
        max_tokens: of an answer; None leaves it out.
        timeout: seconds without a byte from the server, for each try.
        retries: further tries after a timeout, a lost connection, 409, 429 or 5xx, with exponential back-off.
        extra: further fields of the request.
        price_per_million: see `Tally`.
    Raises:
        UserError: for a missing key, model or address; from `ask`, where the server fails for good or is none.
    """

    def __init__(
        self,
        model: str | None,
        cache: str | Path,
        base_url: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        temperature: float | None = 0.7,
        temperature_step: float = 0.1,
        max_tokens: int | None = 3000,
        timeout: float = 120,
        retries: int = 4,
        extra: dict[str, Any] | None = None,
        price_per_million: dict[str, float] | None = None,
    ):
        if not model:
            raise UserError("No model is chosen.", "Add server.model=NAME, a name that the server knows")
        base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        if base_url and not base_url.startswith(("http://", "https://")):
            raise UserError(f"server.base_url '{base_url}' is no address.", "It begins with http:// or https://")
        check_number("server.retries", retries, 0, 100)
        check_number("server.timeout", timeout, 0.01, 86_400, whole=False)
        check_number("server.temperature", temperature, 0, 2, whole=False, optional=True)
        check_number("server.temperature_step", temperature_step, 0, 1, whole=False)
        check_number("server.max_tokens", max_tokens, 1, 10**7, optional=True)
        self.model, self.api_key_env = str(model), api_key_env
        if not self._key() and not base_url:
            raise UserError(f"The environment has no {api_key_env}.", f"export {api_key_env}=<your key>")
        if not self._key().isascii():
            raise UserError(f"${api_key_env} holds more than ASCII.", f"export {api_key_env}=<your key>")
        self.temperature, self.temperature_step, self.max_tokens = temperature, temperature_step, max_tokens
        self.timeout, self.retries, self.extra = timeout, retries, extra or {}
        self.tally = Tally(price_per_million)
        keep_secret(self._key())
        self.cache = Path(cache).expanduser()
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"The cache {self.cache} cannot be made: {error.strerror or error}",
                "Choose one with server.cache=FOLDER",
            ) from None
        self.client = openai.OpenAI(
            api_key=self._key() or "none", base_url=base_url, timeout=timeout, max_retries=retries
        )

    def ask(self, messages: list[dict[str, str]], seed: int | None, attempt: int = 0) -> Answer:
        """The answer out of the cache or from the server, at `seed + attempt` and a temperature that rises with it."""
        body = self._body(messages, seed, attempt)
        fresh: list[Answer] = []

        def make(folder: Path) -> None:
            fresh.append(self._read(self._complete(body)))
            write(folder / FILE, json.dumps(asdict(fresh[0]), ensure_ascii=False))

        # without seed and temperature the tries differ in nothing else
        content = {"body": body, "attempt": attempt}
        saved = load_or_make("answers", content, make, _saved, waiting="", root=self.cache)
        answer = replace(saved, cached=not fresh)
        self.tally.add(answer)
        return answer

    def _body(self, messages: list[dict[str, str]], seed: int | None, attempt: int) -> dict[str, Any]:
        options: dict[str, Any] = {"model": self.model, "messages": messages}
        if self.temperature is not None:
            options["temperature"] = round(self.temperature + attempt * self.temperature_step, 6)
        if self.max_tokens is not None:
            options["max_tokens"] = self.max_tokens
        if seed is not None:
            options["seed"] = seed + attempt
        return {**options, **self.extra}

    def _complete(self, body: dict[str, Any]) -> str:
        required = {key: body[key] for key in ("model", "messages")}
        create: Any = self.client.chat.completions.with_raw_response.create
        try:
            return create(**required, extra_body={key: body[key] for key in body if key not in required}).text
        except openai.OpenAIError as error:
            raise self._failed(error) from None

    def _read(self, content: str) -> Answer:
        try:
            received = json.loads(content)
            choice = received["choices"][0]
            message = choice["message"]
            text = message["content"] or message.get("refusal") or ""
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, LookupError, TypeError, AttributeError):
            raise self._stopped(
                f"answered something other than a chat completion: {beginning(content)!r}",
                "Check that server.base_url is an OpenAI-compatible server (it usually ends in /v1)",
            ) from None
        usage = received.get("usage")
        tokens = [
            usage.get(f"{which}_tokens") if isinstance(usage, dict) else None for which in ("prompt", "completion")
        ]
        prompt, completion = (number if type(number) is int else None for number in tokens)
        return Answer(text, choice.get("finish_reason") != "length", prompt, completion)

    def _failed(self, error: openai.OpenAIError) -> UserError:
        if isinstance(error, openai.APITimeoutError):
            return self._stopped(
                f"did not answer within {self.timeout:g} s in {self.retries + 1} tries",
                "Raise server.timeout or lower concurrency",
            )
        if isinstance(error, openai.APIStatusError):
            fix = {
                400: "Check server.model; where a model takes no temperature, max_tokens or seed, set it to null",
                401: f"Check ${self.api_key_env}",
                403: f"Check ${self.api_key_env} and what it may use",
                404: "Check server.model and server.base_url (it usually ends in /v1)",
                429: "Lower concurrency or wait",
            }.get(error.status_code, "Wait or lower concurrency")
            return self._stopped(f"answered {error.status_code}: {beginning(error.message)!r}", fix)
        return self._stopped(
            f"could not be reached: {beginning(str(error))!r}", "Check server.base_url and that the server runs"
        )

    def _stopped(self, what: str, fix: str) -> UserError:
        return UserError(
            f"The server of '{self.model}' {what}. {self.tally.done} requests were done.",
            f"{fix}, then run the same command again: finished requests are kept in {self.cache} and not asked again",
        )

    def _key(self) -> str:
        return os.environ.get(self.api_key_env, "").strip()


def _saved(folder: Path) -> Answer:
    return Answer(**json.loads((folder / FILE).read_text(encoding="utf-8")))
