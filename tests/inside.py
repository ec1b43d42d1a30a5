"""Tiny random models of several architectures, and what hooks say of their layers, for the tests of attacks inside."""

import copy

import torch
from transformers import AutoModelForCausalLM

from unlearnkit.attacks import Scene
from unlearnkit.data.examples import Data, Example
from unlearnkit.models import LanguageModel, tiny
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.lineage import Lineage
from unlearnkit.models.templates import Template
from unlearnkit.models.whole import WholeLineage

ROWS = [Example(f"f{n}", f"Who is {'x' * n}?", f"It is {'ab' * (n + 1)}.") for n in range(5)]
DATA = Data("it", {}, {"forget": {"test": ROWS}})
# Where each keeps its layers and its last norm, written out.
PATHS = {
    "llama": ("model.layers", "model.norm"),
    "qwen2": ("model.layers", "model.norm"),
    "gemma3_text": ("model.layers", "model.norm"),
    "gpt2": ("transformer.h", "transformer.ln_f"),
}


def network(architecture="llama", layers=3, seed=0, **sizes):
    config = tiny.config(architecture)
    config = type(config).from_dict({**config.to_dict(), "num_hidden_layers": layers, "layer_types": None, **sizes})
    torch.manual_seed(seed)
    made = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    with torch.no_grad():
        for parameter in made.parameters():  # larger than at the start, so that layers matter
            if parameter.dim() > 1:
                parameter.mul_(4)
    use_packed_attention(made)
    return made


def moved(network, scale=0.3, where=""):
    """Another one, whose weights differ."""
    torch.manual_seed(1)
    other = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if where in name and parameter.dim() > 1:
                parameter.add_(torch.randn_like(parameter) * parameter.std() * scale)
    return other


class Between(WholeLineage):
    """A model with another one as its start."""

    def __init__(self, network, start):
        super().__init__(network, "", lambda source: start)
        self.began = "start"


def model(network, start=None):
    weights: Lineage = WholeLineage(network, "", None) if start is None else Between(network, start)
    return LanguageModel("tiny", tiny.tokenizer(), Template(), weights)


def bound(attack, folder=None, data=DATA):
    attack.bind("it", Scene(data, 0, folder) if folder else Scene(data))
    return attack


def ids_of(of, row):
    prompt, answer = of.template.encode(of.tokenizer, row.prompt, row.response)
    return torch.tensor([prompt + answer]), len(prompt), answer


@torch.no_grad()
def plain_states(network, architecture, ids):
    """Each layer's output (T, H), by hooks."""
    seen = []
    hooks = [
        block.register_forward_hook(lambda m, given, out: seen.append(out if torch.is_tensor(out) else out[0]))
        for block in network.get_submodule(PATHS[architecture][0])
    ]
    logits = network(ids, use_cache=False).logits[0]
    for hook in hooks:
        hook.remove()
    return [states[0] for states in seen], logits
