"""A search as a job on a real Ray cluster: submitted, followed, stopped and resumed."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.end_to_end.conftest import timed_trials, wait_until
from tune_ode.runs.provenance import revision

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """Return a cluster started by `ray start --head`, with a token and free ports.

    Its environment does not contain the checkout.
    """
    # a short path, since the paths of sockets are limited to about 100 characters
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    token = secrets.token_hex(16)
    secret = tmp_path_factory.mktemp("secret") / "token"
    secret.touch(mode=0o600)
    secret.write_text(token)
    gcs, dashboard, client, *agent = free_ports(6)
    options = {
        "port": gcs, "dashboard-port": dashboard, "ray-client-server-port": client,
        "dashboard-agent-listen-port": agent[0], "dashboard-agent-grpc-port": agent[1],
        "metrics-export-port": agent[2], "dashboard-host": "127.0.0.1", "temp-dir": folder,
        "num-cpus": 2, "num-gpus": 0, "object-store-memory": 100 * 2**20,
    }  # fmt: skip
    here = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {
        "PATH": f"{here}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(secret),
    }
    process = subprocess.Popen(
        [here / "ray", "start", "--head", "--block", "--disable-usage-stats"]
        + [f"--{name}={value}" for name, value in options.items()],
        cwd=folder, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    head = Head(process, folder, f"http://127.0.0.1:{dashboard}", secret, token)
    try:
        wait_until(head.requires_token, 120, process)
        # until then, submissions fail with "No available agent"
        wait_until(lambda: is_listening(agent[0]), 120, process)
        yield head
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


class Head:
    def __init__(self, process, folder, address, secret, token):
        self.process = process
        self.folder = folder
        self.address = address
        self.secret = secret
        self.token = token

    def requires_token(self):
        """Return whether the job server runs; fail if it accepts requests without a token."""
        try:
            urllib.request.urlopen(f"{self.address}/api/version", timeout=10)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        pytest.fail("it responds without a token")

    def shipped_modules(self):
        modules = self.folder.glob("session_latest/runtime_resources/py_modules_files/*/*/")
        return sorted(module.name for module in modules)


@pytest.fixture
def command(tune_ode, head):
    """Return a function that starts a command with the address and token of the cluster."""
    access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(head.secret)}

    def command(*arguments, **environment):
        return tune_ode(*arguments, "--address", head.address, **access | environment)

    return command


def test_a_job_is_submitted_followed_stopped_and_resumed(
    command, head, run_folder, small, tmp_path
):
    slow = (*timed_trials(5), "--scheduler", "none")
    submit = ("submit", *small, *slow, "--output", tmp_path / "runs", "--trials", 60)
    assert command("status", RAY_AUTH_MODE="disabled").wait()[0] == 2

    out = command(*submit).succeed()
    assert out.startswith(f"job       run on {head.address}\nrun       {tmp_path}/runs/run\n")
    follow = command("logs", "run", "--follow")
    while not follow.process.stdout.readline().startswith("trial "):
        assert follow.process.poll() is None, follow.wait()
    assert "job       run is running" in command("status", "run").wait()[1]
    assert head.shipped_modules() == ["analysis", "search_spaces", "tune_ode"]

    follow.interrupt()
    status, _, err = follow.wait()
    assert status == 130
    assert "job run is still running; to stop it: tune-ode stop run" in err
    status, _, err = command("resume", "run").wait()
    assert status == 2
    assert "job run is running and writes to" in err

    out = command("stop", "run").succeed()
    assert "run was stopped" in out
    assert run_folder.manifest()["state"] == "interrupted"
    assert "RUNNING" not in run_folder.study_states()
    finished = run_folder.finished()
    trials = len(run_folder.results())
    assert 1 <= len(finished) < trials < 60
    unfinished = run_folder.started() - finished.keys()
    results = run_folder.results()
    assert {results[trial]["outcome"] for trial in unfinished & results.keys()} == {"interrupted"}
    assert "tune-ode resume" in command("logs", "run").wait()[1]

    assert command("resume", "run", "--trials", trials).wait()[0] == 0
    status, out, err = command("logs", "run.2", "--follow").wait()
    assert status == 0
    assert "job run.2 succeeded" in err
    assert "rank" in out
    run_folder.check(trials)
    assert run_folder.finished().items() >= finished.items()
    assert run_folder.manifest()["revision"] == revision()
    listed = dict(line.split()[:2] for line in command("status").wait()[1].splitlines())
    assert (listed["run"], listed["run.2"]) == ("stopped", "succeeded")
    for file in run_folder.folder.rglob("*"):
        assert not file.is_file() or head.token.encode() not in file.read_bytes()


def test_a_job_reports_what_the_cluster_lacks(command, tmp_path):
    submit = ("submit", "--name", "wide", "--output", tmp_path / "runs", "--cpus-per-trial", 9)
    assert command(*submit).wait()[0] == 0
    status, out, err = command("logs", "wide", "--follow").wait()
    assert status == 1
    assert "--cpus-per-trial must be 1 to 2, found 9: the cluster has 1 node" in out
    assert err.startswith("tune-ode: job wide failed: tune-ode: --cpus-per-trial must be 1 to 2")
    assert not (tmp_path / "runs").exists()


def test_a_job_is_stopped_before_its_search_starts(command, tmp_path):
    submit = ("submit", "--name", "early", "--output", tmp_path / "runs", "--trials", 2)
    assert command(*submit).wait()[0] == 0
    out = command("stop", "early").succeed()
    assert "early was stopped" in out
