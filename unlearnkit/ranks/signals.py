"""A run that is asked to stop writes a checkpoint at the end of the step and leaves."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback

from unlearnkit import ranks

STOPPED = os.EX_TEMPFAIL  # 75: run the same command again; launch/slurm.sbatch requeues on it
# What Slurm (USR1, TERM) and submitit (USR2) send. Among several ranks TERM is how torchrun ends those that are left
# when one has failed: they may be stuck in a collective and never reach the end of their step.
ALONE = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)
AMONG_RANKS = (signal.SIGUSR1, signal.SIGUSR2)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Outside a training step too these signals end the process with `STOPPED`, at once, for a `with`.

    Where somebody else listens already, such as submitit, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = AMONG_RANKS if int(os.environ.get("WORLD_SIZE", 1)) > 1 else ALONE
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _stop(number: int, frame: Any) -> None:
    print("Stopped as asked. The same command goes on from what is kept.", file=sys.stderr, flush=True)
    raise SystemExit(STOPPED)


class StopOnSignal(TrainerCallback):
    """On SIGUSR1, SIGUSR2 or (one process) SIGTERM: finish the step, save a checkpoint, exit with `STOPPED`.

    A handler that was there before, such as submitit's which requeues, is called instead of the exit. Ranks agree
    after every step, for the signal reaches them at different steps; one integer is reduced.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.stopping = False
        self.before: dict[int, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        for number in AMONG_RANKS if args.world_size > 1 else ALONE:
            self.before[number] = signal.signal(number, self._note)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        number = torch.tensor(self.signal or 0, device=args.device)
        if args.world_size > 1 and dist.is_initialized():
            dist.all_reduce(number, dist.ReduceOp.MAX)
        if number.item():
            self.signal, self.stopping = int(number.item()), True
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not self.stopping:
            return
        if state.is_world_process_zero:
            message = f"Stopped as asked at step {state.global_step} of {state.max_steps}; its checkpoint is in"
            print(f"{message} {args.output_dir}. The same command goes on from there.", file=sys.stderr, flush=True)
        before = self.before.get(self.signal or 0)
        self.on_train_end(args, state, control)
        ranks.end()  # together: a launcher ends the others once one has left
        if callable(before) and before is not _stop:
            before(self.signal, None)
        raise SystemExit(STOPPED)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        for number, before in self.before.items():
            signal.signal(number, before)
        self.before.clear()

    def _note(self, number: int, frame: Any) -> None:
        self.signal = number
