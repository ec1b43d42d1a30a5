"""From a built wheel, in a folder of its own, the command finds its configs, data and templates."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel's contents, unpacked: what an installation puts on the path."""
    source, made = tmp_path_factory.mktemp("source") / "unlearnkit", tmp_path_factory.mktemp("wheel")
    skipped = shutil.ignore_patterns(".venv", ".git", "outputs", "multirun", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=skipped)
    shutil.rmtree(source / "build", ignore_errors=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", made, source]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = made.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(made / "site")
    return made / "site"


def python(*arguments, site, cwd):
    """Run with the unpacked wheel first on the path, so that the checkout is not found."""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


def test_the_wheel_runs_from_any_folder(installed, tmp_path):
    where = python("-c", "import unlearnkit; print(unlearnkit.__file__)", site=installed, cwd=tmp_path)
    assert str(installed) in where.stdout
    small = ("model=tiny", "logger=none", "eval.safety.limit=2", "eval.safety.max_new_tokens=4", "train.max_steps=1")
    done = python("-m", "unlearnkit", "+method=sku", *small, "hydra.run.dir=out", site=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_wheel_holds_every_config_and_embedded_file(installed):
    for folder, target in (("conf", "unlearnkit/conf"), ("unlearnkit/data/embedded", "unlearnkit/data/embedded")):
        for path in (ROOT / folder).rglob("*.*"):
            assert (installed / target / path.relative_to(ROOT / folder)).is_file(), path
    assert list((installed / "unlearnkit" / "judges" / "rows").iterdir())
    assert list((installed / "unlearnkit" / "pages").glob("*.j2"))
