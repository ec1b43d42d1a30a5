"""Tiny weights of several architectures."""

import pytest
import torch
from lineages import KINDS
from transformers import AutoModelForCausalLM

from unlearnkit.models import tiny


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Architecture -> a folder with its weights; read only."""
    made = {}
    for kind, changes in KINDS.items():
        folder = tmp_path_factory.mktemp(kind)
        config = tiny.config(kind)
        for key, value in changes.items():
            setattr(config, key, value)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            network = AutoModelForCausalLM.from_config(config)
            for parameter in network.parameters():
                if parameter.dim() == 1:  # biases of 0 would hide that they are lost
                    torch.nn.init.normal_(parameter, mean=float(parameter.mean()), std=0.1)
            network.save_pretrained(folder)
        tiny.tokenizer().save_pretrained(folder)
        made[kind] = str(folder)
    return made
