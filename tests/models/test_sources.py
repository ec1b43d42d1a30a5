"""Folders, files and hub ids as people have them: loaded, or refused in two lines that name what is there."""

import json
import shutil

import pytest
from peft import IA3Config, LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from unlearnkit.errors import UserError
from unlearnkit.models import load, tiny

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 259,
}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 123\n"


def refused(**told):
    with pytest.raises(UserError) as raised:
        load("mine", dtype="float32", **told)
    assert len(str(raised.value).splitlines()) == 2
    return raised.value


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def remove(*paths):
    for path in paths:
        path.unlink()


def change(path, **values):
    held = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: value for key, value in held.items() if value != "gone"}))


def other(folder, kind, head=AutoModelForCausalLM, **more):
    remove(*folder.glob("*.safetensors"))
    head.from_config(AutoConfig.for_model(kind, **SMALL | more)).save_pretrained(folder)


def lacks_shard(folder):
    names = load_file(folder / "model.safetensors")
    remove(folder / "model.safetensors")
    shards = dict.fromkeys(names, "model-00002-of-00003.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))


def weights(folder, name, content=b"x"):
    remove(folder / "model.safetensors")
    (folder / name).write_bytes(content)


DAMAGED = {
    "cut off": (lambda f: cut(f / "model.safetensors"), "is damaged or cut off", "Copy or fetch it again"),
    "a header cut off": (lambda f: cut(f / "model.safetensors", 0.001), "is damaged or cut off", "Copy or fetch"),
    "empty": (lambda f: cut(f / "model.safetensors", 0), "cut off (0 bytes)", "Copy or fetch it again"),
    "a pointer": (
        lambda f: (f / "model.safetensors").write_text(POINTER),
        "model.safetensors is a git",
        "lfs pull",
    ),
    "the tokenizer's": (
        lambda f: (f / "tokenizer.json").write_text(POINTER),
        "tokenizer.json is a git",
        "lfs pull",
    ),
    "bin's": (
        lambda f: weights(f, "pytorch_model.bin", POINTER.encode()),
        "pytorch_model.bin is a git-lfs",
        "lfs pull",
    ),
    "no tokenizer": (
        lambda f: remove(*f.glob("token*"), *f.glob("*.jinja")),
        "The tokenizer of",
        "Copy tokenizer.json",
    ),
    "a tokenizer cut off": (lambda f: cut(f / "tokenizer.json"), "damaged", "Copy"),
    "no weights": (lambda f: remove(f / "model.safetensors"), "config.json and no weights", "hf download ORG/NAME"),
    "a shard": (lacks_shard, "lacks model-00002-of-00003.safetensors", "hf download ORG/NAME --local-dir"),
    "pickled objects": (
        lambda f: weights(f, "pytorch_model.bin", b"cos\nexit\n."),
        "never run here",
        "*.safetensors",
    ),
    "odd settings": (
        lambda f: change(f / "config.json", output_attentions=True, _attn_implementation="sdpa"),
        "cannot be loaded: StrictDataclassClassValidationError: ",
        "Restore the JSON files",
    ),
    "no JSON": (lambda f: (f / "config.json").write_text("<html>"), "config.json is no JSON", "Fetch it again"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), "holds no JSON object", "Fetch it again"),
    "no type": (lambda f: change(f / "config.json", model_type="gone"), "names no model_type", "Restore config.json"),
    "another width": (lambda f: change(f / "config.json", hidden_size=64), "other shapes", "Restore config.json"),
    "of tomorrow": (lambda f: change(f / "config.json", model_type="qwen9"), "'qwen9'", "pip install -U transformers"),
    "own code": (
        lambda f: change(f / "config.json", model_type="my", auto_map={"AutoConfig": "my.My"}),
        "wants to run code of its own, which is never done here",
        "a version of it that transformers knows",
    ),
    "gptq": (
        lambda f: change(f / "config.json", quantization_config={"quant_method": "gptq", "bits": 4}),
        "are quantised",
        "unquantised",
    ),
    "a classifier": (
        lambda f: other(f, "bert", AutoModelForSequenceClassification),
        "config.json says BertForSequenceClassification",
        "",
    ),
    "an image model": (
        lambda f: AutoConfig.for_model("vit").save_pretrained(f),
        "is a ViT, which is no causal language model",
        "Take a decoder",
    ),
    "TensorFlow's": (lambda f: weights(f, "tf_model.h5"), "it is weights for TensorFlow", "PyTorch's weights"),
    "GGUF": (lambda f: weights(f, "m.Q4_K_M.gguf"), "GGUF (m.Q4_K_M.gguf)", "model.hub=ORG/NAME"),
    "Core ML's": (lambda f: weights(f, "m.mlmodel"), "a model of Core ML", "PyTorch's weights"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_models_folder_that_is_not_whole(case, tiny_folder, tmp_path):
    damage, what, fix = DAMAGED[case]
    folder = shutil.copytree(tiny_folder, tmp_path / "a folder's {name}")
    damage(folder)
    error = refused(path=str(folder))
    assert what in error.what
    assert fix in error.fix


def adapter(base, folder, config=None, tokenizer=True, **settings):
    config = config or LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    if tokenizer:
        tiny.tokenizer().save_pretrained(folder)
    change(folder / "adapter_config.json", **{"base_model_name_or_path": str(base), **settings})
    return folder


def test_an_adapter_whose_base_is_gone(tiny_folder, tmp_path):
    folder = adapter(tiny_folder, tmp_path / "adapter", base_model_name_or_path="/gone/base")
    error = refused(path=str(folder))
    assert error.what == f"The adapter in '{folder}' is over '/gone/base': there is no such folder"
    assert error.fix.startswith(f"Fetch it with 'hf download ORG/NAME' and set base_model_name_or_path in {folder}")
    (folder / "README.md").write_text("---\nbase_model: Qwen/Qwen2.5-0.5B\n---\n")
    assert "hf download Qwen/Qwen2.5-0.5B'" in refused(path=str(folder)).fix


@pytest.mark.parametrize(
    ("settings", "what", "fix"),
    [
        ({"base_model_name_or_path": "org/gone"}, "at 'org/gone'", "hf download org/gone"),
        ({"base_model_name_or_path": None}, "does not say which model it is over", "Set base_model_name_or_path"),
        ({"peft_type": "PROMPT_TUNING"}, "of the kind PROMPT_TUNING; LoRA alone", "Merge it yourself"),
        ({"peft_type": "OF_TOMORROW"}, "of the kind OF_TOMORROW", "Merge it yourself"),
    ],
)
def test_adapters_that_cannot_be_loaded(settings, what, fix, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    error = refused(path=str(adapter(tiny_folder, tmp_path / "adapter", **settings)))
    assert what in error.what
    assert fix in error.fix


def test_adapters_that_are_not_whole(tiny_folder, tmp_path):
    folder = adapter(tiny_folder, tmp_path / "adapter")
    cut(folder / "adapter_model.safetensors")
    assert "is damaged or cut off" in refused(path=str(folder)).what
    remove(folder / "adapter_model.safetensors")
    assert "no adapter_model.safetensors" in refused(path=str(folder)).what
    kind = IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])
    assert "of the kind IA3" in refused(path=str(adapter(tiny_folder, tmp_path / "ia3", kind))).what


def test_an_adapter_over_something_else(tiny_folder, tmp_path):
    inner = adapter(tiny_folder, tmp_path / "inner")
    error = refused(path=str(adapter(tiny_folder, tmp_path / "outer", base_model_name_or_path=str(inner))))
    assert f"is over '{inner}', which has weights (adapter_model.safetensors) and no config.json" in error.what
    wide = tiny.config("llama")
    wide.hidden_size = 64
    AutoModelForCausalLM.from_config(wide).save_pretrained(tmp_path / "wide")
    tiny.tokenizer().save_pretrained(tmp_path / "wide")
    change(tmp_path / "outer" / "adapter_config.json", base_model_name_or_path=str(tmp_path / "wide"))
    assert "does not fit its base" in refused(path=str(tmp_path / "outer")).what


def test_an_adapter_without_a_tokenizer_takes_its_bases(tiny_folder, tmp_path):
    folder = adapter(tiny_folder, tmp_path / "adapter", tokenizer=False)
    assert load("mine", path=str(folder)).tokenizer("a")["input_ids"] == [67]


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")


STRANGERS = {
    "empty": ((), "an empty folder", "save_pretrained"),
    "GGUF": (("m.gguf", "README.md"), "GGUF (m.gguf)", "model.hub=ORG/NAME"),
    "the hub's cache": (("models--a--B/snapshots/c/config.json",), "the hub's cache", "model.hub=a/B"),
    "its home": (("hub/models--a--B--C/refs/main", "token"), "the hub's cache", "model.hub=a/B/C"),
    "rows": (("train.jsonl", "README.md"), "rows of a data set", "data=files data.forget="),
    "rows below": (("data/a.parquet", ".gitattributes"), "rows of a data set", "data=files data.forget="),
    "rows on disk": (("data-00000-of-00001.arrow", "state.json"), "rows of a data set", "data=files data.forget="),
    "a run": (("metrics.json", "model/config.json"), "a run's folder", "/model'"),
    "a run that has none": (("metrics.json", "config.yaml"), "a run's folder without a model", "Go on"),
    "runs": (("ga-a/1/model/adapter_config.json", "ga-a/1/metrics.json"), "a folder of a model in it", "ga-a/1/model'"),
    "checkpoints": (("checkpoint-9/config.json", "checkpoint-20/config.json"), "2 folders of models", "checkpoint-20'"),
    "Meta's": (("params.json", "consolidated.00.pth"), "format of its authors", "convert_llama_weights_to_hf"),
    "DeepSpeed's": (("zero_to_fp32.py", "global_step1/x", "latest"), "a checkpoint of DeepSpeed", "zero_to_fp32.py"),
    "diffusers'": (("model_index.json", "unet/diffusion.safetensors"), "an image model of diffusers", "PyTorch"),
    "ONNX": (("onnx/model.onnx",), "a model in ONNX", "*.safetensors"),
    "MLX": (("weights.00.npz",), "weights for MLX", "*.safetensors"),
    "a tokenizer": (("tokenizer.json", "tokenizer_config.json"), "a tokenizer alone", "save_pretrained"),
    "weights": (("model.safetensors",), "no config.json", "Copy config.json"),
    "sources": (("main.py", "README.md"), "no config.json", "save_pretrained"),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_a_folder_without_a_model_is_called_what_it_is(case, tmp_path):
    names, what, fix = STRANGERS[case]
    put(tmp_path, *names)
    error = refused(path=str(tmp_path))
    assert error.what.startswith(f"model.path={tmp_path} holds no model: it ")
    assert what in error.what
    assert fix in error.fix


def test_an_entry_of_the_hubs_cache(tmp_path):
    entry = tmp_path / "models--a--B"
    put(entry, "snapshots/c/config.json", "refs/main")
    for folder in (entry, entry / "snapshots"):
        assert refused(path=str(folder)).fix == "Give its hub id: model.hub=a/B"


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("m.gguf", "GGUF", "model.hub="),
        ("model.safetensors", "a file of weights", "model.path='"),
        ("x.pth", "a file of weights", "model.path='"),
        ("rows.csv", "a file of rows", "data.forget="),
        ("model.tar.gz", "a packed archive", "Unpack it"),
        ("config.json", "a file", "model.path='"),
        ("notes.txt", "a file", "save_pretrained"),
    ],
)
def test_a_file_in_a_folders_place(name, what, fix, tmp_path):
    (tmp_path / name).write_bytes(b"GGUF")
    error = refused(path=str(tmp_path / name))
    assert what in error.what
    assert fix in error.fix


@pytest.mark.parametrize(
    ("told", "what", "fix"),
    [
        ({"path": "/nowhere/at all"}, "there is no such folder", "ls '/nowhere'"),
        ({"path": "Qwen/Qwen2.5-0.5B"}, "there is no such folder", "model.hub=Qwen/Qwen2.5-0.5B if it is"),
        ({"path": "~no-such-user/x"}, "no such user's home", "full path"),
        ({"path": "x" * 5000}, "there is no such folder", "Check the path"),
        ({"path": "https://huggingface.co/a/B/tree/main"}, "an address", "model.hub=a/B"),
        ({"hub": "huggingface.co/a/B"}, "an address", "model.hub=a/B"),
        ({"hub": "https://hf.co/datasets/a/B"}, "the address of a data set", "data.forget=hf://datasets/a/B"),
        ({"hub": "hf://a/B"}, "an address", "model.hub=a/B"),
        ({"hub": "s3://bucket/x"}, "an address", "model.hub="),
        ({"hub": "./a"}, "no hub id, but a path", "model.path="),
        ({"hub": "a/b/c"}, "no hub id, but a path", "model.path="),
        ({"hub": "a/b c"}, "no hub id", "model.hub=ORG/NAME"),
        ({"hub": "gone/model"}, "No weights for model 'mine' at 'gone/model'", "hf download gone/model"),
    ],
)
def test_places_that_are_none(told, what, fix, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    error = refused(**told)
    assert what in error.what
    assert fix in error.fix


def test_a_folder_in_the_hubs_place(tiny_folder):
    assert refused(hub=str(tiny_folder)).fix == f"Give it with model.path='{tiny_folder}'"
