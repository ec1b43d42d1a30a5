"""How fluent responses are to a classifier that was trained to tell sentences from gibberish."""

from __future__ import annotations

from unlearnkit.errors import UserError, nearest
from unlearnkit.measures.base import HIGHER, Measure
from unlearnkit.records.record import Record
from unlearnkit.settings.bounds import Positive


class Fluency(Measure):
    """Mean probability that a response is fluent (Dorna et al. 2025, arXiv:2506.12618); see `FluencyClassifier`."""

    reads = ("fluency",)
    better = HIGHER

    def value(self, record: Record, role: str | None) -> float | None:
        return record.fluency


class FluencyClassifier:
    """A transformers sequence classifier; the probability of `label` is a text's fluency. An empty text has none: 0.

    Args:
        model: a local folder or hub id.
        label: the name, out of the model's own `id2label`, of what is fluent.
        max_length: tokens of a text.
        device: by default a GPU where there is one.

    Raises:
        UserError: for a missing model or an unknown label.
    """

    def __init__(
        self,
        model: str = "madhurjindal/autonlp-Gibberish-Detector-492513457",
        label: str = "clean",
        batch_size: Positive = 32,
        max_length: Positive = 512,
        device: str | None = None,
    ):
        import torch
        from transformers import AutoModelForSequenceClassification

        from unlearnkit.models.encoder import load

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_size, self.max_length = batch_size, max_length
        self.tokenizer, self.model = load(AutoModelForSequenceClassification, str(model), self.device)
        labels = [str(self.model.config.id2label[index]) for index in range(self.model.config.num_labels)]
        if label not in labels:
            raise UserError(
                f"'{model}' has no label '{label}'.{nearest(label, labels)} It knows: {', '.join(labels)}",
                "Set the label= of the fluency classifier to what is fluent",
            )
        self.place = labels.index(label)

    def score(self, texts: list[str]) -> list[float]:
        """One number in 0 to 1 a text."""
        import torch

        from unlearnkit.models.encoder import batches

        scores = torch.zeros(len(texts))
        filled = [place for place, text in enumerate(texts) if text.strip()]
        columns = [[texts[place] for place in filled]]
        with torch.inference_mode():
            for rows, batch in batches(self.tokenizer, columns, self.batch_size, self.max_length, self.device):
                shares = self.model(**batch).logits.float().softmax(-1)[:, self.place].cpu()
                for row, share in zip(rows, shares, strict=True):
                    scores[filled[row]] = share
        return scores.tolist()
