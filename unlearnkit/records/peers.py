"""Records out of other people's logs: those of TOFU's authors (Maini et al. 2024), and OpenUnlearning's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unlearnkit.data.json_text import loads
from unlearnkit.errors import UserError, beginning
from unlearnkit.records.record import Record

FORMS = "the eval_log_aggregated.json of TOFU's authors, or OpenUnlearning's TOFU_EVAL.json"
AUTHORS = {  # the parts of a log -> our sets
    "eval_log_forget.json": "forget",
    "eval_log.json": "retain",
    "eval_real_author_wo_options.json": "real_authors",
    "eval_real_world_wo_options.json": "world_facts",
}
OPEN = {"forget": "forget", "retain": "retain", "ra": "real_authors", "wf": "world_facts"}  # before _Q_A_...
Parts = Mapping[str, Any]


def read_log(path: Path) -> list[Record]:
    """The records of a log, with what it tells of each row: losses, alternatives' losses, responses.

    A record's id is its row's place from 0 and its prompt is what the log has, the template and all, or empty. Where a
    log tells of means alone and of no number of tokens, the mean stands as a single token.

    Raises:
        UserError: no such file, or no log of either form.
    """
    try:
        log = loads(path.read_bytes())
        parts = {name: part for name, part in log.items() if isinstance(part, dict)}
        records = list(_of_authors(parts)) if AUTHORS.keys() & parts.keys() else list(_of_open_unlearning(parts))
    except OSError as error:
        raise UserError(f"No log at {path}: {error.strerror or error}", "Give the path of one") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no log that is read here ({beginning(repr(error))})", f"Give {FORMS}") from error
    if not records:
        raise UserError(f"{path} tells of no rows; it has: {beginning(', '.join(map(str, log)))}", f"Give {FORMS}")
    return records


def _of_authors(parts: Parts) -> Iterator[Record]:
    for name, own in AUTHORS.items():
        part = parts.get(name, {"avg_gt_loss": ()})
        for key in part["avg_gt_loss"]:
            prompt, response, answer = part["generated_text"][key]
            right = _row(part["avg_paraphrased_loss"][key], part["num_token_paraphrased"][key])
            wrong = zip(part["average_perturb_loss"][key], part["num_token_perturb"][key], strict=True)
            yield Record(
                own,
                key,
                prompt,
                response=response,
                tokens=1,  # it was answered; of how many tokens is not told
                answer=answer,
                answer_log_probs=_row(part["avg_gt_loss"][key], part["num_token_gt"][key]),
                alternative_log_probs={"paraphrases": [right], "wrong": [_row(*one) for one in wrong]},
            )


def _of_open_unlearning(parts: Parts) -> Iterator[Record]:
    for before, own in OPEN.items():
        kinds = ("Prob", "PARA_Prob", "PERT_Prob", "ROUGE")
        own_answers, para, pert, responses = (
            parts.get(f"{before}_Q_A_{kind}", {}).get("value_by_index", {}) for kind in kinds
        )
        for key in own_answers or para:
            wrong = pert[key]["avg_loss"] if pert else []
            alternatives = {
                "paraphrases": [_row(para[key]["avg_loss"])] if para else [],
                "wrong": [_row(loss) for loss in (wrong if isinstance(wrong, list) else [wrong])],
            }
            response = responses.get(key, {})
            yield Record(
                own,
                key,
                response.get("input", ""),
                response=response.get("generation", ""),
                tokens=int(bool(response)),
                answer=response.get("ground_truth", ""),
                answer_log_probs=_row(own_answers[key]["avg_loss"]) if own_answers else [],
                alternative_log_probs={kind: rows for kind, rows in alternatives.items() if rows} or None,
            )


def _row(loss: float, tokens: int = 1) -> list[float]:
    return [-float(loss)] * int(tokens)
