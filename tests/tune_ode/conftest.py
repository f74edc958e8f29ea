"""A search driven in-process over made-up learning curves: no torch, no Ray, no waiting.

And a real training, for what is tested about its process.
"""

import contextlib
import io
import itertools
import math
import multiprocessing
import tempfile
from types import SimpleNamespace

import pytest

from search_spaces import Choice, Float, Int, Space
from tune_ode.config import TrialConfig
from tune_ode.records import Confirmation, Outcome, Report, RunManifest
from tune_ode.remote_path import RemotePath
from tune_ode.replication.subprocess import TrainingDone
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.objective import OBJECTIVES
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec
from tune_ode.worker.task import Task, TrialEnd

SPACE = Space(
    {
        "optimizer.learning_rate": Float(1e-3, 1.0, log=True),
        "training.epochs": Int(2, 10),
        "solver.gradient": Choice("backprop", "adjoint"),
    }
)


class Clock:
    """Unix seconds that pass only when told."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        self.now += 1e-3  # no two readings are equal
        return self.now


def line(task, epoch, accuracy, *, seconds=None, clock=lambda: 0.0):
    seconds = float(epoch) if seconds is None else seconds
    return Report(
        trial_id=task.trial_id, attempt=task.attempt, timestamp=clock(), epoch=float(epoch),
        train_seconds=seconds, warmup_seconds=0.1, epoch_seconds=1.0, eval_seconds=0.1 * epoch,
        wall_seconds=1.2 * seconds, cpu_seconds=seconds, train_loss=1.0, train_accuracy=accuracy,
        val_loss=1.0, val_accuracy=accuracy, nfe_forward=4.0, nfe_backward=0.0, vjp_backward=4.0,
        solver_steps=1.0, rejected_steps=0.0, learning_rate=0.1, samples_per_second=100.0,
        peak_memory_bytes=None, device="cpu", node="here", concurrent_trials=1,
    )  # fmt: skip


def curve(task, clock=lambda: 0.0):
    """A learning curve that depends on the configuration alone: best near a rate of 0.1."""
    rate = task.config["optimizer"]["learning_rate"]
    best = 0.99 * math.exp(-0.3 * abs(math.log10(rate) + 1))
    for epoch in range(1, task.config["training"]["epochs"] + 1):
        yield line(task, epoch, best * (1 - math.exp(-epoch)), clock=clock)
    yield TrialEnd(outcome=Outcome.COMPLETED)


@pytest.fixture(name="line")
def line_fixture():
    return line


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
    """Return a function that starts a search in a folder, or takes up the one that is there."""
    opened = []

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
        gpu_seconds=None,
    ):
        path = tmp_path / name
        if path.exists():
            folder = RunFolder(path)
        else:
            folder = RunFolder.create(
                path,
                RunManifest(
                    name=name, state="running", options={}, space=SPACE.to_dict(),
                    base=TrialConfig().to_dict(), chance=0.1, trial_seconds=trial_seconds,
                    created=clock(),
                ),
            )  # fmt: skip
        opened.append(folder)
        proposals = StudyAdapter(
            SPACE,
            journal=folder.study_path,
            objective=OBJECTIVES[objective],
            sampler=sampler,
            seed=seed,
        )
        search = Search(
            folder,
            proposals,
            TrialConfig(),
            Budget(
                trials=trials,
                seconds=seconds,
                trial_seconds=trial_seconds,
                gpu_seconds=gpu_seconds,
            ),
            WorkerSpec(data_dir=None, device="cpu", threads=1, gpus=gpus),
            start_points=start_points,
            clock=clock,
        )
        search.folder, search.study = folder, proposals
        return search

    yield make
    for folder in opened:
        folder.close()


@pytest.fixture
def drive(clock):
    """Return a function that runs a search with several slots, a message of each in turn."""

    def run(search, *, answer=curve, slots=2, messages=None):
        live = []
        for _ in range(messages) if messages is not None else itertools.count():
            while len(live) < slots and (task := search.next_task()) is not None:
                search.on_start(task.trial_id)
                live.append((task, answer(task, clock)))
            if not live or search.should_stop():
                return
            task, stream = live.pop(0)
            message = next(stream)
            if isinstance(message, TrialEnd):
                search.on_end(task.trial_id, message)
            elif search.on_report(message):
                live.append((task, stream))

    return run


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A real training of a second or so on digits."""
    import torch

    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "trials" / "0001").mkdir(parents=True)
    config = TrialConfig().with_values(
        {"model.width": 8, "solver.method": "euler", "training.epochs": 2}
    )
    return Task(
        trial_id="0001", attempt=1, config=config.to_dict(), run_folder=str(tmp_path),
        data_dir=None, device="cpu", threads=torch.get_num_threads(), budget_seconds=None,
        report_instants=(),
    )  # fmt: skip


@pytest.fixture
def fresh_process():
    """A pool of one process that has trained nothing yet."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


@pytest.fixture
def words():
    """Return a function that makes up a training: its words, as a process would say them."""

    class Words(list):
        def close(self):
            pass

    def words(task):
        *lines, ending = curve(task)
        noise = 1e-3 * (hash((task.trial_id, task.config["seed"])) % 7)
        found = Confirmation(
            trial_id=task.trial_id, test_accuracy=0.9 + noise, test_loss=0.1, test_images=100,
            solve_images=100, threads=1, cold_seconds=20.0,
            solves=[
                {"method": "rk4", "steps": 1, "rtol": None, "own": True, "evaluations": 4.0,
                 "accuracy": 0.9},
            ],
            reference={"method": "dopri5", "steps": None, "rtol": 1e-5, "own": False,
                   "evaluations": 40.0, "accuracy": 0.89},
            latencies=[
                {"batch": 1, "repetitions": 10, "median_ms": 2.0, "low_ms": 1.9, "high_ms": 2.2},
            ],
        )  # fmt: skip
        return Words([0.5, *lines, TrainingDone(), found, ending])

    return words


class ObjectStore:
    """An object store in memory, as a file system of `pyarrow.fs`; it counts, fails and dies."""

    class Died(BaseException):
        """The driver was killed."""

    def __init__(self, objects):
        self.objects = objects
        self.requests = []
        self.writes = 0
        self.dies_before = None
        self.refuses = False
        self.place = RemotePath(self, "bucket/run", "store://bucket/run")

    def kept(self, key, content):
        """For a test that looks at it."""

    def _request(self, what, key):
        if self.dies_before is not None and self.writes >= self.dies_before:
            raise self.Died
        self.requests.append((what, key))
        if what in {"write", "delete"}:
            self.writes += 1
            if self.writes == self.dies_before:
                raise self.Died
        if self.refuses:
            raise OSError("refused")

    @contextlib.contextmanager
    def open_input_stream(self, key):
        self._request("read", key)
        if key not in self.objects:
            raise FileNotFoundError(key)
        yield io.BytesIO(self.objects[key])

    @contextlib.contextmanager
    def open_output_stream(self, key):
        self._request("write", key)
        stream = io.BytesIO()
        yield stream
        self.objects[key] = stream.getvalue()
        self.kept(key, stream.getvalue())

    def delete_file(self, key):
        self._request("delete", key)
        if key not in self.objects:
            raise FileNotFoundError(key)
        del self.objects[key]

    def get_file_info(self, asked):
        self._request("list", asked)
        if isinstance(asked, str):
            return SimpleNamespace(is_file=asked in self.objects)
        inside = [key for key in sorted(self.objects) if key.startswith(f"{asked.base_dir}/")]
        if not asked.recursive:
            depth = asked.base_dir.count("/") + 2
            inside = sorted({"/".join(key.split("/")[:depth]) for key in inside})
        return [
            SimpleNamespace(path=key, base_name=key.rpartition("/")[2], is_file=key in self.objects)
            for key in inside
        ]


@pytest.fixture
def object_store(tmp_path, monkeypatch):
    """Return a function that gives an object store, empty or with what another one holds."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return lambda objects=None: ObjectStore({} if objects is None else objects)
