"""Greedy responses to evaluation prompts."""

from __future__ import annotations

import torch
from tqdm.auto import tqdm

from unlearnkit.data.examples import Example
from unlearnkit.models import LanguageModel
from unlearnkit.records.record import Record


def records_of(sets: dict[str, list[Example]]) -> list[Record]:
    """One record an example, in the order given, with nothing measured yet."""
    return [
        Record(name, example.id, example.prompt, category=example.category, answer=example.response)
        for name, examples in sets.items()
        for example in examples
    ]


@torch.inference_mode()
def generate(
    model: LanguageModel,
    records: list[Record],
    max_new_tokens: int,
    batch_size: int = 64,
    desc: str = "Answering",
) -> None:
    """Write the model's response to each record's prompt into it; prompts of like length are batched together.

    Args:
        max_new_tokens: tokens after which a response is cut off.
    """
    if not records:
        return
    prompts = [model.template.encode_prompt(model.tokenizer, record.prompt) for record in records]
    order = sorted(range(len(records)), key=lambda index: len(prompts[index]))
    end, pad = model.tokenizer.eos_token_id, model.tokenizer.pad_token_id
    for start in tqdm(range(0, len(order), batch_size), desc=desc, leave=False):
        batch = order[start : start + batch_size]
        width = max(len(prompts[index]) for index in batch)
        ids = torch.full((len(batch), width), pad, device=model.device)
        mask = torch.zeros_like(ids)
        for row, index in enumerate(batch):
            ids[row, width - len(prompts[index]) :] = torch.tensor(prompts[index])
            mask[row, width - len(prompts[index]) :] = 1
        out = model.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            # Said in full, for a model's own generation_config fills in what is left out.
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            eos_token_id=end,
            pad_token_id=pad,
        )
        for row, index in enumerate(batch):
            tokens = out[row, width:].tolist()
            record = records[index]
            record.ended = end in tokens
            tokens = tokens[: tokens.index(end)] if record.ended else tokens
            record.tokens = len(tokens) + record.ended
            record.response = str(model.tokenizer.decode(tokens, skip_special_tokens=True)).strip()
