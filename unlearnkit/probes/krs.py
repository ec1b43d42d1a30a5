"""The KRS evaluation: trace the original once, restore its parts in the unlearned model, compare logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from unlearnkit.data.examples import Data
from unlearnkit.data.spread import spread
from unlearnkit.errors import UserError, nearest
from unlearnkit.evaluations.base import Numbers, Part, Point
from unlearnkit.measures.krs import comparable, krs, krs_peak
from unlearnkit.models import LanguageModel
from unlearnkit.probes.patching import SETTINGS, check_window, errors
from unlearnkit.probes.questions import ask
from unlearnkit.probes.trace import Trace
from unlearnkit.records.generate import records_of
from unlearnkit.records.record import Record
from unlearnkit.settings.bounds import Positive


class KRS(Part):
    """Knowledge Recovery Score by setting and layer (Hong et al. 2024, section 3 and eq. 3).

    On the original's own greedy answers, teacher-forced, the unlearned model's raw logits are compared with the
    original's, as it is and with parts of the original restored at all positions of a window of layers:
    `coefficients` (the input of the MLP's second matrix), `value_vectors` (that matrix's weight), `attention` (the
    attention's output), `attention_and_coefficients`. Logits are products in float32 whatever the models compute in.

    The original must be measured first by the same instance, which keeps its trace on disk (see `Trace`). Points of
    a curve are not measured. A model that is the original still has no error, and so no numbers.

    Args:
        sets: the data's sets that questions are taken from; they count together.
        window: layers restored at a time, around each layer.
        tokens: of an answer; one that ends early has fewer.
        limit: questions a set, spread over their categories; all if None.
        as_published: count as the authors' notebook does, to show both: the positions of `published_positions`, and
            the mean of the questions' scores in place of eq. 3's score of mean errors. Their bfloat16, their prompt
            and the tokenising anew of decoded answers are not copied.
        tokens_a_row, tokens_a_pass: how much is computed at once, see `Trace` and `errors`.
    """

    def __init__(
        self,
        sets: list[str],
        window: Positive = 5,
        tokens: Positive = 30,
        limit: Positive | None = 10,
        as_published: bool = False,
        tokens_a_row: Positive = 1024,
        tokens_a_pass: Positive | None = None,
    ):
        for name, value in {"tokens": tokens, "limit": limit, "window": window, "sets": len(sets)}.items():
            if value is not None and value < 1:
                what = "is empty" if name == "sets" else f"is {value}"
                raise UserError(f"eval.krs.{name} {what}", f"Set eval.krs.{name}= to one or more")
        self.sets = sets
        self.window, self.tokens, self.limit, self.as_published = window, tokens, limit, as_published
        self.tokens_a_row, self.tokens_a_pass = tokens_a_row, tokens_a_pass
        self._trace: Trace | None = None

    def bind(self, name: str, data: Data) -> None:
        super().bind(name, data)
        for name in self.sets:
            if not any(data.sets.get(name, {}).values()):
                raise UserError(
                    f"No questions for KRS in the set '{name}'.{nearest(name, data.sets)} The data '{data.name}' has:"
                    f" {', '.join(data.sets)}",
                    "Set eval.krs.sets=[NAME] to one of these",
                )

    def measure(self, model: LanguageModel, point: Point, original: list[Record] | None = None) -> list[Record]:
        """Records with the original's answers, and with errors where `original` is given.

        Raises:
            UserError: a window that the model does not hold, or a model that does not belong to the original.
        """
        if point.curve or point.asks_otherwise:
            return []
        records = self._records(point)
        if original is None:
            self.resume(model, point)
        if self._trace is None:
            raise ValueError("KRS measures an unlearned model only after the original, in the same instance")
        for record, question in zip(records, self._trace.questions, strict=True):
            record.original = str(model.tokenizer.decode(list(question.answer), skip_special_tokens=True)).strip()
        if original is not None:
            self._compare(model, self._trace, records)
        return records

    def resume(self, model: LanguageModel, point: Point) -> None:
        check_window(self.window, model.model.config.num_hidden_layers)
        prompts = [record.prompt for record in self._records(point)]
        self._trace = Trace(model, ask(model, prompts, self.tokens, self.as_published), self.tokens_a_row)

    def _records(self, point: Point) -> list[Record]:
        return records_of({name: spread(self.data.sets[name][point.split], self.limit) for name in self.sets})

    def _compare(self, model: LanguageModel, trace: Trace, records: list[Record]) -> None:
        trace.check(model)
        unlearned, patched = errors(model.model, trace, self.window, SETTINGS, self.tokens_a_pass)
        for number, record in enumerate(records):
            record.unlearned_error = float(unlearned[number])
            record.patched_errors = {name: values[:, number].tolist() for name, values in patched.items()}

    def compute(
        self, records: list[Record], seed: int = 0, controls: Mapping[str, list[Record]] | None = None
    ) -> Numbers:
        """setting -> `layer_00`, `layer_01`, ... and `peak` -> {value, low, high, n, seed}.

        Empty for the original itself, for a model without any error (it does what the original does) and for one
        whose logits are no numbers any more.
        """
        compared = [record for record in records if comparable(record)]
        if not compared:
            return {}
        first = compared[0].patched_errors or {}
        return {
            setting: {
                **{
                    f"layer_{layer:02}": asdict(krs(compared, setting, layer, seed, self.as_published))
                    for layer in range(len(by_layer))
                },
                "peak": asdict(krs_peak(compared, setting, seed, self.as_published)),
            }
            for setting, by_layer in first.items()
        }
