"""One record: what a model did on one evaluation example, and what was said of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unlearnkit.errors import UserError, first_line
from unlearnkit.files import whole
from unlearnkit.sums import check


@dataclass
class Record:
    """Measures are pure functions of lists of these; only annotators fill them."""

    set: str  # of the data
    id: str  # of the example
    prompt: str
    response: str = ""  # generated
    tokens: int = 0  # generated tokens, the end token included
    ended: bool = False  # the model ended the response itself, before max_new_tokens
    category: str | None = None
    answer: str = ""  # the data's own
    sample: int = 0  # of several responses to one prompt
    draw: int = 0  # of several that an attack is made with
    alternatives: dict[str, list[str]] | None = None  # to the answer, by kind: paraphrases, wrong
    reference_log_probs: list[float] = field(default_factory=list)  # of the response under the reference model
    answer_log_probs: list[float] = field(default_factory=list)  # of the data's own answer under the model,
    answer_hits: list[bool] = field(default_factory=list)  # and whether argmax hits it, a token
    answer_deviations: list[float] = field(default_factory=list)  # the log-probabilities of the answer's tokens, less
    # their mean over the vocabulary under the model's own distribution, over its standard deviation
    answer_reference_log_probs: list[float] = field(
        default_factory=list
    )  # of the same tokens under the reference model
    gradient_norm: float | None = None  # of the answer's loss, a mean over weights
    forced: str | None = None  # what argmax says in the answer's places, each after the answer's own tokens before it
    alternative_log_probs: dict[str, list[list[float]]] | None = None  # the same of the alternatives
    let_through: bool | None = None  # by the classifier that guards the model
    original: str = ""  # the original model's response, where a metric compares with it
    similarity: float | None = None  # of the response to the original model's
    unlearned_error: float | None = None  # squared logit differences from the original model (KRS), meaned over the
    patched_errors: dict[str, list[float]] | None = None  # vocabulary, summed over its answer; setting -> one a layer
    by_layer: dict[str, list[float]] | None = None  # what an attack found inside of the model, one a layer
    fluency: float | None = None  # of the response, to a classifier
    harmful: bool | None = None  # the judge's verdict,
    kind: str | None = None  # its response kind (Liu et al. 2024, table 3)
    why: str | None = None  # and its reason
    scores: dict[str, float] | None = None  # lm-evaluation-harness's, by `metric,filter`


def records_path(folder: Path, when: str, part: str) -> Path:
    """Where a run keeps an evaluation's records of its model: `before` and `after` the stages, or at a named moment."""
    return folder / "records" / f"{when.replace('/', '.')}-{part}.parquet"


def write_parquet(records: list[Record], path: Path) -> None:
    """One row a record; the columns are the fields of `Record`. Written to a temporary name and renamed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with whole(path) as partial:
        pq.write_table(pa.Table.from_pylist([asdict(record) for record in records]), partial)


def read_parquet(path: Path) -> list[Record]:
    """The inverse of `write_parquet`, in whose columns every dict has the keys of all of them, with nulls.

    Raises:
        UserError: it is not as it was written, or another version's.
    """
    import pyarrow.parquet as pq

    fix = "Restore it from a copy, or start the run's command again, in a new folder where the run is finished"
    check(path, fix)
    try:
        rows = pq.read_table(path).to_pylist()
        return [Record(**{name: _own(value) for name, value in row.items()}) for row in rows]
    except (OSError, ValueError, TypeError) as error:  # pyarrow's are of these kinds
        raise UserError(f"{path} cannot be read: {first_line(error)}", fix) from None


def _own(value: Any) -> Any:
    return {key: part for key, part in value.items() if part is not None} if isinstance(value, dict) else value
