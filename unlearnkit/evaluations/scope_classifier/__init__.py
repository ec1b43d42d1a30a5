"""A classifier that guards a model: is a question in the unlearn scope? (Tian et al. 2024, finding 3)

`python -m unlearnkit.evaluations.scope_classifier data=authors` trains it on a data set's two scopes and measures it
on plain questions and on questions behind a prefix. The paper's RoBERTa on user privacy: Unlearn Success 83.63 %,
Retention Success 96.29 %; behind the prefix Unlearn Success 51.25 %.
"""

from __future__ import annotations

import tempfile
from typing import Any, Protocol

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from unlearnkit.data.examples import Data
from unlearnkit.data.scopes import SCOPES
from unlearnkit.errors import UserError
from unlearnkit.measures.interval import Estimate, share
from unlearnkit.models.encoder import SentenceEncoder, batches, not_loaded
from unlearnkit.models.quiet import quiet
from unlearnkit.settings.bounds import AboveZero, Positive, Seed

STREAMS = {"unlearn": "forget", "retention": "retain"}
LABELS = {"unlearn": 1, "retention": 0}
Numbers = dict[str, dict[str, Estimate]]  # plain and prefixed -> metric -> its number


class ScopeClassifier(Protocol):
    """Questions in, 1 for the unlearn scope and 0 for the retention scope out."""

    def fit(self, questions: list[str], labels: list[int]) -> None: ...

    def predict(self, questions: list[str]) -> list[int]: ...


class EmbeddedClassifier:
    """Logistic regression over sentence embeddings; the same every time, so it takes no seed.

    Args:
        path: another sentence encoder (local folder or hub id) than the embedded one.
        c: inverse strength of the L2 penalty.
    """

    def __init__(self, path: str | None = None, c: AboveZero = 10.0):
        from sklearn.linear_model import LogisticRegression  # seconds, and only this class needs it

        self.encoder, self.head = SentenceEncoder(path), LogisticRegression(C=c, max_iter=1000)

    def fit(self, questions: list[str], labels: list[int]) -> None:
        self.head.fit(self.encoder.encode(questions), labels)

    def predict(self, questions: list[str]) -> list[int]:
        return self.head.predict(self.encoder.encode(questions)).tolist()


class TransformerClassifier:
    """Any transformers sequence classifier, fine-tuned whole: RoBERTa (Liu et al. 2019) in the paper.

    Args:
        model: a hub id or a local folder; a head of another size than two labels is made anew.
        batch_size: questions in a step.
        max_length: tokens of a question; longer ones are cut.
        seed: of the new head and of the order of the questions.
    Raises:
        UserError: the weights are not there.
    """

    def __init__(
        self,
        model: str,
        epochs: AboveZero,
        learning_rate: AboveZero,
        batch_size: Positive,
        max_length: Positive,
        seed: Seed,
    ):
        set_seed(seed)
        try:
            with quiet():  # a new head is meant, not a mistake
                self.tokenizer = AutoTokenizer.from_pretrained(model)
                self.model = AutoModelForSequenceClassification.from_pretrained(
                    model, num_labels=len(LABELS), ignore_mismatched_sizes=True, dtype=torch.float32
                )
        except (OSError, ValueError) as error:
            raise not_loaded(model, error) from error
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
            self.model.config.pad_token_id = self.tokenizer.pad_token_id
        self.max_length = min(max_length, self.tokenizer.model_max_length)
        self.settings: dict[str, Any] = {
            "num_train_epochs": epochs,
            "learning_rate": learning_rate,
            "per_device_train_batch_size": batch_size,
            "dataloader_pin_memory": torch.cuda.is_available(),
            "seed": seed,
        }

    def fit(self, questions: list[str], labels: list[int]) -> None:
        tokens = self.tokenizer(questions, truncation=True, max_length=self.max_length)["input_ids"]
        rows = [{"input_ids": ids, "label": label} for ids, label in zip(tokens, labels, strict=True)]
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder, save_strategy="no", report_to="none", logging_strategy="no", disable_tqdm=True, **self.settings
            )
            collator = DataCollatorWithPadding(self.tokenizer)
            Trainer(self.model, arguments, data_collator=collator, train_dataset=rows).train()  # type: ignore[arg-type]

    @torch.inference_mode()
    def predict(self, questions: list[str]) -> list[int]:
        self.model.eval()
        labels = np.zeros(len(questions), int)
        for rows, batch in batches(self.tokenizer, [questions], 64, self.max_length, self.model.device):
            labels[rows] = self.model(**batch).logits.argmax(-1).cpu().numpy()
        return labels.tolist()


def training(data: Data) -> tuple[list[str], list[int]]:
    """The questions that a classifier is trained on, and their labels.

    Raises:
        UserError: data without the questions of one side.
    """
    if missing := [stream for stream in STREAMS.values() if not data.streams.get(stream)]:
        raise UserError(
            f"A scope classifier is trained on the streams forget and retain, and the data '{data.name}' has no"
            f" '{missing[0]}'; it has: {', '.join(data.streams) or 'none'}",
            "Choose data with both, such as data=authors or data=knowundo_privacy",
        )
    rows = [(row.prompt, LABELS[scope]) for scope in SCOPES for row in data.streams[STREAMS[scope]]]
    return [question for question, _ in rows], [label for _, label in rows]


def measure(classifier: ScopeClassifier, data: Data, prefix: str, split: str = "test", seed: int = 0) -> Numbers:
    """Trains on the streams' questions; the share of each scope's questions called by its own name, in `split`.

    Args:
        prefix: stands before the question in the `prefixed` numbers, and never in training.

    Raises:
        UserError: data without the two scopes, without their streams, or without such a split.
    """
    if missing := [scope for scope in SCOPES if scope not in data.sets]:
        raise UserError(
            f"The data '{data.name}' has no set '{missing[0]}'; it has: {', '.join(data.sets)}",
            "Choose data with two scopes, such as data=authors or data=knowundo_privacy",
        )
    if split not in data.sets["unlearn"]:
        raise UserError(f"Unknown split '{split}'", f"Set split= to {' or '.join(data.sets['unlearn'])}")
    classifier.fit(*training(data))
    numbers: Numbers = {}
    for when, before in (("plain", ""), ("prefixed", prefix)):
        numbers[when] = {}
        for scope in SCOPES:
            called = classifier.predict([before + row.prompt for row in data.sets[scope][split]])
            right = [float(label == LABELS[scope]) for label in called]
            numbers[when][f"{scope}_success"] = share(right, seed)
    return numbers
