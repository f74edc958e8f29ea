"""Settings of the OpenMP runtime, which reads them when torch is imported."""

from __future__ import annotations

import os

_SPIN_COUNT = "3000"
"""Iterations that an idle thread of libgomp spins before it sleeps; its default is 300,000, some
milliseconds in which no other program gets the core. On two cores, a training step next to another
training took 0.67 times as long with 3,000, and 1.00 times in isolation; without spinning, 0.64 and
1.17 times (benchmarks.shared_cores)."""
_USER_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def limit_spinning() -> None:
    """Let idle threads of this process and its children sleep soon, unless the user decides.

    No effect on a process that has imported torch already.
    """
    if not any(name in os.environ for name in _USER_SETTINGS):
        os.environ["GOMP_SPINCOUNT"] = _SPIN_COUNT
