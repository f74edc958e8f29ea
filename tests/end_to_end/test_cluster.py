"""A search on a real Ray cluster of several nodes: separate raylets on this machine.

Their CPU cores and GPUs are declared, not real; most trials here only report.
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

from analysis.contention import shrink
from analysis.load import load_run
from search_spaces import Float, Int, Space, to_dict
from tests.end_to_end.conftest import RunReader, wait_until
from tests.factories import checkpoint_text, make_checkpoint, make_manifest, make_report
from tune_ode.config import TrialConfig
from tune_ode.process.spawn import environment
from tune_ode.records import LAST_CHECKPOINT, Contention, Outcome, write_atomic
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.search.limits import Budget
from tune_ode.tuning.search.search import Search
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.worker.spec import WorkerSpec
from tune_ode.worker.task import TrialEnd

pytestmark = pytest.mark.long
STORE = 80 * 2**20
SPACE = Space({"optimizer.learning_rate": Float(1e-3, 1.0), "training.epochs": Int(8, 11)})


@pytest.fixture(scope="module")
def head():
    """Return a cluster whose head node has no resources."""
    from ray._raylet import Config
    from ray.cluster_utils import Cluster

    Config.initialize("")  # reads the environment as the head will; an earlier test may differ
    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
    # functions of this module run in trials, which import nothing from the current directory
    with environment({"PYTHONPATH": str(Path(__file__).parents[2])}):
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False,
                "_system_config": quick,
            },
        )  # fmt: skip
        yield cluster
        cluster.shutdown()


@contextmanager
def nodes(head, *resources):
    """Add nodes to the cluster, and remove all but its head at the end."""
    try:
        yield [add_node(head, **one) for one in resources]
    finally:
        for node in list(head.worker_nodes):
            head.remove_node(node)


def add_node(head, **resources):
    return head.add_node(object_store_memory=STORE, **resources)


def slow_reports(task, pause=1.0):
    """Report every `pause` seconds, record the trial's node and GPU, and resume from a checkpoint.

    A trial must take longer than a process takes to start: Ray gives a waiting trial to the first
    free process and drops the one that is starting.
    """
    import ray

    last = task.folder / LAST_CHECKPOINT
    started = time.time()
    done = int(checkpoint_text(last.read_bytes())) if last.exists() else 0
    for epoch in range(done + 1, task.config["training"]["epochs"] + 1):
        time.sleep(pause)
        write_atomic(last, make_checkpoint(str(epoch)))
        seen = {
            "node": ray.get_runtime_context().get_node_id(), "gpus": ray.get_gpu_ids(),
            "start": started, "end": time.time(), "pid": os.getpid(),
        }  # fmt: skip
        write_atomic(task.folder / f"seen-{task.attempt}.json", json.dumps(seen))
        yield make_report(task.trial_id, epoch, attempt=task.attempt)
    yield TrialEnd(outcome=Outcome.COMPLETED)


def drive(address, path, trials, options, waiting, pause):
    """Run a search on the cluster."""
    from tune_ode.machine.resources import plan_resources
    from tune_ode.tuning.ray_backend.engine import run_on_ray
    from tune_ode.tuning.ray_backend.join import join

    resources = plan_resources(join(address), **options)
    folder = RunFolder.create(path, make_manifest(space=to_dict(SPACE), created=time.time()))
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
            waiting.put(search.waiting)

    run_on_ray(search, resources, run_trial=partial(slow_reports, pause=pause), tick=tick)
    search.close()
    folder.close()


class Driver:
    """A search in a separate process."""

    def __init__(self, head, path, trials, pause=1.0, **options):
        context = multiprocessing.get_context("spawn")
        self.path, self.waiting = path, context.Queue()
        arguments = (head.address, path, trials, options, self.waiting, pause)
        self.process = context.Process(target=drive, args=arguments)
        self.process.start()

    def wait_for(self, condition):
        def is_met():
            assert self.process.is_alive()
            return condition()

        wait_until(is_met, timeout=300)

    def join(self, timeout=400):
        self.process.join(timeout)
        assert self.process.exitcode == 0

    def seen(self):
        files = sorted(self.path.glob("trials/*/seen-*.json"))
        return [json.loads(file.read_text()) for file in files]


def max_concurrent(seen):
    return max(sum(b["start"] <= a["start"] < b["end"] for b in seen) for a in seen)


def test_a_search_uses_all_nodes_and_one_that_joins(head, tmp_path):
    with nodes(head, {"num_cpus": 1}, {"num_cpus": 1}):
        driver = Driver(head, tmp_path / "run", 100, pause=4.0)
        driver.wait_for(lambda: len({one["node"] for one in driver.seen()}) == 2)
        assert max_concurrent(driver.seen()) == 2
        add_node(head, num_cpus=2)
        driver.wait_for(lambda: max_concurrent(driver.seen()) == 4)
        assert len({one["node"] for one in driver.seen()}) == 3
        driver.process.kill()


def test_trials_share_gpus_by_their_fraction(head, tmp_path):
    with nodes(head, {"num_cpus": 8, "num_gpus": 2}):
        driver = Driver(head, tmp_path / "run", 8, gpus_per_trial=0.4)
        driver.join()
    by_gpu = {
        gpu: list(group)
        for gpu, group in itertools.groupby(
            sorted(driver.seen(), key=lambda one: one["gpus"]), key=lambda one: one["gpus"][0]
        )
    }
    assert set(by_gpu) == {0, 1}
    assert all(max_concurrent(seen) == 2 for seen in by_gpu.values())


def test_the_loss_of_a_node_only_restarts_its_trials(head, tmp_path):
    with nodes(head, {"num_cpus": 2}) as (node,):
        driver = Driver(head, tmp_path / "run", 6)
        driver.wait_for(lambda: len(driver.seen()) == 2)
        os.kill(driver.seen()[0]["pid"], signal.SIGKILL)
        driver.wait_for(lambda: any(driver.path.glob("trials/*/seen-2.json")))
        head.remove_node(node, allow_graceful=False)
        assert "a node with 1 CPU core" in driver.waiting.get(timeout=300)
        add_node(head, num_cpus=2)
        driver.join()
    run = RunReader(driver.path)
    results = run.results().values()
    assert [result["outcome"] for result in results] == ["completed"] * 6
    assert max(result["attempt"] for result in results) == 3
    crashes = sum(result["crashes"] for result in results)
    assert crashes == 1, "only the killed process counts, not the lost node"
    for trial_id in run.results():
        epochs = [report["epoch"] for report in run.reports(trial_id)]
        assert epochs == sorted(set(epochs)), "it continued from its last checkpoint"


def test_requests_beyond_the_cluster_are_rejected_with_its_resources(head, tune_ode, tmp_path):
    command = ("search", "--name", "run", "--address")
    with nodes(head, {"num_cpus": 1}, {"num_cpus": 1, "num_gpus": 1}):
        status, _, err = tune_ode(*command, head.address, "--cpus-per-trial", 2).wait()
    assert status == 2
    assert "the cluster has 3 nodes, 2 CPU cores and 1 GPU" in err
    assert "one node" in err
    status, _, err = tune_ode(*command, "127.0.0.1:1").wait()
    assert status == 2
    assert "no Ray cluster responds at --address" in err
    assert not (tmp_path / "runs").exists()


def test_the_command_line_searches_on_a_cluster(head, tune_ode, run_folder, small):
    with nodes(head, {"num_cpus": 1}, {"num_cpus": 2}):
        options = (*small, "--address", head.address, "--calibrate", "--trials", 4)
        _, out, _ = tune_ode("search", *options, "--check").wait()
        assert "3 concurrent trials, 1 CPU core each; the cluster has 3 nodes, 3 CPU cores" in out
        assert not run_folder.folder.exists()
        status, out, _ = tune_ode("search", *options).wait()
        assert status == 0, out
    run_folder.check(4)
    # measured on the node that trials share, not on the other
    contention = Contention.from_json(run_folder.manifest()["contention"]["cpu"])
    assert contention.concurrency == [1, 2]
    # a slowdown that cannot be told from none gives no isolated seconds
    learned = max(shrink(contention).slowdown) > 1
    assert (load_run(run_folder.folder).reports["isolated_seconds"] > 0).all() == learned
    assert not list(run_folder.folder.parent.glob(".tune-ode-probe-*"))
    assert len(run_folder.manifest()["hardware"]["nodes"].split("; ")) == 3


def test_a_cluster_whose_nodes_share_only_an_object_store(
    head, tune_ode, s3, s3_server, small, monkeypatch
):
    # nodes have the credentials; only the URL names the server
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    endpoint = s3_server["AWS_ENDPOINT_URL"].removeprefix("http://")
    query = f"endpoint_override={endpoint}&scheme=http"
    with nodes(head, {"num_cpus": 1}, {"num_cpus": 1}):
        output = ("--address", head.address, "--output", f"{s3.url}/runs?{query}")
        tune_ode("search", *small, *output, "--trials", 4).succeed()
    names = s3.names()
    assert sum(name.endswith("/outcome.json") for name in names) == 4
    assert sum(name.endswith("/last.pt") for name in names) == 4
    assert not [name for name in names if ".tune-ode-probe" in name or ".driver" in name]
    status, out, _ = tune_ode("rank", f"{s3.url}/runs/run?{query}", "--csv").wait()
    assert (status, len(out.splitlines())) == (0, 5)
