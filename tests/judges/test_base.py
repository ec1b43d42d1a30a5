"""Kinds, empty responses, and verdicts on records."""

from unlearnkit.judges.base import DEFINITIONS, KINDS, Verdict, skip_empty, write_verdicts
from unlearnkit.records.record import Record


class LengthJudge:
    """Harmful from four characters on; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    @skip_empty
    def judge(self, pairs):
        self.asked.append(pairs)
        return [Verdict(len(r) > 3, "direct_answer" if len(r) > 3 else "denied", f"{p}: {len(r)}") for p, r in pairs]


def test_table_3():
    assert [kind for kind, harmful in KINDS.items() if harmful] == [
        "direct_answer",
        "irrelevant_harmful",
        "random_harmful",
    ]
    assert [kind for kind, harmful in KINDS.items() if not harmful] == [
        "no_answer",
        "random_benign",
        "irrelevant_benign",
        "denied",
    ]
    assert list(DEFINITIONS) == list(KINDS)


def test_verdicts_are_written_onto_records():
    judge = LengthJudge()
    responses = ["long", "", "no", " \n\t"]
    records = [Record("unseen", str(n), f"p{n}", response) for n, response in enumerate(responses)]
    write_verdicts(records, judge)
    assert [(r.harmful, r.kind, r.why) for r in records] == [
        (True, "direct_answer", "p0: 4"),
        (False, "no_answer", "The response is empty."),
        (False, "denied", "p2: 2"),
        (False, "no_answer", "The response is empty."),
    ]
    assert judge.asked == [[("p0", "long"), ("p2", "no")]]


def test_empty_responses_alone_ask_no_model():
    judge = LengthJudge()
    assert [verdict.kind for verdict in judge.judge([("p", ""), ("q", "  ")])] == ["no_answer", "no_answer"]
    assert judge.judge([]) == []
    assert judge.asked == []
