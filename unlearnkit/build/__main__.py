"""`python -m unlearnkit.build +domain=privacy names=FILE server.model=NAME`: a data set like KnowUnDo."""

from __future__ import annotations

import os
import re
import sys

import hydra
import yaml
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig

from unlearnkit import configuration
from unlearnkit.errors import UserError, nearest
from unlearnkit.settings.check import check_command
from unlearnkit.settings.run import Build

configuration.register_resolvers()


@hydra.main(config_path=str(configuration.FOLDER), config_name="build", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """One data set."""
    try:
        with configuration.two_lines("build"):
            check_command(cfg, Build)
            from unlearnkit.build.run import run

            run(cfg)
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again: finished requests are kept, not asked again", file=sys.stderr)
        sys.stderr.flush()
        os._exit(130)  # not waiting for the requests under way, which may take minutes


def composed() -> None:
    """The job; a key that is none of a build's is told with those that are."""
    try:
        job()
    except ConfigCompositionException as error:
        unknown = re.search(r"Could not override '(\w+)'", str(error))
        if unknown is None or unknown[1] == "domain":
            raise
        config = yaml.safe_load((configuration.FOLDER / "build.yaml").read_text(encoding="utf-8"))
        keys = [key for key in config if key not in ("defaults", "hydra")]
        inner = unknown[1] in config["server"]  # `model=` would be a config group of `python -m unlearnkit`
        raise UserError(
            f"'{unknown[1]}=' is no key of a build.{nearest(unknown[1], keys) if not inner else ''}",
            f"Write server.{unknown[1]}=" if inner else f"Valid: {', '.join(keys)}",
        ) from error


def main() -> None:
    """The command line; errors a user can mend are two lines and exit code 2."""
    configuration.exit_with_two_lines(composed, "build")


if __name__ == "__main__":
    main()
