"""A search on a real Ray cluster of several nodes: raylets of their own, on this machine.

Their CPU cores and GPUs are declared, not real; trials that only report need neither.
"""

import itertools
import json
import multiprocessing
import os
import signal
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from analysis.load import load_run
from search_spaces import Float, Int, Space
from tune_ode.config import TrialConfig
from tune_ode.records import LAST_CHECKPOINT, Outcome, Report, RunManifest, write_atomic
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec
from tune_ode.worker.task import TrialEnd

STORE = 80 * 2**20
SPACE = Space({"optimizer.learning_rate": Float(1e-3, 1.0), "training.epochs": Int(10, 14)})


@contextmanager
def cluster(*nodes):
    """A head without resources, and nodes with those given."""
    from ray.cluster_utils import Cluster

    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
    made = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False,
            "_system_config": quick,
        },
    )  # fmt: skip
    try:
        made.workers = [join(made, **resources) for resources in nodes]
        yield made
    finally:
        made.shutdown()


def join(made, **resources):
    return made.add_node(object_store_memory=STORE, **resources)


def answer(task, pause=1.0):
    """Report a line after every pause; write down which GPU it has, and go on from a checkpoint.

    A trial takes longer than a process needs to start: Ray gives a trial that waits for one to the
    first that is free, and drops the one that is starting.
    """
    import ray

    last = task.folder / LAST_CHECKPOINT
    begun = time.time()
    done = int(last.read_text()) if last.exists() else 0
    for epoch in range(done + 1, task.config["training"]["epochs"] + 1):
        time.sleep(pause)
        write_atomic(last, str(epoch))
        context = ray.get_runtime_context()
        seen = {
            "node": context.get_node_id(), "gpus": ray.get_gpu_ids(), "from": begun,
            "to": time.time(), "trial": task.trial_id, "pid": os.getpid(),
        }  # fmt: skip
        write_atomic(task.folder / f"seen-{task.attempt}.json", json.dumps(seen))
        yield Report(
            trial_id=task.trial_id, attempt=task.attempt, timestamp=0.0, epoch=float(epoch),
            train_seconds=float(epoch), warmup_seconds=0.1, epoch_seconds=1.0, eval_seconds=0.1,
            wall_seconds=1.2 * epoch, cpu_seconds=float(epoch), train_loss=1.0,
            train_accuracy=0.5, val_loss=1.0, val_accuracy=0.5, nfe_forward=4.0, nfe_backward=0.0,
            vjp_backward=4.0, solver_steps=1.0, rejected_steps=0.0, learning_rate=0.1,
            samples_per_second=100.0, peak_memory_bytes=None, device="cpu", node="here",
            concurrent_trials=1,
        )  # fmt: skip
    yield TrialEnd(outcome=Outcome.COMPLETED)


def drive(address, path, trials, asked, waited, pause):
    """Run a search on the cluster; a process of its own, as a person's is."""
    from tune_ode.machine.resources import plan_resources
    from tune_ode.tuning.ray_backend.cluster import join
    from tune_ode.tuning.ray_backend.engine import run_on_ray

    resources = plan_resources(join(address), **asked)
    manifest = RunManifest(
        name="run", state="running", options={}, space=SPACE.to_dict(),
        base=TrialConfig().to_dict(), chance=0.1, trial_seconds=None, created=time.time(),
    )  # fmt: skip
    folder = RunFolder.create(path, manifest)
    search = Search(
        folder,
        StudyAdapter(SPACE, journal=folder.study_path, sampler="random"),
        TrialConfig(),
        Budget(trials=trials, seconds=None, trial_seconds=None),
        WorkerSpec(
            data_dir=None, device=resources.device, threads=1, gpus=resources.gpus_per_trial
        ),
        scheduler="none",
    )

    def tick():
        if search.waiting:
            waited.put(search.waiting)

    run_on_ray(search, resources, answer=partial(answer, pause=pause), tick=tick)
    search.close()
    folder.close()


class Driver:
    """The process of a search."""

    def __init__(self, made, path, trials, pause=1.0, **asked):
        context = multiprocessing.get_context("spawn")
        self.path, self.waited = path, context.Queue()
        arguments = (made.address, path, trials, asked, self.waited, pause)
        self.process = context.Process(target=drive, args=arguments)
        self.process.start()

    def wait_for(self, what, timeout=300):
        deadline = time.monotonic() + timeout
        while not what():
            assert self.process.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def lines(self):
        return sum(
            len(file.read_bytes().splitlines()) for file in self.path.glob("trials/*/reports.jsonl")
        )

    def end(self, timeout=400):
        self.process.join(timeout)
        assert self.process.exitcode == 0

    def seen(self):
        files = sorted(self.path.glob("trials/*/seen-*.json"))
        return [json.loads(file.read_text()) for file in files]

    def outcomes(self):
        files = sorted(self.path.glob("trials/*/outcome.json"))
        return [json.loads(file.read_text()) for file in files]


def most_at_once(seen):
    return max(sum(other["from"] <= one["from"] < other["to"] for other in seen) for one in seen)


@pytest.mark.long
def test_a_search_spreads_over_the_nodes_and_uses_one_that_joins(tmp_path):
    with cluster({"num_cpus": 1}, {"num_cpus": 1}) as made:
        driver = Driver(made, tmp_path / "run", 100, pause=4.0)
        driver.wait_for(lambda: len({one["node"] for one in driver.seen()}) == 2)
        assert most_at_once(driver.seen()) == 2
        join(made, num_cpus=2)
        driver.wait_for(lambda: most_at_once(driver.seen()) == 4)
        assert len({one["node"] for one in driver.seen()}) == 3
        driver.process.kill()


@pytest.mark.long
def test_fractions_of_a_gpu_pack_as_asked(tmp_path):
    with cluster({"num_cpus": 8, "num_gpus": 2}) as made:
        driver = Driver(made, tmp_path / "run", 8, gpus_per_trial=0.4)
        driver.end()
    by_gpu = {
        gpu: list(group)
        for gpu, group in itertools.groupby(
            sorted(driver.seen(), key=lambda one: one["gpus"]), key=lambda one: one["gpus"][0]
        )
    }
    assert set(by_gpu) == {0, 1}
    assert all(most_at_once(seen) == 2 for seen in by_gpu.values())


@pytest.mark.long
def test_a_node_that_is_lost_costs_restarts_and_nothing_else(tmp_path):
    with cluster({"num_cpus": 2}) as made:
        driver = Driver(made, tmp_path / "run", 6)
        driver.wait_for(lambda: driver.lines() > 2)
        os.kill(driver.seen()[0]["pid"], signal.SIGKILL)
        driver.wait_for(lambda: any(driver.path.glob("trials/*/seen-2.json")))
        made.remove_node(made.workers[0], allow_graceful=False)
        assert "a node with 1 CPU core" in driver.waited.get(timeout=300)
        join(made, num_cpus=2)
        driver.end()
    outcomes = driver.outcomes()
    assert [outcome["outcome"] for outcome in outcomes] == ["completed"] * 6
    assert max(outcome["attempt"] for outcome in outcomes) == 3
    losses = sum(outcome["crashes"] for outcome in outcomes)
    assert losses == 1, "of the process that was killed; the node's are no fault of the trials"
    for file in driver.path.glob("trials/*/reports.jsonl"):
        epochs = [json.loads(line)["epoch"] for line in file.read_text().splitlines()]
        assert epochs == sorted(set(epochs)), "it went on from its last checkpoint"


@pytest.mark.long
def test_what_a_cluster_cannot_give_is_refused_with_what_it_has(tune_ode, tmp_path):
    with cluster({"num_cpus": 1}, {"num_cpus": 1, "num_gpus": 1}) as made:
        asked = ("search", "--address", made.address, "--name", "run")
        status, _, said = tune_ode(*asked, "--cpus-per-trial", 2).wait()
        assert status == 2
        assert "the cluster has 3 nodes, 2 CPU cores and 1 GPU" in said
        assert "one node" in said
    status, _, said = tune_ode(*asked).wait()
    assert status == 2
    assert "no Ray cluster answers at --address" in said
    assert not Path(tmp_path / "runs").exists()


@pytest.mark.long
def test_the_command_line_searches_on_a_cluster(tune_ode, run_folder, small):
    with cluster({"num_cpus": 1}, {"num_cpus": 2}) as made:
        address = ("--address", made.address, "--calibrate")
        plan = tune_ode("search", *small, *address, "--trials", 4, "--check").wait()
        assert "3 trials, 1 CPU core each; the cluster has 3 nodes, 3 CPU cores" in plan[1]
        assert not run_folder.folder.exists()
        status, said, _ = tune_ode("search", *small, *address, "--trials", 4).wait()
        assert status == 0, said
    run_folder.check(4)
    # timed on the node that trials share, not on the other
    assert run_folder.manifest()["contention"]["cpu"]["concurrency"] == [1, 2]
    assert (load_run(run_folder.folder).lines["isolated_seconds"] > 0).all()
    assert not list(run_folder.folder.parent.glob(".tune-ode-probe-*"))
    assert len(run_folder.manifest()["hardware"]["nodes"].split("; ")) == 3


@pytest.mark.long
def test_a_cluster_whose_nodes_share_an_object_store_alone(
    tune_ode, s3, s3_server, small, monkeypatch
):
    # the nodes have the credentials; which server it is, only the URL says
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    endpoint = s3_server["AWS_ENDPOINT_URL"].removeprefix("http://")
    options = f"endpoint_override={endpoint}&scheme=http"
    with cluster({"num_cpus": 1}, {"num_cpus": 1}) as made:
        where = ("--address", made.address, "--output", f"{s3.url}/runs?{options}")
        status, said, err = tune_ode("search", *small, *where, "--trials", 4).wait()
    assert (status, err) == (0, ""), said
    names = s3.names()
    assert sum(name.endswith("/outcome.json") for name in names) == 4
    assert sum(name.endswith("/last.pt") for name in names) == 4
    assert not [name for name in names if ".tune-ode-probe" in name or ".driver" in name]
    status, out, _ = tune_ode("rank", f"{s3.url}/runs/run?{options}", "--csv").wait()
    assert (status, len(out.splitlines())) == (0, 5)
