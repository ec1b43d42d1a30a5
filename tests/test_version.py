"""One version, wherever it stands."""

import re
from pathlib import Path

import yaml
from forked import command

from unlearnkit import __version__

TOP = Path(__file__).parents[1]


def test_the_command_says_it(tmp_path):
    done = command("unlearnkit", "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"unlearnkit {__version__}\n")


def test_the_files_that_people_cite_say_it():
    cited = yaml.safe_load((TOP / "CITATION.cff").read_text())
    assert cited["version"] == __version__
    assert cited["authors"] == [{"name": "unlearnkit contributors"}]
    named = re.findall(r"^## (\S+)", (TOP / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert named[:2] == ["Unreleased", __version__] or named[0] == __version__
    assert "version = attr: unlearnkit.__version__" in (TOP / "setup.cfg").read_text()
