"""One reply of a chat server, read with limits: one that never ends or is no completion is an error like any other."""

from __future__ import annotations

import json
import time
from typing import Any

import openai

MOST_BYTES = 4 * 2**20  # of a reply, which is a sentence


class Broken(Exception):
    """A reply that broke off, did not end or is too large, as often as it was tried."""


def reply(client: openai.OpenAI, seconds: float, retries: int, **arguments: Any) -> str:
    """The text of a chat completion, its refusal where it has one, or whatever else a server sent instead.

    Args:
        seconds: that a whole reply may take, however steadily it comes.
        retries: further tries after one that broke off; the client has its own for those that did not begin.
        arguments: what `client.chat.completions.create` takes.

    Raises:
        openai.OpenAIError: what the client makes of a status or of a server that cannot be reached.
        Broken: otherwise.
    """
    for again in range(retries + 1):
        try:
            return text_of(_read(client, seconds, arguments))
        except openai.OpenAIError:
            raise
        except Exception as error:  # the client's transport has its own kinds, by its version
            last = f"{type(error).__name__}: {error}"
            if isinstance(error, Broken) or again == retries:
                break
            time.sleep(min(0.5 * 2**again, 8))
    raise Broken(last) from None


def _read(client: openai.OpenAI, seconds: float, arguments: dict[str, Any]) -> bytes:
    until, content = time.monotonic() + seconds, b""
    with client.chat.completions.with_streaming_response.create(**arguments) as response:
        for part in response.iter_bytes():
            content += part
            if len(content) > MOST_BYTES:
                raise Broken(f"a reply of more than {MOST_BYTES} bytes")
            if time.monotonic() > until:
                raise Broken(f"a reply that did not end within {seconds:g} s")
    return content


def text_of(content: bytes) -> str:
    """What a completion says, or all that came where it is none."""
    text = content.decode("utf-8", errors="replace")
    try:
        message = json.loads(text)["choices"][0]["message"]
        words = message.get("content") or message.get("refusal") or ""
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return text
    return words if isinstance(words, str) else text
