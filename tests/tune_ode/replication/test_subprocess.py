"""A training in a subprocess: its events, kills and interrupts."""

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


def events_of(training):
    try:
        return [event for event in training if event is not None]
    finally:
        training.close()


def test_a_training_sends_reports_then_its_evaluation_then_its_end(task):
    start = time.perf_counter()
    events = events_of(TrainingProcess(task, from_scratch=True))
    took = time.perf_counter() - start
    events = [event for event in events if not isinstance(event, float)]
    assert [type(event) for event in events] == [
        Report, Report, TrainingDone, Confirmation, TrialEnd,
    ]  # fmt: skip
    report, confirmation, end = events[1], events[3], events[4]
    assert end.outcome is Outcome.COMPLETED
    assert (confirmation.trial_id, confirmation.test_images) == ("0001", 359)
    assert confirmation.threads == task.threads
    # includes imports, excludes the evaluation
    assert report.wall_seconds < confirmation.cold_seconds < took
    assert (task.folder / BEST_CHECKPOINT).exists()


@pytest.mark.long
def test_a_training_resumed_from_a_checkpoint_has_no_cold_seconds(task):
    events_of(TrainingProcess(task, from_scratch=True))
    events = events_of(TrainingProcess(task, from_scratch=False))
    (confirmation,) = (event for event in events if isinstance(event, Confirmation))
    assert confirmation.cold_seconds is None


@pytest.mark.long
def test_a_killed_process_is_reported(task):
    training = TrainingProcess(task, from_scratch=True)
    os.kill(training._process.pid, signal.SIGKILL)
    assert events_of(training) == [ProcessDied()]


@pytest.mark.long
def test_the_stop_flag_interrupts_a_training_and_ctrl_c_does_not(task):
    training = TrainingProcess(task, from_scratch=True)
    events = iter(training)
    while not isinstance(next(events), float):
        pass
    os.kill(training._process.pid, signal.SIGINT)  # a terminal sends it to all processes
    (Path(task.run_folder) / STOP_FILE).touch()
    *_, end = (event for event in events if event is not None)
    assert end.outcome is Outcome.INTERRUPTED
    training.close()


PARENT = """
import sys
from tune_ode.replication.subprocess import TrainingProcess
from tune_ode.worker.task import Task
import json
if __name__ == "__main__":
    training = TrainingProcess(Task(**json.loads(sys.argv[1])), from_scratch=True)
    print(training._process.pid, training._caches.name, flush=True)
    for event in training:
        pass
"""


@pytest.mark.long
def test_the_process_ends_when_its_parent_is_killed(task, tmp_path):
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
    time.sleep(2)  # the child must have started
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
