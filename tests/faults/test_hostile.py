"""What a checkpoint of somebody else's would run is not run."""

import json
import os
import pickle
import shutil

import pytest
import torch
from composed import composed
from dying import Died

from unlearnkit.errors import UserError
from unlearnkit.models import checkpoints
from unlearnkit.run import run
from unlearnkit.tables.render_csv import plain

RUN = (
    "+method=ga", "model=tiny", "logger=none", "model.lora=null", "train.max_steps=4", "train.save_every=2",
    "eval_every=0", "eval.safety.limit=1", "eval.safety.max_new_tokens=2", "+train.arguments.disable_tqdm=true",
)  # fmt: skip


class Planted:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch '{self.file}'",)


def plant(path, file, where):
    """Put a pickle that runs a command in a file's place, or into it."""
    if where == "whole":
        path.write_bytes(pickle.dumps(Planted(file)))
    elif where == "saved":
        torch.save({"module": Planted(file)}, path)
    else:  # beside its own content
        os.environ.pop("TORCH_FORCE_WEIGHTS_ONLY_LOAD", None)  # an earlier run of this process has set it
        content = torch.load(path, weights_only=False)
        torch.save({**content, "more": Planted(file)} if isinstance(content, dict) else [content, Planted(file)], path)


def remark(folder):
    """The marker as the one who plants would write it: digests are no secret."""
    told = json.loads((folder / checkpoints.MARK).read_text())
    told.pop("files"), told.pop("digest")
    checkpoints.mark(folder, told)


@pytest.fixture(scope="module", autouse=True)
def own_environment():
    """A group of this process says so in the environment, which later tests' processes would take for theirs."""
    kept = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture(scope="module")
def died(tmp_path_factory):
    made = {}

    def make(engine):
        if engine not in made:
            folder = tmp_path_factory.mktemp(engine) / "run"
            dies = ("logger._target_=dying.Dies", "+logger.stage=finetune", "+logger.step=3")
            with pytest.raises(Died):
                run(composed(*RUN, *ENGINES[engine], *dies), folder)
            made[engine] = folder
        return made[engine]

    return make


def places(folder):
    (checkpoint,) = folder.glob("checkpoints/finetune/checkpoint-2")
    return [
        path.relative_to(folder) for path in sorted(checkpoint.rglob("*")) if path.suffix in (".pt", ".pth", ".bin")
    ]


WHERE = ("whole", "saved", "beside")
ENGINES = {
    **{engine: (f"deepspeed={engine}",) for engine in ("none", "zero1", "zero2", "zero3", "zero3_offload")},
    **{f"{engine} in bfloat16": (f"deepspeed={engine}", "model.dtype=bfloat16") for engine in ("zero1", "zero3")},
}
# What other engines, of DeepSpeed and of transformers, would call a part of a checkpoint
OTHERS = (
    "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt",
    "zero_pp_rank_0_mp_rank_00_model_states.pt", "mp_rank_00_model_states.pt", "mp_rank_00_optim_states.pt",
    "expert_0_mp_rank_00_optim_states.pt", "layer_0_expert_0_mp_rank_00_model_states.pt",
    "layer_00-model_00-model_states.pt", "universal_checkpoint_info.pt", "zero/fp32.pt", "0/fp32.pt",
)  # fmt: skip
BESIDE = (
    "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state.pth", "rng_state_0.pth",
    "training_args.bin", "pytorch_model.bin", "adapter_model.bin", "pytorch_model_fsdp.bin", "weights.pt",
)  # fmt: skip
EVERY = [
    pytest.param(engine, where, marks=() if (engine, where) == ("zero2", "beside") else pytest.mark.long)
    for engine in ENGINES
    for where in WHERE
]


@pytest.mark.parametrize(("engine", "where"), EVERY)
def test_a_planted_pickle_runs_nothing(engine, where, died, tmp_path):
    folder = died(engine)
    found = places(folder)
    assert found
    refused = 0
    for number, place in enumerate(found):
        copy, flag = tmp_path / f"run-{number}", tmp_path / f"ran-{number}"
        shutil.copytree(folder, copy)
        plant(copy / place, flag, where)
        remark(copy / "checkpoints" / "finetune" / "checkpoint-2")
        try:
            run(composed(*RUN, *ENGINES[engine]), copy)
        except UserError as error:
            assert "holds something other than weights" in error.what and "rm -r" in error.fix, (place, error)
            refused += 1
        assert not flag.exists(), place  # a file that nothing reads may lie there
    assert refused


@pytest.mark.parametrize("engine", [e if e == "zero2" else pytest.param(e, marks=pytest.mark.long) for e in ENGINES])
def test_files_of_other_engines_run_nothing(engine, died, tmp_path):
    """All at once, also where the engine's own have other names; what nothing reads may lie there."""
    shutil.copytree(died(engine), tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoints" / "finetune" / "checkpoint-2"
    (within,) = checkpoint.glob("global_step*") if engine != "none" else (checkpoint / "global_step2",)
    for name in (*(within / other for other in OTHERS), *(checkpoint / other for other in BESIDE)):
        if not name.exists():
            name.parent.mkdir(parents=True, exist_ok=True)
            plant(name, tmp_path / "ran", "whole")
    remark(checkpoint)
    try:
        run(composed(*RUN, *ENGINES[engine]), tmp_path / "run")
    except UserError as error:
        assert "holds something other than weights" in error.what
    assert not (tmp_path / "ran").exists()


def test_a_whole_checkpoint_of_zero_is_gone_on_with(died, tmp_path):
    shutil.copytree(died("zero2"), tmp_path / "run")
    run(composed(*RUN, "deepspeed=zero2"), tmp_path / "run")


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", " =1", "\r=1", "|x", "%0"])
def test_a_cell_that_a_spreadsheet_would_run(cell):
    assert plain(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "sku", "0.5", "-0.5", "+1e-3", ">12", "a=b", "1-2"])
def test_a_cell_that_is_none(cell):
    assert plain(cell) == cell
