"""The command line: `python -m unlearnkit.evaluations.scope_classifier data=authors`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from unlearnkit import configuration
from unlearnkit.errors import UserError
from unlearnkit.evaluations.scope_classifier import Numbers, measure
from unlearnkit.files import write_numbers
from unlearnkit.identity import versions
from unlearnkit.measures.display import show_interval, show_value
from unlearnkit.measures.success import Success
from unlearnkit.settings.check import check_command
from unlearnkit.settings.places import claim_folders
from unlearnkit.settings.run import Guarding

SHOWN = Success().display(None)


def table(numbers: Numbers, title: str) -> Table:
    """One row a metric: plain, prefixed, each with its interval, and the number of questions."""
    shown = Table("metric", "plain", "95 %", "prefixed", "95 %", "n", title=title, title_justify="left")
    for metric, plain in numbers["plain"].items():
        cells = []
        for number in (plain, numbers["prefixed"][metric]):
            cells += [show_value(SHOWN, number.value), show_interval(SHOWN, number.low, number.high)]
        shown.add_row(metric, *cells, str(plain.n))
    return shown


@hydra.main(config_path=str(configuration.FOLDER), config_name="scope_classifier", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """One classifier: the table, and metrics.json in the output folder."""
    with configuration.two_lines("scope_classifier"):
        check_command(cfg, Guarding)
        carry_out(cfg)


def carry_out(cfg: DictConfig) -> None:
    """The same, with its errors."""
    if cfg.kind not in cfg.classifiers:
        raise UserError(f"Unknown kind '{cfg.kind}'", f"Set kind= to {' or '.join(map(str, cfg.classifiers))}")
    folder = Path(HydraConfig.get().runtime.output_dir)
    data = instantiate(cfg.data, _convert_="all")
    numbers = measure(instantiate(cfg.classifiers[cfg.kind]), data, cfg.prefix, cfg.split, cfg.seed)
    run = {"data": data.name, "kind": cfg.kind, "prefix": cfg.prefix, "split": cfg.split, "seed": cfg.seed}
    run |= {"settings": OmegaConf.to_container(cfg.classifiers[cfg.kind], resolve=True), "versions": versions()}
    moments = {when: {name: dataclasses.asdict(e) for name, e in each.items()} for when, each in numbers.items()}
    write_numbers(folder / "metrics.json", {"run": run, **moments})
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(table(numbers, f"{cfg.kind} scope classifier on {data.name}, {cfg.split}, seed {cfg.seed}"))
    console.print(f"Numbers: {folder / 'metrics.json'}", soft_wrap=True)


def main() -> None:
    """The command line; errors a user can mend are two lines and exit code 2."""
    configuration.register_resolvers()
    claim_folders()
    configuration.exit_with_two_lines(job, "scope_classifier")


if __name__ == "__main__":
    main()
