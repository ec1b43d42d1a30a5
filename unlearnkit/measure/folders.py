"""Any folder's model beside a start model: a run folder of its own, with the two as before and after."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from unlearnkit import configuration
from unlearnkit.attacks.base import Attack, Scene
from unlearnkit.controls import Known, Untaught, needed
from unlearnkit.data.examples import Data
from unlearnkit.data.reading import check_texts
from unlearnkit.errors import UserError, nearest
from unlearnkit.evaluations.base import Evaluations, Point, Records
from unlearnkit.identity import INPUTS
from unlearnkit.inputs import HUB_ID, inputs
from unlearnkit.measure.words import OF_A_FOLDER, check_words
from unlearnkit.measures.columns import START
from unlearnkit.models import LanguageModel
from unlearnkit.models.configs import configs_of
from unlearnkit.models.loading import base_of, check_files
from unlearnkit.models.saving import absolute
from unlearnkit.models.sources import ADAPTER, fetched
from unlearnkit.probes.saved import load_saved, put_in_place
from unlearnkit.report import write_report
from unlearnkit.runs.checks import check_model
from unlearnkit.runs.folder import RunFolder
from unlearnkit.runs.moments import Moment, bind_attacks
from unlearnkit.runs.owner import owner
from unlearnkit.runs.recovered import attacked, measured_by, recovered
from unlearnkit.runs.tracking import Nowhere
from unlearnkit.secrets import redacted
from unlearnkit.settings.check import check, check_hydra
from unlearnkit.settings.composed import composed
from unlearnkit.settings.places import claim, remove_empty, remove_unbegun, word
from unlearnkit.settings.run import Run
from unlearnkit.settings.yaml import options

UNTAUGHT = {"_target_": "unlearnkit.controls.Untaught"}
END = "measured"  # the moment of the folder's model


def is_model(folder: Path) -> bool:
    """Weights that transformers or PEFT saved."""
    return any((folder / name).is_file() for name in ("config.json", ADAPTER))


def measure_folder(given: Path | str, start: str | None = None, words: Sequence[str] = ()) -> Path:
    """Measure the model in a folder or of a hub id, and the one it was made from, which is taken as it is.

    Args:
        start: an option of the config group `model`, a folder, or a hub id; None: the base of the adapter in `given`;
            a whole model is then measured alone.
        words: as on the command line of `python -m unlearnkit`: `eval=`, `data=`, `judge=`, `model=`, `seed=`.

    Returns:
        the folder of the measurement, which reads like a run's.

    Raises:
        UserError: no model, another tokenizer, or an evaluation that the data cannot answer.
    """
    check_words(words, OF_A_FOLDER)
    configuration.register_resolvers()
    folder, named = _placed(given)
    check_files(str(folder))
    alone = start is None and not (folder / ADAPTER).is_file()
    source = str(folder) if alone else start or base_of(str(folder))
    with composed([*_model_words(source, words), *words]) as config:
        check_hydra(word for word in words if word.startswith("hydra."))
        check(config, Run)
        places = [word.partition("=")[2].strip("'\"") for word in words if word.startswith("hydra.run.dir=")]
        name = word(named.get("hub") or folder.resolve().name)
        choice = HydraConfig.get().runtime.choices.get("data")
        stamp = Path(HydraConfig.get().run.dir).name
        place = Path(places[-1] if places else claim(f"outputs/measured-{name}-{choice}/{stamp}"))
        begun = (place / "config.yaml").exists()
        try:
            _measure(folder, place, config, name, named, alone)
        except Exception:
            if not begun:
                remove_unbegun(place)
            raise
        finally:
            remove_empty(place)
    return place


def _placed(given: Path | str) -> tuple[Path, dict[str, str]]:
    """The folder of what is measured, and the `path` or the `hub` id that config.yaml says it by.

    Raises:
        UserError: there is no such folder, and the hub has no such model.
    """
    folder = Path(given).expanduser()
    if folder.exists() or not HUB_ID.fullmatch(str(given)):
        return folder, {"path": str(folder.resolve())}
    try:
        return fetched(str(given)), {"hub": str(given)}
    except UserError as error:
        raise UserError(f"{given} is no folder, and of the hub it cannot be had: {error.what}", error.fix) from error


def _model_words(source: str, words: Sequence[str]) -> list[str]:
    """Words that choose the start model.

    Raises:
        UserError: there is none of this name.
    """
    if source in options("model"):
        return [f"model={source}"]
    if is_model(Path(source).expanduser()):
        quoted = str(Path(source).expanduser().absolute()).replace("'", "\\'")
        return [f"++model.path='{quoted}'"]
    if HUB_ID.fullmatch(source) and not Path(source).exists():
        return [f"++model.hub={source}"]
    raise UserError(
        f"--start {source} is no model: no folder with a config.json, no hub id ORG/NAME, and none of "
        f"{', '.join(options('model'))}.{nearest(source, options('model'))}",
        "Give --start one of these",
    )


@owner
def _measure(folder: Path, place: Path, config: DictConfig, name: str, named: dict[str, str], alone: bool) -> None:
    data: Data = instantiate(config.data, _convert_="all")
    check_texts(data)
    target = instantiate(config.target, _convert_="all")
    plain = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    plain |= {"method": "base" if alone else name, "measured": named}
    if not isinstance(target, Known):  # the start is taken as it is
        plain["target"] = UNTAUGHT
    out = RunFolder(place, {**redacted(plain), INPUTS: inputs(plain, data)}, config.resume)
    if out.finished:
        print(f"This was measured already: {place}", flush=True)
        return
    evaluations = Evaluations(instantiate(config.eval, _convert_="all"), data, config.seed)
    attacks: dict[str, Attack] = instantiate(config.attacks, _convert_="all")
    if alone and attacks:
        raise UserError(
            f"What the attacks {', '.join(attacks)} bring back is told beside the model that {folder} was made from",
            "Name it: --start ORG/NAME, --start FOLDER, or an option of model=",
        )
    models = configs_of(plain, {f"the model in {folder}": str(folder)})
    scene = Scene(data, config.seed, place / "checkpoints" / "attack", models=models, config=out.config)
    bind_attacks(attacks, [END], scene, evaluations)
    control = needed(instantiate(config.get("controls"), _convert_="all"), evaluations, attacks, made=False)
    model: LanguageModel = instantiate(out.config["model"], _convert_="all")
    check_model({}, model, attacks=attacks)
    out.begin(model, evaluations.columns(), attacks)
    if isinstance(target, Known):
        target(model, data, place)
    known: dict[str, Records] = {}
    if control is not None:
        model_config = out.config["model"]
        load = partial(instantiate, model_config, _convert_="all")
        known = control(data, evaluations, Untaught(), model_config, load, place, attacks)
        for moment, own in known.items():
            out.write_control(moment, own, measured_by(moment, attacks, evaluations).compute(own, known))
    records = {START: evaluations.measure(model, Point("test"))}
    out.write_moment(Moment(START, model), records[START], evaluations.compute(records[START], {**records, **known}))
    for moment, own in attacked(attacks, model, evaluations, records[START], START).items():
        numbers = measured_by(moment, attacks, evaluations).compute(own, {START: records[START], **known})
        out.write_control(moment, own, numbers)
        records[moment] = own
    if not alone:
        _check_tokens(model, folder)
        over = (folder / ADAPTER).is_file() and absolute(base_of(str(folder))) == absolute(model.source)
        model = load_saved(model, folder) if over else put_in_place(model, folder)
        check_model({}, model, attacks=attacks)
        records[END] = evaluations.measure(model, Point("test", f"of {folder}"), records[START])
        end = Moment(END, model, END, final=True)
        out.write_moment(end, records[END], evaluations.compute(records[END], {START: records[START], **known}))
        for moment, own in attacked(attacks, model, evaluations, records[START]).items():
            numbers = measured_by(moment, attacks, evaluations).compute(own, {START: records[START], **known})
            out.write_control(moment, own, numbers)
            shares = recovered(attacks[moment], evaluations, records[START], records[END], own, {**records, **known})
            out.write_recovered(moment, shares)
    out.finish(Nowhere(), write_report, records)


def _check_tokens(model: LanguageModel, folder: Path) -> None:
    """Both models are asked in the same tokens."""
    from transformers import AutoTokenizer

    if not any((folder / name).is_file() for name in ("tokenizer_config.json", "tokenizer.json")):
        return
    if AutoTokenizer.from_pretrained(folder, trust_remote_code=False).get_vocab() != model.tokenizer.get_vocab():
        raise UserError(
            f"The tokenizer in {folder} has other tokens than that of the start model '{model.name}'",
            "Give the model that it was made from with --start",
        )
