"""Searches over made-up learning curves, in-process and without torch or Ray; one real training."""

import itertools
import math
import multiprocessing
import tempfile

import pytest

from search_spaces import Choice, Float, Int, Space, to_dict
from tests.factories import make_confirmation, make_manifest, make_report, make_task
from tests.tune_ode.object_store import ObjectStore
from tune_ode.cli.main import run as run_command
from tune_ode.config import TrialConfig
from tune_ode.records import Outcome
from tune_ode.replication.subprocess import TrainingDone
from tune_ode.runs import lease
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.objective import OBJECTIVES
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec
from tune_ode.worker.task import TrialEnd

SPACE = Space(
    {
        "optimizer.learning_rate": Float(1e-3, 1.0, log=True),
        "training.epochs": Int(2, 10),
        "solver.gradient": Choice("backprop", "adjoint"),
    }
)


class Clock:
    """Unix seconds; a test advances `now`."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        self.now += 1e-3  # no two readings are equal
        return self.now


class Events(list):
    """Events of a made-up training."""

    def close(self):
        pass


def report_for(task, epoch, val_accuracy, *, seconds=None):
    """Return a report of a trial that ends with the epochs of its configuration."""
    horizon = 100 * task.config["training"]["epochs"]
    return make_report(
        task.trial_id, epoch, val_accuracy, seconds=seconds, attempt=task.attempt, horizon=horizon
    )


def curve(task):
    """Yield a learning curve that depends on the configuration only; the best rate is 0.1."""
    rate = task.config["optimizer"]["learning_rate"]
    best = 0.99 * math.exp(-0.3 * abs(math.log10(rate) + 1))
    for epoch in range(1, task.config["training"]["epochs"] + 1):
        yield report_for(task, epoch, best * (1 - math.exp(-epoch)))
    yield TrialEnd(outcome=Outcome.COMPLETED)


@pytest.fixture
def report():
    return report_for


@pytest.fixture(name="curve")
def curve_fixture():
    return curve


@pytest.fixture
def space():
    return SPACE


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_search(tmp_path, clock):
    """Return a function that starts a search in a run directory, or resumes the one there.

    A resume first closes the directory, as the operating system does for a killed driver.
    """
    opened = {}

    def make(
        name="run",
        *,
        trials=12,
        seconds=None,
        sampler="random",
        objective="anytime",
        trial_seconds=6.0,
        seed=0,
        start_points=(),
        gpus=0.0,
        say=lambda text: None,
        space=SPACE,
        new_budget=True,
        steady=False,
        **budget,
    ):
        path = tmp_path / name
        if name in opened:
            opened[name].close()
        if path.exists():
            folder = RunFolder(path)
        else:
            manifest = make_manifest(
                name=name, space=to_dict(space), trial_seconds=trial_seconds, created=clock()
            )
            folder = RunFolder.create(path, manifest)
        opened[name] = folder
        study = StudyAdapter(
            space,
            journal=folder.study_path,
            objective=OBJECTIVES[objective],
            sampler=sampler,
            seed=seed,
        )
        search = Search(
            folder,
            study,
            TrialConfig(),
            Budget(trials=trials, seconds=seconds, trial_seconds=trial_seconds, **budget),
            WorkerSpec(data_dir=None, device="cpu", threads=1, gpus=gpus),
            start_points=start_points,
            new_budget=new_budget,
            clock=None if steady else clock,
            say=say,
        )
        search.folder, search.study = folder, study
        return search

    yield make
    for folder in opened.values():
        folder.close()


@pytest.fixture
def drive():
    """Return a function that runs a search with several workers, one event of each in turn."""

    def run(search, *, run_trial=curve, workers=2, events=None):
        live = []
        for _ in range(events) if events is not None else itertools.count():
            while len(live) < workers and (task := search.next_task()) is not None:
                search.on_start(task.trial_id)
                live.append((task, run_trial(task)))
            if not live or search.should_stop():
                return
            task, stream = live.pop(0)
            event = next(stream)
            if isinstance(event, TrialEnd):
                search.on_end(task.trial_id, event)
            elif search.on_report(event):
                live.append((task, stream))

    return run


@pytest.fixture
def working_directory(tmp_path, monkeypatch):
    """Run the test in an empty directory, with a cache that all tests of the process share."""
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path.parent / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tune_ode(capsys):
    """Return a function that runs a command and returns its exit status, output and errors."""

    def command(*arguments):
        capsys.readouterr()
        status = run_command([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return status, printed.out, printed.err

    return command


@pytest.fixture
def usage_error(tune_ode, tmp_path, monkeypatch, working_directory):
    """Return a function that runs a command which must be rejected, and returns the error."""
    monkeypatch.setattr(
        "tune_ode.tuning.launch._search", lambda *_, **__: pytest.fail("it started")
    )

    def command(*arguments):
        status, out, err = tune_ode(*arguments)
        assert status == 2
        assert err.startswith("tune-ode: ")
        assert err.count("\n") == 1
        assert out == "", "no plan if nothing will run"
        assert not (tmp_path / "runs").exists(), "no incomplete run directory"
        return err

    return command


@pytest.fixture
def task(tmp_path, working_directory):
    return make_task(tmp_path)


@pytest.fixture
def fresh_process():
    """Yield a pool of one process that has not trained yet."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


@pytest.fixture
def events():
    """Return a function from a task to the events of a made-up training and its evaluation."""

    def events(task):
        *reports, end = curve(task)
        noise = 1e-3 * (hash((task.trial_id, task.config["seed"])) % 7)
        confirmation = make_confirmation(task.trial_id, test_accuracy=0.9 + noise)
        return Events([0.5, *reports, TrainingDone(), confirmation, end])

    return events


@pytest.fixture
def object_store(tmp_path, monkeypatch):
    """Return a function that creates an object store, empty or with the objects of another."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return lambda objects=None: ObjectStore({} if objects is None else objects)


@pytest.fixture
def store(object_store, monkeypatch):
    """Return an empty object store whose lease is taken without a delay."""
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.0)
    return object_store()
