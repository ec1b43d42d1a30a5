"""The config that a command line would have, composed in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from unlearnkit.settings.yaml import FOLDER


@contextlib.contextmanager
def composed(words: Sequence[str], beside: Path | None = None) -> Iterator[DictConfig]:
    """The config of `python -m unlearnkit WORDS`, with its interpolations, for the length of a `with`.

    Inside it `HydraConfig` is this config's, as in a job; what Hydra held of another one comes back after it.

    Args:
        beside: a folder with further options of the config groups.
    """
    held, current = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    GlobalHydra.instance().clear()
    path = [f"hydra.searchpath=['file://{beside}']"] if beside else []
    try:
        with initialize_config_dir(str(FOLDER), job_name="unlearnkit", version_base="1.3"):
            config = compose("config", [*path, *words], return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        yield config
    finally:
        GlobalHydra.instance().hydra = held
        HydraConfig.instance().cfg = current
