"""What a run left behind, as Python has it."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnkit.measures.columns import flatten
from unlearnkit.report.reading import read_lines
from unlearnkit.report.run import write_report
from unlearnkit.tables.reading import read_run

if TYPE_CHECKING:
    import pandas

    from unlearnkit.models import LanguageModel

NUMBERS = ("moment", "stage", "step", "evaluation", "set", "role", "measure", "value", "low", "high", "n", "better")
HEIGHT = 800  # pixels of a report in a notebook
COST = "cost"  # what a stage cost is no measurement of a model


class Report:
    """A run's page; a notebook shows it.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        self.path = path

    def __repr__(self) -> str:
        return f"Report({str(self.path)!r})"

    def _repr_html_(self) -> str:
        """In a frame of its own, which its style and scripts do not leave."""
        page = html.escape(self.path.read_text(encoding="utf-8", errors="replace"), quote=True)
        style = f"width:100%;height:{HEIGHT}px;border:1px solid #8888"
        return f'<iframe title="report" sandbox="allow-scripts" style="{style}" srcdoc="{page}"></iframe>'


class Run:
    """A run that has ended.

    Args:
        folder: its own, which `unlearn` or `python -m unlearnkit` wrote.

    Raises:
        UserError: no run's folder.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).expanduser().absolute()
        self._read()

    def _read(self) -> Any:
        return read_run(self.folder).raw

    def __repr__(self) -> str:
        run = self._read()["run"]
        return f"Run({run['method']} on {run['model']}, {run['data']}, seed {run['seed']}: {str(self.folder)!r})"

    @property
    def config(self) -> dict[str, Any]:
        """config.yaml."""
        import yaml

        config = yaml.safe_load((self.folder / "config.yaml").read_text(encoding="utf-8"))
        return dict(config)

    @property
    def numbers(self) -> pandas.DataFrame:
        """A row a number: of every moment, also of those that were measured later; read anew each time.

        `low` and `high` are its 95 % interval, `n` its prompts, `better` is "lower" or "higher".
        """
        import pandas

        raw = self._read()
        rows = []
        for moment in raw["moments"]:
            numbers = {name: part for name, part in moment["numbers"].items() if name != COST}
            for (evaluation, name, measure), number in _flat(numbers, raw["columns"]):
                display = number["display"]
                place = (moment["name"], moment["stage"], moment["step"], evaluation, name, display.role, measure)
                rows.append((*place, *(number[key] for key in ("value", "low", "high", "n")), display.better))
        return pandas.DataFrame(rows, columns=list(NUMBERS))

    @property
    def answers(self) -> pandas.DataFrame:
        """A row an example that was answered: set, id, category, prompt, answer (the data's), before, after, and the
        judge's verdicts before and after."""
        import pandas

        return pandas.DataFrame(read_lines(self.folder / "generations.jsonl"))

    @cached_property
    def model(self) -> LanguageModel:
        """What the run made: `run.model.model` is the network, `run.model.tokenizer` its tokenizer. Loaded once."""
        from unlearnkit.api.untouched import errors, untouched
        from unlearnkit.measure.runs import saved_model

        with untouched([]), errors():
            return saved_model(self.folder)

    def measure(self, *words: str) -> str:
        """Measure the run's model with another evaluation, as `python -m unlearnkit.measure` does.

        Returns:
            the name of the moment that `numbers` has then.
        """
        from unlearnkit.api.untouched import errors, untouched
        from unlearnkit.measure.runs import measure_run

        with untouched(words), errors():
            return measure_run(self.folder, words)

    @property
    def report(self) -> Report:
        """The run's page, made anew where it is gone."""
        path = self.folder / "report.html"
        return Report(path if path.is_file() else write_report(self.folder))


def _flat(numbers: Any, shown: Any) -> Any:
    for column, estimate in flatten(numbers, shown).items():
        if len(column) == 3:
            number = {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
            yield column, {**number, "display": column.display}
