"""Where answers come from that this process does not draw: a server that serves the model, or a file."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from unlearnkit import ranks
from unlearnkit.data.rows import Row
from unlearnkit.errors import UserError, beginning
from unlearnkit.models import LanguageModel
from unlearnkit.records.generate import Drawn
from unlearnkit.records.record import Record

if TYPE_CHECKING:
    from unlearnkit.build.server import ChatServer

Answer = tuple[str, bool]  # what was said, and whether it came to its end


@dataclass
class Elsewhere(Drawn, ABC):
    """Drawn elsewhere: the first rank gets the answers for all."""

    def __call__(
        self, model: LanguageModel, records: list[Record], max_new_tokens: int, batch_size: int, desc: str
    ) -> None:
        answers = ranks.from_first(lambda: self.answered(model, records, max_new_tokens))
        for record, (text, ended) in zip(records, answers, strict=True):
            tokens = model.tokenizer(text, add_special_tokens=False)["input_ids"]
            record.response, record.ended = text.strip(), ended
            record.tokens = max(1, len(tokens) + ended)  # an answer of nothing is one too

    @abstractmethod
    def answered(self, model: LanguageModel, records: list[Record], max_new_tokens: int) -> list[Answer]:
        """One answer a record."""

    def content(self) -> Any:
        return None


@dataclass
class Served(Elsewhere):
    """By an OpenAI-compatible chat server, which puts its own chat template around a question.

    Every answer is kept on disk, so that a run that was cut off asks only for the rest. A request has a seed of its
    own, made of the decoding's, the question and the sample.
    """

    server: ChatServer
    concurrency: int = 8

    def answered(self, model: LanguageModel, records: list[Record], max_new_tokens: int) -> list[Answer]:
        self.server.max_tokens = max_new_tokens
        system = [{"role": "system", "content": model.template.system}] if model.template.system else []

        def ask(record: Record) -> Answer:
            seed = zlib.crc32(repr((self.decoding.seed, record.prompt, record.sample)).encode()) >> 1
            answer = self.server.ask([*system, {"role": "user", "content": record.prompt}], seed)
            return answer.text, answer.whole

        with ThreadPoolExecutor(self.concurrency) as pool:
            waiting = [pool.submit(ask, record) for record in records]
            try:
                return [one.result() for one in waiting]
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


@dataclass
class Filed(Elsewhere):
    """From a file: rows of a prompt and a response, several a prompt; the first ones are taken.

    Raises:
        UserError: a row without one of the two.
    """

    rows: Sequence[Row]
    path: str
    by_prompt: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for row in self.rows:
            prompt, response = (row.values.get(name) for name in ("prompt", "response"))
            if not isinstance(prompt, str) or not isinstance(response, str):
                raise UserError(f"{row.place}: no prompt with a response", "Every row has both, as texts")
            self.by_prompt.setdefault(prompt, []).append(response)

    def check(self, prompts: Sequence[str], setting: str) -> None:
        """Refuse a file with too few answers.

        Raises:
            UserError: with how many questions have too few.
        """
        few = [
            prompt for prompt in dict.fromkeys(prompts) if len(self.by_prompt.get(prompt, ())) < self.decoding.samples
        ]
        if few:
            raise UserError(
                f"{setting}={self.path} has fewer than {self.decoding.samples} answers to {len(few)} of"
                f" {len(set(prompts))} questions, first: {beginning(few[0], 100)}",
                "Give more answers, or set decoding.samples= and k= to fewer",
            )

    def answered(self, model: LanguageModel, records: list[Record], max_new_tokens: int) -> list[Answer]:
        return [(self.by_prompt[record.prompt][record.sample], True) for record in records]
