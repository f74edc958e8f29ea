"""A training in a process of its own: what it says, and what becomes of it when one dies."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tune_ode.records import BEST_CHECKPOINT, STOP_FILE, Confirmation, Outcome, Report
from tune_ode.replication.subprocess import ProcessDied, TrainingDone, TrainingProcess
from tune_ode.worker.task import TrialEnd


def words_of(retraining):
    try:
        return [word for word in retraining if word is not None]
    finally:
        retraining.close()


def test_it_trains_examines_and_says_all_of_it_in_order(task):
    begun = time.perf_counter()
    words = words_of(TrainingProcess(task, first=True))
    took = time.perf_counter() - begun
    said = [word for word in words if not isinstance(word, float)]
    assert [type(word) for word in said] == [
        Report, Report, TrainingDone, Confirmation, TrialEnd,
    ]  # fmt: skip
    line, found, ending = said[1], said[3], said[4]
    assert ending.outcome is Outcome.COMPLETED
    assert (found.trial_id, found.test_images, found.threads) == ("0001", 359, task.threads)
    assert line.wall_seconds < found.cold_seconds < took, "imports are counted, the test is not"
    assert (task.folder / BEST_CHECKPOINT).exists()


@pytest.mark.long
def test_what_goes_on_from_a_checkpoint_has_no_cold_seconds(task):
    words_of(TrainingProcess(task, first=True))
    (found,) = (
        w for w in words_of(TrainingProcess(task, first=False)) if isinstance(w, Confirmation)
    )
    assert found.cold_seconds is None


@pytest.mark.long
def test_a_process_that_is_killed_is_lost(task):
    retraining = TrainingProcess(task, first=True)
    os.kill(retraining._process.pid, signal.SIGKILL)
    assert words_of(retraining) == [ProcessDied()]


@pytest.mark.long
def test_it_stops_when_told_and_not_by_ctrl_c(task):
    retraining = TrainingProcess(task, first=True)
    words = iter(retraining)
    while not isinstance(next(words), float):
        pass
    os.kill(retraining._process.pid, signal.SIGINT)  # a terminal sends it to all
    (Path(task.run_folder) / STOP_FILE).touch()
    *_, ending = (word for word in words if word is not None)
    assert ending.outcome is Outcome.INTERRUPTED
    retraining.close()


PARENT = """
import sys
from tune_ode.replication.subprocess import Retraining
from tune_ode.worker.task import Task
import json
if __name__ == "__main__":
    retraining = Retraining(Task(**json.loads(sys.argv[1])), first=True)
    print(retraining._process.pid, retraining._caches.name, flush=True)
    for word in retraining:
        pass
"""


@pytest.mark.long
def test_it_ends_when_its_parent_is_killed(task, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    values = task.to_dict()
    values["config"]["training"]["epochs"] = 10_000
    root = str(Path(__file__).parents[3])
    parent = subprocess.Popen(
        [sys.executable, script, json.dumps(values)],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": root},
    )  # fmt: skip
    child, caches = parent.stdout.readline().split()
    time.sleep(2)  # the child has to be there first
    parent.kill()
    parent.communicate()
    end = time.monotonic() + 20
    while alive(child) and time.monotonic() < end:
        time.sleep(0.1)
    assert not alive(child)
    assert not Path(caches).exists()


def alive(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
