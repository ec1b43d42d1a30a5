"""The harness on the model that a run already holds: its tasks, its requests, its scores, one call for all."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import datasets
import lm_eval
import numpy as np
import torch
import transformers
from datasets.exceptions import DatasetsError
from lm_eval.api.group import Group
from lm_eval.api.task import Task
from lm_eval.defaults import DEFAULT_OTHER_SEED
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from unlearnkit import ranks
from unlearnkit.data.spread import evenly
from unlearnkit.errors import UserError, first_line, nearest
from unlearnkit.general.local import FILES, generate
from unlearnkit.general.packed import log_likelihoods
from unlearnkit.models import LanguageModel

CPU_ROW, GPU_ROW = 512, 8192  # tokens of a packed row


@dataclass
class Tasks:
    """What the harness measures: its tasks by name, and for each name that was asked for the tasks behind it."""

    tasks: dict[str, Task]
    groups: dict[str, Group]
    leaves: dict[str, list[str]]  # a task or an aggregated group -> tasks


def load_tasks(names: list[str], data_dir: Path | None, num_fewshot: dict[str, int | None]) -> Tasks:
    """The harness's tasks with their data, from local files or from the hub.

    Args:
        data_dir: local files, see `unlearnkit.general.local`; None for the hub or its cache.
        num_fewshot: name -> examples in front of the question; a name left out, or None, has the harness's own.

    Raises:
        UserError: an unknown task, or one whose data is neither here nor on the hub.
    """
    with quiet(), undisturbed():
        if data_dir is not None:
            paths = [generate(data_dir, names)]
        else:
            paths = [FILES[name].parent for name in names if name in FILES]
        # All 14,000 tasks of the harness take 14 s to index, so only where others than the paper's are wanted.
        manager = TaskManager(include_path=[*paths], include_defaults=not set(names) <= set(FILES))
        all_tasks = Tasks({}, {}, {})
        for name in names:
            if name not in manager.all_tasks:
                raise UserError(
                    f"Unknown general task '{name}'.{nearest(name, manager.all_tasks)} Any task or group of"
                    f" lm-evaluation-harness {lm_eval.__version__} is valid",
                    "Set eval.general.tasks=[...]; 'lm_eval ls tasks' lists them",
                )
            loaded = _load(manager, name)
            tasks, groups = loaded["tasks"], loaded.get("groups", {})
            all_tasks.tasks |= tasks
            all_tasks.groups |= groups
            aggregated = name in groups and groups[name].has_aggregation
            all_tasks.leaves |= {name: list(tasks)} if aggregated else {task: [task] for task in tasks}
            for task in tasks.values():
                _set_fewshot(task, name, num_fewshot.get(name), data_dir)
    return all_tasks


def _load(manager: TaskManager, name: str) -> Any:
    try:
        return manager.load([name])
    except (OSError, ValueError, ImportError, DatasetsError) as error:
        raise UserError(
            f"No data for the general task '{name}': {first_line(error)}",
            "Set eval.general.data_dir=FOLDER to local files, or reach the hub once to fill its cache",
        ) from error


def _set_fewshot(task: Task, name: str, shots: int | None, data_dir: Path | None) -> None:
    own = task.get_config("num_fewshot")
    if shots and own == 0:
        raise UserError(
            f"eval.general.num_fewshot.{name}={shots}: the harness fixes this task at 0, its prompt has its examples",
            f"Leave eval.general.num_fewshot.{name} at null",
        )
    if shots and data_dir is not None and name != "mmlu":
        raise UserError(
            f"eval.general.num_fewshot.{name}={shots}: local files have examples for mmlu alone, its dev rows",
            f"Leave eval.general.num_fewshot.{name} at null, or leave data_dir out for the hub",
        )
    task.set_config(key="num_fewshot", value=(own or 0) if shots is None else shots)


class LoadedModel(HFLM):
    """The harness's view of a model that is in memory already; the run's ranks share the requests.

    Args:
        batch_size: "auto" packs log-likelihood requests, see `unlearnkit.general.packed`; a number pads that many
            of them to a batch, which is the harness's own way.
        terminal: where the progress bar goes.
    """

    def __init__(self, model: LanguageModel, batch_size: int | str, terminal: TextIO):
        self.packed, self.terminal, self.cut = batch_size == "auto", terminal, 0
        # The harness's own `auto` tries 64 full contexts, which a CPU does not refuse: it swaps, or kills.
        padded = 8 if self.packed and model.device.type == "cpu" else batch_size
        # A copy: the harness may give its tokenizer a pad token, which the run would then save.
        tokenizer = copy.deepcopy(model.tokenizer)
        super().__init__(pretrained=model.model, backend="causal", tokenizer=tokenizer, batch_size=padded)

    def _loglikelihood_tokens(
        self, requests: list, disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        hidden = disable_tqdm or not ranks.is_first()
        self.cut += sum(len(context) + len(continuation) > self.max_length + 1 for _, context, continuation in requests)
        with contextlib.redirect_stderr(self.terminal):
            if self.packed and override_bs is None:
                pairs = [(context, continuation) for _, context, continuation in requests]
                row = CPU_ROW if self.device.type == "cpu" else GPU_ROW
                return log_likelihoods(self.model, pairs, self.max_length, row, hidden)
            padded = super()._loglikelihood_tokens
            return ranks.shared(requests, lambda part: padded(part, hidden, override_bs) if part else [])


def evaluate(
    model: LanguageModel, tasks: Tasks, limit: int | None, batch_size: int | str, chat_template: bool
) -> dict[str, list[dict[str, Any]]]:
    """Task -> the harness's samples (its `log_samples`), in the order of the documents; the same on every rank.

    Args:
        limit: documents a task, evenly taken.
        chat_template: put the model's own chat template around every prompt.
    """
    for task in tasks.tasks.values():
        task.set_fewshot_seed(DEFAULT_OTHER_SEED)  # each time anew, so that before and after see the same examples
    terminal = sys.stderr
    chosen = {} if limit is None else {name: _evenly(task, limit) for name, task in tasks.tasks.items()}
    with quiet(), undisturbed(), model.current():
        lm = LoadedModel(model, batch_size, terminal)
        results = lm_eval.evaluate(
            lm,
            {"tasks": tasks.tasks, "groups": tasks.groups},
            samples=chosen or None,
            bootstrap_iters=0,
            log_samples=True,
            apply_chat_template=chat_template,
            fewshot_as_multiturn=chat_template,
        )
    if lm.cut:
        print(f"General tasks: {lm.cut} requests were longer than the context and lost their beginning", flush=True)
    assert results is not None  # to the harness every rank is the first
    return {task: sorted(rows, key=lambda row: row["doc_id"]) for task, rows in results["samples"].items()}


def _evenly(task: Any, limit: int) -> list[int]:
    """The documents that are asked, by number."""
    return sorted(evenly(len(task.eval_docs))[:limit])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The harness's messages, warnings and bars left out, all but the one of `LoadedModel`."""
    logger, verbosity = logging.getLogger("lm_eval"), transformers.utils.logging.get_verbosity()
    level, bars = logger.level, not datasets.are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
        transformers.utils.logging.set_verbosity(verbosity)
        if bars:
            datasets.enable_progress_bars()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Random states come out as they went in."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
