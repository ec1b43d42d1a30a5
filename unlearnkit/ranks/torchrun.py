"""torchrun for unlearnkit: `python -m unlearnkit.ranks.torchrun --nproc-per-node 2 -- +method=sku model=tiny`.

Options before `--` are torchrun's, what follows goes to `python -m unlearnkit` on every rank. It differs from torchrun
in how it ends: with the ranks' own words and exit code instead of a report of its own, and on SIGUSR1 or SIGTERM it
lets the ranks write a checkpoint first (`unlearnkit/ranks/signals.py`).
"""

from __future__ import annotations

import logging
import os
import signal
import sys

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import get_args_parser, run

from unlearnkit.errors import first_line, speak_plainly
from unlearnkit.ranks.signals import STOPPED

OPTIONS = (
    "--signals-to-handle=SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
    "--shutdown-timeout=600",  # seconds that ranks have for a checkpoint
)


def main(argv: list[str]) -> int:
    """Run the ranks of this machine; returns the first failed rank's exit code, 75 if they were asked to stop."""
    speak_plainly()
    if "--" not in argv:
        print("Error: no -- between torchrun's options and the run's\n  Fix: see launch/README.md", file=sys.stderr)
        return 2
    cut = argv.index("--")
    args = get_args_parser().parse_args([*OPTIONS, *argv[:cut], "--module", "unlearnkit", *argv[cut + 1 :]])
    logging.disable(logging.ERROR)  # torchrun retells what its ranks said
    # torchrun's own SIGTERM to a rank means that another rank has failed; a user's means stop.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGUSR1))
    try:
        run(args)
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    except SignalException as error:
        return STOPPED if error.sigval == signal.SIGUSR1 else 128 + error.sigval
    except (DistError, RuntimeError, OSError, ValueError) as error:
        where = args.rdzv_endpoint or f"{args.master_addr}:{args.master_port}"
        print(f"Error: the ranks cannot meet at {where}: {first_line(error)}", file=sys.stderr)
        print(
            "  Fix: set MASTER_ADDR to the first host's address and MASTER_PORT to a free port there", file=sys.stderr
        )
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
