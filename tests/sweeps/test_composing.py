"""Cells composed together are the cells composed one by one, and Hydra is left as it was."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime
from omegaconf import OmegaConf

from unlearnkit import configuration, sweeps
from unlearnkit.errors import UserError
from unlearnkit.identity import resolved
from unlearnkit.sweeps import composing

SMOKE = ("+sweep=knowundo_finding3", "+scale=smoke", "logger=none")


def seen(words, config):
    return words, resolved(config), str(OmegaConf.select(config, "hydra.sweep.subdir"))


@pytest.mark.parametrize(
    ("overrides", "count"),
    [
        (("seed=0,1,2",), 3),
        (("seed=range(0,2)", "model=tiny,llama2-7b"), 4),
        (("train.max_steps=3,null", "seed=7"), 2),
        (("++train.max_steps='${seed}'", "seed=4,5"), 2),
        (("+train={rate: 1},{steps: 2}",), 2),
        (("model.lora={r: 2}", "model.lora.r=3,4"), 2),
        (("curve_split='${hydra:overrides.task.1}'", "seed=0,1"), 2),
        (("curve_split='${hydra.overrides.task.1}'", "seed=0,1"), 2),
        (("hydra.sweep.subdir='${hydra.job.override_dirname}'", "seed=0,1"), 2),
    ],
)
def test_together_as_one_by_one(overrides, count):
    with composing.loader() as loader:
        master = composing.compose_master([*SMOKE, *overrides], loader)
        together = composing.each(master, loader, seen)
        alone = []
        for words, *_ in together:
            config = composing.compose(master, words, loader)
            HydraConfig.instance().set_config(config)
            alone.append(seen(words, config))
    assert together == alone and len(together) == count


def test_an_axis_without_an_end_is_two_lines():
    with pytest.raises(UserError, match=r"'seed=interval\(0,1\)' has no end of values"):
        sweeps.load("knowundo_finding3", "smoke", overrides=["seed=interval(0,1)"])


def test_hydra_is_left_as_it_was():
    JobRuntime.instance().set("name", "mine")
    with initialize_config_dir(str(configuration.FOLDER), job_name="theirs", version_base="1.3"):
        before = GlobalHydra.instance().hydra
        assert len(sweeps.load("knowundo_finding3", "smoke").cells) == 1
        assert GlobalHydra.instance().hydra is before and JobRuntime.instance().get("name") == "theirs"
        with pytest.raises(UserError):
            sweeps.load("nothing")
        assert GlobalHydra.instance().hydra is before
        compose("config", overrides=["seed=1"])
    sweeps.load("knowundo_finding3", "smoke")
    assert not GlobalHydra.instance().is_initialized()
