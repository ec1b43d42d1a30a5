"""What the tests of launch/ share: a small run, and a real Slurm on this machine."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
TINY = ("model=tiny", "logger=none", "eval.safety.limit=2", "eval_every=0", "eval.safety.max_new_tokens=4")
PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])  # where Debian keeps daemons

CONF = """
ClusterName=unlearnkit
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
KillWait=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=4 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=4 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


@dataclass
class Slurm:
    """The running cluster: its clients, and what its daemons said where something fails."""

    folder: Path
    daemons: list[subprocess.Popen] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        return {**clean, "PATH": PATH, "SLURM_CONF": str(self.folder / "slurm.conf"), "PYTHON": sys.executable}

    def start(self, *command: str) -> None:
        """A daemon that ends with the tests, even if those are killed."""
        if shutil.which("setpriv"):
            command = ("setpriv", "--pdeathsig=KILL", *command)
        with (self.folder / f"{len(self.daemons)}.out").open("w") as said:
            daemon = subprocess.Popen(command, env=self.environment, stdout=said, stderr=said, start_new_session=True)
        self.daemons.append(daemon)

    def call(self, *command: str, cwd: Path | None = None, timeout: float = 20, **environment: str) -> str:
        """A client's output; the test fails with all that was said where the client does."""
        done = subprocess.run(
            command, cwd=cwd, env={**self.environment, **environment}, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{self.said()}"
        return done.stdout

    def job(self, number: str) -> dict[str, str]:
        """What `scontrol show job` says of a job."""
        words = self.call("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def said(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        """End the daemons and, for they do not end those, the jobs' processes: all that was started with our file."""
        for daemon in reversed(self.daemons):
            daemon.send_signal(signal.SIGTERM)
        for daemon in self.daemons:
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        ours = f"SLURM_CONF={self.folder}/slurm.conf".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if ours in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:  # it has ended by itself
                pass
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_until(true, seconds: float, said=lambda: "") -> None:
    """Poll until `true()`; fail with what was said after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s\n{said()}"
        time.sleep(0.3)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
