"""The model card of a saved folder: code that loads it, which versions were tried, and what its writer adds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date as Date
from pathlib import PurePath
from typing import Any

import yaml

from unlearnkit.models.templates import TODAY, Template

# What tests/old_stacks.py was run with, by tests/models/test_saving.py.
TRIED = "transformers 4.45.2 with PEFT 0.13.2, 4.57.6 with PEFT 0.13.2 and 0.18.1, 5.23.0 with PEFT 0.21.2"
ARCHITECTURES = {
    "llama", "qwen2", "qwen3", "olmo", "olmo2", "olmo3", "gpt2", "gpt_neo", "gpt_neox", "opt", "mistral", "mixtral",
    "phi", "phi3", "gemma", "gemma2", "gemma3_text", "cohere", "cohere2", "starcoder2", "granite", "glm", "smollm3",
    "bloom", "falcon",
}  # fmt: skip
FIRST = {  # the transformers that an architecture came with, where 4.45 has none
    "glm": "4.46", "olmo2": "4.47", "cohere2": "4.48", "gemma3_text": "4.50", "qwen3": "4.51", "smollm3": "4.53",
    "olmo3": "4.57",
}  # fmt: skip
# Modules that transformers 5 renamed; it renames full weights back when it saves them, PEFT does not.
RENAMED = {"gpt_neox": ("lm_head", "embed_out"), "mixtral": ("mlp", "block_sparse_moe")}
WITHOUT_SCALING = {"mistral", "mixtral", "gemma", "gemma2"}
PLAIN_SCALINGS = {"default", "linear", "dynamic"}
PEFT_013 = {
    "base_model_name_or_path", "revision", "peft_type", "task_type", "inference_mode", "auto_mapping", "r",
    "target_modules", "lora_alpha", "lora_dropout", "fan_in_fan_out", "bias", "use_rslora", "modules_to_save",
    "init_lora_weights", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern", "megatron_config",
    "megatron_core", "loftq_config", "use_dora", "layer_replication",
}  # fmt: skip


def unread(config: dict[str, Any], adapter: dict[str, Any] | None = None) -> list[str]:
    """What older versions read otherwise or not at all, a sentence each.

    Args:
        config: the config.json of the full weights, or of the adapter's base, as it stands on disk.
        adapter: the adapter_config.json.
    """
    kind, rope = config.get("model_type", ""), config.get("rope_parameters") or {}
    whole = rope.get("full_attention", rope)
    scaling = whole.get("rope_type", "default")
    notes = []
    if kind not in ARCHITECTURES:
        notes.append(f"With transformers 4.x the architecture {kind} was not tried.")
    if kind in FIRST:
        notes.append(f"The architecture {kind} came with transformers {FIRST[kind]}; older versions refuse it.")
    if rope and not {"rope_theta", "rotary_emb_base"} & set(config):
        notes.append(
            "config.json holds the rotary settings of transformers 5 alone (rope_parameters): transformers 4.x takes "
            "its own defaults instead, without a word, and computes other numbers."
        )
    if scaling != "default" and kind in WITHOUT_SCALING:
        notes.append(
            f"transformers 4.45 leaves out the rope scaling ({scaling}) of {kind} without a word; 4.57 has it."
        )
    elif scaling == "yarn" and whole.get("original_max_position_embeddings") != config.get("max_position_embeddings"):
        notes.append(
            "transformers 4.45 computes yarn from max_position_embeddings, and so other numbers; 4.57 does not."
        )
    if (scaling == "longrope" and kind != "phi3") or (kind in {"olmo", "olmo2"} and scaling not in PLAIN_SCALINGS):
        notes.append(f"transformers 4.x stops at the rope scaling ({scaling}) of {kind}.")
    if kind == "phi3" and whole.get("partial_rotary_factor", 1.0) != 1.0:
        notes.append("transformers 4.45 leaves out the partial_rotary_factor of phi3 without a word; 4.57 has it.")
    if kind == "gemma2":
        notes.append("transformers 4.57 softcaps gemma2's attention only with attn_implementation='eager'.")
    if adapter and kind in RENAMED and _trains(adapter, RENAMED[kind][0]):
        new, old = RENAMED[kind]
        notes.append(
            f"This adapter changes {new} of {kind}, which transformers 4.x calls {old}: it cannot read that part."
        )
    if newer := sorted(set(adapter or {}) - PEFT_013):
        notes.append(f"PEFT 0.13 does not know {', '.join(newer)} and ends with a TypeError.")
    return notes


def _trains(adapter: dict[str, Any], module: str) -> bool:
    modules = [adapter.get(key) or [] for key in ("target_modules", "modules_to_save")]
    return any(
        module in name.split(".") for names in modules for name in ([names] if isinstance(names, str) else names)
    )


def model_card(
    title: str,
    about: str,
    tags: Sequence[str],
    template: Template,
    weights: str,
    autocast: str | None = None,
    adapter_over: str | None = None,
    base_model: str | None = None,
    ends: Sequence[int] = (),
    dated: bool = False,
    quantise: str | None = None,
    notes: Sequence[str] = (),
    licence: str | None = None,
    parts: Sequence[str] = (),
) -> str:
    """README.md of a saved folder.

    Args:
        title: the heading.
        about: a paragraph: what wrote it, from which seed.
        tags: beside "unlearning".
        template: how the model is asked.
        weights: the torch type that the run held the (base) weights in, such as "bfloat16".
        autocast: the type that a forward computed in, where that was another.
        adapter_over: where an adapter's base weights are, a folder or a hub id; None for full weights.
        ends: the tokens that end an answer; none: what the folder's generation_config says.
        dated: the chat template writes the date.
        quantise: how a run rounded the base's weights as it loaded them, as Python for `quantization_config=`.
        base_model: the hub id of the model that this one was made of, or its folder.
        notes: see `unread`.
        licence: of the base, and so of this model.
        parts: further sections in Markdown, such as what was measured.
    """
    library = "transformers" if adapter_over is None else "peft"
    made_of = base_model or adapter_over or ""
    front: dict[str, Any] = {"base_model": PurePath(made_of).name if PurePath(made_of).is_absolute() else made_of}
    front |= {"license": licence} if licence else {}
    front |= {"library_name": library, "tags": ["unlearning", *tags]}
    own = f"4-bit NF4, the others in {weights}" if quantise else weights
    types = f"Weights in {own}" + (f", a forward pass in {autocast} under autocast" if autocast else "")
    written = [
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n# {title}\n\n{about}\n",
        f"## How to load it\n\n{types}: another type gives other answers. Beside this folder (`model`):\n",
        f"```python\n{_code(template, weights, autocast, adapter_over, ends, dated, quantise)}```\n",
        f"Folders like this one were read with equal losses and tokens by {TRIED}"
        + (", with these exceptions:\n" if notes else ".\n"),
        "".join(f"- {note}\n" for note in notes),
        *parts,
    ]
    return "\n".join(part for part in written if part)


def _code(
    template: Template,
    weights: str,
    autocast: str | None,
    adapter_over: str | None,
    ends: Sequence[int],
    dated: bool,
    quantise: str | None = None,
) -> str:
    lines = [
        *["import datetime", "import re"] * dated,
        "import torch",
        *["from peft import PeftModel"] * (adapter_over is not None),
    ]
    rounding = ["BitsAndBytesConfig"] * (quantise is not None)
    lines += [f"from transformers import {', '.join(['AutoModelForCausalLM', 'AutoTokenizer', *rounding])}", ""]
    lines.append('tokenizer = AutoTokenizer.from_pretrained("model")')
    how = f"torch_dtype=torch.{weights}"
    if quantise is not None:
        lines.append(f"in_4_bit = {quantise}")
        how += ", quantization_config=in_4_bit"
    lines.append(f"model = AutoModelForCausalLM.from_pretrained({adapter_over or 'model'!r}, {how})")
    if adapter_over is not None:
        lines.append('model = PeftModel.from_pretrained(model, "model")')
    lines += ["model.eval()", "", 'question = "What is the capital of France?"', *_asking(template, dated)]
    lines += [
        "inputs = {'input_ids': torch.tensor([ids]), 'attention_mask': torch.ones(1, len(ids), dtype=torch.long)}"
    ]
    contexts = "torch.inference_mode()"
    if autocast:
        contexts += f", torch.autocast(model.device.type, dtype=torch.{autocast})"
    stop = f", eos_token_id={list(ends)}" if ends else ""
    lines += [
        f"with {contexts}:",
        "    answer = model.generate(**{name: part.to(model.device) for name, part in inputs.items()},",
        f"                            max_new_tokens=64, do_sample=False{stop})",
        "print(tokenizer.decode(answer[0, len(ids):], skip_special_tokens=True))",
    ]
    return "\n".join(lines) + "\n"


def _asking(template: Template, dated: bool) -> list[str]:
    if template.text is not None:
        return [
            f"ids = tokenizer({template.text!r}.replace('{{prompt}}', question).rstrip(' '))['input_ids']",
            "ids = ids[:-1] if ids[-1] == tokenizer.eos_token_id else ids",
        ]
    system = [{"role": "system", "content": template.system}] if template.system else []
    messages = "".join(f"{message!r}, " for message in system) + "{'role': 'user', 'content': question}"
    arguments = ", tokenize=False, add_generation_prompt=True"
    if dated:
        day = Date.fromisoformat(template.date)
        lines = [
            f"day = datetime.date({day.year}, {day.month}, {day.day})",
            f"today = re.compile({TODAY.pattern!r})",
            "chat = today.sub(lambda call: repr(day.strftime(call[2])), tokenizer.get_chat_template())",
        ]
        arguments += ", chat_template=chat, date_string=day.strftime('%d %b %Y')"
    else:
        lines = []
    arguments += "".join(f", {name}={value!r}" for name, value in (template.arguments or {}).items())
    return [
        *lines,
        f"text = tokenizer.apply_chat_template([{messages}]{arguments}).rstrip(' ')",
        "ids = tokenizer(text, add_special_tokens=False)['input_ids']",
    ]
