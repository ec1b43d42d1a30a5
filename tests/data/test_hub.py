"""Addresses of files on the hub."""

import os
import subprocess
import sys

from own_rows import pairs


def test_an_address_reads_the_hubs_cache_and_names_the_download(tmp_path):
    commit = "0123456789012345678901234567890123456789"
    snapshot = tmp_path / "hub/datasets--some--names/snapshots" / commit
    snapshot.mkdir(parents=True)
    (tmp_path / "hub/datasets--some--names/refs").mkdir()
    (tmp_path / "hub/datasets--some--names/refs/main").write_text(commit)
    pairs(snapshot / "forget.jsonl", 4)
    code = (
        "import sys; from unlearnkit.data.files import load; from unlearnkit.errors import exit_code\n"
        "raise SystemExit(exit_code(lambda: print(len(load(forget=sys.argv[1]).streams['forget']))))"
    )
    env = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = [
        subprocess.run([sys.executable, "-c", code, f"hf://datasets/{name}"], env=env, capture_output=True, text=True)
        for name in ("some/names", "some/names/forget.jsonl", "some/names/other.jsonl", "no/such")
    ]
    assert [each.stdout.splitlines()[-1:] for each in done] == [["4"], ["4"], [], []]
    assert "The data 'some/names' have no file or folder 'other.jsonl'" in done[2].stderr
    assert "hf download --repo-type dataset no/such --local-dir FOLDER, then data.forget=FOLDER" in done[3].stderr
