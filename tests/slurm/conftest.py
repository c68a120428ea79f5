"""A SLURM of two computers that are both this one: its daemons, keys and state lie in a temporary folder."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bidsapp.launch import free_port

NODES = 2
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/completed.txt
AccountingStorageType=accounting_storage/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SwitchType=switch/none
ReturnToService=2
MinJobAge=3600
KillWait=5
PropagateResourceLimits=NONE
LaunchParameters=disable_send_gids
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
{nodes}
PartitionName=debug Nodes=n[1-{count}] Default=YES MaxTime=60 DefMemPerCPU=1000 State=UP
"""


def why_not() -> str:
    """Return why there can be no cluster here; empty where there can."""
    if "SYNTHPREP_SLURM_TEST" not in os.environ:
        return "`make slurm-test` runs it"
    if missing := [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)]:
        return f"no {', '.join(missing)}: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "only root may start these daemons"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Start the daemons, and return the environment of their clients; `synthprep` is on its path."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("munge", "state"):
        (folder / name).mkdir(mode=0o700)
    (folder / "munge").chmod(0o711)
    for parent in (folder, *folder.parents):  # munge trusts no socket that others cannot reach
        if str(parent).startswith("/tmp/"):  # noqa: S108
            parent.chmod(0o755)
    key = folder / "munge/key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    host, megabytes = (
        socket.gethostname().split(".")[0],
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
    )
    of_each = f"NodeAddr=127.0.0.1 CPUs=2 RealMemory={megabytes * 9 // 20}"
    nodes = "\n".join(
        f"NodeName=n{n} NodeHostname={host} Port={free_port()} {of_each}" for n in range(1, NODES + 1)
    )
    conf = CONF.format(host=host, port=free_port(), folder=folder, nodes=nodes, count=NODES)
    (folder / "slurm.conf").write_text(conf)
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    environment = {
        **os.environ,
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",  # processes of a training meet at the first node, and nobody knows the name n1
    }
    munge = [
        f"--{name}={folder}/munge/{file}"
        for name, file in (
            ("key-file", "key"),
            ("socket", "socket"),
            ("pid-file", "pid"),
            ("log-file", "log"),
            ("seed-file", "seed"),
        )
    ]
    try:
        for command in (
            ["munged", "--force", *munge],
            ["slurmctld", "-c"],
            *(["slurmd", "-N", f"n{n}"] for n in range(1, NODES + 1)),
        ):
            subprocess.run(command, env=environment, check=True, timeout=30)
        idle = ["sinfo", "--noheader", "--states=idle", "--format=%D"]
        last = time.monotonic() + 30
        while subprocess.run(
            idle, env=environment, capture_output=True, text=True, check=False
        ).stdout.strip() != str(NODES):
            assert time.monotonic() < last, (folder / "ctld.log").read_text()
            time.sleep(0.5)
        yield environment
    finally:
        _stop(folder, environment)


def _stop(folder: Path, environment: dict[str, str]) -> None:
    pids = [int(file.read_text()) for file in (*folder.glob("*.pid"), folder / "munge/pid") if file.is_file()]
    for command in (["scancel", "--state=RUNNING,PENDING", "--quiet"], ["scontrol", "shutdown"]):
        subprocess.run([*command], env=environment, capture_output=True, timeout=20, check=False)
    time.sleep(1)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        time.sleep(1)
