"""The general evaluation: tasks of lm-evaluation-harness, one record a document, numbers as the harness has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import lm_eval
from lm_eval.api.metrics import mean

from unlearnkit.content import digest
from unlearnkit.data.examples import Data
from unlearnkit.errors import UserError, nearest
from unlearnkit.evaluations.base import Numbers, Part, Point
from unlearnkit.general.harness import Tasks, evaluate, load_tasks, undisturbed
from unlearnkit.general.local import EMBEDDED, FILES
from unlearnkit.general.scores import Score, Scores, interval, of_average, of_group, of_task, weights_of
from unlearnkit.measures.display import Display, accuracy
from unlearnkit.models import LanguageModel
from unlearnkit.models.fingerprint import fingerprint
from unlearnkit.records.cache import cached
from unlearnkit.records.record import Record
from unlearnkit.settings.bounds import Count, Positive

AVERAGE = "average"


class General(Part):
    """General task performance (Tian et al. 2024, section 2.3.2) by lm-evaluation-harness (Gao et al. 2023).

    A set is a task, or a group that the harness aggregates (`mmlu`); its metrics are the harness's.

    Args:
        tasks: names of the harness's tasks, groups or tags.
        average: the tasks whose mean `acc` is the set `average`, where all of them are measured.
        data_dir: local files in place of the hub, see `unlearnkit.general.rows`; "embedded": the few questions that
            belong to the embedded texts of `data=wmdp`.
        num_fewshot: task -> examples in front of a question; None: the harness's own number.
        limit: documents a task (of each of MMLU's subjects), evenly taken; all if None.
        curve_limit: the same for curves over training steps; None leaves them out there.
        batch_size: "auto" packs the questions, each context once with all its choices; a number pads as the harness
            does. Log-likelihoods agree to rounding.
        chat_template: put the model's own chat template around the prompts.
        samples: write prompts, answers and what the model chose into the records.
        forget: tasks whose knowledge is to be forgotten, so that fewer right answers are better.
    """

    loaded: Tasks

    def __init__(
        self,
        tasks: list[str],
        average: list[str],
        data_dir: str | None = None,
        num_fewshot: dict[str, Count | None] | None = None,
        limit: Positive | None = None,
        curve_limit: Positive | None = None,
        batch_size: Positive | Literal["auto"] = "auto",
        chat_template: bool = False,
        samples: bool = False,
        forget: list[str] | None = None,
    ):
        self.tasks, self.average, self.num_fewshot = tasks, average, num_fewshot or {}
        self.forget = forget or []
        own = EMBEDDED if data_dir == "embedded" else data_dir
        self.data_dir = Path(own).expanduser() if own is not None else None
        self.limit, self.curve_limit, self.batch_size = limit, curve_limit, batch_size
        self.chat_template, self.samples = chat_template, samples

    def bind(self, name: str, data: Data) -> None:
        """Refuse what measures nothing, unknown tasks and missing data; loads the tasks."""
        super().bind(name, data)
        if not self.tasks:
            raise UserError("eval.general.tasks is empty", "Name a task, or leave this evaluation out of eval=")
        for task in self.forget:
            if task not in self.tasks:
                raise UserError(
                    f"Unknown task '{task}' in eval.general.forget.{nearest(task, self.tasks)}",
                    f"It is none of eval.general.tasks: {', '.join(self.tasks)}",
                )
        for task in self.num_fewshot:
            if task not in (*self.tasks, *FILES):
                raise UserError(
                    f"Unknown task '{task}' in eval.general.num_fewshot.{nearest(task, (*self.tasks, *FILES))}",
                    f"It is none of eval.general.tasks: {', '.join(self.tasks)}",
                )
        self.loaded = load_tasks(self.tasks, self.data_dir, self.num_fewshot)

    def measure(self, model: LanguageModel, point: Point, original: list[Record] | None) -> list[Record]:
        """One record a document of each task; the data and its splits have no part in it."""
        if point.asks_otherwise or (point.curve and self.curve_limit is None):
            return []
        if self.chat_template and not model.tokenizer.chat_template:
            raise UserError(
                f"eval.general.chat_template=true, but the tokenizer of '{model.name}' has no chat template",
                "Set eval.general.chat_template=false",
            )
        limit = self.curve_limit if point.curve else self.limit
        if not point.cacheable(original):
            return self._records(model, limit)
        content = {
            "model": fingerprint(model),
            "settings": [limit, str(self.batch_size), self.chat_template, self.samples, lm_eval.__version__],
            "tasks": self._contents(),
        }
        return cached(content, lambda: self._records(model, limit))

    @undisturbed()
    def _contents(self) -> dict[str, list[Any]]:
        return {name: self._content(name) for name in self.loaded.tasks}

    def _content(self, name: str) -> list[Any]:
        """All that the harness knows of a task, with the documents themselves in place of where they lie."""
        task = self.loaded.tasks[name]
        config = {key: value for key, value in task.dump_config().items() if key != "dataset_kwargs"}
        shots = task.get_config("num_fewshot")
        parts = [config, task.eval_docs, task.fewshot_docs() if shots else None]
        return [digest(_written(part)) for part in parts] + [str(task.VERSION), shots]

    def _records(self, model: LanguageModel, limit: int | None) -> list[Record]:
        samples = evaluate(model, self.loaded, limit, self.batch_size, self.chat_template)
        records: dict[tuple[str, int], Record] = {}
        for name, leaves in self.loaded.leaves.items():
            for task in leaves:
                means = {metric for metric, how in self.loaded.tasks[task].aggregation().items() if how is mean}
                for sample in samples[task]:
                    identity = (task, sample["doc_id"])
                    record = records.setdefault(identity, Record(name, f"{task}-{sample['doc_id']}", "", category=task))
                    own_scores = {f"{m},{sample['filter']}": float(sample[m]) for m in sample["metrics"] if m in means}
                    record.scores = {**(record.scores or {}), **own_scores}
                    if self.samples:
                        record.prompt, record.answer, record.response = _texts(sample)
        return list(records.values())

    def columns(self) -> dict[str, dict[str, Display]]:
        """Of the tasks whose knowledge is to go; the others are shown as usual."""
        return {task: {measure: accuracy("forget") for measure in ("acc", "acc_norm")} for task in self.forget}

    @undisturbed()  # naming a task draws a random number in the harness
    def compute(
        self, records: list[Record], seed: int = 0, controls: Mapping[str, list[Record]] | None = None
    ) -> Numbers:
        """Set -> metric -> value, interval, n, seed, standard error, task version, few-shot number, harness version.

        Values and standard errors are the harness's; metrics that are no mean over documents are left out.
        """
        numbers: Numbers = {}
        averaged: dict[str, tuple[Scores, dict[str, float], tuple[float, float | None]]] = {}
        for name, leaves in self.loaded.leaves.items():
            rows = [record for record in records if record.set == name]
            group = self.loaded.groups.get(name)
            for key in dict.fromkeys(
                key for row in rows for key, score in (row.scores or {}).items() if score is not None
            ):
                metric, _, kind = key.partition(",")
                if group and metric not in [part.metric for part in group.aggregate_metric_list or []]:
                    continue
                scores = {task: [r.scores[key] for r in rows if r.category == task and r.scores] for task in leaves}
                weights = weights_of(group, key, scores)
                aggregate = of_group(group, key, scores) if group else of_task(scores[name])
                version = group.version if group else self.loaded.tasks[name].VERSION
                shots = self.loaded.tasks[leaves[0]].get_config("num_fewshot")
                shown = metric if kind == "none" else f"{metric}_{kind}"
                numbers.setdefault(name, {})[shown] = _number(scores, weights, aggregate, seed, version, shots)
                if shown == "acc" and name in self.average:
                    averaged[name] = scores, weights, aggregate
        if averaged and set(averaged) == set(self.average):
            share = 1 / len(averaged)
            all_scores = {task: values for scores, _, _ in averaged.values() for task, values in scores.items()}
            weights = {task: share * weight for _, part, _ in averaged.values() for task, weight in part.items()}
            aggregate = of_average([aggregate for _, _, aggregate in averaged.values()])
            numbers[AVERAGE] = {"acc": _number(all_scores, weights, aggregate, seed, None, None)}
        return numbers


def _written(part: Any) -> str:
    """As JSON; of what that cannot hold, all that is said of it."""
    if part is not None and not isinstance(part, dict):
        part = [dict(row) if isinstance(row, Mapping) else row for row in part]
    return json.dumps(part, sort_keys=True, default=repr)


def _number(
    scores: Scores,
    weights: dict[str, float],
    aggregate: tuple[float, float | None],
    seed: int,
    version: Any,
    shots: Any,
) -> dict[str, Any]:
    value, stderr = aggregate
    low, high = interval(scores, weights)
    n = sum(map(len, scores.values()))
    return asdict(Score(value, low, high, n, seed, stderr, version, shots, lm_eval.__version__))


def _texts(sample: dict[str, Any]) -> tuple[str, str, str]:
    """Prompt, right answer and what the model chose: the likeliest choice, or what it generated."""
    arguments, responses, target = sample["arguments"], sample["filtered_resps"], sample["target"]
    if len(arguments) == 1:
        return str(arguments[0][0]), str(target), str(responses[0])
    choices = [argument[1].strip() for argument in arguments]
    likeliest = max(range(len(choices)), key=lambda place: responses[place][0])
    answer = choices[target] if isinstance(target, int) and target < len(choices) else str(target)
    return str(arguments[0][0]), answer, choices[likeliest]
