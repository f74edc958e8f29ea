"""The end of a run: whatever fails after the work is one line, with the remedy."""

import io
from pathlib import Path
from unittest.mock import Mock

import pytest
from rich.console import Console

from tune_ode.cli.display.result import print_report
from tune_ode.errors import RunFolderError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("latex failed\n42 lines"), "not written (RuntimeError: latex failed)"),
        (MemoryError(), "not written (MemoryError: MemoryError)"),
        (RunFolderError("cannot write the report to X"), "cannot write the report to X"),
    ],
)
def test_a_report_that_fails_is_one_line_with_the_remedy(monkeypatch, error, reason):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr("analysis.report.write_report", fail)
    console = Console(file=io.StringIO(), width=40)
    print_report(Mock(folder=Path("runs/a b")), Mock(), console)
    remedy = "to write it: tune-ode report 'runs/a b'"
    assert console.file.getvalue() == f"report    {reason}; {remedy}\n"
