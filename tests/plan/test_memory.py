"""ZeRO's formulas against literals and DeepSpeed's own estimators; the smallest set-up on a contrived case."""

import pytest

from unlearnkit.plan.memory import Demand, Engine, Usage, usage
from unlearnkit.plan.planner import Device, Planned, smallest
from unlearnkit.plan.rows import Micro
from unlearnkit.plan.sizes import Sizes
from unlearnkit.plan.trace import Peak

P = 1_000_000
WHOLE = Demand(Sizes(P, P, 2 * P, 2 * P, P // 10))  # stored in 16 bits, as the papers and estimators have it
FP32 = Demand(Sizes(P, P, 4 * P, 4 * P, P // 10))
LORA = Demand(Sizes(P, P // 100, 2 * P + 2 * P // 100, 4 * P // 100, P // 10))
FULL, BARE = Peak(500, 70, 4 * P, 0), Peak(900, 60, 0, 0)


def states(demand, engine, gpus, when="step"):
    """Bytes of weights, gradients and optimiser."""
    parts = usage(demand, engine, gpus, FULL, BARE).moments[when]
    return tuple(parts[part] for part in ("weights", "gradients", "optimiser"))


def zero(stage, **changes):
    return Engine(f"zero{stage}", stage, **changes)


def test_without_deepspeed_every_gpu_holds_all():
    assert states(FP32, Engine("none"), 1) == states(FP32, Engine("none"), 8) == (4 * P, 4 * P, 8 * P)
    assert states(LORA, Engine("none"), 1) == (2_020_000, 40_000, 80_000)
    buffers = [usage(FP32, Engine("none"), gpus, FULL, BARE).moments["step"]["buffers"] for gpus in (1, 8)]
    assert buffers == [0, 4 * P]  # DDP's buckets


@pytest.mark.parametrize(
    ("stage", "gpus", "expected"),
    [
        (1, 1, (2 * P, 6 * P, 12 * P)),
        (1, 4, (2 * P, 3 * P, 3 * P)),  # 16-bit gradients whole, 4 T / N in fp32
        (2, 4, (2 * P, 1_500_000, 3 * P)),
        (3, 4, (500_000, 1_500_000, 3 * P)),
        (3, 64, (31_250, 93_750, 187_500)),
    ],
)
def test_the_formulas_of_zero(stage, gpus, expected):
    assert states(WHOLE, zero(stage), gpus) == expected


def test_under_lora_only_the_adapter_has_gradients_and_an_optimiser():
    assert states(LORA, zero(2), 4) == (2_020_000, 20_000, 30_000)
    assert states(LORA, zero(3), 4) == (505_000, 20_000, 30_000)


def test_weights_keep_the_type_they_are_stored_in():
    assert states(FP32, zero(2), 4) == (4 * P, 2 * P, 3 * P)
    sent = [
        usage(Demand(FP32.sizes, bf16=b), zero(2), 4, FULL, BARE).moments["backward"]["buffers"] for b in (True, False)
    ]
    assert sent == [2 * P, 4 * P]


def test_offload_leaves_what_is_gathered():
    engine = zero(3, offload_optimizer=True, offload_parameters=True, live=200_000)
    used = usage(WHOLE, engine, 4, FULL, BARE)
    assert states(WHOLE, engine, 4) == (0, 0, 0)
    assert used.moments["backward"]["buffers"] == 2 * P + 2 * 200_000  # the reduce bucket holds every gradient
    assert used.host == (12 + 4 + 2) * P // 4


def test_the_reference_is_divided_with_the_weights_and_buckets_are_bounded():
    demand = Demand(WHOLE.sizes, P, 2 * P)
    parts = {stage: usage(demand, zero(stage, reduce_bucket=1000), 4, FULL, BARE).moments for stage in (2, 3)}
    assert (parts[2]["backward"]["reference"], parts[3]["backward"]["reference"]) == (2 * P, P // 2)
    assert parts[2]["loading"] == {**parts[2]["loading"], "weights": 2 * P, "reference": 2 * P}
    assert parts[2]["backward"]["buffers"] == 2000
    assert (
        usage(demand, zero(2, reduce_bucket=1000, overlap=True), 4, FULL, BARE).moments["backward"]["buffers"] == 4000
    )
    assert parts[2]["backward"]["activations"] == 900  # of the peak without gradients, which leave as they come


def test_the_whole_model_comes_back_at_the_end():
    assert states(WHOLE, zero(3), 4, "handing back")[0] == P // 2 + 2 * P
    assert states(LORA, zero(2), 4, "handing back")[0] == 2_020_000 + 40_000  # frozen weights were never copied


@pytest.mark.parametrize("gpus", [1, 4, 64])
def test_deepspeeds_own_estimators(gpus):
    pytest.importorskip("deepspeed")
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

    _, two = estimate_zero2_model_states_mem_needs(P, gpus, 1, cpu_offload=False)
    assert sum(states(WHOLE, zero(2), gpus)) == two
    _, three, largest = estimate_zero3_model_states_mem_needs(P, P // 10, gpus, 1, False, False)
    # DeepSpeed counts 18 bytes a parameter; between the step (16, and fp32 gradients of a sub-group) and ours (20)
    assert sum(states(WHOLE, zero(3), gpus)) == pytest.approx((three - largest) * 20 / 18, abs=4)
    small = zero(3, sub_group=P // 2 // gpus)
    assert sum(states(WHOLE, small, gpus)) == pytest.approx(three - largest, abs=4)
    host, _, _ = estimate_zero3_model_states_mem_needs(P, P // 10, gpus, 1, True, True, additional_buffer_factor=1)
    offload = zero(3, offload_optimizer=True, offload_parameters=True)
    assert usage(WHOLE, offload, gpus, FULL, BARE).host * gpus == pytest.approx(host, abs=gpus)


def test_a_deepspeed_config_is_read():
    engine = Engine.read(
        "mine",
        {
            "zero_optimization": {
                "stage": 3,
                "reduce_bucket_size": "auto",
                "stage3_max_live_parameters": 1e6,
                "overlap_comm": True,
                "offload_optimizer": {"device": "cpu"},
                "offload_param": {"device": "none"},
            },
        },
    )
    assert engine == Engine("mine", 3, True, False, 500_000_000, True, 1_000_000)
    assert Engine.read("none", {}) == Engine("none")


def planned(gpus, engine, total, divides=True):
    used = Usage({"backward": {"weights": total}, "step": {"weights": 0}})
    return Planned(gpus, engine, used, Micro([], 1, divides), 1, 1.0)


def test_the_smallest_set_up():
    grid = [
        [planned(1, "none", 90), planned(1, "none", 10)],
        [planned(1, "zero3", 85), planned(1, "zero3", 10)],
        [planned(2, "none", 90), planned(2, "none", 10)],
        [planned(2, "zero2", 70), planned(2, "zero2", 10)],
        [planned(2, "zero3", 50), planned(2, "zero3", 10)],
        [planned(4, "none", 60, divides=False)],
    ]
    best = smallest(grid, 80)
    assert (best.gpus, best.engine, best.usage.total) == (2, "zero2", 70)  # enough for both trainings
    assert smallest(grid, 65).engine == "zero3"
    assert smallest(grid, 40) is None


def test_hours():
    assert Device(80e9, 1e12, 0.5).hours(3600e12, 2) == pytest.approx(1.0)
