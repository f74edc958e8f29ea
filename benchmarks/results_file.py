"""What every benchmark writes beside its table: figures with the machine they were measured on.

python -m benchmarks.results_file FILE.json > FILE.md
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "torchdiffeq", "ray", "optuna", "numpy")


def hardware() -> dict[str, Any]:
    """Return processor, cores this process may use, vector units that matter, and GPU."""
    found: dict[str, Any] = {"machine": platform.machine(), "cores": len(os.sched_getaffinity(0))}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
        lines = {name.strip(): value.strip() for name, value in lines.items()}
        flags = set(lines.get("flags", "").split())
        found["processor"] = lines.get("model name", platform.processor())
        found["vector_units"] = sorted(
            flags & {"avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16"}
        )
    import torch

    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def results(name: str, repetitions: int, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a benchmark's figures with everything they depend on."""
    return {
        "name": name,
        "hardware": hardware(),
        "versions": {"python": platform.python_version(), **_installed()},
        "repetitions": repetitions,
        "rows": [dict(row) for row in rows],
    }


def _installed() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):  # a GPU's machine may have no Ray
            found[package] = version(package)
    return found


def write_results(path: Path | None, measured: Mapping[str, Any]) -> None:
    """Write figures as JSON where a path was given."""
    if path is not None:
        path.write_text(json.dumps(measured, indent=1) + "\n")


def markdown(measured: Mapping[str, Any]) -> str:
    """Return figures as the text of a committed result: one table, numbers rounded, no lists."""
    rows = measured["rows"]
    names = [name for name in rows[0] if not isinstance(rows[0][name], list)]
    lines = [
        f"# {measured['name']}",
        "",
        f"`python -m benchmarks.{measured['name']}`, {measured['repetitions']} repetitions.",
        "",
        *(f"- {what}: {_plain(value)}" for what, value in measured["hardware"].items()),
        f"- {_plain(measured['versions'])}",
        "",
        "| " + " | ".join(names) + " |",
        "|" + " --- |" * len(names),
        *("| " + " | ".join(_plain(row.get(name)) for name in names) + " |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


if __name__ == "__main__":
    import sys

    print(markdown(json.loads(Path(sys.argv[1]).read_text())), end="")
