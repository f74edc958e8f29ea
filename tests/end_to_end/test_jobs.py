"""A search as a job on a real Ray cluster: submitted, followed, stopped, resumed to its end."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.end_to_end.conftest import by_the_clock

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """Return a cluster that `ray start --head` started, with a token, on ports of its own.

    Its folder is a short one since the paths of sockets must be; its environment knows no checkout.
    """
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    token = secrets.token_hex(16)
    secret = tmp_path_factory.mktemp("secret") / "token"
    secret.touch(mode=0o600)
    secret.write_text(token)
    gcs, dashboard, client, *others = free_ports(6)
    options = {
        "port": gcs, "dashboard-port": dashboard, "ray-client-server-port": client,
        "dashboard-agent-listen-port": others[0], "dashboard-agent-grpc-port": others[1],
        "metrics-export-port": others[2], "dashboard-host": "127.0.0.1", "temp-dir": folder,
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
        head.wait()
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

    def wait(self, seconds=120):
        deadline = time.monotonic() + seconds
        while True:
            assert self.process.poll() is None, "ray start ended"
            assert time.monotonic() < deadline, f"no cluster within {seconds} s"
            try:
                urllib.request.urlopen(f"{self.address}/api/version", timeout=10)
            except urllib.error.HTTPError:
                return  # it asks for the token
            except OSError:
                time.sleep(0.5)
            else:
                pytest.fail("it answers without a token")

    def shipped(self):
        return list(
            self.folder.glob("session_latest/runtime_resources/py_modules_files/*/tune_ode")
        )


@pytest.fixture
def ask(tune_ode, head):
    """Return a function that starts a command on the cluster."""
    given = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(head.secret)}

    def ask(*arguments, **environment):
        return tune_ode(*arguments, "--address", head.address, **given | environment)

    return ask


def test_a_job_is_submitted_followed_stopped_and_resumed(ask, head, run_folder, small, tmp_path):
    slow = (*by_the_clock(8), "--scheduler", "none")
    submit = ("submit", *small, *slow, "--output", tmp_path / "runs", "--trials", 6)
    assert ask("status", RAY_AUTH_MODE="disabled").wait()[0] == 2

    status, out, err = ask(*submit).wait()
    assert (status, err) == (0, "")
    assert out.startswith(f"job       run on {head.address}\nrun       {tmp_path}/runs/run\n")
    follow = ask("logs", "run", "--follow")
    while not follow.process.stdout.readline().startswith("trial "):
        assert follow.process.poll() is None
    assert "job       run is running" in ask("status", "run").wait()[1]
    (shipped,) = head.shipped()
    assert (shipped / "REVISION").exists()

    follow.interrupt()
    status, _, err = follow.wait()
    assert status == 130
    assert "job run goes on; to stop it: tune-ode stop run" in err
    status, _, err = ask("resume", "run").wait()
    assert status == 2
    assert "job run is running and writes to" in err

    status, out, err = ask("stop", "run").wait()
    assert (status, err) == (0, "")
    assert "run was stopped" in out
    assert run_folder.manifest()["state"] == "interrupted"
    assert "RUNNING" not in run_folder.study_states()
    finished = run_folder.finished()
    assert 1 <= len(finished) < 6
    begun = {path.parent.name for path in run_folder.folder.glob("trials/*/reports.jsonl")}
    assert {o["outcome"] for t, o in run_folder.outcomes().items() if t in begun - set(finished)} \
        == {"interrupted"}  # fmt: skip
    assert "tune-ode resume" in ask("logs", "run").wait()[1]

    assert ask("resume", "run").wait()[0] == 0
    status, out, err = ask("logs", "run.2", "--follow").wait()
    assert status == 0
    assert "job run.2 succeeded" in err
    assert "rank" in out
    run_folder.check(6)
    assert run_folder.finished().items() >= finished.items()
    assert run_folder.manifest()["revision"] == (shipped / "REVISION").read_text().strip()
    listed = dict(line.split()[:2] for line in ask("status").wait()[1].splitlines())
    assert (listed["run"], listed["run.2"]) == ("stopped", "succeeded")
    for file in run_folder.folder.rglob("*"):
        assert not file.is_file() or head.token.encode() not in file.read_bytes()


def test_what_the_cluster_lacks_is_said_by_the_job(ask, tmp_path):
    submit = ("submit", "--name", "wide", "--output", tmp_path / "runs", "--cpus-per-trial", 9)
    assert ask(*submit).wait()[0] == 0
    status, out, err = ask("logs", "wide", "--follow").wait()
    assert status == 1
    assert "--cpus-per-trial must be 1 to 2, found 9: the cluster has 1 node" in out
    assert err.startswith("tune-ode: job wide failed: tune-ode: --cpus-per-trial must be 1 to 2")
    assert not (tmp_path / "runs").exists()


def test_a_job_stopped_before_its_search_has_begun(ask, tmp_path):
    submit = ("submit", "--name", "early", "--output", tmp_path / "runs", "--trials", 2)
    assert ask(*submit).wait()[0] == 0
    status, out, err = ask("stop", "early").wait()
    assert (status, err) == (0, "")
    assert "early was stopped" in out
