"""Loading and negating a full model: peak memory as a multiple of the model's size."""

from __future__ import annotations

import tempfile
from multiprocessing import get_context
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from measure import peak_memory, resident

from unlearnkit import configuration
from unlearnkit.models.whole import WholeLineage


def load(**changes):
    """The embedded model, with its full weights trainable."""
    configuration.register_resolvers()
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", overrides=["model.lora=null"])
    return instantiate(cfg.model, **changes, _convert_="all")


def save(folder: str) -> None:
    """The base weights in shards, fp32 as they are trained."""
    base = load()
    base.model.save_pretrained(folder, max_shard_size="200MB")
    base.tokenizer.save_pretrained(folder)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own, whose memory does not hide what loading takes in this one.
        child = get_context("spawn").Process(target=save, args=(folder,))
        child.start()
        child.join()
        before = resident()
        with peak_memory() as loading:
            model = load(path=folder).model
        size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01)
        with peak_memory() as negating:
            WholeLineage(model, folder, None).negate(1.0, Path(folder))
        print(f"model                    {size / 1e9:.2f} GB in {model.dtype}")
        print(f"peak while loading       {(loading.bytes - before) / size:.2f} x its size")
        print(f"peak while negating      {(negating.bytes - before) / size:.2f} x its size")


if __name__ == "__main__":
    main()
