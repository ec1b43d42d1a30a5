"""What a run's model card says beside how to load the model: where it came from, what it does, what was not tried."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from huggingface_hub import try_to_load_from_cache
from hydra.core.hydra_config import HydraConfig

from unlearnkit import __version__
from unlearnkit.identity import INPUTS
from unlearnkit.inputs import HUB_ID, ROWS
from unlearnkit.measures.columns import before_and_after
from unlearnkit.measures.display import arrow, only_in_figures, show_interval, show_value
from unlearnkit.models import LanguageModel
from unlearnkit.models.card import model_card, unread
from unlearnkit.models.quantised import written_nf4
from unlearnkit.models.saving import written
from unlearnkit.runs.summary import chosen
from unlearnkit.secrets import redact

PACKAGE = Path(__file__).parents[1]
GENERAL = "unlearnkit.general."  # what begins so is an evaluation of general tasks


def command() -> str | None:
    """The command line of this run, or of this cell of a sweep; None where it was composed otherwise."""
    if not HydraConfig.initialized():
        return None
    words = [redact(word) for word in HydraConfig.get().overrides.task if not word.startswith("hydra.")]
    return shlex.join(["python", "-m", "unlearnkit", *words])


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that this package lies in, with `, changed` where files differ from it.

    None for an installed package, also where it is installed in somebody's own checkout.
    """

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=PACKAGE, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.SubprocessError):  # no git
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if not git("ls-files", "--error-unmatch", "__init__.py"):
        return None
    changed = git("status", "--porcelain", "--", ".", "../conf")
    return f"{git('rev-parse', 'HEAD')}{', changed' if changed else ''}"


def card(model: LanguageModel, folder: Path, config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The README.md of a run's saved model.

    Args:
        folder: where it was saved.
    """
    run, model_config = metrics["run"], config["model"]
    kind = "LoRA adapter" if model.weights.saves_adapter else "full weights"
    about = [f"{kind}, written by unlearnkit {__version__}, seed {run['seed']}.", *chosen(dict(metrics))]
    own, adapter = written(folder)
    base = adapter["base_model_name_or_path"] if adapter else model.source
    licence = licence_of([base, model_config.get("hub")], model_config.get("package"))
    return model_card(
        title=f"{run['model']} after {run['method']} on {run['data']}",
        about=" ".join(about),
        tags=[run["method"]],
        template=model.template,
        weights=str(model.model.dtype).removeprefix("torch."),
        autocast="bfloat16" if model.dtype == torch.bfloat16 else None,
        adapter_over=adapter["base_model_name_or_path"] if adapter else None,
        base_model=model_config.get("hub") or model.source,
        ends=model.ends,
        dated=model.template.writes_date(model.tokenizer),
        quantise=written_nf4(model.dtype) if model_config.get("quantise") else None,
        notes=unread(own, adapter),
        licence=licence,
        parts=sections(config, metrics, licence),
    )


def sections(config: Mapping[str, Any], metrics: Mapping[str, Any], licence: str | None) -> list[str]:
    """The card's parts in Markdown.

    Args:
        licence: of the base, see `licence_of`.
    """
    return [_origin(config, metrics, licence), _table(metrics), _untried(config, metrics)]


def renewed(text: str, config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """A card with the numbers of now: what `unlearnkit.measure` has added goes into its table.

    Args:
        text: the card as it stands; a part whose heading its owner has changed is left alone.
        config: of the run, with the evaluations that were measured later beside its own.
    """
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    made = {part.split("\n", 1)[0]: part for part in (_table(metrics), _untried(config, metrics))}
    parts = [made.get(part.split("\n", 1)[0], part) for part in parts]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _origin(config: Mapping[str, Any], metrics: Mapping[str, Any], licence: str | None) -> str:
    made, rows = command(), (config.get(INPUTS) or {}).get(ROWS)
    base = config["model"].get("hub") or config["model"]["name"]
    versions = ", ".join(f"{name} {version}" for name, version in metrics["run"]["versions"].items())
    lines = [
        "## Where it comes from\n",
        f"```\n{made}\n```\n" if made else "",
        f"- Versions: {versions}",
        f"- Commit of unlearnkit: {revision}" if (revision := commit()) else "",
        f"- Data: {metrics['run']['data']}" + (f", rows {rows} (a hash of all of them)" if rows else ""),
        f"- Licence of the base, {base}: {licence or 'not known here; it holds for this model too'}",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _table(metrics: Mapping[str, Any]) -> str:
    """Before and after, each with its 95 % interval over prompts."""
    before, after = before_and_after(metrics)
    lines = ["## What it was measured to do\n", "| set | measure | before | after | prompts |", "|---|---|---|---|---|"]
    for column in dict.fromkeys([*before, *after]):
        if only_in_figures(column[-1]) or "cost" in column:
            continue
        cells = []
        for entry in (before.get(column), after.get(column)):
            value = show_value(column.display, entry.value if entry else None)
            cells.append(f"{value} {show_interval(column.display, entry.low, entry.high) if entry else ''}".strip())
        entry = after.get(column) or before[column]
        measure = f"{column[-1]} {arrow(column.display)}".strip()
        lines.append(f"| {'/'.join(column[:-1])} | {measure} | {cells[0]} | {cells[1]} | {entry.n or '-'} |")
    legend = "The arrow shows which way is better; brackets are 95 % intervals over prompts, not over seeds."
    return "\n".join([*lines, "", legend, ""])


def _untried(config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """What nobody may conclude from the numbers."""
    attacks = list(metrics["attacks"])
    targets = [str(part.get("_target_")) for part in (config.get("eval") or {}).values()]
    untried = [
        f"Of attacks only {', '.join(attacks)}: no other attempt was made to bring back what was unlearnt."
        if attacks
        else "No attack: nothing was attempted to bring back what was unlearnt.",
        "No training on a part of the forgotten data, which often brings the rest back.",
        f"No other seed than {metrics['run']['seed']}: another training may come out otherwise.",
    ]
    if not any(target.startswith(GENERAL) for target in targets):
        untried.append("No general tasks (eval=general): what else the model has lost is not known.")
    return "\n".join(["## What was not tried\n", *(f"- {line}" for line in untried), ""])


def licence_of(sources: Sequence[str | None], package: str | None = None) -> str | None:
    """The `license` that the base's model card names, in its folder or in the hub's cache; None if none does.

    Args:
        package: that carries the weights, whose own licence is theirs.
    """
    for source in sources:
        if source and (path := _card_of(source)) is not None and (licence := _front(path).get("license")):
            return str(licence)
    try:
        fields = dict(metadata(package).items()) if package else {}  # type: ignore[attr-defined]
    except PackageNotFoundError:
        return None
    return fields.get("License-Expression") or fields.get("License")


def _card_of(source: str) -> Path | None:
    path = Path(source).expanduser() / "README.md"
    if path.is_file():
        return path
    cached = try_to_load_from_cache(source, "README.md") if HUB_ID.fullmatch(source) else None
    return Path(cached) if isinstance(cached, str) else None


def _front(path: Path) -> dict[str, Any]:
    """The YAML between the first two lines of three dashes."""
    try:
        text = path.read_text(encoding="utf-8")
        front_matter = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else None
    except (OSError, ValueError, IndexError, yaml.YAMLError):
        return {}
    return front_matter if isinstance(front_matter, dict) else {}
