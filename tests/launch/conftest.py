"""A real Slurm: one controller and two node daemons, all their files in one folder, ended with the tests."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from launched import CONF, PATH, Slurm, free_ports, wait_until


@pytest.fixture(scope="session")
def slurm():
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name, path=PATH)]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("Slurm's node daemons need root")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # short: a socket's path holds 107 characters
    cluster = Slurm(folder)
    controller, first, second = free_ports(3)
    names = {"host": socket.gethostname().split(".")[0], "user": "root", "folder": folder}
    (folder / "slurm.conf").write_text(CONF.format(**names, controller=controller, first=first, second=second))
    for name in ("state", "n1", "n2"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    try:
        try:
            files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
            cluster.start("munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files)
            wait_until((folder / "munge.socket").exists, 10, cluster.said)
            cluster.start("slurmctld", "-D", "-f", f"{folder}/slurm.conf")
            for node in ("n1", "n2"):
                cluster.start("slurmd", "-D", "-N", node, "-f", f"{folder}/slurm.conf")
            idle = ["sinfo", "--noheader", "--format=%T %D"]
            wait_until(
                lambda: subprocess.run(idle, env=cluster.environment, capture_output=True).stdout == b"idle 2\n",
                30,
                cluster.said,
            )
        except AssertionError as silent:  # a container that lets no daemon talk to another
            pytest.skip(f"Slurm does not start here: {silent}")
        yield cluster
    finally:
        cluster.stop()
