"""A base in NF4: its bytes beside bitsandbytes' own, a step's peak beside what a real one allocates, in closed form."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import AutoConfig, AutoModelForCausalLM

from unlearnkit.losses import KL, NLL
from unlearnkit.models.attention import use_packed_attention
from unlearnkit.models.lineage import answering
from unlearnkit.models.loading import lineage
from unlearnkit.models.quantised import WAYS, nf4
from unlearnkit.models.reading import read
from unlearnkit.models.switching import adapter_off
from unlearnkit.plan.nf4 import Nf4
from unlearnkit.plan.sizes import sizes_of, skeleton
from unlearnkit.plan.trace import TRACED, peaks, trace
from unlearnkit.stages.steps import Step
from unlearnkit.stages.trainer import weighted_sum

needed = pytest.mark.skipif(not WAYS["BitsAndBytesConfig"].installed(), reason="bitsandbytes is not installed")
LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
TERMS = {"forget": NLL("forget", -1.0), "retain": KL("retain")}
VOCABULARY = 500
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SETTINGS = [("llama", {}), ("gpt_neox", {}), ("llama", {"tie_word_embeddings": True})]


def config(architecture="llama", **changes):
    sizes = {"hidden_size": 256, "num_attention_heads": 4, "num_hidden_layers": 3, "max_position_embeddings": 256}
    inner = {"ffn_dim": 640, "word_embed_proj_dim": 256} if architecture == "opt" else {"intermediate_size": 640}
    return AutoConfig.for_model(architecture, vocab_size=VOCABULARY, **{**sizes, **inner, **changes})


def step():
    prompt, other = tuple(range(3, 23)), tuple(range(4, 20))
    answers = [tuple(range(30, 30 + length)) for length in (12, 25)]
    rows = {"forget": [(prompt, answers[0]), (prompt, answers[1])], "retain": [(other, answers[0])]}
    return Step(0, rows, {name: (10, 2) for name in rows})


def test_bytes_of_a_matrix():
    layer = Nf4(256, 640, None, torch.bfloat16)
    held = [part.nbytes for part in (layer.weight, layer.scales, layer.nested)]
    assert held == [81_920, 2_560, 40]  # half a byte, a byte a block of 64, four a 256 of these: 0.516 a number
    assert layer.numbers == 163_840


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "opt"])
def test_parameters_are_counted_as_they_were(architecture):
    made = config(architecture)
    plain = sizes_of(skeleton(made, LORA, torch.bfloat16))
    packed = sizes_of(skeleton(made, LORA, torch.bfloat16, quantise="nf4"))
    assert (packed.parameters, packed.trainable, packed.trained_bytes) == (
        plain.parameters, plain.trainable, plain.trained_bytes,
    )  # fmt: skip
    assert packed.weights < plain.weights


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Settings -> the network that a run would train, with bitsandbytes."""

    def make(made, computed_in):
        folder = tmp_path_factory.mktemp("plain")
        AutoModelForCausalLM.from_config(made).save_pretrained(folder)
        network = AutoModelForCausalLM.from_pretrained(
            folder, quantization_config=nf4(computed_in), dtype=computed_in, attn_implementation="sdpa"
        )
        use_packed_attention(network)
        weights = lineage(network, LORA)
        weights.make_trainable()
        return weights.network.train()

    return make


def held(network):
    """Bytes of all parameters, and of what bitsandbytes keeps beside them."""
    total = sum(weight.nbytes for weight in network.parameters())
    states = [weight.quant_state for weight in network.parameters() if hasattr(weight, "quant_state")]
    return total + sum(state.absmax.nbytes + state.state2.absmax.nbytes for state in states), len(states)


@needed
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("architecture", "changes"), SETTINGS)
def test_weights_take_what_they_take(architecture, changes, dtype, real):
    made, computed_in = config(architecture, **changes), DTYPES[dtype]
    found, layers = held(real(made, computed_in))
    assert sizes_of(skeleton(made, LORA, computed_in, quantise="nf4")).weights == found
    assert layers == 3 * (7 if architecture == "llama" else 4)


@needed
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_step_takes_what_it_takes(checkpointing, dtype, real):
    """Every allocation of a real forward, reference and backward on the CPU, added up by torch's profiler."""
    made, computed_in, terms = config(), DTYPES[dtype], TERMS
    autocast = computed_in == torch.bfloat16
    live = trace(
        skeleton(made, LORA, computed_in, quantise="nf4"), terms, step(), VOCABULARY,
        autocast=autocast, checkpointing=checkpointing,
    )  # fmt: skip
    counted = peaks(live, 3, 3)[0].total
    plain = trace(
        skeleton(made, LORA, computed_in), terms, step(), VOCABULARY,
        autocast=autocast, checkpointing=checkpointing,
    )  # fmt: skip
    assert counted >= peaks(plain, 3, 3)[0].total  # matrices that are whole for a moment come on top
    network = real(made, computed_in)
    if checkpointing:
        network.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    def reading(row, wanted):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            return read(network, row, wanted)

    @torch.no_grad()
    def earlier(state, row, wanted):
        with answering(network), adapter_off(network):
            return reading(row, wanted)

    def train():
        weighted_sum(reading, terms, step(), earlier).backward()
        network.zero_grad(set_to_none=True)

    train()  # what is made once
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        train()
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = highest = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        highest = max(highest, now)
    assert counted == pytest.approx(highest, rel=0.1)


@pytest.mark.parametrize("settings", [{}, {"autocast": True}, {"checkpointing": True}], ids=str)
def test_three_layers_drawn_out_are_the_whole(settings):
    dtype = torch.bfloat16 if settings.get("autocast") else torch.float32

    def drawn(layers):
        model = skeleton(config(num_hidden_layers=5), LORA, dtype, layers, quantise="nf4")
        return peaks(trace(model, TERMS, step(), VOCABULARY, **settings), layers, 5)

    assert drawn(TRACED) == drawn(5)
