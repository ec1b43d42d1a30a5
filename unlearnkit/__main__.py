"""`python -m unlearnkit +method=sku model=llama2-7b`: compose a config with Hydra and run it."""

from __future__ import annotations

import os

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if os.environ.get("RANK", "0") != "0":
    os.environ["TQDM_DISABLE"] = "1"  # one progress bar, rank zero's; must precede tqdm

# ruff: noqa: E402
import shlex
import sys
import warnings
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from unlearnkit import __version__, configuration, identity
from unlearnkit.data.reading import read
from unlearnkit.errors import interrupted
from unlearnkit.files import write
from unlearnkit.judges.ready import check_judges
from unlearnkit.notices import is_first, notice
from unlearnkit.secrets import redact
from unlearnkit.settings.cells import set_aside
from unlearnkit.settings.check import check_command
from unlearnkit.settings.launcher import check_launcher
from unlearnkit.settings.places import CONFIG, SHOWS, claim_folders, remove_empty, remove_unbegun
from unlearnkit.settings.run import Run
from unlearnkit.settings.sources import taken
from unlearnkit.settings.strangers import check_model_place
from unlearnkit.settings.usage import check_flags, flags_first, usage

configuration.register_resolvers()
warnings.filterwarnings("ignore", category=FutureWarning)  # of libraries about themselves; tests show them


@hydra.main(config_path=str(configuration.FOLDER), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """One run, or a cell of a sweep; what fails in a cell is written down there and the sweep goes on."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        with configuration.two_lines():
            hide_secrets()
            identity.rename(cfg)
            carry_out(cfg, folder)
    finally:
        remove_empty(folder)


def carry_out(cfg: DictConfig, folder: Path) -> None:
    """The same, with its errors."""
    if "sweep" in cfg:
        from unlearnkit import cell

        cell.carry_out(cfg, folder)
        return
    check_launcher(os.environ)
    data = check_command(cfg, Run, (check_model_place, check_judges), read)
    from unlearnkit import memory, ranks
    from unlearnkit.run import run
    from unlearnkit.runs.summary import show

    memory.settle()
    existed = (folder / CONFIG).exists()
    choices = HydraConfig.get().runtime.choices
    origin = taken(cfg, str(choices.get("model")), choices.get("paper"))
    try:
        ranks.start()
        if origin:
            notice(origin)
        own, folder = folder, ranks.from_first(lambda: folder)
        if own != folder and not any(own.iterdir()):  # ${now:} was another second on this rank
            own.rmdir()
        run(cfg, folder, data)
    except KeyboardInterrupt:
        if not is_first():
            interrupted()
        interrupted(f"Interrupted. What was done is in {folder}; to go on: {resuming(folder)}")
    except Exception:
        if not existed and is_first():
            remove_unbegun(folder)
        raise
    if ranks.is_first():
        show(folder, words())
    ranks.barrier()


def hide_secrets() -> None:
    """Hydra writes a multirun's overrides down as they are, before its first job begins."""
    if HydraConfig.get().mode != RunMode.MULTIRUN:
        return
    file = Path(HydraConfig.get().sweep.dir) / "multirun.yaml"
    if file.is_file():
        text = file.read_text(encoding="utf-8")
        if redact(text) != text:
            write(file, redact(text))


def resuming(folder: Path) -> str:
    """The command line that goes on with an interrupted run."""
    return shlex.join(["python", "-m", "unlearnkit", *words(), f"hydra.run.dir={folder}"])


def words() -> list[str]:
    """The words of this run's command line that say what it is."""
    return [word for word in HydraConfig.get().overrides.task if not word.startswith("hydra.")]


def command() -> None:
    """Hydra's command, our help, or our version."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(usage())
        return
    if "--version" in sys.argv[1:]:
        print(f"unlearnkit {__version__}")
        return
    own = sys.argv[1:]
    check_flags(own)
    flags, settings = flags_first(own)
    if any(word.startswith("+sweep=") for word in settings):
        flags, settings = of_sweep(flags, settings)
    else:  # a sweep's folders are named by what they hold
        claim_folders()
    sys.argv[1:] = [*flags, *settings]
    try:
        job()
    finally:
        sys.argv[1:] = own


def of_sweep(flags: list[str], settings: list[str]) -> tuple[list[str], list[str]]:
    """A sweep's command line for Hydra, see `settings.cells`; what shows a config shows the first cell's."""
    if {flag.partition("=")[0] for flag in flags}.isdisjoint(SHOWS):
        return [*flags, "--multirun"], set_aside(settings)
    from unlearnkit.sweeps.composing import of_first_cell

    return flags, of_first_cell(settings)


def main() -> None:
    """The command line; errors a user can mend are two lines and exit code 2."""
    try:
        configuration.exit_with_two_lines(command)
    except KeyboardInterrupt:  # of a sweep
        again = shlex.join(["python", "-m", "unlearnkit", *sys.argv[1:]])
        interrupted(f"Interrupted. What is done is kept; to go on: {again}")
    if ranks := sys.modules.get("unlearnkit.ranks"):  # else nothing was computed
        ranks.end()


if __name__ == "__main__":
    main()
