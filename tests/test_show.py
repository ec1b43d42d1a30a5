"""`python -m unlearnkit.show`: the tokens that are trained and asked, as a user sees them."""

import json
import shutil

import torch
from forked import command
from safetensors.torch import save_file

from unlearnkit.show import token_lines


def test_an_example_of_every_stream_and_where_answers_end(tmp_path):
    done = command("unlearnkit.show", "+method=npo_kl", "model=tiny", "data=mischief", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("forget", "retain"):
        assert f"Trained, stream '{name}'" in done.stdout
    assert done.stdout.count("<s>|u|s|e|r|:|Ġ|") == 2
    assert done.stdout.count("Asked alone, it has the same tokens.") == 2
    assert "An answer ends at </s> (2)." in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_folder_without_weights_and_rows_of_ones_own(tmp_path, tiny_folder):
    """Weights that would not load show that none are."""
    folder = shutil.copytree(tiny_folder, tmp_path / "own")
    adapter = {"base_model_name_or_path": str(folder), "peft_type": "LORA"}
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(adapter))
    save_file({"no": torch.zeros(1)}, tmp_path / "adapter" / "adapter_model.safetensors")
    save_file({"no": torch.zeros(1)}, folder / "model.safetensors")
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"question": "Who {n}?", "answer": "I."}}\n' for n in range(4)))
    for model in (folder, tmp_path / "adapter"):
        words = ("+method=ga", f"model.path={model}", "data=files", f"data.forget={tmp_path / 'rows.jsonl'}")
        done = command("unlearnkit.show", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "prompt: '<s>user: Who " in done.stdout
        assert "response, what is learnt: 'I.</s>'" in done.stdout
        assert "An answer ends at </s> (2)." in done.stdout


def test_a_text_in_place_of_the_chat_template(tmp_path):
    text = 'model.template.text="Q: {prompt}\\nA: "'
    done = command("unlearnkit.show", "+method=ga", "model=tiny", "data=mischief", text, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Q|:|Ġ|" in done.stdout and "Ċ|A|:|\n" in done.stdout
    assert "</s>|" in done.stdout


def test_bad_input_is_two_lines(tmp_path):
    done = command("unlearnkit.show", "+method=ga", "model=tiny", "model.template.text=Question", cwd=tmp_path)
    assert done.returncode == 2
    assert "has no {prompt}" in done.stderr
    assert "Error executing job" not in done.stderr
    done = command("unlearnkit.show", "+method=ga", "model=tiny", "+train.lr=1e-5", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: Nothing reads 'train.lr'. Did you mean 'train.arguments.learning_rate'?")


def test_lines_of_tokens():
    assert list(token_lines(["ab"] * 40)) == ["ab|" * 33, "ab|" * 7]
    assert list(token_lines([])) == []
