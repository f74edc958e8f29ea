"""What `--log-to` writes elsewhere is what the report lines say, trial by trial."""

import itertools
import json
import struct
import threading
import time
from types import SimpleNamespace

import pytest

from tune_ode.errors import UsageError
from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import read_reports
from tune_ode.tuning.ray_backend import callbacks as ray_loggers
from tune_ode.tuning.ray_backend import engine as ray_engine
from tune_ode.tuning.ray_backend.callbacks import async_loggers, metrics, step
from tune_ode.tuning.ray_backend.log_targets import LogTarget, parse_log_targets
from tune_ode.worker.task import Task, TrialEnd


@pytest.fixture(autouse=True)
def _a_node(monkeypatch):
    monkeypatch.setattr(ray_engine, "alive_nodes", lambda: {"here": {}})


class PretendedRay:
    """Calls the adapter and the callbacks as Ray Tune does, two trials at a time."""

    def __init__(self, search, callbacks, answer, *, kill=()):
        self.adapter = ray_engine._Adapter(
            search, plan_resources(local_machine(cpus=2, gpus=0)), answer, lambda: None
        )
        self.callbacks, self.answer, self.kill = callbacks, answer, list(kill)
        self.ids = (f"ray_{number}" for number in itertools.count())
        self.live = []

    def tell(self, hook, *arguments, **named):
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments, **named)

    def run(self, messages=None):
        self.tell("setup")
        for _ in range(messages) if messages is not None else itertools.count():
            while len(self.live) < 2 and isinstance(told := self._suggest(), tuple):
                self.live.append(told)
            if not self.live:
                break
            self._message(*self.live.pop(0))
        self.tell("on_experiment_end", trials=[])
        assert self.adapter.failure is None

    def _suggest(self):
        ray_id = next(self.ids)
        config = self.adapter.suggest(ray_id)
        if not isinstance(config, dict):
            return None
        trial = SimpleNamespace(trial_id=ray_id, config=config)
        self.tell("on_trial_start", iteration=0, trials=[], trial=trial)
        return trial, self.answer(Task(**config["task"]))

    def _message(self, trial, stream):
        hooks = {"iteration": 0, "trials": [], "trial": trial}
        message = next(stream)
        ended = isinstance(message, TrialEnd)
        result = {"ending": message} if ended else {"line": message}
        stopped = self.adapter(trial.trial_id, result)
        self.tell("on_trial_result", **hooks, result=result)
        if not ended and (message.trial_id, message.epoch) in self.kill:
            self.kill.remove((message.trial_id, message.epoch))
            self.adapter.on_trial_complete(trial.trial_id, error=True)
            self.tell("on_trial_error", **hooks)
        elif stopped:
            self.adapter.on_trial_complete(trial.trial_id)
            self.tell("on_trial_complete", **hooks)
        else:
            self.live.append((trial, stream))


@pytest.fixture
def run_logged(make_search, curve):
    """Return a function that runs a search with `--log-to`: folder and what was said."""

    def run(*destinations, trials=4, messages=None, kill=(), **options):
        search, said = make_search(trials=trials, **options), []
        logs = async_loggers(
            parse_log_targets(list(destinations)), search, search.folder, said.append
        )
        PretendedRay(search, logs, curve, kill=kill).run(messages)
        search.close()
        search.folder.close()
        return search.folder, said

    return run


def events(folder):
    """The events of a TensorBoard folder, read record by record as TensorBoard does."""
    from tensorboardX.proto.event_pb2 import Event

    for file in sorted(folder.glob("events.out.tfevents.*")):
        content, at = file.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            yield Event.FromString(content[at + 12 : at + 12 + length])
            at += 12 + length + 4


def scalars(folder):
    """Tag → (step, value) of a TensorBoard folder."""
    found = {}
    for event in events(folder):
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                name = value.tag.removeprefix("ray/tune/")
                found.setdefault(name, []).append((event.step, pytest.approx(value.simple_value)))
    return found


def expected(folder, trial_id):
    """The same of a trial's report lines: every line that was written, restarts included."""
    found = {}
    for line in read_reports(folder.trial(trial_id) / "reports.jsonl"):
        for name, value in metrics(line).items():
            found.setdefault(name, []).append((step(line), value))
    return found


def trial_ids(folder):
    return [setup.trial_id for setup in folder.specs()]


def test_tensorboard_has_every_line_of_every_trial(run_logged):
    folder, said = run_logged("tensorboard")
    assert said == []
    assert trial_ids(folder) == ["0001", "0002", "0003", "0004"]
    for trial_id in trial_ids(folder):
        logged = scalars(folder.path / "tensorboard" / trial_id)
        assert logged == expected(folder, trial_id)
        assert {"val_accuracy", "train_seconds", "concurrent_trials", "epoch"} <= logged.keys()
        assert not {"timestamp", "schema_version", "peak_memory_bytes"} & logged.keys()


def test_tensorboard_has_the_parameters_by_dotted_name(run_logged):
    folder, _ = run_logged("tensorboard", trials=2)
    for setup in folder.specs():
        text = b"".join(
            event.SerializeToString()
            for event in events(folder.path / "tensorboard" / setup.trial_id)
        )
        for name in setup.params:
            assert name.encode() in text
        assert setup.params["solver.gradient"].encode() in text


def test_a_trial_whose_process_died_goes_on_in_its_own_place(run_logged):
    folder, said = run_logged("tensorboard", trials=3, kill=[("0002", 1.0)])
    assert said == []
    assert folder.result("0002").attempt == 2
    for trial_id in trial_ids(folder):
        assert scalars(folder.path / "tensorboard" / trial_id) == expected(folder, trial_id)


def test_a_resume_goes_on_in_the_same_place(run_logged):
    folder, _ = run_logged("tensorboard", messages=5)
    time.sleep(1.1)  # TensorBoard's files are named by the second
    before = {trial_id: expected(folder, trial_id) for trial_id in trial_ids(folder)}
    folder, _ = run_logged("tensorboard")
    continued = [trial for trial in trial_ids(folder) if folder.result(trial).attempt == 2]
    assert continued
    assert all(before[trial_id] for trial_id in continued)
    assert len(trial_ids(folder)) == 4
    for trial_id in trial_ids(folder):
        assert scalars(folder.path / "tensorboard" / trial_id) == expected(folder, trial_id)


@pytest.mark.parametrize("method", ["setup", "log_trial_start", "log_trial_result"])
def test_a_logger_that_fails_is_told_of_once_and_ends_nothing(run_logged, monkeypatch, method):
    class Broken(ray_loggers.LoggerCallback):
        pass

    def fail(*_, **__):
        raise ConnectionError("no route to the server\nand more")

    setattr(Broken, method, fail)
    monkeypatch.setitem(ray_loggers._LOGGERS, "tensorboard", lambda *_: Broken())
    folder, said = run_logged("tensorboard")
    assert said == [
        "logging to tensorboard failed: no route to the server; the search goes on without it"
    ]
    assert len(trial_ids(folder)) == 4
    assert folder.manifest.state == "finished"


def test_a_logger_that_hangs_keeps_nothing_waiting(run_logged, monkeypatch):
    hangs = threading.Event()

    class Stuck(ray_loggers.LoggerCallback):
        def log_trial_start(self, trial):
            hangs.wait()

    monkeypatch.setattr(ray_loggers, "_END_SECONDS", 0.2)
    monkeypatch.setitem(ray_loggers._LOGGERS, "tensorboard", lambda *_: Stuck())
    try:
        folder, said = run_logged("tensorboard")
    finally:
        hangs.set()
    assert folder.manifest.state == "finished"
    assert len(said) == 1
    assert "did not end within 0.2 s" in said[0]


def test_mlflow_has_a_run_for_each_trial_also_over_a_resume(run_logged):
    pytest.importorskip("mlflow", reason="no mlflow: pip install 'tune-ode[mlflow]'")
    from mlflow.tracking import MlflowClient

    run_logged("mlflow", messages=5, kill=[("0001", 1.0)])
    folder, said = run_logged("mlflow")
    assert said == []
    client = MlflowClient(f"sqlite:///{folder.path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(folder.manifest.name)
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == trial_ids(folder)
    for setup in folder.specs():
        run = runs[setup.trial_id]
        assert run.info.status == "FINISHED"
        assert run.data.params == {name: str(value) for name, value in setup.params.items()}
        for name, points in expected(folder, setup.trial_id).items():
            logged = client.get_metric_history(run.info.run_id, name)
            assert sorted((point.step, point.value) for point in logged) == sorted(points)


def wandb_records(content):
    """The records of a .wandb file: a header of 7 bytes, then LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    at, block, data = 7, 2**15, b""
    while at < len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        data += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield Record.FromString(data)
            data = b""


def test_wandb_offline_has_a_run_for_each_trial(run_logged, monkeypatch):
    pytest.importorskip("wandb", reason="no wandb: pip install 'tune-ode[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder, said = run_logged("wandb:solvers")
    assert said == []
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
                setup = next(s for s in folder.specs() if s.trial_id == names[file])
                assert setup.params.items() <= config.items()
            elif record.HasField("history"):
                row = {i.nested_key[0] if i.nested_key else i.key: json.loads(i.value_json)
                       for i in record.history.item}  # fmt: skip
                points = logged.setdefault(names[file], {})
                for name in row.keys() - {"_step", "_runtime", "_timestamp"}:
                    points.setdefault(name, []).append((row["_step"], row[name]))
    assert logged == {trial_id: expected(folder, trial_id) for trial_id in trial_ids(folder)}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("tensorboard", LogTarget("tensorboard")),
        ("mlflow", LogTarget("mlflow")),
        ("mlflow:http://host:5000", LogTarget("mlflow", "http://host:5000")),
        ("mlflow:sqlite:////data/m.db", LogTarget("mlflow", "sqlite:////data/m.db")),
        ("mlflow:databricks", LogTarget("mlflow", "databricks")),
        ("wandb:team-project", LogTarget("wandb", "team-project")),
    ],
)
def test_destinations_are_read_and_written_alike(monkeypatch, text, meant):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert LogTarget.parse(text) == meant
    assert str(meant) == text


def test_a_relative_path_holds_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.chdir(tmp_path)
    assert LogTarget.parse("mlflow:sqlite:///m.db").target == f"sqlite:///{tmp_path / 'm.db'}"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["tensorbord"], "did you mean 'tensorboard'? valid: tensorboard, mlflow, wandb"),
        (["tensorboard:here"], "takes no target"),
        (["mlflow:folder/mlruns"], "a tracking URI such as http://HOST:5000"),
        (["mlflow:https://me:secret@host"], "MLFLOW_TRACKING_PASSWORD"),
        (["wandb:a", "wandb:b"], "two targets"),
    ],
)
def test_what_is_refused_is_said_with_the_remedy(monkeypatch, texts, said):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(UsageError) as refused:
        parse_log_targets(texts)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)
