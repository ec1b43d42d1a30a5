"""Three lines in a notebook."""

import json
from html.parser import HTMLParser

import pytest

import unlearnkit
from unlearnkit.errors import UserError

CELL = """
import unlearnkit
quick = {"logger": "none", "eval_every": 0, "train__max_steps": 2, "eval__safety__limit": 2}
run = unlearnkit.unlearn("+method=npo", "model=tiny", **quick)
run.numbers
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "out"
    quick = {"model": "tiny", "logger": "none", "eval_every": 0, "train__max_steps": 2, "eval__safety__limit": 2}
    return unlearnkit.unlearn("+method=npo", **quick, eval__safety__max_new_tokens=5, hydra__run__dir=folder)


def test_numbers_are_those_of_metrics_json(run):
    numbers = run.numbers
    raw = json.loads((run.folder / "metrics.json").read_text())
    end = numbers[(numbers.moment == "finetune") & (numbers.set == "normal") & (numbers.measure == "similarity")]
    assert end[["value", "low", "high", "n"]].to_dict("records") == [
        {key: raw["after"]["safety"]["normal"]["similarity"][key] for key in ("value", "low", "high", "n")}
    ]
    assert end.role.item() == "retain" and end.evaluation.item() == "safety"
    assert set(numbers.moment) == {"start", "finetune"} and len(numbers) == 2 * 8


def test_a_moment_that_is_measured_later_is_in_the_frame(run):
    assert run.measure("eval.safety.limit=1") == "measured"
    with pytest.raises(UserError, match="Did you mean 'safety'"):
        run.measure("eval=safty")
    later = run.numbers[run.numbers.moment == "measured"]
    assert len(later) == 8 and set(later.n) == {1}


def test_answers_stand_side_by_side(run):
    lines = [json.loads(line) for line in (run.folder / "generations.jsonl").read_text().splitlines()]
    assert run.answers.to_dict("records")[0]["after"] == lines[0]["after"]
    assert len(run.answers) == len(lines) == 6


def test_the_model_is_the_runs_with_its_tokenizer(run):
    with run.model.current() as network:
        ids = run.model.tokenizer("x", return_tensors="pt")["input_ids"]
        assert network(input_ids=ids).logits.shape[-1] == 259
    assert run.model is run.model


def test_the_report_is_one_frame_with_the_whole_page(run):
    found = {}

    class Frame(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found[tag] = dict(attributes)

    Frame().feed(run.report._repr_html_())
    assert list(found) == ["iframe"]
    assert found["iframe"]["srcdoc"] == (run.folder / "report.html").read_text(errors="replace")
    (run.folder / "report.html").unlink()
    assert run.report.path.is_file()


def test_a_folder_that_is_there_already(run, tmp_path):
    assert unlearnkit.Run(run.folder).numbers.equals(run.numbers)
    assert "npo on tiny, mischief, seed 0" in repr(unlearnkit.Run(str(run.folder)))
    with pytest.raises(UserError, match="is no run folder"):
        unlearnkit.Run(tmp_path)


def test_a_cell_in_jupyter(tmp_path):
    pytest.importorskip("ipykernel", reason="needs ipykernel, nbclient and nbformat")
    nbclient = pytest.importorskip("nbclient", reason="needs ipykernel, nbclient and nbformat")
    nbformat = pytest.importorskip("nbformat", reason="needs ipykernel, nbclient and nbformat")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(part) for part in (CELL, "run.report")])
    done = nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [cell.outputs[-1].data["text/html"] for cell in done.cells]
    assert "harmful_rate" in shown[0] and "<iframe" in shown[1]
