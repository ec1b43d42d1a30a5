"""One run, top to bottom: load a model, teach it the data if it must be, pass it through stages, measure it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import cast

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from unlearnkit import ranks
from unlearnkit.controls.taught import Target
from unlearnkit.data.examples import Data
from unlearnkit.evaluations.base import Evaluations
from unlearnkit.identity import INPUTS
from unlearnkit.models import LanguageModel
from unlearnkit.models.checkpoints import last_done, load_stage, save_stage
from unlearnkit.models.finite import check_weights
from unlearnkit.report import write_report
from unlearnkit.runs.checks import agreed_inputs, bind_streams, check_split, check_stages, check_texts
from unlearnkit.runs.folder import RunFolder
from unlearnkit.runs.owner import owner
from unlearnkit.runs.tracking import Nowhere, Tracker
from unlearnkit.secrets import redacted
from unlearnkit.stages.base import Context, Stage, previewed


@owner
def run(cfg: DictConfig, folder: Path) -> dict:
    """Carry out one composed config in its run folder; returns what is written to `metrics.json`.

    Raises:
        UserError: anything a user can mend, as early as it can be known.
    """
    data: Data = instantiate(cfg.data, _convert_="all")
    check_texts(data)
    check_split(cfg.curve_split, data)
    config = cast(dict, OmegaConf.to_container(cfg, resolve=True))
    out = RunFolder(folder, {**redacted(config), INPUTS: agreed_inputs(config, data)}, cfg.resume)
    if out.finished:
        print(f"This run is finished already: {folder}", flush=True)
        return out.metrics
    stages: dict[str, Stage] = instantiate(cfg.stages, _convert_="all")
    streams = bind_streams(data, instantiate(cfg.streams, _convert_="all"))
    check_stages(stages, streams)
    evaluations = Evaluations(instantiate(cfg.eval, _convert_="all"), data, cfg.seed)
    tracker: Tracker = instantiate(cfg.logger, _convert_="all") if ranks.is_first() else Nowhere()
    target: Target = instantiate(cfg.target, _convert_="all")
    model: LanguageModel = instantiate(out.config["model"], _convert_="all")
    out.write_dtype(model)
    tracker.start(out.config, folder)
    model = target(model, data, folder)

    before = out.kept("before")
    if before is None:
        before = evaluations.measure(model, "test")
        out.write_measurement("before", before, evaluations.compute(before))
    if not stages:
        return out.finish(tracker, write_report, before)

    start = evaluations.measure(model, cfg.curve_split, curve=True) if cfg.eval_every else {}
    if start:
        tracker.point(out.write_point(next(iter(stages)), 0, evaluations.compute(start)))
    if any(stage.needs_start for stage in stages.values()):
        out.keep_start(model)

    def measure(trained: LanguageModel, step: int) -> None:
        with previewed(trained, list(stages.items()), context) as finished:
            moment = f"at step {step} of the stage '{context.stage}'"
            records = evaluations.measure(finished, cfg.curve_split, start, curve=True, moment=moment)
        tracker.point(out.write_point(context.stage, step, evaluations.compute(records)))

    context = Context(streams, cfg.seed, folder, "", measure, cfg.eval_every, tracker.log, out.rewind)
    after = out.kept("after")
    model = pass_through(stages, model, context, keep=cfg.train.save_every > 0)
    if after is None:
        after = evaluations.measure(model, "test", before, moment="after the stages")
        out.write_measurement("after", after, {**evaluations.compute(after), "cost": context.cost})
    if cfg.save_model:
        out.write_model(model)
    return out.finish(tracker, write_report, before, after)


def pass_through(stages: dict[str, Stage], model: LanguageModel, context: Context, keep: bool) -> LanguageModel:
    """The model after all stages; those that a run in this folder has done already are taken from what it kept.

    Args:
        keep: keep the model after each stage, until the run is finished.
    """
    folder, names = context.folder / "checkpoints", list(stages)
    done = ranks.from_first(lambda: last_done(folder, names)) if keep else None
    if done is not None:
        context.cost.update(load_stage(model, folder / done))
        print(f"Going on after the stage '{done}'", flush=True)
    for name in names[names.index(done) + 1 :] if done else names:
        context.stage = name
        model = stages[name](model, context)
        check_weights(model.model, name)
        if keep and ranks.is_first():
            save_stage(model, folder / name, context.cost)
            for earlier in names[: names.index(name)]:
                shutil.rmtree(folder / earlier, ignore_errors=True)
        ranks.barrier()
    return model
