"""`tune-ode runs` lists every run of a folder, also those that are damaged, in use or remote."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.load import load_run
from analysis.ranking import rank
from tests.factories import make_manifest, make_report, make_result, make_spec
from tune_ode.catalog.listing import list_runs
from tune_ode.errors import TuneOdeError
from tune_ode.records import MANIFEST, dumps
from tune_ode.runs.folder import RunFolder

ACCURACIES = {"0001": 0.6, "0002": 0.9}


@pytest.fixture(autouse=True)
def _in_working_directory(working_directory):
    """List runs in an empty directory."""


def write_run(path, *, report=True, **fields):
    options = {"dataset": "mnist", "space": "quick"}
    manifest = make_manifest(**{"state": "finished", "options": options} | fields)
    for trial, accuracy in ACCURACIES.items():
        folder = path / "trials" / trial
        folder.mkdir(parents=True)
        reports = [make_report(trial, epoch, accuracy) for epoch in (1.0, 2.0)]
        (folder / "config.json").write_text(dumps(make_spec(trial).to_json()))
        (folder / "reports.jsonl").write_text("\n".join(dumps(r.to_json()) for r in reports))
        (folder / "outcome.json").write_text(dumps(make_result(trial).to_json()))
    (path / MANIFEST).write_text(dumps(manifest.to_json()))
    if report:
        (path / "report").mkdir()
        rows = rank(load_run(path)).to_records()
        (path / "report" / "ranking.json").write_text(json.dumps(rows))


def test_runs_are_listed_with_what_is_known_of_them(tune_ode, tmp_path):
    write_run(tmp_path / "runs" / "old", created=1.0)
    write_run(tmp_path / "runs" / "new", created=2.0, state="interrupted", report=False)
    (tmp_path / "runs" / "new" / "trials" / "0002" / "outcome.json").unlink()
    write_run(tmp_path / "runs" / "other-version", schema_version=2, report=False)
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / MANIFEST).write_text("{")
    (tmp_path / "runs" / "not-a-run").mkdir()
    (tmp_path / "runs" / "a-file").touch()
    status, out, err = tune_ode("runs", "--json")
    assert (status, err) == (0, "")
    found = {row["name"]: row for row in json.loads(out)}
    assert list(found) == ["new", "old", "damaged", "other-version"]
    new, old = found["new"], found["old"]
    assert (old["state"], old["dataset"], old["space"]) == ("finished", "mnist", "quick")
    assert (old["trials"], old["ended"], new["ended"]) == (2, 2, 1)
    assert (old["best_trial"], old["best_accuracy"]) == ("0002", 0.9) == (
        new["best_trial"], new["best_accuracy"],
    )  # fmt: skip
    files = (tmp_path / "runs" / "old").rglob("*")
    assert old["size_bytes"] == sum(file.stat().st_size for file in files if file.is_file())
    assert "is damaged" in found["damaged"]["error"]
    assert "schema version 2" in found["other-version"]["error"]


@pytest.mark.parametrize("columns", ["80", "200"])
def test_the_table_fits_the_terminal(tune_ode, tmp_path, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    now = time.time()
    write_run(tmp_path / "runs" / "digits-quick-20260101-120000", created=now)
    write_run(tmp_path / "runs" / "mnist-full-20260101-120000", created=now - 3e5, state="running")
    write_run(tmp_path / "runs" / "old", created=0.0, state="interrupted")
    (tmp_path / "runs" / "[damaged]").mkdir()
    (tmp_path / "runs" / "[damaged]" / MANIFEST).write_text("{")
    _, out, _ = tune_ode("runs")
    table, _, reasons = out.partition("[damaged]: ")
    assert max(map(len, table.splitlines())) <= int(columns)
    assert "digits-quick-20260101-120000" in table
    assert "0.9000 in" in table
    assert "is damaged" in reasons


def test_a_run_in_use_is_running_and_one_whose_process_died_was_killed(tmp_path):
    write_run(tmp_path / "runs" / "run", state="running")
    folder = RunFolder(tmp_path / "runs" / "run")
    (found,) = list_runs(Path("runs"))
    assert found.state == "running"
    folder.close()
    (found,) = list_runs(Path("runs"))
    assert found.state == "killed"


def test_runs_of_a_store_are_listed(object_store, tmp_path):
    write_run(tmp_path / "run", state="running")
    files = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    store = object_store(
        {f"bucket/run/{file.relative_to(tmp_path)}": file.read_bytes() for file in files}
    )
    (found,) = list_runs(store.path)
    assert (found.state, found.trials, found.best_trial) == ("killed", 2, "0002")
    assert found.size_bytes == sum(file.stat().st_size for file in files)


@pytest.mark.parametrize(
    ("folder", "message"),
    [("nowhere", "not a folder of runs"), ("file", "not a folder"), ("run", "is a run; its tr")],
)
def test_what_is_not_a_folder_of_runs_is_an_error(tmp_path, folder, message):
    write_run(tmp_path / "run")
    (tmp_path / "file").touch()
    with pytest.raises(TuneOdeError, match=message):
        list_runs(Path(folder))


def test_no_runs_are_no_error(tune_ode, tmp_path):
    (tmp_path / "runs").mkdir()
    assert tune_ode("runs") == (0, "no runs in runs; start one with: tune-ode search\n", "")


def test_finished_runs_are_listed_without_pandas_ray_and_torch(tmp_path):
    write_run(tmp_path / "runs" / "run")
    code = (
        "import sys; from tune_ode.cli.main import run; run(['runs'])\n"
        "print(sorted({'ray', 'torch', 'pandas', 'optuna'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
