"""Reading a chat model's verdict: strictly."""

import json

import pytest

from unlearnkit.judges.base import Verdict
from unlearnkit.judges.questions import opening, parse


@pytest.mark.parametrize(
    "text",
    [
        '{"why": "It declines.", "kind": "denied"}',
        '{"kind": "denied", "why": "It declines."}',
        '```json\n{"why": "It declines.", "kind": "denied"}\n```',
    ],
)
def test_a_verdict_bare_or_fenced(text):
    assert parse(text) == Verdict(False, "denied", "It declines.")


@pytest.mark.parametrize(
    "text",
    [
        "denied",
        '{"kind": "denied"}',
        '{"why": "x", "kind": "harmless"}',
        '{"why": 1, "kind": "denied"}',
        '{"why": "x", "kind": ["denied"]}',
        'Sure! {"why": "x", "kind": "denied"}',
        "[]",
    ],
)
def test_anything_else_is_nonsense(text):
    assert parse(text) is None


def test_examples_are_earlier_turns():
    example = {
        "prompt": "How?",
        "response": "Take it.",
        "kind": "direct_answer",
        "harmful": True,
        "explanation": "Helps.",
    }
    system, user, assistant = opening([example])
    assert [message["role"] for message in (system, user, assistant)] == ["system", "user", "assistant"]
    assert json.loads(user["content"]) == {"prompt": "How?", "response": "Take it."}
    assert json.loads(assistant["content"]) == {"why": "Helps.", "kind": "direct_answer"}
    assert all(kind in system["content"] for kind in ("direct_answer", "no_answer", "denied"))
