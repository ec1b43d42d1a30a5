"""Several drawn answers to three questions of each side, for the tests of attacks on the decoding."""

from unlearnkit.attacks import Scene
from unlearnkit.data.examples import Data, Example
from unlearnkit.evaluations import Evaluation, Evaluations, Point
from unlearnkit.measures import RougeL
from unlearnkit.records.decoding import Decoding
from unlearnkit.runs.moments import bind_attacks

ROWS = [Example(n, f"Say {n}?", f"the answer {n}") for n in "abc"]
DATA = Data("made", {}, {"x": {"test": ROWS}, "y": {"test": ROWS}}, {"x": "forget", "y": "retain"})
DRAWN = Decoding(4, 1.0)


def measured(attack, model, of="unlearned", start=True, **settings):
    measures = {"rouge_l": RougeL()}
    settings = {"max_new_tokens": 3, **settings}
    evaluation = Evaluation(measures, {"forget": ["rouge_l"], "retain": ["rouge_l"]}, **settings)
    evaluations = Evaluations({"own": evaluation}, DATA, 0)
    bind_attacks({"samples": attack}, [], Scene(DATA), evaluations)
    before = evaluations.measure(model, Point("test"))
    records = attack.measure(model, evaluations, "it", before if start else None, of)
    return records["own"], evaluations.compute(records)["own"], evaluations.compute(before)["own"]
