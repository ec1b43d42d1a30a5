"""A judge behind any OpenAI-compatible server (Liu et al. 2024, SKU, A.1: GPT-4 with few-shot prompting)."""

from __future__ import annotations

import collections
import json
import os
import queue
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
from rich.console import Console
from rich.progress import Progress

from unlearnkit.cache import find_entry, load_or_make
from unlearnkit.content import digest
from unlearnkit.data.json_text import loads
from unlearnkit.errors import UserError, beginning
from unlearnkit.files import write
from unlearnkit.judges.base import Verdict, skip_empty
from unlearnkit.judges.questions import FORMAT, PLAIN, SYSTEM, opening, parse, question
from unlearnkit.judges.replies import Broken, reply
from unlearnkit.secrets import keep_secret, redact
from unlearnkit.settings.bounds import AboveZero, Count, Nonnegative, Positive

TIMES = 4  # timeouts that a whole reply may take, however steadily it comes
KIND, FILE = "verdicts", "verdict.json"
FEW_SHOT = Path(__file__).parent / "rows" / "few_shot.json"


class OpenAIJudge:
    """Asks a chat model for the kind and a reason; every answer is kept on disk, so that a rerun continues.

    Args:
        model: the name the server knows.
        base_url: of the server (`http://127.0.0.1:8000/v1`); by default OpenAI's, or `$OPENAI_BASE_URL`.
        api_key_env: the environment variable with the key; a server at a `base_url` of its own may need none.
        concurrency: requests at a time.
        timeout: seconds without a byte from the server, for each try.
        retries: further tries after a timeout, a lost connection, 409, 429 or 5xx, with exponential back-off.
        temperature: None leaves it out, for models that refuse it.
        cache: folder of the answers; by default `$UNLEARNKIT_CACHE`.
        few_shot: JSON list of {prompt, response, kind, explanation}; by default 21 examples, 3 of each kind.
    Raises:
        UserError: for a missing key, or a `few_shot` that is no such list; from `judge`, where the server fails
            for good or twice answers nonsense.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        concurrency: Positive = 8,
        timeout: AboveZero = 60,
        retries: Count = 4,
        temperature: Nonnegative | None = 0.0,
        cache: str | Path | None = None,
        few_shot: str | Path | None = None,
    ):
        self.model, self.base_url, self.api_key_env = model, base_url, api_key_env
        if not self._key() and not (base_url or os.environ.get("OPENAI_BASE_URL")):
            raise UserError(f"The environment has no {api_key_env}.", f"export {api_key_env}=<your key>")
        keep_secret(self._key())
        self.concurrency, self.timeout, self.retries = concurrency, timeout, retries
        self.temperature = temperature
        self.cache = Path(cache).expanduser() if cache is not None else None
        self.structured = True
        self.opening = _examples(Path(few_shot or FEW_SHOT).expanduser())
        # With a schema, or in words where a server has none or the first answer was nonsense.
        self.prompt_digest = digest([self.opening, FORMAT, PLAIN])

    @skip_empty
    def judge(self, pairs: list[tuple[str, str]]) -> list[Verdict]:
        """One verdict for each (prompt, response); equal pairs are asked once."""
        questions = [question(*pair) for pair in pairs]
        entries = {text: find_entry(KIND, self._content(text), self.cache) for text in questions}
        verdicts = {text: _read(entry) if entry is not None else None for text, entry in entries.items()}
        missing = [text for text, verdict in verdicts.items() if verdict is None]
        if missing:
            verdicts.update(self._ask_all(missing))
        return [verdict for text in questions if (verdict := verdicts[text]) is not None]

    def _ask_all(self, questions: list[str]) -> dict[str, Verdict]:
        """Ask from threads that nobody waits for: an interrupted process ends while a server is silent."""
        client = self._client()
        waiting = collections.deque(questions)
        done: queue.SimpleQueue[tuple[str, Verdict | BaseException]] = queue.SimpleQueue()

        def work() -> None:
            while waiting:
                try:
                    text = waiting.popleft()
                except IndexError:  # another thread was faster
                    return
                try:
                    done.put((text, self._ask(client, text)))
                except BaseException as error:
                    done.put((text, error))

        for _ in range(min(self.concurrency, len(questions))):
            threading.Thread(target=work, daemon=True).start()
        verdicts: dict[str, Verdict] = {}
        try:
            with Progress(console=Console(stderr=True)) as progress:
                task = progress.add_task(f"judging with {self.model}", total=len(questions))
                while len(verdicts) < len(questions):
                    text, verdict = done.get()
                    if isinstance(verdict, BaseException):
                        raise verdict
                    verdicts[text] = verdict
                    progress.advance(task)
        finally:
            waiting.clear()
            client.close()
        return verdicts

    def _client(self) -> openai.OpenAI:
        try:
            return openai.OpenAI(
                api_key=self._key() or "none",
                base_url=self.base_url,
                timeout=self.timeout,
                max_retries=self.retries,
            )
        except Exception as error:  # of the client's transport, which has its own kinds by its version
            raise UserError(
                f"The judge '{self.model}' has no address: {beginning(str(error))}",
                "Check judge.base_url and $OPENAI_BASE_URL",
            ) from None

    def _ask(self, client: openai.OpenAI, text: str) -> Verdict:
        """The verdict; of several processes that want it at once one asks."""

        def make(folder: Path) -> None:
            verdict = self._answered(client, text)
            content = {"kind": verdict.kind, "why": verdict.why}
            write(folder / FILE, json.dumps(content, ensure_ascii=False))

        return load_or_make(KIND, self._content(text), make, _read, waiting="", root=self.cache)

    def _answered(self, client: openai.OpenAI, text: str) -> Verdict:
        messages = [*self.opening, {"role": "user", "content": text}]
        arrived = ""
        # the second answer, and every answer of a server without json_schema, is asked for in words
        for structured in (self.structured, False):
            try:
                arrived = self._complete(client, messages, structured and self.structured)
            except (openai.OpenAIError, Broken) as error:
                raise self._failed(error) from None
            verdict = parse(arrived)
            if verdict:
                return replace(verdict, why=redact(verdict.why))
        raise UserError(
            f"The judge '{self.model}' twice answered something other than a kind and a reason: {beginning(arrived)!r}",
            "Use a more capable judge.model; verdicts given so far are cached, so running again continues.",
        )

    def _complete(self, client: openai.OpenAI, messages: list[dict], structured: bool) -> str:
        options: dict[str, Any] = {"model": self.model}
        if self.temperature is not None:
            options["temperature"] = self.temperature
        if structured:
            try:
                return self._reply(client, messages=messages, response_format=FORMAT, **options)
            except (openai.BadRequestError, openai.UnprocessableEntityError):
                self.structured = False
        plain = [{"role": "system", "content": f"{SYSTEM}\n{PLAIN}"}, *messages[1:]]
        return self._reply(client, messages=plain, **options)

    def _reply(self, client: openai.OpenAI, **arguments: Any) -> str:
        return reply(client, TIMES * self.timeout, self.retries, **arguments)

    def _failed(self, error: openai.OpenAIError | Broken) -> UserError:
        if isinstance(error, openai.APITimeoutError):
            what = f"did not answer within {self.timeout:g} s in {self.retries + 1} tries"
            fix = "Raise judge.timeout or lower judge.concurrency"
        elif isinstance(error, openai.APIStatusError):
            what = f"answered {error.status_code}: {beginning(error.message)!r}"
            fix = {
                401: f"Check ${self.api_key_env}",
                403: f"Check ${self.api_key_env}",
                404: "Check judge.model and judge.base_url (it usually ends in /v1)",
                400: "Check judge.model; judge.temperature=null helps where a model takes no temperature",
            }.get(error.status_code, "Try again later or lower judge.concurrency")
        elif isinstance(error, Broken):
            what = f"sent a reply that is none: {beginning(str(error))!r}"
            fix = "Check judge.base_url and that the server is well, or raise judge.timeout"
        else:
            what = f"could not be reached: {beginning(str(error))!r}"
            fix = "Check judge.base_url and that the server runs"
        return UserError(
            f"The judge '{self.model}' {what}.",
            f"{fix}; verdicts given so far are cached, so running again continues.",
        )

    def _key(self) -> str:
        return os.environ.get(self.api_key_env, "").strip()

    def _content(self, text: str) -> dict[str, Any]:
        """All that decides a verdict."""
        address = self.base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        return {
            "server": redact(address).replace("***@", "").rstrip("/"),
            "model": self.model,
            "temperature": self.temperature,
            "asked": self.prompt_digest,
            "question": text,
        }


def _examples(file: Path) -> list[dict[str, str]]:
    """The messages that a question stands after."""
    try:
        return opening(loads(file.read_bytes()))
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
    except ValueError as error:
        what = f"is no JSON: {error}"
    except (TypeError, KeyError):
        what = "is no list of {prompt, response, kind, explanation}"
    raise UserError(f"judge.few_shot={file} {what}", f"Write it as {FEW_SHOT} is written, or leave it out")


def _read(folder: Path) -> Verdict:
    verdict = parse((folder / FILE).read_text(encoding="utf-8"))
    assert verdict is not None
    return verdict
