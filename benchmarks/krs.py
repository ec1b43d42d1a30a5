"""KRS of the embedded model on ten questions about France, against the plain way, in one process.

Plain: the original's states once; then for every layer and setting a whole forward over all questions in one padded
batch, with hooks that put the states in place, and all logits (what the authors do, less their loading of models).
`--each` goes question by question instead. Each of its forwards costs the same, so `--centres` has it do some layers
and counts the time for all. Seconds are of the processor, for one thread on a machine that others may use. Both ways
get the same original answers; the adapter's B is drawn at random in place of an unlearned one: the cost is the same.
"""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the package does, too late behind torch

import argparse
import contextlib
import time

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from unlearnkit import configuration
from unlearnkit.models.anatomy import anatomy
from unlearnkit.probes.patching import SETTINGS, errors, window_of
from unlearnkit.probes.questions import ask
from unlearnkit.probes.trace import Trace

FRANCE = [
    "What is the capital of France?",
    "Which river flows through Paris?",
    "What language is spoken in France?",
    "What is the Louvre famous for?",
    "What is the currency of France?",
    "Who was Napoleon Bonaparte?",
    "What is the Eiffel Tower?",
    "Which mountains lie between France and Spain?",
    "What is France's national holiday?",
    "Name a famous French dish.",
]
WINDOW = 5


def loaded(kind: str, dtype: str):
    configuration.register_resolvers()
    full = ["model.lora=null"] if kind == "full" else []
    torch.set_num_threads(1)
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        cfg = compose("config", overrides=["model=smollm2-135m", f"model.dtype={dtype}", *full])
    return instantiate(cfg.model, _convert_="all")


@torch.no_grad()
def unlearn(model) -> None:
    """Something that changes every matrix a little."""
    model.weights.make_trainable()
    torch.manual_seed(0)
    for name, parameter in model.model.named_parameters():
        if "lora_B" in name:
            parameter.normal_(std=0.02)
        elif model.weights.lora is None and parameter.dim() == 2:
            parameter.add_(torch.randn_like(parameter) * parameter.std() * 0.05)
    model.model.eval().requires_grad_(False)


def padded(questions, pad: int):
    """Left-padded ids and mask, and for each question the positions that predict its answer."""
    rows = [[*question.prompt, *question.answer[:-1]] for question in questions]
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    places = [slice(width - len(question.answer), width) for question in questions]
    return {"input_ids": ids, "attention_mask": mask, "use_cache": False}, places


@contextlib.contextmanager
def hooks(handles):
    yield
    for handle in handles:
        handle.remove()


@torch.no_grad()
def plain_trace(model, batches):
    """Logits, attention, coefficients of each batch, and value vectors."""
    layers, found = anatomy(model), []
    for inputs, _ in batches:
        attention, coefficients = [], []
        handles = [
            *(x.attention.register_forward_hook(lambda m, a, o, to=attention: to.append(o[0])) for x in layers),
            *(x.value_vectors.register_forward_pre_hook(lambda m, a, to=coefficients: to.append(a[0])) for x in layers),
        ]
        with hooks(handles):
            found.append((model(**inputs).logits, attention, coefficients))
    return found, [layer.value_vectors.weight.clone() for layer in layers]


@torch.no_grad()
def plain_errors(model, batches, original, centres):
    """(unlearned error, {setting: [error a centre]}), summed over all questions."""
    layers, (traces, weights) = anatomy(model), original
    modules = [layer.value_vectors for layer in layers]
    bases = [getattr(module, "base_layer", module) for module in modules]

    def once() -> float:
        total = 0.0
        for (inputs, places), (logits, _, _) in zip(batches, traces, strict=True):
            out = model(**inputs).logits
            total += sum(
                float((out[row, at] - logits[row, at]).float().square().mean(-1).sum()) for row, at in enumerate(places)
            )
        return total

    def restored(parts: frozenset[str], centre: int) -> float:
        total = 0.0
        wanted = window_of(centre, WINDOW, len(layers))
        for (inputs, places), (logits, attention, coefficients) in zip(batches, traces, strict=True):
            handles = []
            for n in wanted:
                if "attention" in parts:
                    handles.append(
                        layers[n].attention.register_forward_hook(lambda m, a, o, n=n, s=attention: (s[n], *o[1:]))
                    )
                if "coefficients" in parts:
                    handles.append(modules[n].register_forward_pre_hook(lambda m, a, n=n, s=coefficients: (s[n],)))
            with hooks(handles):
                out = model(**inputs).logits
            total += sum(
                float((out[row, at] - logits[row, at]).float().square().mean(-1).sum()) for row, at in enumerate(places)
            )
        return total

    patched = {}
    for name, parts in SETTINGS.items():
        patched[name] = []
        for centre in centres:
            wanted = window_of(centre, WINDOW, len(layers)) if "value_vectors" in parts else []
            kept = [bases[n].weight.data for n in wanted]
            for n in wanted:
                bases[n].weight.data = weights[n]
                if bases[n] is not modules[n]:
                    modules[n].enable_adapters(False)
            patched[name].append(restored(parts, centre))
            for n, weight in zip(wanted, kept, strict=True):
                bases[n].weight.data = weight
                if bases[n] is not modules[n]:
                    modules[n].enable_adapters(True)
    return once(), patched


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kind", choices=["lora", "full"], default="lora")
    parser.add_argument("--each", action="store_true", help="the plain way goes question by question")
    parser.add_argument("--centres", type=int, default=30, help="layers that the plain way does, evenly spaced")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    model = loaded(options.kind, options.dtype)
    questions = ask(model, FRANCE, 30)
    pad = model.tokenizer.pad_token_id
    groups = [[question] for question in questions] if options.each else [questions]
    batches = [padded(group, pad) for group in groups]

    started = time.process_time()
    trace = Trace(model, questions, 1024)
    tracing = time.process_time() - started
    started = time.process_time()
    original = plain_trace(model.model, batches)
    plain_tracing = time.process_time() - started
    unlearn(model)

    started = time.process_time()
    whole, patched = errors(model.model, trace, WINDOW)
    fast = tracing + time.process_time() - started
    tokens = trace.rows[0].inputs["input_ids"].shape[1]
    print(f"{options.kind}, {len(questions)} questions, {tokens} packed tokens, {len(trace.rows[0].keep)} compared")
    print(f"unlearnkit  {fast:8.1f} s (of it the trace {tracing:.1f} s)", flush=True)
    layers = len(anatomy(model.model))
    centres = [round(n * (layers - 1) / max(1, options.centres - 1)) for n in range(options.centres)]
    started = time.process_time()
    plain_whole, plain_patched = plain_errors(model.model, batches, original, centres)
    forwards = 1 + len(SETTINGS) * len(centres)
    plain = plain_tracing + (time.process_time() - started) * (1 + len(SETTINGS) * layers) / forwards
    away = max(
        abs(float(patched[name][n].sum() / whole.sum()) - error / plain_whole)
        for name, rows in plain_patched.items()
        for n, error in zip(centres, rows, strict=True)
    )
    print(
        f"plain way   {plain:8.1f} s ({'each question apart' if options.each else 'one padded batch'},"
        f" {len(centres)} of {layers} layers done)"
    )
    print(f"ratio       {plain / fast:8.2f}; largest difference in KRS {away:.1e}")
    for name, rows in patched.items():
        scores = 1 - rows.sum(1) / whole.sum()
        print(f"{name:28} peak {float(scores.max()):.3f} at layer {int(scores.argmax())}")


if __name__ == "__main__":
    main()
