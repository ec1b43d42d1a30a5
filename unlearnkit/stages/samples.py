"""Text that a model writes itself: contexts before a prompt, and a stand-in for the text it was trained on."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from unlearnkit.models.generation import own_settings


@torch.inference_mode()
def sample(
    network: Any,
    tokenizer: PreTrainedTokenizerBase,
    starts: list[list[int]],
    new_tokens: int,
    seed: int,
    top_k: int = 0,
    batch_size: int = 32,
) -> list[list[int]]:
    """The tokens that follow each start, drawn from the model's own distribution; an ended text is cut at its end.

    Args:
        starts: token ids, all of one length; none may be empty.
        top_k: draw from the likeliest alone; 0: from the whole vocabulary.
    """
    end = tokenizer.eos_token_id
    drawn: list[list[int]] = []
    devices = [network.device] if network.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        for place in range(0, len(starts), batch_size):
            ids = torch.tensor(starts[place : place + batch_size], device=network.device)
            with own_settings(network) as drawing:
                out = drawing.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    max_new_tokens=new_tokens,
                    do_sample=True,
                    top_k=top_k,
                    eos_token_id=end,
                    pad_token_id=tokenizer.pad_token_id,
                )
            for row in out[:, ids.shape[1] :].tolist():
                drawn.append(row[: row.index(end)] if end in row else row)
    return drawn


def start_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that plain text begins after."""
    return tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
