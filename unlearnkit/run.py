"""One run, top to bottom: load a model, teach it the data if it must be, pass it through stages, measure it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import cast

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from unlearnkit import ranks
from unlearnkit.attacks.base import Attack, Scene
from unlearnkit.controls import NEVER_KNEW, Target, needed
from unlearnkit.data.examples import Data
from unlearnkit.data.reading import read
from unlearnkit.data.splits import splits_of
from unlearnkit.evaluations.base import Evaluations, Records
from unlearnkit.identity import INPUTS
from unlearnkit.measures.columns import START
from unlearnkit.models import LanguageModel
from unlearnkit.models.configs import BASE, configs_of
from unlearnkit.report import write_report
from unlearnkit.runs.checks import (
    agreed_inputs,
    bind_streams,
    check_beside,
    check_choices,
    check_layers,
    check_model,
    check_selection,
    check_stages,
)
from unlearnkit.runs.curve import Curve
from unlearnkit.runs.folder import RunFolder
from unlearnkit.runs.moments import bind_attacks, moments
from unlearnkit.runs.owner import owner
from unlearnkit.runs.pushing import check_push, push
from unlearnkit.runs.recovered import measured_by, recovered
from unlearnkit.runs.tracking import Nowhere, Tracker
from unlearnkit.runs.tuning import Tuning
from unlearnkit.secrets import redacted
from unlearnkit.stages.base import Context, Stage


@owner
def run(cfg: DictConfig, folder: Path, data: Data | None = None) -> dict:
    """Carry out one composed config in its run folder; returns what is written to `metrics.json`.

    Args:
        data: the config's, where they were read before (`unlearnkit.data.reading`).

    Raises:
        UserError: anything a user can mend, as early as it can be known.
    """
    data = data or read(cfg)
    check_push(cfg.push_to_hub, cfg.save_model)
    config = cast(dict, OmegaConf.to_container(cfg, resolve=True))
    out = RunFolder(folder, {**redacted(config), INPUTS: agreed_inputs(config, data)}, cfg.resume)
    if out.finished:
        print(f"This run is finished already: {folder}", flush=True)
        push(folder, cfg.push_to_hub)
        return out.metrics
    stages: dict[str, Stage] = instantiate(cfg.stages, _convert_="all")
    attacks: dict[str, Attack] = instantiate(cfg.attacks, _convert_="all")
    streams = bind_streams(data, instantiate(cfg.streams, _convert_="all"))
    check_stages(stages, streams, cfg.method)
    check_layers(stages, out.config["model"].get("path"))
    evaluations = Evaluations(instantiate(cfg.eval, _convert_="all"), data, cfg.seed)
    models = configs_of(out.config)
    scene = Scene(data, cfg.seed, folder / "checkpoints" / "attack", models=models, config=out.config)
    bind_attacks(attacks, stages, scene, evaluations)
    check_selection(stages, cfg.eval_every, splits_of(cfg.curve_split)[0], evaluations)
    tracker: Tracker = instantiate(cfg.logger, _convert_="all") if ranks.is_first() else Nowhere()
    target: Target = instantiate(cfg.target, _convert_="all")
    quantised = bool(models.get(BASE, {}).get("quantization_config"))
    check_beside(stages, BASE, target, quantised)
    stages = Tuning(out, stages, streams, evaluations, target, data)()
    load = partial(instantiate, out.config["model"], _convert_="all")
    records: dict[str, Records] = {}
    if control := needed(instantiate(cfg.get("controls"), _convert_="all"), evaluations, attacks):
        made = control(data, evaluations, target, out.config["model"], load, folder, attacks, out.saved_records)
        for name, known in made.items():
            numbers = measured_by(name, attacks, evaluations).compute(known, {NEVER_KNEW: known})
            out.write_control(name, known, numbers)
            records[name] = known
    model: LanguageModel = load()
    out.begin(model, evaluations.columns(), attacks)
    check_model(stages, model, target, attacks, streams, cfg.seed)
    model = target(model, data, folder)

    curve = Curve(
        evaluations, stages, splits_of(cfg.curve_split), lambda *point: tracker.point(out.write_point(*point))
    )
    context = curve.context = Context(
        *(streams, cfg.seed, folder, "", curve.measure, cfg.eval_every),
        *(out.points, out.write_choice, tracker.log, out.rewind),
    )
    for moment in moments(stages, attacks, model, context, keep=cfg.train.save_every > 0):
        own = out.saved_records(moment.name)
        if own is None:
            own = moment.measure(evaluations, records.get(START))
            numbers = measured_by(moment.name, attacks, evaluations).compute(own, {START: own, **records})
            if moment.attack and moment.name in attacks:
                unlearned = records[moment.stage or START]
                out.write_recovered(
                    moment.name, recovered(moment.attack, evaluations, records[START], unlearned, own, records)
                )
            out.write_moment(moment, own, {**numbers, "cost": context.cost} if moment.final else numbers)
        elif moment.name == START:
            moment.resume(evaluations)
        records[moment.name] = own
        if moment.name == START:
            tracker.start(out.config, folder)
            if stages and cfg.eval_every:
                curve.begin(moment.model)
                check_choices(stages, out.points(next(iter(stages)))[0])
            if any(stage.needs_start for stage in stages.values()):
                out.keep_start(moment.model)
        if moment.final and cfg.save_model:
            out.write_model(moment.model)
    metrics = out.finish(tracker, write_report, records)
    push(folder, cfg.push_to_hub)
    return metrics
