"""`--log-to` logs to each target exactly what the reports of each trial contain."""

import itertools
import json
import struct
import threading
import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from tests.factories import make_checkpoint
from tune_ode.errors import UsageError
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import LAST_CHECKPOINT, read_reports
from tune_ode.tuning.log_to.clients import CLIENTS
from tune_ode.tuning.log_to.targets import LogTarget, parse_log_targets
from tune_ode.tuning.ray_backend import callbacks, engine
from tune_ode.tuning.ray_backend.callbacks import async_loggers, metrics, step
from tune_ode.worker.task import Task, TrialEnd


@pytest.fixture(autouse=True)
def _node(monkeypatch):
    monkeypatch.setattr(engine, "alive_nodes", lambda: {"here": {}})


class FakeRayTune:
    """Calls the adapter and the callbacks as Ray Tune does, two trials at a time."""

    def __init__(self, search, callbacks, run_trial, *, kill=()):
        self.adapter = engine._Adapter(
            search, plan_resources(local_machine(cpus=2, gpus=0)), run_trial, lambda: None
        )
        self.callbacks, self.run_trial, self.kill = callbacks, run_trial, list(kill)
        self.ids = (f"ray_{number}" for number in itertools.count())
        self.running = []

    def call(self, hook, **arguments):
        for callback in self.callbacks:
            getattr(callback, hook)(**arguments)

    def run(self, events=None):
        self.call("setup")
        for _ in range(events) if events is not None else itertools.count():
            while len(self.running) < 2 and (started := self._start()):
                self.running.append(started)
            if not self.running:
                break
            self._step(*self.running.pop(0))
        self.call("on_experiment_end", trials=[])
        assert self.adapter.failure is None

    def _start(self):
        ray_id = next(self.ids)
        config = self.adapter.suggest(ray_id)
        if not isinstance(config, dict):
            return None
        trial = SimpleNamespace(trial_id=ray_id, config=config)
        task = Task(**config["task"])
        # without a checkpoint, a trial that crashed would start over and lose its reports
        (task.folder / LAST_CHECKPOINT).write_bytes(make_checkpoint())
        self.call("on_trial_start", iteration=0, trials=[], trial=trial)
        return trial, self.run_trial(task)

    def _step(self, trial, stream):
        hook = {"iteration": 0, "trials": [], "trial": trial}
        event = next(stream)
        ended = isinstance(event, TrialEnd)
        result = {"end": event} if ended else {"report": event}
        stopped = self.adapter(trial.trial_id, result)
        self.call("on_trial_result", **hook, result=result)
        if not ended and (event.trial_id, event.epoch) in self.kill:
            self.kill.remove((event.trial_id, event.epoch))
            self.adapter.on_trial_complete(trial.trial_id, error=True)
            self.call("on_trial_error", **hook)
        elif stopped:
            self.adapter.on_trial_complete(trial.trial_id)
            self.call("on_trial_complete", **hook)
        else:
            self.running.append((trial, stream))


@pytest.fixture
def run_logged(make_search, curve):
    """Return a function that runs a search with `--log-to`; it returns the folder and output."""

    def run(*targets, trials=4, events=None, kill=(), **options):
        search, printed = make_search(trials=trials, **options), []
        loggers = async_loggers(
            parse_log_targets(list(targets)), search, search.folder, printed.append
        )
        FakeRayTune(search, loggers, curve, kill=kill).run(events)
        search.close()
        search.folder.close()
        return search.folder, printed

    return run


def events(folder):
    """Yield the events of a TensorBoard folder, read record by record as TensorBoard does."""
    from tensorboardX.proto.event_pb2 import Event

    for file in sorted(folder.glob("events.out.tfevents.*")):
        content, at = file.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            yield Event.FromString(content[at + 12 : at + 12 + length])
            at += 12 + length + 4


def scalars(folder):
    """Return (step, value) pairs by tag from a TensorBoard folder."""
    found = {}
    for event in events(folder):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                name = value.tag.removeprefix("ray/tune/")
                found.setdefault(name, []).append((event.step, pytest.approx(value.simple_value)))
    return found


def expected(folder, trial_id):
    """Return the same from all reports of a trial, including those of earlier attempts."""
    found = {}
    for report in read_reports(folder.trial(trial_id) / "reports.jsonl"):
        for name, value in metrics(report).items():
            found.setdefault(name, []).append((step(report), value))
    return found


def trial_ids(folder):
    return [spec.trial_id for spec in folder.specs()]


def test_tensorboard_has_every_report_also_of_a_trial_that_crashed(run_logged):
    folder, printed = run_logged("tensorboard", kill=[("0002", 1.0)])
    assert printed == []
    assert folder.result("0002").attempt == 2
    assert trial_ids(folder) == ["0001", "0002", "0003", "0004"]
    for trial_id in trial_ids(folder):
        logged = scalars(folder.path / "tensorboard" / trial_id)
        assert logged == expected(folder, trial_id)
        assert {"val_accuracy", "train_seconds", "concurrent_trials", "epoch"} <= logged.keys()
        assert not {"timestamp", "schema_version", "peak_memory_bytes"} & logged.keys()


def test_tensorboard_has_the_parameters_by_dotted_name(run_logged):
    folder, _ = run_logged("tensorboard", trials=2)
    for spec in folder.specs():
        text = b"".join(
            event.SerializeToString()
            for event in events(folder.path / "tensorboard" / spec.trial_id)
        )
        for name in spec.params:
            assert name.encode() in text
        assert spec.params["solver.gradient"].encode() in text


def test_a_resume_continues_the_same_logs(run_logged):
    folder, _ = run_logged("tensorboard", events=5)
    time.sleep(1.1)  # names of TensorBoard files have a resolution of one second
    before = {trial_id: expected(folder, trial_id) for trial_id in trial_ids(folder)}
    folder, _ = run_logged("tensorboard")
    continued = [trial for trial in trial_ids(folder) if folder.result(trial).attempt == 2]
    assert continued
    assert all(before[trial_id] for trial_id in continued)
    assert len(trial_ids(folder)) == 4
    for trial_id in trial_ids(folder):
        assert scalars(folder.path / "tensorboard" / trial_id) == expected(folder, trial_id)


class NoLog:
    """A client that logs nothing."""

    def __init__(self, target, folder):
        pass

    def start(self, *_):
        pass

    report = end = start


@pytest.mark.parametrize("method", ["__init__", "start", "report"])
def test_a_failing_logger_is_reported_once_and_ends_nothing(run_logged, monkeypatch, method):
    fail = Mock(side_effect=ConnectionError("no route to the server\nand more"))
    monkeypatch.setitem(CLIENTS, "tensorboard", type("Failing", (NoLog,), {method: fail}))
    folder, printed = run_logged("tensorboard")
    assert printed == [
        "logging to tensorboard failed: no route to the server; the search continues without it"
    ]
    assert len(trial_ids(folder)) == 4
    assert folder.manifest.state == "finished"


def test_a_hanging_logger_delays_nothing(run_logged, monkeypatch):
    released = threading.Event()
    hanging = type("Hanging", (NoLog,), {"start": lambda *_: released.wait()})
    monkeypatch.setattr(callbacks, "_END_SECONDS", 0.2)
    monkeypatch.setitem(CLIENTS, "tensorboard", hanging)
    try:
        folder, printed = run_logged("tensorboard")
    finally:
        released.set()
    assert folder.manifest.state == "finished"
    assert len(printed) == 1
    assert "did not end within 0.2 s" in printed[0]


def test_mlflow_has_one_run_per_trial_across_a_resume(run_logged):
    pytest.importorskip("mlflow", reason="no mlflow: pip install 'tune-ode[mlflow]'")
    from mlflow.tracking import MlflowClient

    run_logged("mlflow", events=5, kill=[("0001", 1.0)])
    folder, printed = run_logged("mlflow")
    assert printed == []
    client = MlflowClient(f"sqlite:///{folder.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(folder.manifest.name)
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == trial_ids(folder)
    for spec in folder.specs():
        run = runs[spec.trial_id]
        assert run.info.status == "FINISHED"
        assert run.data.params == {name: str(value) for name, value in spec.params.items()}
        for name, points in expected(folder, spec.trial_id).items():
            logged = client.get_metric_history(run.info.run_id, name)
            assert sorted((point.step, point.value) for point in logged) == sorted(points)


def wandb_records(content):
    """Yield the records of a .wandb file: a header of 7 bytes, then LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    at, block, data = 7, 2**15, b""
    while at < len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        data += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # complete, or the last part
            yield Record.FromString(data)
            data = b""


def test_wandb_offline_has_one_run_per_trial(run_logged, monkeypatch):
    pytest.importorskip("wandb", reason="no wandb: pip install 'tune-ode[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder, printed = run_logged("wandb:solvers")
    assert printed == []
    logged, names = {}, {}
    for file in (folder.path / "wandb").glob("offline-run-*/run-*.wandb"):
        for record in wandb_records(file.read_bytes()):
            if record.HasField("run"):
                assert record.run.project == "solvers"
                assert record.run.run_group == folder.manifest.name
                names[file] = record.run.display_name
                config = {
                    item.key: json.loads(item.value_json) for item in record.run.config.update
                }
                spec = next(s for s in folder.specs() if s.trial_id == names[file])
                assert spec.params.items() <= config.items()
            elif record.HasField("history"):
                row = {i.nested_key[0] if i.nested_key else i.key: json.loads(i.value_json)
                       for i in record.history.item}  # fmt: skip
                points = logged.setdefault(names[file], {})
                for name in row.keys() - {"_step", "_runtime", "_timestamp"}:
                    points.setdefault(name, []).append((row["_step"], row[name]))
    assert logged == {trial_id: expected(folder, trial_id) for trial_id in trial_ids(folder)}


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("tensorboard", LogTarget("tensorboard")),
        ("mlflow", LogTarget("mlflow")),
        ("mlflow:http://host:5000", LogTarget("mlflow", "http://host:5000")),
        ("mlflow:sqlite:////data/m.db", LogTarget("mlflow", "sqlite:////data/m.db")),
        ("mlflow:databricks", LogTarget("mlflow", "databricks")),
        ("wandb:team-project", LogTarget("wandb", "team-project")),
    ],
)
def test_log_targets_survive_a_round_trip(monkeypatch, text, target):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert LogTarget.parse(text) == target
    assert str(target) == text


def test_relative_paths_become_absolute(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.chdir(tmp_path)
    assert LogTarget.parse("mlflow:sqlite:///m.db").target == f"sqlite:///{tmp_path / 'm.db'}"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["tensorbord"], "did you mean 'tensorboard'? valid: tensorboard, mlflow, wandb"),
        (["tensorboard:here"], "takes no target"),
        (["mlflow:folder/mlruns"], "a tracking URI such as http://HOST:5000"),
        (["mlflow:https://me:secret@host"], "MLFLOW_TRACKING_PASSWORD"),
        (["wandb:a", "wandb:b"], "two targets"),
    ],
)
def test_invalid_log_targets_are_rejected_with_a_remedy(monkeypatch, texts, message):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(UsageError) as raised:
        parse_log_targets(texts)
    assert message in str(raised.value)
    assert "secret" not in str(raised.value)
