"""SIGKILL at random moments: the driver's process, and the processes of trials on a real Ray.

The trials are instant ones; everything else, the study and the run folder above all, is real.
"""

import contextlib
import math
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from search_spaces import Choice, Float, Int, Space
from tune_ode.config import TrialConfig
from tune_ode.records import LAST_CHECKPOINT, Outcome, Report, RunManifest, write_atomic
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.search.asha import AshaScheduler
from tune_ode.tuning.search.limits import MAX_CRASHES, Budget
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec
from tune_ode.worker.task import TrialEnd

SPACE = Space(
    {
        "optimizer.learning_rate": Float(1e-3, 1.0, log=True),
        "training.epochs": Int(4, 12),
        "solver.gradient": Choice("backprop", "adjoint"),
    }
)
TRIALS = 30
TRIAL_SECONDS = 12.0
STUDY = "killed"
STATES = {
    Outcome.COMPLETED: TrialState.COMPLETE,
    Outcome.STOPPED: TrialState.COMPLETE,
    Outcome.FAILED: TrialState.FAIL,
}


def instant(pause):
    """Return what answers a task with a made-up curve, a checkpoint and `pause` seconds a line."""

    def line(task, epoch, attempt):
        rate = task.config["optimizer"]["learning_rate"]
        best = 0.99 * math.exp(-0.3 * abs(math.log10(rate) + 1))
        accuracy = best * (1 - math.exp(-epoch))
        return Report(
            trial_id=task.trial_id, attempt=attempt, timestamp=0.0, epoch=float(epoch),
            train_seconds=float(epoch), warmup_seconds=0.1, epoch_seconds=1.0, eval_seconds=0.1,
            wall_seconds=1.2 * epoch, cpu_seconds=float(epoch), train_loss=1.0,
            train_accuracy=accuracy, val_loss=1.0, val_accuracy=accuracy, nfe_forward=4.0,
            nfe_backward=0.0, vjp_backward=4.0, solver_steps=1.0, rejected_steps=0.0,
            learning_rate=0.1, samples_per_second=100.0, peak_memory_bytes=None, device="cpu",
            node="here", concurrent_trials=1,
        )  # fmt: skip

    def answer(task):
        last = Path(task.run_folder) / "trials" / task.trial_id / LAST_CHECKPOINT
        done = 0
        if last.exists():
            done, attempt = map(int, last.read_text().split())
            yield line(task, done, attempt)  # as a training does, in case it was lost
        for epoch in range(done + 1, task.config["training"]["epochs"] + 1):
            time.sleep(pause)
            write_atomic(last, f"{epoch} {task.attempt}")
            yield line(task, epoch, task.attempt)
        yield TrialEnd(outcome=Outcome.COMPLETED)

    return answer


def open_search(path, url=None, trials=TRIALS):
    folder = RunFolder(path)
    study = {"url": url} if url else {"journal": folder.study_path}
    search = Search(
        folder,
        StudyAdapter(SPACE, **study, study=STUDY, sampler="random", seed=7),
        TrialConfig(),
        Budget(trials=trials, seconds=None, trial_seconds=TRIAL_SECONDS),
        WorkerSpec(data_dir=None, device="cpu", threads=1),
    )
    return search, folder


def drive(path, url):
    """Run a search to its end as a driver's process does, two trials at a time."""
    search, folder = open_search(path, url)
    live = []
    while True:
        while len(live) < 2 and (task := search.next_task()) is not None:
            live.append((task, instant(0.004)(task)))
        if not live:
            break
        task, messages = live.pop(0)
        message = next(messages)
        if isinstance(message, TrialEnd):
            search.on_end(task.trial_id, message)
        elif search.on_report(message):
            live.append((task, messages))
    search.close()
    folder.close()


def drive_ray(path, trials):
    """Run a search to its end on a real Ray of two cores."""
    from tune_ode.machine.resources import local_machine, plan_resources
    from tune_ode.tuning.ray_backend.engine import run_on_ray

    search, folder = open_search(path, trials=trials)
    run_on_ray(search, plan_resources(local_machine(cpus=2, gpus=0)), answer=instant(0.04))
    search.close()
    folder.close()


@pytest.fixture(scope="module")
def processes():
    """Where drivers start: everything is imported already, so a start takes milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


@pytest.fixture
def run_path(tmp_path):
    manifest = RunManifest(
        name="run", state="running", options={}, space=SPACE.to_dict(),
        base=TrialConfig().to_dict(), chance=0.1, trial_seconds=TRIAL_SECONDS, created=0.0,
    )  # fmt: skip
    RunFolder.create(tmp_path / "run", manifest).close()
    return tmp_path / "run"


def finished(path):
    """Content of every outcome that needs no resume."""
    files = path.glob("trials/*/outcome.json")
    return {f.parent.name: text for f in files if '"interrupted"' not in (text := f.read_text())}


def kill_and_resume(processes, path, kills, dice, url=None):
    """Kill a driver so many times at random moments, then let one end; nothing finished changes."""
    kept = {}
    for _ in range(kills):
        driver = processes.Process(target=drive, args=(path, url))
        driver.start()
        enough = len(kept) + dice.randint(0, 2)
        while driver.is_alive() and len(finished(path)) < enough:
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.03))
        driver.kill()
        driver.join()
        assert driver.exitcode == -signal.SIGKILL, "the search ended before it was killed"
        assert finished(path).items() >= kept.items()
        kept = finished(path)
    driver = processes.Process(target=drive, args=(path, url))
    driver.start()
    driver.join()
    assert driver.exitcode == 0
    assert finished(path).items() >= kept.items()


def check(path, study, url=None, trials=TRIALS):
    """Exactly so many trials, each the same thing in the study and on disk, rungs as replayed."""
    folder = RunFolder(path)
    setups = folder.specs()
    outcomes = {setup.trial_id: folder.result(setup.trial_id) for setup in setups}
    assert len(setups) == trials
    assert len({str(setup.params) for setup in setups}) == trials, "no proposal is repeated"

    told = {trial.user_attrs["trial_id"]: trial for trial in study.get_trials()}
    assert len(study.get_trials()) == len(told) == trials
    for setup in setups:
        outcome, trial = outcomes[setup.trial_id], told[setup.trial_id]
        assert (trial.state, trial.values) == (STATES[outcome.outcome], outcome.values)
        assert trial.params == setup.params

    lines = [line for setup in setups for line in folder.reports(setup.trial_id)]
    epochs = {setup.trial_id: setup.config["training"]["epochs"] for setup in setups}
    replayed = AshaScheduler.create("seconds", TRIAL_SECONDS)
    best, stopped = {}, set()
    for line in sorted(lines, key=lambda line: line.timestamp):
        best[line.trial_id] = max(best.get(line.trial_id, 0.0), line.val_accuracy)
        reason = replayed.on_report(line, best[line.trial_id])
        if reason is not None and line.epoch < epochs[line.trial_id]:
            stopped.add(line.trial_id)
    assert stopped == {i for i, o in outcomes.items() if o.outcome is Outcome.STOPPED}
    assert stopped
    folder.close()
    search, folder = open_search(path, url, trials)
    assert search.scheduler.records == replayed.records
    folder.close()


def check_lines(path):
    """Every epoch up to a trial's last was reported once, over all its attempts."""
    for file in path.glob("trials/*/reports.jsonl"):
        lines = [line for line in file.read_text().splitlines() if line]
        folder = RunFolder(path)
        epochs = [line.epoch for line in folder.reports(file.parent.name)]
        folder.close()
        assert epochs == list(range(1, len(epochs) + 1))
        assert len(lines) == len(epochs)


def journal_study(path):
    journal = JournalStorage(JournalFileBackend(str(path / "study.log")))
    return optuna.load_study(storage=journal, study_name=STUDY)


def test_a_driver_killed_at_ten_random_moments(processes, run_path):
    kill_and_resume(processes, run_path, 10, random.Random(0))
    check(run_path, journal_study(run_path))
    check_lines(run_path)


@pytest.mark.long
def test_a_driver_killed_with_its_study_in_sqlite(processes, run_path, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    kill_and_resume(processes, run_path, 10, random.Random(0), url)
    check(run_path, optuna.load_study(storage=url, study_name=STUDY), url)
    assert not (run_path / "study.log").exists()


@pytest.mark.long
def test_a_driver_killed_with_its_study_in_postgresql(processes, run_path, postgresql):
    kill_and_resume(processes, run_path, 10, random.Random(0), postgresql.url)
    url = postgresql.url
    check(run_path, optuna.load_study(storage=url, study_name=STUDY), url)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 9))
def test_a_driver_killed_at_ten_random_moments_again_and_again(processes, run_path, seed):
    kill_and_resume(processes, run_path, 10, random.Random(seed))
    check(run_path, journal_study(run_path))


def test_a_lost_study_is_made_again_from_the_run_folder(processes, run_path):
    """Of a journal that is gone, or damaged in its middle, nothing is missed."""
    kill_and_resume(processes, run_path, 2, random.Random(0))
    journal = run_path / "study.log"
    content = bytearray(journal.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    for damage in (journal.unlink, lambda: journal.write_bytes(content)):
        damage()
        search, folder = open_search(run_path)
        assert not search.has_work()
        search.close()
        folder.close()
        check(run_path, journal_study(run_path))


def trial_processes(driver):
    """Process ids of the trials of a driver."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name = (entry / "cmdline").read_text()
                if "TrialActor" in name and descends(int(entry.name), driver):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def descends(pid, ancestor):
    while pid > 1:
        if pid == ancestor:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


def kill_trials(processes, path, kills, dice, trials=TRIALS):
    """Run a search on Ray and kill so many processes of its trials at random moments."""
    driver = processes.Process(target=drive_ray, args=(path, trials))
    driver.start()
    for _ in range(kills):
        while driver.is_alive() and not trial_processes(driver.pid):
            time.sleep(0.02)
        time.sleep(dice.uniform(0, 0.7))
        alive = trial_processes(driver.pid)
        assert driver.is_alive(), "the search ended before its trials were killed"
        if alive:  # a moment may find none, between one that was killed and the next
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(alive), signal.SIGKILL)
    driver.join()
    assert driver.exitcode == 0


def losses(path):
    folder = RunFolder(path)
    outcomes = [folder.result(setup.trial_id) for setup in folder.specs()]
    folder.close()
    for outcome in outcomes:
        assert (outcome.outcome is Outcome.FAILED) == (outcome.crashes > MAX_CRASHES)
    return sum(outcome.crashes for outcome in outcomes)


@pytest.mark.long
def test_trials_whose_processes_are_killed_go_on(processes, run_path):
    kill_trials(processes, run_path, 2, random.Random(0), trials=12)
    check(run_path, journal_study(run_path), trials=12)
    check_lines(run_path)
    assert losses(run_path) > 0


@pytest.mark.long
def test_trials_whose_processes_are_killed_ten_times_go_on(processes, run_path):
    kill_trials(processes, run_path, 10, random.Random(1))
    check(run_path, journal_study(run_path))
    check_lines(run_path)
    assert losses(run_path) >= 5
