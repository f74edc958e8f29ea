"""Provenance of a run: versions, revision, hardware."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tune_ode.machine.resources import TrialResources
from tune_ode.records import RunManifest
from tune_ode.version import __version__

REVISION_VARIABLE = "TUNE_ODE_REVISION"
"""Environment variable of a job: the revision of the code that was submitted with it."""
_PACKAGES = ("torch", "torchvision", "torchdiffeq", "ray", "optuna", "pydantic", "pandas", "numpy")


def new_manifest(
    name: str, options: dict[str, Any], resources: TrialResources, **fields: Any
) -> RunManifest:
    """Return the manifest of a run that starts now on this machine.

    Args:
        name: name of the run.
        options: the command's options.
        resources: what trials get, and the cluster they run on.
        fields: other fields of `RunManifest`; they override the defaults.
    """
    defaults: dict[str, Any] = {
        "state": "running",
        "space": {},
        "created": time.time(),
        "versions": versions(),
        "revision": revision(),
        "hardware": hardware(resources),
    }
    return RunManifest(name=name, options=options, **defaults | fields)


def versions() -> dict[str, str]:
    """Return the versions of Python, this package and its numerical dependencies, by name."""
    found = {"python": platform.python_version(), "tune-ode": __version__}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def revision() -> str | None:
    """Return the package's Git revision, with a `+` for uncommitted changes, or None."""
    if submitted := os.environ.get(REVISION_VARIABLE):
        return submitted
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    # Git refuses a checkout of another user, whose configuration may name programs to run; this
    # process runs its code already
    git = ("git", "-c", "safe.directory=*", "--no-optional-locks", "-C", str(root),
           "describe", "--always", "--dirty=+", "--abbrev=12")  # fmt: skip
    try:
        result = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def hardware(resources: TrialResources) -> dict[str, Any]:
    """Return a description of this machine and of the nodes of its cluster."""
    cluster = resources.cluster
    return {
        "node": platform.node(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": cluster.cpus,
        "gpus": cluster.gpus,
    } | ({"nodes": "; ".join(n.inventory for n in cluster.nodes)} if cluster.is_remote else {})


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
