"""KRS the plain way: one whole forward a question, layer and setting, hooks everywhere, all logits, two models."""

import contextlib

import torch
from torch import nn

from unlearnkit.models.anatomy import anatomy


def hooked(layers, wanted, attention, coefficients):
    """Hooks that put the original's states in place on the wanted layers."""
    handles = []
    for number in wanted:
        layer = layers[number]
        if attention:
            put = attention[number]
            handles.append(layer.attention.register_forward_hook(lambda m, a, out, put=put: (put, *out[1:])))
        if coefficients:
            put = coefficients[number]
            handles.append(layer.value_vectors.register_forward_pre_hook(lambda m, a, put=put: (put,)))
    return handles


def effective(module):
    """The weight that multiplies the coefficients, adapters included."""
    if not hasattr(module, "base_layer"):
        return module.weight.data
    weight = module.base_layer.weight.data
    for name in module.active_adapters:
        if name in module.lora_A and not module.disable_adapters:
            weight = weight + module.get_delta_weight(name)
    return weight


@contextlib.contextmanager
def swapped(layers, wanted, weights):
    """The original's weights in the wanted layers' modules, their adapters off."""
    kept = []
    for number in wanted:
        module = layers[number].value_vectors
        base = getattr(module, "base_layer", module)
        kept.append((module, base, base.weight.data))
        base.weight.data = weights[number]
        if base is not module:
            module.enable_adapters(False)
    yield
    for module, base, weight in kept:
        base.weight.data = weight
        if base is not module:
            module.enable_adapters(True)


@torch.no_grad()
def traced(model, questions):
    """What the original says: (logits, attention, coefficients) of each question, and its value vectors."""
    layers = anatomy(model)
    found = []
    for question in questions:
        seen = {"attention": {}, "coefficients": {}}

        def keep(kind, number, seen=seen):
            def attention(module, given, out):
                seen[kind][number] = out[0]

            def coefficients(module, given):
                seen[kind][number] = given[0]

            return attention if kind == "attention" else coefficients

        handles = [layer.attention.register_forward_hook(keep("attention", n)) for n, layer in enumerate(layers)]
        handles += [
            layer.value_vectors.register_forward_pre_hook(keep("coefficients", n)) for n, layer in enumerate(layers)
        ]
        found.append((forward(model, question), seen["attention"], seen["coefficients"]))
        for handle in handles:
            handle.remove()
    return found, [effective(layer.value_vectors).clone() for layer in layers]


def forward(model, question):
    ids = torch.tensor([[*question.prompt, *question.answer]], device=model.device)
    return model(input_ids=ids, use_cache=False).logits[0]


@torch.no_grad()
def errors(model, original, questions, window, settings):
    """What `unlearnkit.probes.patching.errors` returns; `window` is (layers before, layers after) the centre."""
    layers = anatomy(model)
    traces, weights = original
    before, after = window
    unlearned, patched = [], {name: [[] for _ in layers] for name in settings}
    for question, (logits, attention, coefficients) in zip(questions, traces, strict=True):
        compared = list(question.compared)

        def error(logits=logits, question=question, compared=compared):
            found = forward(model, question)[compared]
            return float(nn.functional.mse_loss(found, logits[compared], reduction="none").double().mean(-1).sum())

        unlearned.append(error())
        for name, parts in settings.items():
            for centre in range(len(layers)):
                wanted = [n for n in range(centre - before, centre + after + 1) if 0 <= n < len(layers)]
                handles = hooked(
                    layers,
                    wanted,
                    attention if "attention" in parts else None,
                    coefficients if "coefficients" in parts else None,
                )
                with swapped(layers, wanted if "value_vectors" in parts else [], weights):
                    patched[name][centre].append(error())
                for handle in handles:
                    handle.remove()
    return torch.tensor(unlearned), {name: torch.tensor(rows) for name, rows in patched.items()}
