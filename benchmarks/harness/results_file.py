"""Command-line options, tables and result files shared by all benchmarks.

To convert a result file to Markdown:

    python -m benchmarks.harness.results_file FILE.json > FILE.md
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tune_ode.process.limits import usable_cores

PACKAGES = ("torch", "torchvision", "torchdiffeq", "ray", "optuna", "numpy")


def hardware() -> dict[str, Any]:
    """Return the processor, the cores available to this process, its vector units, and the GPU."""
    found: dict[str, Any] = {"machine": platform.machine(), "cores": usable_cores().count}
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
    """Return the rows of a benchmark with hardware, versions and repetitions."""
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
        with contextlib.suppress(PackageNotFoundError):  # Ray is optional on a GPU machine
            found[package] = version(package)
    return found


def new_parser(description: str | None, quick: str) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark, `--quick` and `--json`.

    Args:
        description: docstring of the benchmark, whose first line is shown.
        quick: what `--quick` runs.
    """
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    return parser


def print_rows(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Print rows as a table, without columns that contain lists."""
    names = [name for name, value in rows[0].items() if not isinstance(value, list)]
    table = Table(box=None, pad_edge=False)
    for name in names:
        text = isinstance(rows[0][name], str)
        table.add_column(name, justify="left" if text else "right", no_wrap=text)
    for row in rows:
        table.add_row(*("-" if row[name] is None else _plain(row[name]) for name in names))
    console.print(table)


def finish(
    console: Console,
    path: Path | None,
    name: str,
    repetitions: int,
    rows: Sequence[Mapping[str, Any]],
    **more: Any,
) -> None:
    """Print hardware and versions, and write the results as JSON if a path is given.

    Args:
        console: where to print.
        path: file to write.
        name: of the benchmark.
        repetitions: of each measurement.
        rows: the table.
        more: additional entries of the file.
    """
    measured = results(name, repetitions, rows) | more
    console.print(f"{measured['hardware']}  {measured['versions']}", highlight=False, style="dim")
    if path is not None:
        path.write_text(json.dumps(measured, indent=1) + "\n")


def markdown(measured: Mapping[str, Any]) -> str:
    """Return results as Markdown: one table with rounded numbers, without lists."""
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
