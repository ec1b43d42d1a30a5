"""Compose a config as the command line would, without its process."""

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from unlearnkit import configuration


def composed(*overrides: str) -> DictConfig:
    """The config of `python -m unlearnkit *overrides`, with `${choice:...}` resolving as there."""
    configuration.register_resolvers()
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", overrides=list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg
