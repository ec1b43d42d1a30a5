"""Five wrong answers an example: all of a prompt's answers in one packed pass, against a padded pass an answer.

The plain way is what the field's scripts do: for the answer and for each alternative a padded batch of prompt and
answer, and logits at every position. Both give the truth ratio; the numbers are compared before the times.

`--tofu`: TOFU's teacher-forced measures of its forget side, a pass a metric as OpenUnlearning makes them: eight over
the answer (probability, extraction strength, exact memorisation, loss, zlib, min-k, two of min-k++), one over its
paraphrase, five over wrong ones.
"""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the package does, too late behind torch

import argparse
import time
from dataclasses import replace
from statistics import median

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from measure import peak_memory
from plain import padded

from unlearnkit import configuration
from unlearnkit.data.examples import Example
from unlearnkit.measures import TruthRatio
from unlearnkit.models import LanguageModel
from unlearnkit.records.forward import force_answers
from unlearnkit.records.generate import records_of
from unlearnkit.records.record import Record

WRONG = 5
OVER_THE_ANSWER = 8


def examples(count: int) -> list[Example]:
    """Questions about authors, each with the answers to five others as wrong ones."""
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", overrides=["data=authors"])
    rows = instantiate(cfg.data, _convert_="all").streams["target"][:count]
    answers = [row.response for row in rows]
    return [
        replace(row, alternatives={"wrong": tuple(answers[(place + step) % len(rows)] for step in range(1, WRONG + 1))})
        for place, row in enumerate(rows)
    ]


def of_tofu(count: int) -> list[Example]:
    """The stand-in's forget rows, each with a paraphrase and five wrong answers."""
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", overrides=["data=tofu"])
    return list(instantiate(cfg.data, _convert_="all").sets["forget"]["test"][:count])


def packed_way(model: LanguageModel, rows: list[Example], tofu: bool) -> list[Record]:
    records = records_of({"forget": rows})
    force_answers(model, records, alternatives=True, deviations=tofu)
    return records


@torch.inference_mode()
def plain_way(model: LanguageModel, rows: list[Example], batch_size: int, tofu: bool) -> list[Record]:
    records = records_of({"forget": rows})
    kinds = [(kind, place) for kind, texts in rows[0].alternatives.items() for place in range(len(texts))]
    for kind, place in [*[("", 0)] * (OVER_THE_ANSWER if tofu else 1), *kinds]:
        texts = [row.alternatives[kind][place] if kind else row.response for row in rows]
        tokens = []
        for row, text in zip(rows, texts, strict=True):
            prompt, answer = model.template.encode(model.tokenizer, row.prompt, text)
            tokens.append((tuple(prompt), tuple(answer)))
        for start in range(0, len(rows), batch_size):
            ids, mask, labels = padded(tokens[start : start + batch_size], model.tokenizer.pad_token_id, "cpu")
            logits = model.model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
            chosen = logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
            for record, row, label in zip(records[start : start + batch_size], chosen, labels, strict=True):
                log_probs = row[label != -100].tolist()
                if not kind:
                    record.answer_log_probs = log_probs
                else:
                    record.alternative_log_probs = record.alternative_log_probs or {}
                    record.alternative_log_probs.setdefault(kind, []).append(log_probs)
    return records


def main() -> None:
    """Prints the largest difference, then the ratios of time and of memory above the loaded model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=16, help="of the plain way")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--tofu", action="store_true", help="a pass a metric, on data=tofu")
    options = parser.parse_args()
    configuration.register_resolvers()
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", overrides=[f"model={options.model}", "model.dtype=float32"])
    model, rows = instantiate(cfg.model, _convert_="all"), (of_tofu if options.tofu else examples)(options.examples)
    ways = {
        "packed": lambda: packed_way(model, rows, options.tofu),
        "plain": lambda: plain_way(model, rows, options.batch_size, options.tofu),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    peaks: dict[str, int] = {}
    found: dict[str, list[Record]] = {}
    for _ in range(options.pairs):
        for name, way in ways.items():
            started = time.perf_counter()
            with peak_memory() as peak:
                found[name] = way()
            seconds[name].append(time.perf_counter() - started)
            peaks[name] = max(peaks.get(name, 0), peak.bytes)
    apart = max(
        abs(a - b)
        for one, other in zip(found["packed"], found["plain"], strict=True)
        for first, second in zip(
            [one.answer_log_probs, *sum((one.alternative_log_probs or {}).values(), [])],
            [other.answer_log_probs, *sum((other.alternative_log_probs or {}).values(), [])],
            strict=True,
        )
        for a, b in zip(first, second, strict=True)
    )
    ratios = [TruthRatio()(records, "forget").value for records in found.values()]
    print(f"{len(rows)} examples with {WRONG} wrong answers{' of data=tofu' * options.tofu}, {options.model}")
    print(f"largest difference of a log-probability {apart:.1e}, truth ratio {ratios[0]:.6f} and {ratios[1]:.6f}")
    times = {name: median(values) for name, values in seconds.items()}
    print(f"packed {times['packed']:.2f} s, plain {times['plain']:.2f} s")
    print(f"speed {times['plain'] / times['packed']:.2f}")
    print(f"peak memory {peaks['packed'] / peaks['plain']:.2f}")


if __name__ == "__main__":
    main()
