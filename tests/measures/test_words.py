"""Words as rouge_score has them where it has them, and of every script."""

import random
import string

import pytest
from rouge_score.tokenizers import DefaultTokenizer

from unlearnkit.measures.words import Words

OURS, THEIRS = Words(), DefaultTokenizer(use_stemmer=True)
ENGLISH = (
    "The quick brown foxes weren't jumping over 3,000 lazy dogs; e-mail me at a.b@c.org (or don't)!",
    "Running_jumping\tSWIMMING\n\n2024-05-01 3.14 I'll U.S.A. x2 100% ...",
    "",
    "...",
)


@pytest.mark.parametrize("text", ENGLISH)
def test_english_is_as_rouge_score_has_it(text):
    assert OURS.tokenize(text) == THEIRS.tokenize(text)


def test_any_ascii_is_as_rouge_score_has_it():
    draw = random.Random(0)
    for _ in range(500):
        text = "".join(draw.choices(string.printable + string.ascii_letters * 3, k=60))
        assert OURS.tokenize(text) == THEIRS.tokenize(text)


def test_typographic_signs_part_words_as_ascii_ones_do():
    assert OURS.tokenize("“don’t” – well…") == THEIRS.tokenize('"don\'t" - well...') == ["don", "t", "well"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Привет, мир!", ["привет", "мир"]),
        ("你好，世界 2024年AI", ["你", "好", "世", "界", "2024", "年", "ai"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ที่", ["ที่"]),  # a letter with its two marks
        ("서울은 수도", ["서울은", "수도"]),
        ("カフェ", ["カ", "フ", "ェ"]),
        ("𠮷野家", ["𠮷", "野", "家"]),
    ],
)
def test_other_scripts(text, words):
    assert OURS.tokenize(text) == words
