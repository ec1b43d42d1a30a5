"""`python -m unlearnkit.plan +method=sku model=llama2-13b deepspeed=zero3`: will it fit, and how long does it take."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a plan downloads nothing; HF_HUB_OFFLINE=0 lets it ask for sizes
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import json
import warnings
from pathlib import Path
from typing import Annotated, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from unlearnkit import configuration
from unlearnkit.errors import UserError
from unlearnkit.files import write
from unlearnkit.settings.bounds import Arguments
from unlearnkit.settings.check import check_command
from unlearnkit.settings.run import Run

configuration.register_resolvers()
warnings.filterwarnings("ignore", category=FutureWarning)  # of libraries about themselves; tests show them


class PlannedRun(Run):
    """`python -m unlearnkit.plan`: a run's keys and the plan's own."""

    plan: Annotated[dict[str, Any], Arguments("unlearnkit.plan.planner.Asked")]


@hydra.main(config_path=str(configuration.FOLDER), config_name="plan", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """The plan of one run."""
    with configuration.two_lines("plan"):
        check_command(cfg, PlannedRun)
        if cfg.plan.json and (Path(cfg.plan.json).is_dir() or not Path(cfg.plan.json).absolute().parent.is_dir()):
            raise UserError(f"plan.json={cfg.plan.json} is no file in a folder that is there", "Give another place")
        from unlearnkit.plan.run import run

        found = run(cfg, HydraConfig.get().runtime.choices.get("deepspeed") or "none")
        if cfg.plan.json:
            write(Path(cfg.plan.json), json.dumps(found, indent=1))


def main() -> None:
    """The command line; errors a user can mend are two lines and exit code 2."""
    configuration.exit_with_two_lines(job, "plan")


if __name__ == "__main__":
    main()
