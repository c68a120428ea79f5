import os

import pytest

from bidsapp.resources import Grant, granted, memory_kills, shared

NOTHING: dict[str, str] = {}


@pytest.fixture(autouse=True)
def machine_of_64_cpus_and_256_gib(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    values = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 256 * 2**30 // 4096}
    monkeypatch.setattr(os, "sysconf", values.__getitem__)


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def test_the_whole_machine_where_nothing_limits(tmp_path):
    grant = granted(environment=NOTHING, root=tmp_path)
    assert (grant.cpus, grant.gpus) == (64, 0)
    assert grant.memory_gb == pytest.approx(256 * 2**30 / 1e9)
    assert "64 CPUs (processor affinity)" in grant.reasons


def test_version_2_control_group_of_a_parent(tmp_path):
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/job/step",
            "sys/fs/cgroup/job/cpu.max": "250000 100000",
            "sys/fs/cgroup/job/memory.max": "8000000000",
            "sys/fs/cgroup/job/step/cpu.max": "max 100000",
            "sys/fs/cgroup/job/step/memory.max": "max",
        },
    )
    grant = granted(environment=NOTHING, root=tmp_path)
    assert grant.cpus == 2
    assert grant.memory_gb == 8.0
    assert "2 CPUs (control group)" in grant.reasons


def test_version_1_control_group_seen_from_inside_a_container(tmp_path):
    write(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n3:freezer:/docker/abc",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "6000000000",
        },
    )
    grant = granted(environment=NOTHING, root=tmp_path)
    assert (grant.cpus, grant.memory_gb) == (3, 6.0)


def test_version_1_without_a_limit(tmp_path):
    write(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert granted(environment=NOTHING, root=tmp_path).cpus == 64


def test_half_a_cpu_is_one(tmp_path):
    write(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"})
    assert granted(environment=NOTHING, root=tmp_path).cpus == 1


@pytest.mark.parametrize(
    ("environment", "cpus", "mebibytes"),
    [
        ({"SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "8", "SLURM_MEM_PER_NODE": "16000"}, 4, 16000),
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_MEM_PER_CPU": "2000"}, 8, 16000),
        ({"SLURM_MEM_PER_NODE": "0"}, 64, 256 * 1024),
    ],
)
def test_slurm(tmp_path, environment, cpus, mebibytes):
    grant = granted(environment=environment, root=tmp_path)
    assert grant.cpus == cpus
    assert grant.memory_gb == pytest.approx(mebibytes * 2**20 / 1e9)


@pytest.mark.parametrize(
    ("environment", "cpus", "reason"),
    [
        ({"NCPUS": "6"}, 6, "NCPUS"),  # PBS Pro
        ({"PBS_NUM_PPN": "5"}, 5, "PBS_NUM_PPN"),  # Torque
        ({"LSB_MCPU_HOSTS": "here 4 there 2"}, 4, "LSB_MCPU_HOSTS"),
        ({"NSLOTS": "12", "NHOSTS": "3"}, 4, "NSLOTS"),  # Grid Engine
        ({"NSLOTS": "7"}, 7, "NSLOTS"),
        ({"NCPUS": "many", "NSLOTS": "0", "LSB_MCPU_HOSTS": "here"}, 64, "processor affinity"),
    ],
)
def test_processors_of_pbs_lsf_and_grid_engine(tmp_path, environment, cpus, reason):
    grant = granted(environment=environment, root=tmp_path)
    assert grant.cpus == cpus
    assert grant.reasons[0] == f"{cpus} CPUs ({reason})"


@pytest.mark.parametrize(
    ("said", "gigabytes"),
    [("8589934592", 2**33 / 1e9), ("8gb", 2**33 / 1e9), ("500000kb", 0.512), ("lots", 2**38 / 1e9)],
)
def test_memory_of_pbs(tmp_path, said, gigabytes):
    assert granted(environment={"PBS_RESC_MEM": said}, root=tmp_path).memory_gb == pytest.approx(gigabytes)


def test_a_limit_of_each_process_is_one_of_memory(tmp_path):
    lines = ["Limit                     Soft Limit           Hard Limit           Units     "]
    lines += ["Max resident set          unlimited            unlimited            bytes     "]
    lines += ["Max address space         5000000000           unlimited            bytes     "]
    write(tmp_path, {"proc/self/limits": "\n".join(lines)})
    grant = granted(environment=NOTHING, root=tmp_path)
    assert grant.memory_gb == 5.0
    assert "5.0 GB (max address space)" in grant.reasons


def test_options_win(tmp_path):
    grant = granted(3, 7.5, environment={"SLURM_CPUS_PER_TASK": "1"}, root=tmp_path)
    assert (grant.cpus, grant.memory_gb) == (3, 7.5)
    assert grant.reasons[:2] == ("3 CPUs (--nprocs)", "7.5 GB (--mem)")


@pytest.mark.parametrize(("visible", "gpus"), [(None, 2), ("0", 1), ("", 0), ("-1", 0), ("0,1,2", 2)])
def test_gpus(tmp_path, visible, gpus):
    write(tmp_path, {"dev/nvidia0": "", "dev/nvidia1": "", "dev/nvidiactl": "", "dev/nvidia-uvm": ""})
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert granted(environment=environment, root=tmp_path).gpus == gpus


def test_processes_of_a_computer_share_what_it_was_granted():
    grant = Grant(8, 32.0, 2, ())
    assert shared(grant, 2, tasks=False) == Grant(4, 16.0, 2, ())
    assert shared(grant, 2, tasks=True) == Grant(8, 16.0, 2, ())  # SLURM gave each task its own processors
    assert shared(grant, 16, tasks=False).cpus == 1


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        ({"proc/self/cgroup": "0::/job", "sys/fs/cgroup/job/memory.events": "oom 3\noom_kill 2"}, 2),
        (
            {
                "proc/self/cgroup": "4:memory:/x",
                "sys/fs/cgroup/memory/memory.oom_control": "under_oom 0\noom_kill 1",
            },
            1,
        ),
        ({"proc/self/cgroup": "0::/job", "proc/vmstat": "nr_free_pages 5\noom_kill 7"}, 7),
        ({}, None),
    ],
)
def test_processes_that_the_system_killed_for_memory_are_counted(tmp_path, files, kills):
    write(tmp_path, files)
    assert memory_kills(tmp_path) == kills
