"""One run, top to bottom: load a model, teach it the data if it must be, pass it through stages, measure it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from unlearnkit.checks import bind_streams, check_stages, check_target
from unlearnkit.data.examples import Data
from unlearnkit.evaluation import Evaluations
from unlearnkit.models import LanguageModel
from unlearnkit.outputs import RunFolder
from unlearnkit.stages.base import Context, Stage, previewed
from unlearnkit.target import Target
from unlearnkit.tracking import Tracker


def run(cfg: DictConfig, folder: Path) -> dict:
    """Carry out one composed config in its run folder; returns what is written to `metrics.json`.

    Raises:
        UserError: anything a user can mend, as early as it can be known.
    """
    out = RunFolder(folder, cast(dict, OmegaConf.to_container(cfg, resolve=True)))
    stages: dict[str, Stage] = instantiate(cfg.stages, _convert_="all")
    data: Data = instantiate(cfg.data, _convert_="all")
    streams = bind_streams(data, instantiate(cfg.streams, _convert_="all"))
    check_stages(stages, streams)
    evaluations = Evaluations(instantiate(cfg.eval, _convert_="all"), data, cfg.seed)
    tracker: Tracker = instantiate(cfg.logger, _convert_="all")
    target: Target = instantiate(cfg.target, _convert_="all")
    model: LanguageModel = instantiate(cfg.model, _convert_="all")
    check_target(stages, target, model)
    tracker.start(out.config, folder)
    model = target(model, data, folder)

    before = evaluations.measure(model, "test")
    out.write_measurement("before", before, evaluations.compute(before))
    if not stages:
        return out.finish(tracker, before)

    start = evaluations.measure(model, cfg.curve_split, curve=True) if cfg.eval_every else {}
    if start:
        out.write_point(next(iter(stages)), 0, evaluations.compute(start))
    if any(stage.needs_base for stage in stages.values()):
        out.keep_base(model)

    def measure(trained: LanguageModel, step: int) -> None:
        with previewed(trained, list(stages.items()), context) as finished:
            records = evaluations.measure(finished, cfg.curve_split, start, curve=True)
        tracker.log(out.write_point(context.stage, step, evaluations.compute(records)))

    context = Context(streams, cfg.seed, folder, measure=measure, measure_every=cfg.eval_every, log=tracker.log)
    for name, stage in stages.items():
        context.stage = name
        model = stage(model, context)

    after = evaluations.measure(model, "test", before)
    out.write_measurement("after", after, {**evaluations.compute(after), "cost": context.cost})
    if cfg.save_model:
        out.write_model(model)
    return out.finish(tracker, before, after)
