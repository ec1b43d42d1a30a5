"""Two hosts: two network namespaces with their own addresses and a cable between them, one rank each."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from launched import PATH, ROOT, TINY, wait_until

FIRST, SECOND = "10.77.7.1", "10.77.7.2"
RUN = ("+method=sku", *TINY, "train.max_steps=2")


class Hosts:
    """`names[i]` is a namespace with the i-th address on its interface `cable`."""

    def __init__(self):
        self.names = [f"unlearnkit-{os.getpid()}-{number}" for number in (1, 2)]
        self.started: list[subprocess.Popen] = []

    def lay(self) -> None:
        one, two = self.names
        for name in self.names:
            self.ip("netns", "add", name)
        self.ip("-n", one, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", two)
        for name, address in zip(self.names, (FIRST, SECOND), strict=True):
            self.ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            for link in ("lo", "cable"):
                self.ip("-n", name, "link", "set", link, "up")

    @staticmethod
    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, env={**os.environ, "PATH": PATH})

    def start(self, host: int, *command: str, **options) -> subprocess.Popen:
        # A machine's own name leads to its loopback here, where the other host cannot find it: name the interface.
        known = {"PATH": PATH, "PYTHON": sys.executable, "GLOO_SOCKET_IFNAME": "cable", "OMP_NUM_THREADS": "1"}
        environment = {**os.environ, **known, **options.pop("environment", {})}
        command = ("ip", "netns", "exec", self.names[host], *command)
        self.started.append(subprocess.Popen(command, env=environment, start_new_session=True, **options))
        return self.started[-1]

    def remove(self) -> None:
        for process in self.started:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        for name in self.names:
            for inside in subprocess.run(
                ["ip", "netns", "pids", name], env={**os.environ, "PATH": PATH}, capture_output=True, text=True
            ).stdout.split():
                try:
                    os.kill(int(inside), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            subprocess.run(["ip", "netns", "del", name], env={**os.environ, "PATH": PATH}, capture_output=True)


@pytest.fixture
def hosts():
    if not shutil.which("ip", path=PATH):
        pytest.skip("no ip here: apt-get install iproute2")
    laid = Hosts()
    try:
        try:
            laid.lay()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces need root and CAP_NET_ADMIN: {error.stderr.decode().strip()}")
        yield laid
    finally:
        laid.remove()


@pytest.mark.long  # the script does the same by way of ssh
def test_torchrun_meets_over_the_network(hosts, tmp_path):
    meet = ["--nnodes=2", "--nproc-per-node=1", f"--master-addr={FIRST}", "--master-port=29501"]
    ranks = [
        hosts.start(
            number,
            *(sys.executable, "-m", "unlearnkit.ranks.torchrun", f"--node-rank={number}", *meet),
            *("--", *RUN, "hydra.run.dir=out"),
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (1, 0)
    ]
    said = [rank.communicate(timeout=240)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["after"]


@pytest.fixture
def ssh(hosts, tmp_path):
    """A real sshd on both hosts, and an `ssh` on the returned PATH that knows their key."""
    missing = [name for name in ("pdsh", "sshd", "ssh", "ssh-keygen") if not shutil.which(name, path=PATH)]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here: apt-get install pdsh openssh-server openssh-client")
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name], check=True)
    (keys / "config").write_text(
        f"Host *\n  IdentityFile {keys}/user\n  UserKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n"
        "  LogLevel ERROR\n  BatchMode yes\n"
    )
    os.makedirs("/run/sshd", exist_ok=True)  # sshd's own empty folder, which a service manager makes
    settings = {
        "HostKey": keys / "host",
        "AuthorizedKeysFile": keys / "user.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "yes",
        "ListenAddress": "0.0.0.0",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    for host in (0, 1):
        hosts.start(
            host, shutil.which("sshd", path=PATH), "-D", "-e", "-f", "/dev/null", *options, stderr=subprocess.DEVNULL
        )
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "ssh"
    command.write_text(f'#!/bin/sh\nexec {shutil.which("ssh", path=PATH)} -F {keys}/config "$@"\n')
    command.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{PATH}"
    reach = lambda address: hosts.start(0, str(command), address, "true", stderr=subprocess.DEVNULL).wait(10) == 0  # noqa: E731
    wait_until(lambda: reach(FIRST) and reach(SECOND), 20)
    return path


def test_the_hostfile_script(hosts, ssh, tmp_path):
    (tmp_path / "hosts.txt").write_text(f"# two hosts\n{FIRST} slots=1\n{SECOND} slots=1\n")
    run = hosts.start(
        0,
        *(str(ROOT / "launch" / "hostfile.sh"), "hosts.txt", *RUN, "hydra.run.dir=out"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        environment={"PATH": ssh},
    )
    said, _ = run.communicate(timeout=240)
    assert run.returncode == 0, said
    assert f"{FIRST}: " in said and f"{SECOND}: " in said
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["after"]
