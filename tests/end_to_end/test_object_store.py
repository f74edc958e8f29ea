"""A run that lives in S3-compatible storage from its first command to its last."""

import csv
import json
import random
import time

import numpy as np
import pyarrow.fs
import pytest
from PIL import Image

from tests.end_to_end.conftest import by_the_clock

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]
QUICK = ("--sampler", "random", "--trial-seconds", "3s", "--fix", "training.epochs=8")


@pytest.fixture
def fetched(s3, run_folder, tmp_path):
    """Return a function that copies the run from its bucket and gives a reader of the copy."""

    def fetched():
        filesystem, here = s3.filesystem, str(run_folder.folder)
        here_too = pyarrow.fs.LocalFileSystem()
        pyarrow.fs.copy_files(
            f"{s3.bucket}/runs/run", here, source_filesystem=filesystem,
            destination_filesystem=here_too,
        )  # fmt: skip
        return run_folder

    return fetched


def ended(s3):
    return sum(name.endswith("/outcome.json") for name in s3.names())


def wait_for(what, timeout=240):
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.5)


def test_search_kill_resume_rank_report_predict(tune_ode, s3, small, fetched, tmp_path):
    url = f"{s3.url}/runs/run"
    dice = random.Random(0)
    options = (*small, *by_the_clock(6), "--scheduler", "none")
    command = ("search", *options, "--output", f"{s3.url}/runs", "--trials", 8)
    for kill in range(2):
        driver = tune_ode(*command)
        before = ended(s3)
        wait_for(lambda before=before: ended(s3) > before)
        time.sleep(dice.uniform(0, 2))
        assert driver.process.poll() is None, "the search ended before it was killed"
        if kill == 0:
            status, out, err = tune_ode("resume", url).wait()
            assert (status, out) == (2, "")
            assert f"another process is writing to {url}" in err
        driver.kill()
        command = ("resume", url)
    status, out, err = tune_ode(*command).wait(timeout=400)
    assert (status, err) == (0, "")
    assert f"report    {url}/report/index.html" in out
    assert ".driver.json" not in "".join(s3.names())

    fetched().check(8)

    status, out, _ = tune_ode("rank", url, "--csv").wait()
    rows = list(csv.DictReader(out.splitlines()))
    assert (status, len(rows)) == (0, 8)
    status, out, _ = tune_ode("report", url).wait()
    assert (status, out) == (0, f"{url}/report/index.html\n")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "image.png")
    status, out, _ = tune_ode("predict", f"{url}:best", tmp_path / "image.png", "--json").wait()
    assert status == 0
    assert json.loads(out)["class_name"].isdigit()
    status, _, err = tune_ode("resume", url).wait()
    assert status == 2
    assert f"{url} is finished; to go on, ask for more trials" in err


def test_ctrl_c_leaves_all_that_was_trained_in_the_store(tune_ode, s3, small, fetched):
    url = f"{s3.url}/runs/run"
    search = tune_ode(
        "search", *small, *by_the_clock(60), "--scheduler", "none", "--output", f"{s3.url}/runs",
        "--trials", 2,
    )  # fmt: skip
    wait_for(lambda: sum(name.endswith("/reports.jsonl") for name in s3.names()) == 2)
    search.interrupt()
    status, _, err = search.wait()
    assert (status, err) == (130, f"tune-ode: interrupted; to continue: tune-ode resume {url}\n")
    told = fetched()
    epochs = {trial: told.lines(trial)[-1]["epoch"] for trial in ("0001", "0002")}
    assert set(told.study_states()) == {"WAITING"}
    status, _, err = tune_ode("resume", url, "--time-budget", "20s").wait()
    assert (status, err) == (0, "")
    for trial, epoch in epochs.items():
        lines = fetched().lines(trial)
        again = [line for line in lines if line["attempt"] == 2]
        assert not again or again[0]["epoch"] > epoch, "it goes on, and does not begin anew"


def test_train_one_configuration(tune_ode, s3):
    output = ("--output", f"{s3.url}/runs", "--name", "one")
    quick = ("--fix", "training.epochs=2", "--fix", "model.width=16")
    status, out, err = tune_ode("train", *quick, *output).wait()
    assert (status, err) == (0, "")
    assert "test      accuracy" in out
    assert "runs/one/trials/0001/best.pt" in s3.names()


def test_confirm(tune_ode, s3, small):
    url = f"{s3.url}/runs/run"
    search = ("search", *small, *QUICK, "--output", f"{s3.url}/runs", "--trials", 2)
    assert tune_ode(*search).wait()[0] == 0
    status, out, err = tune_ode("confirm", url, "--top", 1, "--seeds", 2, "--json").wait()
    assert status == 0, err
    assert json.loads(out)
    names = s3.names()
    assert "runs/run/report/confirmed.json" in names
    ends = [name for name in names if "/confirm/" in name and name.endswith("confirmation.json")]
    assert len(ends) in {2, 4}, "the best, and the default configuration where it is another"
    assert not [name for name in names if "/confirm/" in name and name.endswith("last.pt")]
