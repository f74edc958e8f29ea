"""Cores and memory of a container: the lowest limit holds, in both versions of control groups."""

import os
from pathlib import Path

import pytest

from tune_ode.process.limits import memory_limit, usable_cores

V2 = "1 0 0:1 {root} /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate"
V1_CPU = "2 1 0:2 {root} /sys/fs/cgroup/cpu,cpuacct rw master:1 - cgroup cgroup rw,cpu,cpuacct"
UNRELATED = "3 0 8:1 / / rw - ext4 /dev/root rw"
QUOTA = "the container's CPU quota"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that writes the control groups of a process on 8 cores."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def write(groups: str = "", mounts: tuple[str, ...] = (), **files: str) -> Path:
        proc = tmp_path / "proc" / "self"
        proc.mkdir(parents=True)
        (proc / "cgroup").write_text(groups)
        (proc / "mountinfo").write_text("\n".join((UNRELATED, *mounts)) + "\n")
        for name, text in files.items():
            file = tmp_path / "sys/fs/cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        return tmp_path

    return write


def v1_quota(group, quota, period=100_000):
    return {f"{group}/cpu.cfs_quota_us": str(quota), f"{group}/cpu.cfs_period_us": str(period)}


NESTED_V1 = v1_quota("cpu,cpuacct", -1) | v1_quota("cpu,cpuacct/a", 200_000)
HYBRID = (V2.format(root="/").replace("cgroup rw", "cgroup/unified rw"), V1_CPU.format(root="/"))


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "expected"),
    [
        ("", (), {}, "8 of 8 cores"),
        ("0::/", (V2.format(root="/"),), {"cpu.max": "max 100000"}, "8 of 8 cores"),
        ("0::/", (V2.format(root="/"),), {"cpu.max": "100000 100000"}, f"1 of 8 cores: {QUOTA}"),
        ("0::/", (), {"cpu.max": "400000 100000"}, f"4 of 8 cores: {QUOTA}"),
        ("0::/", (), {"cpu.max": "1600000 100000"}, "8 of 8 cores"),
        ("0::/", (), {"cpu.max": "75000 50000"}, f"1 of 8 cores: {QUOTA} of 1.5 cores"),
        ("0::/", (), {"cpu.max": "50000 100000"}, f"1 of 8 cores: {QUOTA} of 0.5 cores"),
        ("0::/", (), {"cpu.max": ""}, "8 of 8 cores"),
        (
            "0::/a.slice/b.scope",
            (V2.format(root="/"),),
            {"a.slice/cpu.max": "200000 100000", "a.slice/b.scope/cpu.max": "max 100000"},
            f"2 of 8 cores: {QUOTA}",
        ),
        (
            "0::/a/b",
            (V2.format(root="/"),),
            {"a/cpu.max": "500000 100000", "a/b/cpu.max": "300000 100000"},
            f"3 of 8 cores: {QUOTA}",
        ),
        (  # another group
            "0::/a", (V2.format(root="/"),), {"b/cpu.max": "100000 100000"}, "8 of 8 cores"
        ),
        (  # outside of the namespace's root
            "0::/../c", (V2.format(root="/"),), {"cpu.max": "200000 100000"},
            f"2 of 8 cores: {QUOTA}",
        ),
        ("4:cpu,cpuacct:/", (), v1_quota("cpu", 200_000), f"2 of 8 cores: {QUOTA}"),
        ("4:cpu,cpuacct:/", (), v1_quota("cpu", -1), "8 of 8 cores"),
        ("4:cpu:/", (), v1_quota("cpu", 200_000, 0), "8 of 8 cores"),
        ("4:cpu,cpuacct:/a/b", (V1_CPU.format(root="/"),), NESTED_V1, f"2 of 8 cores: {QUOTA}"),
        (  # Docker without a namespace for control groups mounts the container's subtree
            "4:cpu,cpuacct:/docker/1/a", (V1_CPU.format(root="/docker/1"),), NESTED_V1,
            f"2 of 8 cores: {QUOTA}",
        ),
        ("4:cpu,cpuacct:/a\n0::/", HYBRID, NESTED_V1, f"2 of 8 cores: {QUOTA}"),
        ("0::/", (), {"cpuset.cpus.effective": "0-2,7"}, "4 of 8 cores: the container's cpuset"),
        ("3:cpuset:/", (), {"cpuset/cpuset.cpus": "5"}, "1 of 8 cores: the container's cpuset"),
        ("0::/", (), {"cpuset.cpus.effective": "0-1", "cpu.max": "300000 100000"},
         "2 of 8 cores: the container's cpuset"),
        ("0::/", (), {"cpuset.cpus.effective": "0-3", "cpu.max": "300000 100000"},
         f"3 of 8 cores: {QUOTA}"),
    ],
)  # fmt: skip
def test_the_lowest_limit_on_the_path_holds(machine, groups, mounts, files, expected):
    assert str(usable_cores(machine(groups, mounts, **files))) == expected


def test_affinity_is_a_limit(machine, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3})
    root = machine("0::/", **{"cpu.max": "300000 100000"})
    assert str(usable_cores(root)) == "2 of 8 cores: the CPU affinity of this process"


def test_a_system_without_control_groups_has_all_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delattr(os, "sched_getaffinity")
    assert str(usable_cores(tmp_path)) == "8 of 8 cores"
    assert memory_limit(tmp_path) is None


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/", {"memory.max": "max"}, None),
        ("0::/", {"memory.max": "1000"}, 1000),
        ("0::/a", {"memory.max": "1000", "a/memory.max": "max"}, 1000),
        ("0::/a", {"memory.max": "max", "a/memory.max": "800"}, 800),
        ("0::/a", {"a/memory.max": "max", "a/memory.high": "600"}, 600),
        ("5:memory:/job/step", {"memory/job/memory.limit_in_bytes": "700",
                                "memory/job/step/memory.limit_in_bytes": str(2**63 - 4096)}, 700),
        ("5:memory:/", {"memory/memory.limit_in_bytes": "500"}, 500),
    ],
)  # fmt: skip
def test_the_lowest_memory_limit_on_the_path_holds(machine, groups, files, expected):
    assert memory_limit(machine(groups, **files)) == expected
