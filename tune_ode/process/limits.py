"""CPU cores and memory that this process may use: affinity, and the control groups of a container.

The kernel enforces every limit on the path from the process's control group to the root, so the
lowest one counts. Both versions of the interface are read, also side by side; see `cgroups(7)`.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class UsableCores:
    """CPU cores that this process may use."""

    count: int
    """At least 1; a quota is rounded down, since more threads would be throttled."""
    total: int
    """Cores of the machine."""
    limit: str = ""
    """What reduces the count; empty: nothing."""

    def __str__(self) -> str:
        """Return the count, with the limit that holds: `1 of 2 cores: the container's …`."""
        return f"{self.count} of {self.total} cores" + f": {self.limit}" * bool(self.limit)


def usable_cores(root: Path = Path("/")) -> UsableCores:
    """Return the CPU cores that this process may use, and which limit holds.

    Args:
        root: directory with the files of `/proc` and `/sys`.
    """
    total = os.cpu_count() or 1
    limits: list[tuple[float, str]] = []
    if (cpuset := _least(root, "cpuset", _cpuset)) is not None:
        limits.append((cpuset, "the container's cpuset"))
    if hasattr(os, "sched_getaffinity"):
        limits.append((len(os.sched_getaffinity(0)), "the CPU affinity of this process"))
    if (quota := _least(root, "cpu", _quota)) is not None:
        exact = "" if quota == int(quota) else f" of {quota:.3g} cores"
        limits.append((quota, f"the container's CPU quota{exact}"))
    cores, limit = min(limits, key=lambda one: one[0], default=(total, ""))
    if cores >= total:
        return UsableCores(total, total)
    return UsableCores(max(1, int(cores)), total, limit)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Return the bytes of main memory that the control groups allow, or None without a limit.

    Args:
        root: directory with the files of `/proc` and `/sys`.
    """
    limit = _least(root, "memory", _memory)
    return None if limit is None else int(limit)


def _quota(group: Path) -> float:
    if (group / "cpu.max").exists():
        quota, period = (group / "cpu.max").read_text().split()
    else:
        quota, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
    return float(quota) / float(period)


def _cpuset(group: Path) -> float:
    names = ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus")
    file = next(file for file in (group / name for name in names) if file.exists())
    cores: set[int] = set()
    for part in file.read_text().split(","):
        first, _, last = part.partition("-")
        cores |= set(range(int(first), int(last or first) + 1))
    return len(cores)


def _memory(group: Path) -> float:
    # above `high`, the kernel slows the process down instead of refusing memory
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    texts = [(group / name).read_text() for name in names if (group / name).exists()]
    return min(float(text.replace("max", "inf")) for text in texts)


def _least(root: Path, controller: str, read: Callable[[Path], float]) -> float | None:
    """Return the lowest limit on the path of this process's control groups, or None."""
    limits = []
    for group in _groups(root, controller):
        # a group without the files, such as the root, has no limit; neither do "max" and -1
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError, StopIteration):
            limits.append(read(group))
    return min((limit for limit in limits if 0 < limit < math.inf), default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the directories of this process's control groups, each with its ancestors."""
    groups: dict[str, str] = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, names, group = line.split(":", 2)
        groups |= dict.fromkeys(names.split(","), group)
    for mounted, point, is_v2 in _mounts(root, controller):
        group = groups.get("" if is_v2 else controller, "/")
        # in a container, the mount may show only the subtree of its group
        inner = os.path.relpath(group, mounted)
        path = point if inner.startswith("..") else point / inner
        yield from (one for one in (path, *path.parents) if one.is_relative_to(point))


def _mounts(root: Path, controller: str) -> Iterator[tuple[str, Path, bool]]:
    """Yield the group at the top of each hierarchy, its mount point, whether it is version 2."""
    standard = root / "sys/fs/cgroup"
    yield from (("/", standard, True), ("/", standard / controller, False))
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        kind, *_, options = after.split()
        if kind == "cgroup2" or (kind == "cgroup" and controller in options.split(",")):
            mounted, point = before.split()[3:5]
            yield mounted, root / point.lstrip("/"), kind == "cgroup2"


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []
