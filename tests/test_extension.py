"""What somebody else adds from outside: a measure, an evaluation, an attack and a data set, each as small as told."""

import json

from forked import command

MEASURE = '''\
"""How long answers are."""

from unlearnkit.measures import Measure
from unlearnkit.measures.seeds import Scale


class Tokens(Measure):
    """Mean tokens of a response, its end token included."""

    reads = ("response",)
    better = {"retain": "higher"}
    scale, decimals = Scale(0.0), 1

    def value(self, record, role):
        return float(record.tokens)
'''
ATTACK = '''\
"""Loud questions."""

from unlearnkit.attacks import Attack


class Shout(Attack):
    """The question in capitals."""

    def question(self, prompt):
        return prompt.upper()
'''
EVALUATION = """\
lengths:
  _target_: unlearnkit.evaluations.Evaluation
  sets: {forget: [tokens], retain: [tokens]}
  measures: {tokens: {_target_: mine.tokens.Tokens}}
  max_new_tokens: 5
"""
SHOUT = "# @package attacks\nshout: {_target_: mine.shout.Shout}\n"
DATA = "_target_: unlearnkit.data.mischief.load\nname: ours\npath: rows\n"


def test_from_outside(tmp_path):
    rows = {name: [{"id": f"{name}{n}", "category": "c", "split": split, "prompt": f"how {n}?", "response": f"so {n}"}
                   for n, split in enumerate(("train", "train", "validation", "test"))]
            for name in ("forget", "unseen", "retain", "safe")}  # fmt: skip
    files = {
        "mine/__init__.py": "",
        "mine/tokens.py": MEASURE,
        "mine/shout.py": ATTACK,
        "conf/eval/lengths.yaml": EVALUATION,
        "conf/attack/shout.yaml": SHOUT,
        "conf/data/ours.yaml": DATA,
        **{f"rows/{name}.jsonl": "".join(json.dumps(row) + "\n" for row in part) for name, part in rows.items()},
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    words = (f"--config-dir={tmp_path / 'conf'}", "+method=ga", "data=ours", "eval=lengths", "+attack=[shout]")
    words += ("model=tiny", "logger=none", "train.max_steps=1", "eval_every=0", "hydra.run.dir=out")
    done = command("unlearnkit", *words, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [moment["name"] for moment in metrics["moments"]] == ["start", "shout/start", "finetune", "shout"]
    numbers = metrics["after"]["lengths"]
    assert {name: own["tokens"]["n"] for name, own in numbers.items()} == {"unlearned": 1, "normal": 1}
    shown = metrics["columns"]
    assert [shown[f"lengths/{name}/tokens"]["better"] for name in ("unlearned", "normal")] == [None, "higher"]
    assert "tokens ↑" in done.stdout and "shout/lengths/normal" in done.stdout
    sizes = {name: text.count("\n") for name, text in files.items()}  # CONTRIBUTING says them
    assert (sizes["mine/tokens.py"], sizes["mine/shout.py"]) == (15, 10)
    assert (sizes["conf/eval/lengths.yaml"], sizes["conf/attack/shout.yaml"], sizes["conf/data/ours.yaml"]) == (5, 2, 3)
