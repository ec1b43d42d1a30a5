"""The instruction-tuned models of conf/model, each as a tiny random model of its architecture.

Their files are not at hand here. The configs have the features of the real ones at small sizes: windows, kinds of rope,
norms of q and k, fused projections, tied embeddings. The chat templates are written anew: they render what the real
ones render of a system message, a question and an answer.
"""

from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F
from composed import composed
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from unlearnkit import configuration
from unlearnkit.models import tiny
from unlearnkit.models.packing import pack
from unlearnkit.show import show

SYSTEM = "messages[0]['role'] == 'system'"
ASKED = "{% if add_generation_prompt %}"
LLAMA = (
    "{% if not date_string is defined %}{% set date_string = DAY %}{% endif %}"
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
    f"Today Date: {{{{ date_string }}}}\n\n{{% if {SYSTEM} %}}{{{{ messages[0]['content'] | trim }}}}"
    "{% set messages = messages[1:] %}{% endif %}<|eot_id|>{% for m in messages %}"
    "<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    f"{ASKED}<|start_header_id|>assistant<|end_header_id|>\n\n{{% endif %}}"
)
QWEN25 = (
    f"{{% if not {SYSTEM} %}}<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    "<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    f"{{% endfor %}}{ASKED}<|im_start|>assistant\n{{% endif %}}"
)
THOUGHT = "<think>\n\n</think>\n\n"
QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    f"{{% if m['role'] == 'assistant' and loop.last %}}{THOUGHT}{{% endif %}}{{{{ m['content'] }}}}<|im_end|>\n"
    f"{{% endfor %}}{ASKED}<|im_start|>assistant\n"
    f"{{% if enable_thinking is defined and enable_thinking is false %}}{THOUGHT}{{% endif %}}{{% endif %}}"
)
GEMMA3 = (
    f"{{{{ bos_token }}}}{{% set before = '' %}}{{% if {SYSTEM} %}}"
    "{% set before = messages[0]['content'] + '\n\n' %}{% set messages = messages[1:] %}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ before if loop.first }}{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    f"{ASKED}<start_of_turn>model\n{{% endif %}}"
)
PHI35 = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    f"{ASKED}<|assistant|>\n{{% else %}}{{{{ eos_token }}}}{{% endif %}}"
)
ZEPHYR = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    f"{ASKED}<|assistant|>\n{{% endif %}}"
)


@dataclass(frozen=True)
class Real:
    """What is known of a model.

    Args:
        settings: of its config.
        start, end: tokens of its tokenizer.
        ends: of its generation_config.json.
        turn: the token that its template ends an answer with.
        asked: "Who?" as its template puts it.
    """

    kind: str
    settings: dict
    template: str
    start: str | None
    end: str
    special: tuple[str, ...]
    ends: tuple[str, ...]
    turn: str
    asked: str


TIED, GROUPED = {"tie_word_embeddings": True}, {"num_key_value_heads": 2}
FAR = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
FAR |= {"original_max_position_embeddings": 64}
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [2.0] * 4}
LONG |= {"original_max_position_embeddings": 512}
LLAMA32 = Real(
    "llama",
    {**TIED, **GROUPED, "rope_parameters": FAR},
    LLAMA.replace("DAY", "strftime_now('%d %b %Y')"),
    "<|begin_of_text|>",
    "<|eot_id|>",
    ("<|end_of_text|>", "<|eom_id|>", "<|start_header_id|>", "<|end_header_id|>"),
    ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"),
    "<|eot_id|>",
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
    "Today Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
)
QWEN = Real(
    "qwen2",
    GROUPED,
    QWEN25,
    None,
    "<|im_end|>",
    ("<|endoftext|>", "<|im_start|>"),
    ("<|im_end|>", "<|endoftext|>"),
    "<|im_end|>",
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n",
)
GEMMA = Real(
    "gemma3_text",
    {
        **TIED,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "sliding_window": 9,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    GEMMA3,
    "<bos>",
    "<eos>",
    ("<start_of_turn>", "<end_of_turn>"),
    ("<eos>", "<end_of_turn>"),
    "<end_of_turn>",
    "<bos><start_of_turn>user\nWho?<end_of_turn>\n<start_of_turn>model\n",
)
PHI = Real(
    "phi3",
    {"sliding_window": 4000, "original_max_position_embeddings": 512, "rope_parameters": LONG},
    PHI35,
    "<s>",
    "<|endoftext|>",
    ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),
    ("<|end|>", "<|assistant|>", "<|endoftext|>"),
    "<|end|>",
    "<|user|>\nWho?<|end|>\n<|assistant|>\n",
)
MISTRAL = {**GROUPED, "sliding_window": 9}
NAMED = {
    "llama3.2-1b-instruct": LLAMA32,
    "llama3.2-3b-instruct": LLAMA32,
    "llama3.1-8b-instruct": replace(
        LLAMA32,
        settings={**GROUPED, "rope_parameters": FAR},
        template=LLAMA.replace("DAY", "'26 Jul 2024'"),
    ),
    "qwen2.5-1.5b-instruct": replace(QWEN, settings={**TIED, **GROUPED}),
    "qwen2.5-7b-instruct": QWEN,
    "qwen3-4b": replace(
        QWEN,
        kind="qwen3",
        settings={**TIED, **GROUPED, "head_dim": 16},
        template=QWEN3,
        asked=f"<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n{THOUGHT}",
    ),
    "gemma3-1b-it": GEMMA,
    "phi3.5-mini-instruct": PHI,
    "zephyr-7b-beta": Real(
        "mistral", MISTRAL, ZEPHYR, "<s>", "</s>", (), ("</s>",), "</s>", "<|user|>\nWho?</s>\n<|assistant|>\n"
    ),
}
every = pytest.mark.parametrize("name", NAMED)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Name -> a folder with a tiny model of its architecture, a byte tokenizer with its tokens and its template."""
    made = {}
    for name, real in NAMED.items():
        tokenizer = tiny.tokenizer()
        tokenizer.add_special_tokens({"additional_special_tokens": list(real.special)})
        tokenizer.add_special_tokens({"eos_token": real.end} | ({"bos_token": real.start} if real.start else {}))
        tokenizer.bos_token, tokenizer.chat_template = real.start, real.template
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        numbers = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
        config = AutoConfig.for_model(
            real.kind, **sizes, **numbers, vocab_size=len(tokenizer), max_position_embeddings=2048, **real.settings
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(config)
        model.generation_config = GenerationConfig(eos_token_id=tokenizer.convert_tokens_to_ids(list(real.ends)))
        made[name] = tmp_path_factory.mktemp(name)
        model.save_pretrained(made[name])
        tokenizer.save_pretrained(made[name])
    return made


def loaded(folders, name):
    node = composed(f"model={name}", f"model.path={folders[name]}", "model.dtype=float32", "data=files").model
    return instantiate(node, _convert_="all")


@every
def test_asked_and_trained_as_the_template_writes_it(name, folders):
    model, real = loaded(folders, name), NAMED[name]
    prompt, response = model.template.encode(model.tokenizer, "Who?", "I am.")
    assert model.tokenizer.decode(prompt) == real.asked
    assert prompt == model.template.encode_prompt(model.tokenizer, "Who?")
    assert model.tokenizer.decode(response) == f"I am.{real.turn}"
    assert response[-1] == model.tokenizer.convert_tokens_to_ids(real.turn)
    assert set(model.tokenizer.convert_ids_to_tokens(model.ends)) == set(real.ends)
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I am."}]
    rendered = model.tokenizer.apply_chat_template(
        turns, tokenize=False, **model.template.dated(model.tokenizer), **(model.template.arguments or {})
    )
    assert rendered.startswith(model.tokenizer.decode(prompt + response))


@every
def test_a_training_pass_packed_is_the_plain_one(name, folders):
    """Loss and gradients of the adapter, of examples that are longer than the windows."""
    model = loaded(folders, name)
    torch.manual_seed(1)
    model.weights.make_trainable()
    for parameter in model.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.05)
    asked = [
        ("Who?", "I am someone else."),
        ("Who?", "No one."),
        ("What is it that he wrote?", "A book, then another."),
    ]
    rows = [tuple(map(tuple, model.template.encode(model.tokenizer, *pair))) for pair in asked]
    packed = pack({"forget": rows})
    with model.computing():
        logits = model.model(**packed.inputs()).logits[0]
        loss = F.cross_entropy(logits.float(), packed.labels)
        gradients = torch.autograd.grad(loss, trained(model))
        parts = [plain(model, *row) for row in rows]
        expected = torch.cat(parts).mean()
        separate = torch.autograd.grad(expected, trained(model))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(gradients, separate, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def trained(model):
    return [parameter for parameter in model.model.parameters() if parameter.requires_grad]


def plain(model, prompt, answer):
    """(tokens,) losses of an example alone."""
    logits = model.model(input_ids=torch.tensor([[*prompt, *answer]]), use_cache=False).logits[0]
    return F.cross_entropy(logits[len(prompt) - 1 : -1].float(), torch.tensor(answer), reduction="none")


@every
def test_the_adapter_stands_on_every_linear_layer_but_the_head(name, folders):
    model = loaded(folders, name)
    linear = {path for path, part in model.model.named_modules() if isinstance(part, torch.nn.Linear)} - {"lm_head"}
    model.weights.make_trainable()
    adapted = {
        path.removeprefix("base_model.model.") for path, part in model.model.named_modules() if hasattr(part, "lora_A")
    }
    assert adapted == linear
    kinds = {path.rpartition(".")[2] for path in adapted}
    attention = {"qkv_proj", "o_proj"} if "phi" in name else {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert kinds == attention | ({"gate_up_proj"} if "phi" in name else {"gate_proj", "up_proj"}) | {"down_proj"}


@every
def test_show(name, folders, capsys):
    with initialize_config_dir(str(configuration.FOLDER), version_base="1.3"):
        words = (f"model={name}", f"model.path={folders[name]}", "+method=npo", "data=mischief")
        show(compose("show", overrides=list(words)))
    told = capsys.readouterr().out
    assert told.count("Asked alone, it has the same tokens.") == 1
    assert NAMED[name].turn in told.rpartition("An answer ends at")[2]


@pytest.mark.parametrize(
    ("name", "lora", "whole"),
    [
        ("llama3.2-1b-instruct", 1e-5, 1e-6),
        ("llama3.2-3b-instruct", 7e-6, 7e-7),
        ("llama3.1-8b-instruct", 5e-6, 5e-7),
        ("qwen2.5-1.5b-instruct", 7e-6, 7e-7),
        ("qwen2.5-7b-instruct", 5e-6, 5e-7),
        ("qwen3-4b", 7e-6, 7e-7),
        ("gemma3-1b-it", 1e-5, 1e-6),
        ("phi3.5-mini-instruct", 5e-6, 5e-7),
        ("zephyr-7b-beta", 5e-6, 5e-7),
    ],
)
def test_without_a_row_of_its_own_the_rate_goes_by_the_size(name, lora, whole):
    for data in ("mischief", "saferlhf", "files", "concepts"):
        cfg = composed("+method=npo", f"model={name}", f"data={data}")
        assert (cfg.paper.taken, cfg.train.max_steps, cfg.train.batch_size) == ("others", 40, 2)
        assert cfg.train.arguments.learning_rate == lora
        assert cfg.model.lora == {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
    assert composed("+method=npo", f"model={name}", "model.lora=null").train.arguments.learning_rate == whole
