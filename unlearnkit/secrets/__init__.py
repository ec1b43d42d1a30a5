"""What must not leave the process: keys and passwords, in whatever file or line they would come out.

A secret is known by the name of its environment variable, its config key or its place in an address, or by its shape.
Files that are written whole and both streams pass through here; so do what trackers are given and a judge's words.
"""

from __future__ import annotations

import functools
import html
import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

HIDDEN = "***"
SHORT = 6  # characters; what is shorter is a word that texts have
# `OPENAI_API_KEY`, `HF_TOKEN`, `DB_PASSWORD`; not `KEYBOARD`, `PWD` or `TOKENIZERS_PARALLELISM`.
VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASS|PASSWD|PASSWORD|PASSPHRASE|CREDENTIALS?|_PW)(_|$)", re.IGNORECASE)
# The last word of a config's key; `api_key_env` and `max_new_tokens` are none.
NAME = re.compile(
    r"((api|access|auth|private|secret)_?(key|token)|key|token|auth|secret|passw\w*|passphrase|credentials?)$",
    re.IGNORECASE,
)
# Of an address: the user and the password, and a key among its parameters.
ADDRESS = re.compile(
    r"(://)[^/@\s]+(?=@)|([?&][^=&\s]*(?:key|token|secret|sig|password)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE
)
SHAPE = re.compile(r"\b(sk-[\w-]{16,}|hf_\w{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_\w{30,})|(?<=Bearer )[\w.~+/=-]{16,}")
RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w.+=~-]{16,}")  # what a variable may hold that a config names
_secrets: set[str] = set()  # told to us by who reads them


def keep_secret(text: str) -> None:
    """Hide this text from now on."""
    if len(text.strip()) >= SHORT - 2:  # somebody has said that it is one
        _secrets.add(text.strip())
        _forms.cache_clear()


def redact(text: str) -> str:
    """A text with *** for every secret: those that are known, those in an address and those of a secret's shape."""
    hidden = ADDRESS.sub(lambda match: f"{match[1] or match[2]}{HIDDEN}", without_known(text))
    return SHAPE.sub(HIDDEN, hidden)


def redacted(data: Any) -> Any:
    """Plain data with every text redacted, and *** for what stands under a secret's name."""
    if isinstance(data, dict):
        return {key: _under(str(key), value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [redacted(value) for value in data]
    return redact(data) if isinstance(data, str) else data


def _under(key: str, value: Any) -> Any:
    if isinstance(value, str) and value and NAME.search(key.rpartition(".")[2]):
        return HIDDEN
    return redacted(value)


def without_known(text: str) -> str:
    """The same for secrets that are known alone: what a model or a user's data say is not touched by its shape."""
    for secret in _forms(tuple(sorted(_known()))):
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def _known() -> set[str]:
    secrets = set(_secrets)
    variables = {name for word in sys.argv[1:] for name in re.findall(r"oc\.env:\s*(\w+)", word)}
    for name, value in os.environ.items():
        if len(value) >= SHORT and (VARIABLE.search(name) or (name in variables and RANDOM.fullmatch(value))):
            secrets.add(value)
    for text in (*sys.argv[1:], *(value for value in os.environ.values() if "://" in value)):
        secrets.update(_in_word(text))
    return secrets


def _in_word(word: str) -> Iterator[str]:
    """The secrets of a setting on the command line, or of an address."""
    key, equals, value = word.partition("=")
    value = value.strip("'\"")
    if equals and NAME.search(key.rpartition(".")[2]) and len(value) >= SHORT and "${" not in value:
        yield value
    for password in re.findall(r"://[^/@\s:]*:([^/@\s]+)@", word):
        if len(password) >= SHORT and "${" not in password:
            yield password


@functools.lru_cache(maxsize=8)
def _forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Each secret as it is, and as JSON, HTML and addresses write it; the longest first."""
    forms = set()
    for secret in secrets:
        forms |= {secret, json.dumps(secret)[1:-1], html.escape(secret), quote(secret, safe=""), unquote(secret)}
    return tuple(sorted((form for form in forms if len(form) >= SHORT - 2), key=len, reverse=True))


def guard(stream: Any) -> None:
    """Whatever is written to a stream from now on is redacted first."""
    write = getattr(stream, "write", None)
    if write is None or getattr(write, "redacts", False):
        return

    def redacting(text: str) -> int:
        write(redact(text) if isinstance(text, str) else text)
        return len(text)

    redacting.redacts = True  # type: ignore[attr-defined]
    try:
        stream.write = redacting
    except AttributeError:  # a stream of somebody else's, which takes no other method
        return
