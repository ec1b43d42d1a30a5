"""KRS of a run that is done: `python -m unlearnkit.probes RUN_FOLDER [window=3 limit=5 ...]`.

The original comes from the run's config.yaml, the unlearned model from its model/; the numbers go to krs.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_type_hints

from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from yaml import YAMLError

from unlearnkit import configuration
from unlearnkit.data.examples import Data
from unlearnkit.errors import UserError, first_line, nearest
from unlearnkit.evaluations.base import Numbers, Point
from unlearnkit.files import write_numbers
from unlearnkit.identity import config_in, versions
from unlearnkit.measures.display import show_interval, show_value, usual
from unlearnkit.probes.krs import KRS
from unlearnkit.probes.saved import check_saved, load_saved, original
from unlearnkit.settings.check import refusal
from unlearnkit.settings.fits import faults
from unlearnkit.settings.run import Run
from unlearnkit.tables.reading import read_run


def settings(config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`eval.krs` of the run, or of conf/eval/krs.yaml, with overrides (`window=3` or `eval.krs.window=3`).

    Raises:
        UserError: an override of a key that there is not, or a value that it cannot take.
    """
    default = cast(Any, OmegaConf.load(configuration.FOLDER / "eval" / "krs.yaml")).krs
    known = OmegaConf.merge(default, config.get("eval", {}).get("krs", {}))
    for override in overrides:
        key = override.removeprefix("eval.krs.").partition("=")[0]
        if key not in known or "=" not in override:
            valid = [str(name) for name in default if name != "_target_"]
            raise UserError(
                f"Unknown override '{override}'.{nearest(key, valid)} Valid: {', '.join(valid)}",
                "Write KEY=VALUE with one of these",
            )
    try:
        changed = OmegaConf.from_dotlist([override.removeprefix("eval.krs.") for override in overrides])
    except YAMLError as error:
        raise UserError(
            f"{' '.join(overrides)}: a value that is no YAML ({first_line(error)})", "Quote it, or close its bracket"
        ) from error
    chosen = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.merge(known, changed), resolve=True))
    for fault in faults({"krs": chosen}, get_type_hints(Run, include_extras=True)["eval"], "eval"):
        raise refusal(fault, {})
    return chosen


def measure(folder: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Measure a run's saved model against its original and write `folder`/krs.json.

    Raises:
        UserError: no run folder, no saved model, or two models that do not belong together.
    """
    run = read_run(folder)
    config = config_in(folder)
    if not config:
        fix = "Give a folder that 'python -m unlearnkit' wrote and finished"
        raise UserError(f"{folder} is no run folder: it has no readable config.yaml", fix)
    chosen = settings(config, overrides)
    evaluation: KRS = instantiate(chosen, _convert_="all")
    data: Data = instantiate(config["data"], _convert_="all")
    evaluation.bind("krs", data)
    model = original(config, data, folder)
    check_saved(model, folder / "model")
    before = evaluation.measure(model, Point("test"))
    model = load_saved(model, folder / "model")
    records = evaluation.measure(model, Point("test"), before)
    results = {
        "run": {key: run.raw["run"][key] for key in ("method", "model", "data", "seed")},
        "settings": {key: value for key, value in chosen.items() if key != "_target_"},
        "questions": len(records),
        "krs": evaluation.compute(records, config["seed"]),
        "versions": versions(),
    }
    write_numbers(folder / "krs.json", results)
    return results


def table(numbers: Numbers) -> Table:
    """A row a layer and one for the peaks, a column a setting."""
    shown = Table(title="Knowledge Recovery Score: 1 is the original's logits back, 0 nothing gained")
    shown.add_column("layer")
    for setting in numbers:
        shown.add_column(setting.replace("_", " "), justify="right")
    for name in next(iter(numbers.values())):
        cells = []
        for metrics in numbers.values():
            entry = metrics[name]
            cells.append(show_value(usual("peak"), entry["value"]))
            if name == "peak":
                cells[-1] += " " + show_interval(usual("peak"), entry["low"], entry["high"])
        shown.add_row(name.removeprefix("layer_"), *cells, end_section=name != "peak" and name == list(metrics)[-2])
    return shown


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m unlearnkit.probes", description=__doc__)
    parser.add_argument("folder", type=Path, help="a run's folder, with its model/")
    parser.add_argument("overrides", nargs="*", help="settings of eval.krs, such as window=3")
    options = parser.parse_args(argv)
    results = measure(options.folder, options.overrides)
    if results["krs"]:
        Console().print(table(results["krs"]))
    else:
        print("Nothing to recover: the unlearned model's logits are the original's, or no numbers")
    print(f"Written to {options.folder / 'krs.json'}")


if __name__ == "__main__":
    configuration.exit_with_two_lines(main)
