"""Loading and negating a full model: peak memory as a multiple of the model's size."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from measure import peak_memory, resident

from unlearnkit import configuration
from unlearnkit.stages.negate import negate_weights


def main() -> None:
    configuration.register_resolvers()
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", overrides=["model.lora=null"])
    with tempfile.TemporaryDirectory() as folder:
        base = instantiate(cfg.model, _convert_="all").model
        base.save_pretrained(folder, max_shard_size="200MB")
        del base
        gc.collect()
        before = resident()
        with peak_memory() as loading:
            model = instantiate(cfg.model, path=folder, package=None, _convert_="all").model
        size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01)
        with peak_memory() as negating:
            negate_weights(model, Path(folder))
        print(f"model                    {size / 1e9:.2f} GB in {model.dtype}")
        print(f"peak while loading       {(loading.bytes - before) / size:.2f} x its size")
        print(f"peak while negating      {(negating.bytes - before) / size:.2f} x its size")


if __name__ == "__main__":
    main()
