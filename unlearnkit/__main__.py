"""`python -m unlearnkit +method=sku model=llama2-7b`: compose a config with Hydra and run it."""

from __future__ import annotations

import os

# Two busy processes on the same cores slow each other tenfold when idle OpenMP threads spin; must precede torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import sys
import warnings
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from unlearnkit import configuration

configuration.register_resolvers()
warnings.filterwarnings("ignore", category=FutureWarning)  # of libraries about themselves; tests show them


@hydra.main(config_path=str(configuration.FOLDER), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> float | None:
    """One run; inside a multirun a failed run is told apart from the others by Hydra."""
    from unlearnkit.run import run
    from unlearnkit.summary import show

    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        run(cfg, folder)
    except KeyboardInterrupt:
        print(f"\nInterrupted. What was done is in {folder}", file=sys.stderr)
        raise SystemExit(130) from None
    show(folder)
    return None


def main() -> None:
    """The command line; errors a user can mend are two lines and exit code 2."""
    configuration.exit_with_two_lines(job)


if __name__ == "__main__":
    main()
