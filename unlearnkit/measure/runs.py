"""A saved run's model, measured later: two moments more in the run, its start and its end."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from unlearnkit import ranks
from unlearnkit.attacks.base import Attack, Scene
from unlearnkit.controls import NEVER_KNEW, Control, Known, needed
from unlearnkit.data.examples import Data
from unlearnkit.data.reading import check_texts
from unlearnkit.errors import UserError
from unlearnkit.evaluations.base import Evaluations, Point, Records
from unlearnkit.files import write, write_numbers
from unlearnkit.identity import INPUTS, renamed, versions
from unlearnkit.inputs import inputs, rows_of
from unlearnkit.measure.words import config_of_run
from unlearnkit.measures.columns import START
from unlearnkit.measures.display import written
from unlearnkit.models import LanguageModel
from unlearnkit.models.configs import configs_of
from unlearnkit.probes.saved import ANEW, check_saved, load_saved, original
from unlearnkit.records.record import records_path, write_parquet
from unlearnkit.report import write_report
from unlearnkit.runs.card import renewed
from unlearnkit.runs.checks import check_model
from unlearnkit.runs.folder import read_metrics
from unlearnkit.runs.moments import bind_attacks
from unlearnkit.runs.owner import own, owner, read_config
from unlearnkit.runs.recovered import attacked, measured_by, recovered
from unlearnkit.secrets import redacted

NAME = "measured"  # of the moment; that of its start is NAME/start


@dataclass(frozen=True)
class Spec:
    """What a run's model is asked, as metrics.json keeps it under `measured`."""

    data: dict[str, Any]
    rows: str
    eval: dict[str, Any]

    def fits(self, entry: Mapping[str, Any]) -> bool:
        """An earlier measurement was of the same rows, and of no evaluation of one name with other settings."""
        data, parts = renamed(entry["data"]), renamed(entry["eval"])
        same = data == self.data and entry["rows"] == self.rows
        return same and all(parts.get(name, part) == part for name, part in self.eval.items())


@owner
def measure_run(folder: Path, words: Sequence[str] = ()) -> str:
    """Measure a finished run's model and its start, and add both as moments to the run.

    The numbers of an evaluation that was measured so before, with the same settings on the same rows, are replaced.

    Args:
        words: as on the command line of `python -m unlearnkit`: `eval=`, `data=`, `judge=` and what lies below them.

    Returns:
        the name of the moment.

    Raises:
        UserError: no finished run with its model, other files than the run read, or an evaluation that the data
            cannot answer.
    """
    run_config, metrics = ranks.from_first(lambda: take(folder))
    with config_of_run(run_config, words) as config:
        other = any(word.lstrip("+~").partition("=")[0].partition(".")[0] == "data" for word in words)
        return _measure(folder, run_config, metrics, config, other)


def take(folder: Path, owned: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config and the metrics of a finished run.

    Args:
        owned: nobody else may write there until the calling command ends.
    """
    if owned:
        own(folder)
    run_config = cast(dict[str, Any], renamed(read_config(folder)))
    path = folder / "metrics.json"
    metrics = read_metrics(path) if path.is_file() else {"run": {}}
    if not metrics["run"].get("finished"):
        fix = f"Finish it first: give its command again with hydra.run.dir={folder}"
        raise UserError(f"The run in {folder} has not finished", fix)
    if metrics["after"] is not None and not (folder / "model").is_dir():
        fix = f"{ANEW[0].upper()}{ANEW[1:]}, with save_model=true (the default)"
        raise UserError(f"The run in {folder} kept no model", fix)
    return run_config, metrics


def _measure(folder: Path, run_config: dict[str, Any], metrics: dict[str, Any], config: DictConfig, other: bool) -> str:
    data: Data = instantiate(run_config["data"], _convert_="all")
    new_data: Data = instantiate(config.data, _convert_="all") if other else data
    check_texts(new_data)
    rows = rows_of(new_data)
    parts = ("data", "eval", "attacks", "target")
    plain = redacted({part: cast(dict, OmegaConf.to_container(config[part], resolve=True)) for part in parts})
    plain[INPUTS] = inputs(plain, new_data)
    spec = Spec(plain["data"], rows, plain["eval"])
    evaluations = Evaluations(instantiate(config.eval, _convert_="all"), new_data, int(run_config["seed"]))
    attacks: dict[str, Attack] = instantiate(config.attacks, _convert_="all")
    controls_config = config.get("controls")
    controls = None if controls_config is None else cast(dict, OmegaConf.to_container(controls_config, resolve=True))
    control = needed(instantiate(controls, _convert_="all"), evaluations, attacks)
    model = original(run_config, data, folder)  # which leaves of `data` what the model knows, where the run did so
    if other and isinstance(known := instantiate(config.target, _convert_="all"), Known):
        known(model, new_data, folder)
    final = next((moment for moment in metrics["moments"] if moment.get("final")), None)
    if final is not None:
        check_saved(model, folder / "model")
    name = name_of(metrics, spec, new_data.name if other else "")
    with tempfile.TemporaryDirectory(prefix="unlearnkit-") as place:
        models = configs_of({"model": run_config["model"], "controls": controls})
        scene = Scene(new_data, int(run_config["seed"]), Path(place), models=models, config=plain)
        bind_attacks(attacks, run_config.get("stages") or {}, scene, evaluations)
        check_model({}, model, attacks=attacks)
        target = config["target"] if other else run_config["target"]
        known = _controls(control, new_data, evaluations, target, run_config, attacks)
        start = evaluations.measure(model, Point("test"))
        records = {**known, f"{name}/{START}": start, **attacked(attacks, model, evaluations, start, START)}
        if final is not None:
            model = load_saved(model, folder / "model")
            records[name] = evaluations.measure(model, Point("test", "as the run saved it"), start)
            records |= attacked(attacks, model, evaluations, start)
    moments = {
        moment: (own, measured_by(moment, attacks, evaluations).compute(own, {START: start, **known}))
        for moment, own in records.items()
        if moment != NEVER_KNEW
    }
    shares = {
        of: recovered(attack, evaluations, start, records[name], records[of], records)
        for of, attack in (attacks if final is not None else {}).items()
    }
    if ranks.is_first():
        columns = {path: written(display) for path, display in evaluations.columns().items()}
        metrics["columns"] = {**columns, **metrics.get("columns", {})}
        for moment, (own, numbers) in moments.items():
            _add(folder, metrics, moment, final if "/" not in moment else None, own, numbers)
        entry = metrics.setdefault("measured", {}).setdefault(name, {"data": spec.data, "rows": rows, "eval": {}})
        entry["eval"] |= spec.eval
        if attacks:
            entry["attacks"] = redacted(cast(dict, OmegaConf.to_container(config.attacks, resolve=True)))
            metrics["attacks"] = list(dict.fromkeys([*metrics["attacks"], *attacks]))
            metrics.setdefault("recovered", {}).update(shares)
        entry["versions"] = versions()
        write_numbers(folder / "metrics.json", metrics)
        _renew_card(folder / "model" / "README.md", run_config, metrics)
        write_report(folder)
    ranks.barrier()
    return name


def _renew_card(path: Path, run_config: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    """A card that its owner has removed is not made again."""
    if path.is_file():
        later = [part for entry in metrics["measured"].values() for part in entry["eval"].items()]
        config = {**run_config, "eval": {**(run_config.get("eval") or {}), **dict(later)}}
        write(path, renewed(path.read_text(encoding="utf-8"), config, metrics))


def _controls(
    control: Control | None,
    data: Data,
    evaluations: Evaluations,
    target: Any,
    run_config: dict[str, Any],
    attacks: Mapping[str, Attack],
) -> dict[str, Records]:
    """The records that measures are taken against, by moment; a teaching is not the run's, and leaves no log there."""
    if control is None:
        return {}
    load = partial(instantiate, run_config["model"], _convert_="all")
    with tempfile.TemporaryDirectory(prefix="unlearnkit-") as place:
        taught = instantiate(target, _convert_="all")
        return control(data, evaluations, taught, run_config["model"], load, Path(place), attacks)


def name_of(metrics: Mapping[str, Any], spec: Spec, data: str) -> str:
    """`measured`, with other data's name behind it; the next number where that name is another moment's."""
    base = f"{NAME}.{data}" if data else NAME
    entries = metrics.get("measured", {})
    used = {str(moment["name"]).partition("/")[0] for moment in metrics["moments"]} - entries.keys()
    names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in used and (name not in entries or spec.fits(entries[name])))


def _add(
    folder: Path, metrics: dict[str, Any], name: str, final: Any, records: Records, numbers: dict[str, Any]
) -> None:
    for part, rows in records.items():
        write_parquet(rows, records_path(folder, name, part))
    moment = next((there for there in metrics["moments"] if there["name"] == name), None)
    if moment is None:
        stage, step = (final["stage"], final["step"]) if final else (None, 0)
        moment = {"name": name, "stage": stage, "step": step, "final": False, "numbers": {}}
        metrics["moments"].append(moment)
    moment["numbers"].update(numbers)


def saved_model(folder: Path) -> LanguageModel:
    """What a finished run made, with its tokenizer; `loaded` is what it was made from.

    Raises:
        UserError: no finished run with its model, or other files than the run read.
    """
    run_config, metrics = take(folder, owned=False)
    data: Data = instantiate(run_config["data"], _convert_="all")
    model = original(run_config, data, folder)
    return load_saved(model, folder / "model") if metrics["after"] is not None else model
