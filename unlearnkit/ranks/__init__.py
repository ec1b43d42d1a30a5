"""Several processes, one run: rank zero writes and speaks, the others share the work."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from unlearnkit.errors import UserError
from unlearnkit.notices import is_first as is_first

Item = TypeVar("Item")
Made = TypeVar("Made")

PATIENCE = timedelta(days=2)  # a rank may wait long for rank zero's judge; a dead rank is the launcher's to notice
_LOST = ("closed by peer", "reset by peer", "ncclremoteerror", "ncclsystemerror", "broken pipe", "connection refused")

_store: Any = None
_group: Any = None  # gloo: Python objects, and waiting, whatever the model's own backend is
_alone = False


def rank() -> int:
    """This process's number; 0 where there is one process."""
    return int(os.environ.get("RANK", 0))


def count() -> int:
    """Processes that share the work."""
    return 1 if _group is None or _alone else dist.get_world_size()


def load_weights_only() -> None:
    """No `torch.load` of this process, a library's neither, makes anything but weights of a file."""
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"


def start() -> None:
    """Join the other processes that a launcher started; nothing where there are none.

    Ranks other than zero print nothing from here on.

    Raises:
        UserError: the address at which they meet is in use or cannot be reached.
    """
    global _store, _group
    load_weights_only()
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    if int(os.environ.get("WORLD_SIZE", 1)) < 2 or _group is not None:
        return
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29500")
    where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    if torch.cuda.is_available():
        local = int(os.environ.get("LOCAL_RANK", 0))
        if local >= torch.cuda.device_count():
            raise UserError(
                f"Rank {rank()} wants GPU {local}, but this machine has {torch.cuda.device_count()}",
                "Start as many processes a machine as it has GPUs",
            )
        torch.cuda.set_device(local)
    try:
        _store, number, world = next(dist.rendezvous("env://", timeout=timedelta(minutes=10)))
        dist.init_process_group(
            "nccl" if torch.cuda.is_available() else "gloo", store=_store, rank=number, world_size=world
        )
        _group = dist.new_group(backend="gloo", timeout=PATIENCE)
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        first = str(error).splitlines()[0]
        raise UserError(
            f"The ranks cannot meet at {where}: " + ("address already in use" if "EADDRINUSE" in first else first),
            "Choose a free port with MASTER_PORT=, and rank zero's machine with MASTER_ADDR=",
        ) from error
    if not is_first():
        sys.stdout = open(os.devnull, "w")


def start_alone() -> None:
    """A group of this one process, for an engine that wants a group."""
    if dist.is_initialized():
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1"}.items():
        os.environ.setdefault(name, str(value))
    os.environ["MASTER_PORT"] = str(port)
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def end() -> None:
    """Leave the others; a process that ends without this may abort in its last moment."""
    global _store, _group
    if dist.is_initialized():
        with contextlib.suppress(RuntimeError):
            barrier()
        dist.destroy_process_group()
    _store = _group = None


def barrier() -> None:
    """Wait until every rank is here."""
    if count() > 1:
        dist.barrier(group=_group)


def from_first(make: Callable[[], Made]) -> Made:
    """What rank zero makes, on every rank; the others wait. Work inside it is not shared."""
    global _alone
    if count() == 1:
        return make()
    made: list[Any] = [None]
    if is_first():
        _alone = True
        try:
            made = [make()]
        finally:
            _alone = False
    dist.broadcast_object_list(made, src=0, group=_group)
    return made[0]


def shared(items: list[Item], work: Callable[[list[Item]], list[Made]]) -> list[Made]:
    """`work(items)`, of which each rank does every count-th item; one result an item, in the order of the items."""
    ranks = count()
    if ranks == 1:
        return work(items)
    parts: list[Any] = [None] * ranks
    dist.all_gather_object(parts, work(items[dist.get_rank() :: ranks]), group=_group)
    return [parts[place % ranks][place // ranks] for place in range(len(items))]


def agree_on_trainable(model: torch.nn.Module) -> None:
    """Train the weights that rank zero trains: a rounding may have led another rank to another choice."""
    chosen = from_first(lambda: [weight.requires_grad for weight in model.parameters()])
    for weight, trained in zip(model.parameters(), chosen, strict=True):
        weight.requires_grad_(trained)


def met() -> bool:
    """The ranks that a launcher started have met."""
    return _store is not None


def speaks_first() -> bool:
    """This rank is the first to report an error, so that one is read and not one a rank."""
    if _store is None:
        return is_first()
    try:
        return int(_store.add("unlearnkit/errors", 1)) == 1
    except RuntimeError:  # the store died with its rank
        return is_first()


def lost(error: BaseException) -> UserError | None:
    """The two lines for what is only the echo of another rank's death, or None."""
    if _group is None or not isinstance(error, RuntimeError):
        return None
    if not any(sign in str(error).lower() for sign in _LOST):
        return None
    return UserError(
        f"Another rank has died; rank {rank()} of {dist.get_world_size()} cannot go on without it",
        "Start the same command again with the same hydra.run.dir=: it goes on from the last checkpoint",
    )
