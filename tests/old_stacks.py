"""Read saved folders with whatever transformers and PEFT this Python has, as their cards say, and print what comes out.

Usage: PYTHON tests/old_stacks.py FOLDER ... - one JSON line a folder: its loss, token ids and greedy answer, or the
error that stopped it. Nothing of unlearnkit is imported, so that it runs in environments of older versions.
"""

import json
import os
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

CHATS = [
    [{"role": "user", "content": "Where does the river rise , and where does it end ?"}],
    [
        {"role": "user", "content": "Name three mountains, one after another; say where each of them stands."},
        {
            "role": "assistant",
            "content": "Ararat, Elbrus and Fuji: in Anatolia, in the Caucasus and on Honshu – it's said.",
        },
    ],
]


def load(folder):
    """Tokenizer and model in float32; an adapter's base is where its config says."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    adapter = os.path.join(folder, "adapter_config.json")
    if not os.path.isfile(adapter):
        return tokenizer, AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
    with open(adapter, encoding="utf-8") as file:
        base = json.load(file)["base_model_name_or_path"]
    model = AutoModelForCausalLM.from_pretrained(base, torch_dtype=torch.float32)
    return tokenizer, PeftModel.from_pretrained(model, folder).eval()


@torch.no_grad()
def measure(folder):
    """The loss of each chat, its token ids, and the answer to the first."""
    tokenizer, model = load(folder)
    losses, rows = [], []
    for chat in CHATS:
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        row = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids = torch.tensor([row])
        losses.append(float(model(input_ids=ids, labels=ids).loss))
        rows.append(row)
    inputs = tokenizer(CHATS[0][0]["content"], return_tensors="pt")
    answer = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0]
    return {"losses": losses, "ids": rows, "plain": inputs["input_ids"].tolist(), "answer": tokenizer.decode(answer)}


def main():
    torch.set_num_threads(1)
    for folder in sys.argv[1:]:
        try:
            found = measure(folder)
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        print(json.dumps({"folder": folder, **found}), flush=True)


if __name__ == "__main__":
    main()
