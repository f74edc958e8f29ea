"""SIGKILL at random moments, to the driver or to trials on a real Ray; trainings are fake."""

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

from search_spaces import Choice, Float, Int, Space, to_dict
from tests.factories import checkpoint_text, make_checkpoint, make_manifest, make_report
from tune_ode.config import TrialConfig
from tune_ode.records import LAST_CHECKPOINT, Outcome, write_atomic
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
    """Return a `run_trial` with a made-up curve, a checkpoint and `pause` seconds per report."""

    def report(task, epoch, attempt):
        rate = task.config["optimizer"]["learning_rate"]
        best = 0.99 * math.exp(-0.3 * abs(math.log10(rate) + 1))
        accuracy = best * (1 - math.exp(-epoch))
        return make_report(task.trial_id, epoch, accuracy, attempt=attempt)

    def run_trial(task):
        last = Path(task.run_folder) / "trials" / task.trial_id / LAST_CHECKPOINT
        done = 0
        if last.exists():
            done, attempt = map(int, checkpoint_text(last.read_bytes()).split())
            yield report(task, done, attempt)  # as a training does, in case it was lost
        for epoch in range(done + 1, task.config["training"]["epochs"] + 1):
            time.sleep(pause)
            write_atomic(last, make_checkpoint(f"{epoch} {task.attempt}"))
            yield report(task, epoch, task.attempt)
        yield TrialEnd(outcome=Outcome.COMPLETED)

    return run_trial


def open_search(path, url=None):
    folder = RunFolder(path)
    study = {"url": url} if url else {"journal": folder.study_path}
    search = Search(
        folder,
        StudyAdapter(SPACE, **study, study_name=STUDY, sampler="random", seed=7),
        TrialConfig(),
        Budget(trials=TRIALS, seconds=None, trial_seconds=TRIAL_SECONDS),
        WorkerSpec(data_dir=None, device="cpu", threads=1),
    )
    return search, folder


def drive(path, url):
    """Run a search to its end as a driver does, two trials at a time."""
    search, folder = open_search(path, url)
    live = []
    while True:
        while len(live) < 2 and (task := search.next_task()) is not None:
            live.append((task, instant(0.004)(task)))
        if not live:
            break
        task, events = live.pop(0)
        event = next(events)
        if isinstance(event, TrialEnd):
            search.on_end(task.trial_id, event)
        elif search.on_report(event):
            live.append((task, events))
    search.close()
    folder.close()


def drive_ray(path):
    """Run a search to its end on a real Ray with two cores."""
    from tune_ode.machine.resources import local_machine, plan_resources
    from tune_ode.tuning.ray_backend.engine import run_on_ray

    search, folder = open_search(path)
    run_on_ray(search, plan_resources(local_machine(cpus=2, gpus=0)), run_trial=instant(0.04))
    search.close()
    folder.close()


@pytest.fixture(scope="module")
def processes():
    """Return a context whose processes start in milliseconds, with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


@pytest.fixture
def run_path(tmp_path):
    manifest = make_manifest(space=to_dict(SPACE), trial_seconds=TRIAL_SECONDS)
    RunFolder.create(tmp_path / "run", manifest).close()
    return tmp_path / "run"


def finished(path):
    """Return the content of every result that is not to be resumed, by trial."""
    files = path.glob("trials/*/outcome.json")
    return {f.parent.name: text for f in files if '"interrupted"' not in (text := f.read_text())}


def kill_and_resume(processes, path, kills, rng, url=None):
    """Kill drivers at random moments, then let one end; finished results never change."""
    kept = {}
    for _ in range(kills):
        driver = processes.Process(target=drive, args=(path, url))
        driver.start()
        enough = len(kept) + rng.randint(0, 2)
        while driver.is_alive() and len(finished(path)) < enough:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
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


def check_run(path, study, url=None):
    """Check that study and run directory agree on each trial, and rungs with a replay."""
    folder = RunFolder(path)
    specs = folder.specs()
    results = {spec.trial_id: folder.result(spec.trial_id) for spec in specs}
    assert len(specs) == TRIALS
    assert len({str(spec.params) for spec in specs}) == TRIALS, "no proposal is repeated"

    in_study = {trial.user_attrs["trial_id"]: trial for trial in study.get_trials()}
    assert len(study.get_trials()) == len(in_study) == TRIALS
    for spec in specs:
        result, trial = results[spec.trial_id], in_study[spec.trial_id]
        assert (trial.state, trial.values) == (STATES[result.outcome], result.values)
        assert trial.params == spec.params

    reports = [report for spec in specs for report in folder.reports(spec.trial_id)]
    epochs = {spec.trial_id: spec.config["training"]["epochs"] for spec in specs}
    replayed = AshaScheduler.create("seconds", TRIAL_SECONDS)
    stopped = set()
    for report in sorted(reports, key=lambda report: report.timestamp):
        reason = replayed.on_report(report)
        if reason is not None and report.epoch < epochs[report.trial_id]:
            stopped.add(report.trial_id)
    assert stopped == {i for i, result in results.items() if result.outcome is Outcome.STOPPED}
    assert stopped
    folder.close()
    search, folder = open_search(path, url)
    folder.close()
    assert search.scheduler.records == replayed.records


def check_reports(path):
    """Check that each trial reported every epoch up to its last once, over all attempts."""
    folder = RunFolder(path)
    for file in path.glob("trials/*/reports.jsonl"):
        epochs = [report.epoch for report in folder.reports(file.parent.name)]
        assert epochs == list(range(1, len(epochs) + 1))
        lines = filter(None, file.read_text().splitlines())
        assert len(list(lines)) == len(epochs)
    folder.close()


def journal_study(path):
    journal = JournalStorage(JournalFileBackend(str(path / "study.log")))
    return optuna.load_study(storage=journal, study_name=STUDY)


def test_a_driver_killed_at_ten_random_moments(processes, run_path):
    kill_and_resume(processes, run_path, 10, random.Random(0))
    check_run(run_path, journal_study(run_path))
    check_reports(run_path)


@pytest.mark.long
def test_a_driver_killed_with_its_study_in_sqlite(processes, run_path, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    kill_and_resume(processes, run_path, 10, random.Random(0), url)
    check_run(run_path, optuna.load_study(storage=url, study_name=STUDY), url)
    assert not (run_path / "study.log").exists()


@pytest.mark.long
def test_a_driver_killed_with_its_study_in_postgresql(processes, run_path, postgresql):
    kill_and_resume(processes, run_path, 10, random.Random(0), postgresql.url)
    url = postgresql.url
    check_run(run_path, optuna.load_study(storage=url, study_name=STUDY), url)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 9))
def test_a_driver_killed_at_ten_other_random_moments(processes, run_path, seed):
    kill_and_resume(processes, run_path, 10, random.Random(seed))
    check_run(run_path, journal_study(run_path))


def test_a_missing_or_damaged_journal_is_rebuilt_from_the_run_directory(processes, run_path):
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
        check_run(run_path, journal_study(run_path))


def trial_processes(driver):
    """Return the process ids of the trials of a driver."""
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


def kill_trials(processes, path, kills, rng):
    """Run a search on Ray and kill processes of its trials at random moments."""
    driver = processes.Process(target=drive_ray, args=(path,))
    driver.start()
    for _ in range(kills):
        while driver.is_alive() and not trial_processes(driver.pid):
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.7))
        alive = trial_processes(driver.pid)
        assert driver.is_alive(), "the search ended before its trials were killed"
        if alive:  # there may be none between a killed process and the next one
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(alive), signal.SIGKILL)
    driver.join()
    assert driver.exitcode == 0


def count_crashes(path):
    folder = RunFolder(path)
    results = [folder.result(spec.trial_id) for spec in folder.specs()]
    folder.close()
    for result in results:
        assert (result.outcome is Outcome.FAILED) == (result.crashes > MAX_CRASHES)
    return sum(result.crashes for result in results)


@pytest.mark.long
def test_trials_whose_processes_are_killed_restart(processes, run_path):
    kill_trials(processes, run_path, 10, random.Random(0))
    check_run(run_path, journal_study(run_path))
    check_reports(run_path)
    assert count_crashes(run_path) >= 5
