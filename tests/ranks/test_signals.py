"""A training that is asked to stop: transformers' own Trainer on a model of one weight."""

import os
import signal
import sys

import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from unlearnkit.ranks.signals import StopOnSignal


class Slope(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):
        return {"loss": (self.weight * x).square().mean()}


class Ask(TrainerCallback):
    """Send this process a signal in the middle of step 2."""

    def __init__(self, number):
        self.number = number

    def on_substep_end(self, args, state, control, **_):
        if state.global_step == 1:
            os.kill(os.getpid(), self.number)


def train(folder, number):
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=5,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=2,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    rows = [{"x": float(value)} for value in range(10)]
    trainer = Trainer(Slope(), arguments, train_dataset=rows, callbacks=[Ask(number), StopOnSignal()])
    trainer.train()
    return trainer


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM], ids=lambda number: number.name)
def test_the_step_ends_a_checkpoint_is_written_and_the_code_is_75(number, tmp_path, capsys):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as left:
        train(tmp_path, number)
    assert left.value.code == 75
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2"]
    assert "Stopped as asked at step 2 of 5" in capsys.readouterr().err
    assert signal.getsignal(number) == before


def test_a_handler_that_was_there_is_called_once_the_checkpoint_is_written(tmp_path):
    seen = []

    def requeue(number, frame):
        seen.extend([number, (tmp_path / "checkpoint-2").is_dir()])
        sys.exit(3)

    before = signal.signal(signal.SIGUSR2, requeue)
    try:
        with pytest.raises(SystemExit) as left:
            train(tmp_path, signal.SIGUSR2)
        assert (left.value.code, seen) == (3, [signal.SIGUSR2, True])
        assert signal.getsignal(signal.SIGUSR2) is requeue
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_training_that_nobody_stops_leaves_the_handlers_as_they_were(tmp_path):
    before = signal.getsignal(signal.SIGUSR1)
    assert train(tmp_path, 0).state.global_step == 5
    assert signal.getsignal(signal.SIGUSR1) == before and not list(tmp_path.iterdir())
