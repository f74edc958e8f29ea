"""A run in S3-compatible storage, from its first command to its last."""

import csv
import json

import numpy as np
import pyarrow.fs
import pytest
from PIL import Image

from tests.end_to_end.conftest import timed_trials, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]


@pytest.fixture
def fetch(s3, run_folder):
    """Return a function that downloads the run and returns a reader of the copy."""

    def fetch():
        pyarrow.fs.copy_files(
            f"{s3.bucket}/runs/run", str(run_folder.folder), source_filesystem=s3.filesystem,
            destination_filesystem=pyarrow.fs.LocalFileSystem(),
        )  # fmt: skip
        return run_folder

    return fetch


def count(s3, name):
    """Return how many objects have a file name."""
    return sum(key.endswith(f"/{name}") for key in s3.names())


def test_interrupt_kill_resume_rank_report_predict(tune_ode, s3, small, fetch, tmp_path):
    url = f"{s3.url}/runs/run"
    options = (*small, *timed_trials(5), "--scheduler", "none", "--trials", 5)
    search = tune_ode("search", *options, "--output", f"{s3.url}/runs")
    wait_until(lambda: count(s3, ".driver.json") and count(s3, "run.json"), process=search.process)
    status, out, err = tune_ode("resume", url).wait()
    assert (status, out) == (2, "")
    assert f"another process is writing to {url}" in err
    wait_until(lambda: count(s3, "reports.jsonl") == 2, process=search.process)
    search.interrupt()
    status, _, err = search.wait()
    assert (status, err) == (130, f"tune-ode: interrupted; to continue: tune-ode resume {url}\n")
    run = fetch()
    assert "RUNNING" not in run.study_states()
    interrupted = {trial: run.reports(trial)[-1] for trial in run.started() - run.finished().keys()}
    assert interrupted

    search = tune_ode("resume", url)
    before = count(s3, "outcome.json")
    wait_until(lambda: count(s3, "outcome.json") > before, process=search.process)
    search.kill()
    out = tune_ode("resume", url).succeed(timeout=400)
    assert f"report    {url}/report/index.html" in out
    assert ".driver.json" not in "".join(s3.names())
    run = fetch()
    run.check(5)
    for trial, last in interrupted.items():
        resumed = [one for one in run.reports(trial) if one["attempt"] > last["attempt"]]
        assert resumed[0]["batches"] > last["batches"], "it continues from its checkpoint"

    status, out, _ = tune_ode("rank", url, "--csv").wait()
    rows = list(csv.DictReader(out.splitlines()))
    assert (status, len(rows)) == (0, 5)
    status, out, _ = tune_ode("report", url).wait()
    assert (status, out) == (0, f"{url}/report/index.html\n")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "image.png")
    status, out, _ = tune_ode("predict", f"{url}:best", tmp_path / "image.png", "--json").wait()
    assert status == 0
    assert json.loads(out)["class_name"].isdigit()
    status, _, err = tune_ode("resume", url).wait()
    assert status == 2
    assert f"{url} is finished (5 trials) after" in err
    assert "raise the limit with --trials" in err


def test_train_one_configuration(tune_ode, s3):
    output = ("--output", f"{s3.url}/runs", "--name", "one")
    quick = ("--fix", "training.epochs=2", "--fix", "model.width=16")
    out = tune_ode("train", *quick, *output).succeed()
    assert "test      accuracy" in out
    assert "runs/one/trials/0001/best.pt" in s3.names()


def test_confirm(tune_ode, s3, finished_search):
    pyarrow.fs.copy_files(
        str(finished_search.folder), f"{s3.bucket}/runs/run",
        source_filesystem=pyarrow.fs.LocalFileSystem(), destination_filesystem=s3.filesystem,
    )  # fmt: skip
    url = f"{s3.url}/runs/run"
    status, out, err = tune_ode("confirm", url, "--top", 1, "--seeds", 2, "--json").wait()
    assert status == 0, err
    assert json.loads(out)
    names = s3.names()
    assert "runs/run/report/confirmed.json" in names
    evaluated = [name for name in names if "/confirm/" in name and "confirmation.json" in name]
    assert len(evaluated) in {2, 4}, "the best, and the default configuration if it is another"
    assert not [name for name in names if "/confirm/" in name and name.endswith("last.pt")]
