"""A config's data, and what of them can be known to be wrong. Imports no torch, so that a user need not wait for it."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.utils import instantiate
from omegaconf import DictConfig

from unlearnkit.data.examples import Data
from unlearnkit.data.splits import splits_of
from unlearnkit.errors import UserError, nearest
from unlearnkit.files import writable


def read(cfg: DictConfig) -> Data:
    """The rows of `cfg.data`.

    Raises:
        UserError: a file is not there, a row cannot be used, or `cfg.curve_split` is no split of them.
    """
    data: Data = instantiate(cfg.data, _convert_="all")
    check_texts(data)
    check_splits(splits_of(cfg.curve_split), data)
    return data


def check_texts(data: Data) -> None:
    """Every text of every row can be written down, and read by a tokenizer.

    Raises:
        UserError: one holds half of a character.
    """
    sets = (rows for splits in data.sets.values() for rows in splits.values())
    for rows in (*data.streams.values(), *sets):
        for row in rows:
            for text in (row.prompt, row.response, row.subject or "", str(row.id), str(row.category or "")):
                if not writable(text):
                    raise UserError(
                        f"The row '{row.id}' of the data '{data.name}' holds a lone surrogate, half of a character",
                        "Mend or remove it and run again",
                    )


def check_splits(splits: Sequence[str], data: Data) -> None:
    """Curves are measured on splits that the data have, each once; the first is the one that settings are chosen on.

    Raises:
        UserError: another one, one that is named twice, or none.
    """
    known = list(dict.fromkeys(name for own in data.sets.values() for name in own))
    for split in splits:
        if known and split not in known:
            raise UserError(
                f"curve_split={split} is no split of the data '{data.name}'.{nearest(split, known)}"
                f" Valid: {', '.join(known)}",
                "Set curve_split= to one of these, or to a list of them of which the first is chosen on",
            )
    if not splits or len(set(splits)) < len(splits):
        raise UserError(
            f"curve_split=[{','.join(splits)}] names {'a split twice' if splits else 'no split'}",
            "Name each split once, such as 'curve_split=[validation,test]'",
        )
