"""Started by `test_cell.py`: sweeps at smoke one after another in this process, for importing takes seconds.

Arguments: a file for what came of each, as JSON, then the sweeps' names. Runs lie in the working folder's `results`.
"""

import contextlib
import io
import json
import sys
import traceback
from pathlib import Path

from unlearnkit import __main__ as command


def carried_out(name):
    sys.argv = ["unlearnkit", f"+sweep={name}", "+scale=smoke", "logger=none"]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            command.main()
        except SystemExit as stopped:
            code = stopped.code
        except Exception:
            code = 1
            traceback.print_exc()
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def metrics():
    return {str(path.parent): path.stat().st_mtime_ns for path in Path("results/runs").glob("*/metrics.json")}


if __name__ == "__main__":
    told, file, names = {}, Path(sys.argv[1]), sys.argv[2:]
    for sweep in names:
        before = metrics()
        told[sweep] = {"before": before, **carried_out(sweep), "after": metrics()}
        file.write_text(json.dumps(told))
