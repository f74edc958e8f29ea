"""Freed memory stays in the process until `trim_malloc`."""

import subprocess
import sys
from pathlib import Path

import pytest

from tune_ode.training import memory

SCRIPT = """
import importlib.util, resource, sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("memory", sys.argv[1])  # without torch
memory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(memory)

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024

def faults(batches):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(batches):
        activations = [b"x" * 2**24 for _ in range(4)]  # 16 MiB each
        del activations
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(2)
print(faults(5))
memory.disable_malloc_trim()
faults(2)
print(faults(5))
kept = resident()
memory.trim_malloc()
print(kept - resident())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc: not Linux")
def test_pages_are_kept_until_trimmed():
    """In a subprocess, since the setting applies to the process."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, memory.__file__],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    by_default, kept, trimmed = map(int, result.stdout.split())
    assert by_default > 2_000
    assert kept < by_default / 50
    assert trimmed > 50
