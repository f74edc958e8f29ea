"""Freed memory stays with the process while it trains, and goes back when it is told to."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, torch
from pathlib import Path
from tune_ode.training.memory import give_memory_back, keep_freed_memory

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024

def faults(batches):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(batches):
        activations = [torch.ones(2**22) for _ in range(4)]  # 16 MiB each
        del activations
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(2)
print(faults(5))
keep_freed_memory()
faults(2)
print(faults(5))
kept = resident()
give_memory_back()
print(kept - resident())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc: not Linux")
def test_pages_are_kept_and_given_back():
    """In a process of its own: the setting is one of the process."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120
    )
    by_default, kept, given_back = map(int, done.stdout.split())
    assert by_default > 2_000
    assert kept < by_default / 50
    assert given_back > 50
