"""ROUGE-L by hand."""

import math

import pytest

from unlearnkit.measures.rouge_l import RougeL
from unlearnkit.records.record import Record


def record(answer, response, tokens=9, name="1"):
    return Record("unlearn", name, "p", response=response, tokens=tokens, answer=answer)


@pytest.mark.parametrize(
    ("answer", "response", "value"),
    [
        ("the cat sat on the mat", "the cat on the mat", 10 / 11),  # 5 of 5 words and 5 of 6
        ("a b c d", "d c b a", 1 / 4),  # one word in order
        ("a b c d", "a x b y z w c", 6 / 11),  # gaps are allowed: 3 of 7 and 3 of 4
        ("Running, jumping!", "runs jumped", 1),  # stems, without case and punctuation
        ("yes", "no", 0),
        ("yes", "", 0),  # it ended at once: an answer all the same
    ],
)
def test_one_response(answer, response, value):
    assert RougeL()([record(answer, response)]).value == pytest.approx(value)


@pytest.mark.parametrize(("of", "value"), [("fmeasure", 10 / 11), ("recall", 5 / 6), ("precision", 1)])
def test_how_much_of_either_the_other_has(of, value):
    rows = [record("the cat sat on the mat", "the cat on the mat")]
    assert RougeL(of)(rows).value == pytest.approx(value)


def test_records_without_a_response_are_left_out():
    found = RougeL()([record("a b", "a b"), record("a b", "c", name="2"), record("a b", "", tokens=0)], seed=4)
    assert (found.value, found.n, found.seed) == (0.5, 2, 4) and 0 <= found.low < 0.05 and 0.95 < found.high <= 1


@pytest.mark.parametrize(
    "text",
    [
        "Москва - столица России.",
        "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας.",
        "القاهرة هي عاصمة مصر.",
        "北京是中国的首都。",
        "東京は日本の首都です。",
        "서울은 대한민국의 수도이다.",
        "กรุงเทพเป็นเมืองหลวงของไทย",
        "दिल्ली भारत की राजधानी है।",
        "ירושלים",
        "Đà Nẵng, Éire, Reykjavík",
    ],
)
def test_the_same_answer_is_1_in_any_script(text):
    assert RougeL()([record(text, text)]).value == 1
    assert RougeL()([record(text, "no")]).value == 0


@pytest.mark.parametrize(
    ("answer", "response", "value"),
    [
        ("北京是首都", "北京", 4 / 7),  # a character a word: 2 of 2 and 2 of 5
        ("Москва большая", "москва", 2 / 3),
        ("caf\u00e9", "cafe\u0301", 1),  # one letter, written in two ways
        ("GPT-4是模型", "gpt 4", 4 / 7),  # gpt, 4 and three characters
    ],
)
def test_parts_of_other_scripts(answer, response, value):
    assert RougeL()([record(answer, response)]).value == pytest.approx(value)


def test_nothing_to_measure():
    for rows in ([], [record("a", "", tokens=0)]):
        found = RougeL()(rows)
        assert math.isnan(found.value) and found.n == 0
