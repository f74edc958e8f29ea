"""The Slurm script with fake Slurm commands and, in the long suite, real Ray."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import timed_trials, wait_until
from tests.factories import make_manifest
from tune_ode.records import dumps

ROOT = Path(__file__).parents[2]

SCONTROL = """
case $1 in
    show) printf 'node1\\nnode2\\n' ;;
    *) echo "$*" >> "$CALLS/scontrol" ;;
esac
"""
SRUN = """
echo "$*" >> "$CALLS/srun"
while [[ $1 == --* ]]; do shift; done
if [[ $1 == hostname ]]; then echo 127.0.0.1; exit; fi
exec "$@"
"""
RAY = """
echo "$*" >> "$CALLS/ray"
case $1 in
    start) [[ -s $RAY_AUTH_TOKEN_PATH ]] && stat -c %a "$RAY_AUTH_TOKEN_PATH" > "$CALLS/mode"
           exec sleep 600 ;;
    health-check) [[ -e $CALLS/checked ]] || { touch "$CALLS/checked"; exit 1; } ;;
esac
"""
TUNE_ODE = """
echo "$RAY_AUTH_MODE $RAY_ADDRESS $*" >> "$CALLS/tune-ode"
[[ $ENDS == at-once ]] && exit 0
trap 'exit 130' TERM
touch "$CALLS/searching"
while true; do sleep 0.1; done
"""


@pytest.fixture
def slurm(tmp_path):
    """Return a function that starts the script as Slurm would in the root of a checkout."""
    programs = tmp_path / "bin"
    programs.mkdir()
    calls = tmp_path / "calls"
    calls.mkdir()
    (tmp_path / "home").mkdir()
    started = []

    def start(*arguments, stubs, **environment):
        for name, text in stubs.items():
            (programs / name).write_text(f"#!/usr/bin/env bash\n{text}")
            (programs / name).chmod(0o755)
        process = subprocess.Popen(
            ["bash", ROOT / "deploy" / "slurm.sh", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ
            | {
                "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(tmp_path / "home"),
                "CALLS": str(calls),
                "SLURM_JOB_ID": str(os.getpid()),
                "SLURM_JOB_NODELIST": "node[1-2]",
                "SLURM_CPUS_PER_TASK": "2",
                "SLURM_SUBMIT_DIR": str(ROOT),
            }
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    start.calls = calls
    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait(job, status, timeout=60):
    """Wait for the end of a job and check its status; return its output."""
    out, _ = job.communicate(timeout=timeout)
    assert job.returncode == status, out
    return out


STUBS = {
    "scontrol": SCONTROL, "srun": SRUN, "ray": RAY, "tune-ode": TUNE_ODE,
    "python": 'echo "$*" >> "$CALLS/python"',
}  # fmt: skip


@pytest.mark.parametrize("name", ["slurm.sh", "search-or-resume"])
def test_bash_accepts_the_script(name):
    path = ROOT / "deploy" / name
    subprocess.run(["bash", "-n", path], check=True)
    assert path.stat().st_mode & stat.S_IXUSR


def test_a_search_runs_on_a_new_cluster(slurm, tmp_path):
    job = slurm(tmp_path / "runs" / "first", "--trials", 3, stubs=STUBS, ENDS="at-once")
    wait(job, 0)
    _, head, worker, end = (slurm.calls / "srun").read_text().splitlines()
    assert end == f"rm -rf /tmp/ray-{os.getpid()}"
    port = 20000 + os.getpid() % 10000
    assert "--nodelist=node1 ray start --head" in head
    assert f"--port={port}" in head
    assert "--include-dashboard=false" in head
    assert "--nodes=1 --ntasks=1 --exclude=node1 ray start" in worker
    assert f"--address=127.0.0.1:{port} --num-cpus=2 --num-gpus=0 --block" in worker
    assert (slurm.calls / "tune-ode").read_text() == (
        f"token 127.0.0.1:{port} search --address auto --output {tmp_path}/runs --name first "
        "--trials 3\n"
    )
    assert (slurm.calls / "python").read_text() == "- 2\n", "it waits for both nodes"
    assert (slurm.calls / "mode").read_text() == "600\n"
    assert not list((tmp_path / "home" / ".ray").iterdir()), "the token is deleted"
    assert not (slurm.calls / "scontrol").exists()


def test_a_search_at_its_time_limit_is_requeued_and_resumed(slurm, tmp_path):
    run = tmp_path / "runs" / "first"
    job = slurm(run, stubs=STUBS, ENDS="on-signal")
    wait_until((slurm.calls / "searching").exists, 60, job)
    job.send_signal(signal.SIGUSR1)
    wait(job, 130)
    assert (slurm.calls / "scontrol").read_text() == f"requeue {os.getpid()}\n"
    run.mkdir(parents=True)
    (run / "run.json").touch()
    wait(slurm(run, stubs=STUBS, ENDS="at-once"), 0)
    last = (slurm.calls / "tune-ode").read_text().splitlines()[-1]
    assert last.endswith(f" resume {run} --address auto --trust")


def test_a_finished_search_ends_a_job_that_is_repeated(slurm, tmp_path):
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    (run / "run.json").write_text(dumps(make_manifest(state="finished").to_json()))
    assert f"{run} is finished" in wait(slurm(run, stubs=STUBS, ENDS="at-once"), 0)
    assert not (slurm.calls / "tune-ode").exists()


def test_a_cancelled_search_stops_gracefully_and_is_not_requeued(slurm, tmp_path):
    job = slurm(tmp_path / "runs" / "first", stubs=STUBS, ENDS="on-signal")
    wait_until((slurm.calls / "searching").exists, 60, job)
    job.send_signal(signal.SIGTERM)
    wait(job, 130)
    assert not (slurm.calls / "scontrol").exists()


def test_a_failed_start_of_ray_ends_the_job(slurm, tmp_path):
    stubs = STUBS | {"ray": "exit 1"}
    job = slurm(tmp_path / "runs" / "first", stubs=stubs, ENDS="at-once")
    assert "Ray did not start on node1" in wait(job, 1)


def test_a_relative_run_directory_is_rejected(slurm):
    out = wait(slurm("runs/first", stubs=STUBS), 2)
    assert "must be an absolute path that all nodes share, found 'runs/first'" in out


@pytest.mark.long
def test_a_search_on_a_real_cluster_is_interrupted_and_completed_by_the_next_job(slurm, tmp_path):
    """Both nodes are this machine; the test starts the requeued job."""
    stubs = {"scontrol": SCONTROL, "srun": SRUN}
    options = ("--trials", 3, *timed_trials(4), "--scheduler", "none")
    options += ("--fix", "model.width=16", "--gpus-per-trial", 0)
    run = tmp_path / "runs" / "first"
    arguments = (run, *options)
    job = slurm(*arguments, stubs=stubs, SLURM_CPUS_PER_TASK="1")
    wait_until((run / "trials" / "0001" / "reports.jsonl").exists, 240, job)
    job.send_signal(signal.SIGUSR1)
    assert "the cluster has 2 nodes, 2 CPU cores" in wait(job, 130, timeout=120)
    assert (slurm.calls / "scontrol").read_text() == f"requeue {os.getpid()}\n"
    assert json.loads((run / "run.json").read_text())["state"] == "interrupted"
    wait(slurm(*arguments, stubs=stubs, SLURM_CPUS_PER_TASK="1"), 0, timeout=400)
    assert json.loads((run / "run.json").read_text())["state"] == "finished"
    results = [json.loads(path.read_text()) for path in run.glob("trials/*/outcome.json")]
    assert len(results) == 3
    assert {result["outcome"] for result in results} <= {"completed", "diverged"}
