"""The Slurm script against stand-ins for Slurm's commands and, in the long suite, real Ray."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import by_the_clock

ROOT = Path(__file__).parents[2]
SCRIPTS = ("slurm.sh", "search-or-resume")

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
    health-check) [[ -e $CALLS/asked ]] || { touch "$CALLS/asked"; exit 1; } ;;
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
    """Return a function that starts the script as Slurm would, in a checkout's root."""
    programs = tmp_path / "bin"
    programs.mkdir()
    calls = tmp_path / "calls"
    calls.mkdir()
    (tmp_path / "home").mkdir()
    started = []

    def program(name, text):
        path = programs / name
        path.write_text(f"#!/usr/bin/env bash\n{text}")
        path.chmod(0o755)

    def start(*arguments, stubs, **environment):
        for name, text in stubs.items():
            program(name, text)
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


STUBS = {
    "scontrol": SCONTROL, "srun": SRUN, "ray": RAY, "tune-ode": TUNE_ODE,
    "python": 'echo "$*" >> "$CALLS/python"',
}  # fmt: skip


def wait_for(path, process, seconds=60):
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.05)


@pytest.mark.parametrize("name", SCRIPTS)
def test_bash_takes_the_script(name):
    path = ROOT / "deploy" / name
    subprocess.run(["bash", "-n", path], check=True)
    assert path.stat().st_mode & stat.S_IXUSR


def test_a_cluster_is_raised_and_the_search_started_on_it(slurm, tmp_path):
    job = slurm(tmp_path / "runs" / "first", "--trials", 3, stubs=STUBS, ENDS="at-once")
    out, _ = job.communicate(timeout=60)
    assert job.returncode == 0, out
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
    assert not list((tmp_path / "home" / ".ray").iterdir()), "the token is gone"
    assert not (slurm.calls / "scontrol").exists()


def test_a_search_out_of_time_is_queued_again_and_resumed(slurm, tmp_path):
    run = tmp_path / "runs" / "first"
    job = slurm(run, stubs=STUBS, ENDS="when-told")
    wait_for(slurm.calls / "searching", job)
    job.send_signal(signal.SIGUSR1)
    out, _ = job.communicate(timeout=60)
    assert job.returncode == 130, out
    assert (slurm.calls / "scontrol").read_text() == f"requeue {os.getpid()}\n"
    run.mkdir(parents=True)
    (run / "run.json").touch()
    again = slurm(run, stubs=STUBS, ENDS="at-once")
    out, _ = again.communicate(timeout=60)
    assert again.returncode == 0, out
    last = (slurm.calls / "tune-ode").read_text().splitlines()[-1]
    assert last.endswith(f" resume {run} --address auto")


def test_a_cancelled_search_stops_in_order_and_is_not_queued_again(slurm, tmp_path):
    job = slurm(tmp_path / "runs" / "first", stubs=STUBS, ENDS="when-told")
    wait_for(slurm.calls / "searching", job)
    job.send_signal(signal.SIGTERM)
    out, _ = job.communicate(timeout=60)
    assert job.returncode == 130, out
    assert not (slurm.calls / "scontrol").exists()


def test_a_head_that_does_not_start_ends_the_job(slurm, tmp_path):
    stubs = STUBS | {"ray": "exit 1"}
    job = slurm(tmp_path / "runs" / "first", stubs=stubs, ENDS="at-once")
    out, _ = job.communicate(timeout=60)
    assert (job.returncode, "Ray did not start on node1" in out) == (1, True)


def test_a_relative_run_folder_is_refused(slurm):
    job = slurm("runs/first", stubs=STUBS)
    out, _ = job.communicate(timeout=60)
    assert job.returncode == 2
    assert "must be an absolute path that all nodes share, found 'runs/first'" in out


@pytest.mark.long
def test_a_search_on_a_real_cluster_is_cut_short_and_ends_in_the_next_job(slurm, tmp_path):
    """Both nodes are this machine; what Slurm would do with a queued job is done here."""
    stubs = {"scontrol": SCONTROL, "srun": SRUN}
    options = ("--trials", 3, *by_the_clock(4), "--scheduler", "none")
    options += ("--fix", "model.width=16", "--gpus-per-trial", 0)
    run = tmp_path / "runs" / "first"
    ask = (run, *options)
    job = slurm(*ask, stubs=stubs, SLURM_CPUS_PER_TASK="1")
    wait_for(run / "trials" / "0001" / "reports.jsonl", job, seconds=240)
    job.send_signal(signal.SIGUSR1)
    out, _ = job.communicate(timeout=120)
    assert job.returncode == 130, out
    assert "the cluster has 2 nodes, 2 CPU cores" in out
    assert (slurm.calls / "scontrol").read_text() == f"requeue {os.getpid()}\n"
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["state"] == "interrupted"

    job = slurm(*ask, stubs=stubs, SLURM_CPUS_PER_TASK="1")
    out, _ = job.communicate(timeout=400)
    assert job.returncode == 0, out
    assert json.loads((run / "run.json").read_text())["state"] == "finished"
    outcomes = [json.loads(path.read_text()) for path in run.glob("trials/*/outcome.json")]
    assert len(outcomes) == 3
    assert {outcome["outcome"] for outcome in outcomes} <= {"completed", "diverged"}
