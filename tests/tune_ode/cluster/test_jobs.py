"""Requests to a job server, what is printed about its replies, and what is never sent to it."""

import io
import json
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tune_ode
from tune_ode.cli.options.panels import duration
from tune_ode.cluster import jobs
from tune_ode.runs.provenance import revision

PACKAGES = {"analysis", "search_spaces", "tune_ode"}
SEARCH = ("--output", "/shared/runs", "--name", "first")


@pytest.fixture
def command(server, tune_ode):
    """Return a function that runs a command with the server's address: status, output, errors."""
    return lambda *arguments: tune_ode(*arguments, "--address", server.address)


def test_a_submitted_search_has_the_same_options_on_the_cluster(server, command, tmp_path):
    file = tmp_path / "nightly.yaml"
    file.write_text("trials: 7\nfix: {solver.method: euler}\n")
    status, out, _ = command(
        "submit", *SEARCH, "--config", file, "--time-budget", "1h", "--gpus-per-trial", "0",
        "--fix", "model.width=32", "--verbose",
    )  # fmt: skip
    assert status == 0
    assert out.startswith(f"job       first on {server.address}\nrun       /shared/runs/first\n")
    job = server.jobs["first"]
    assert job["metadata"] == {"tune_ode_run": "/shared/runs/first"}
    assert job["entrypoint"].startswith("exec python -P -m tune_ode.cli search --address auto --")
    arguments = shlex.split(job["entrypoint"])
    options = dict(zip(arguments[8:-1:2], arguments[9:-1:2], strict=True))
    assert arguments[-1] == "--verbose"
    assert duration(options.pop("--time-budget")) == 3600
    assert float(options.pop("--gpus-per-trial")) == 0
    assert options == {
        "--name": "first", "--fix": "model.width=32", "--trials": "7", "--output": "/shared/runs",
    }  # fmt: skip
    assert "--fix solver.method=euler --fix model.width=32" in job["entrypoint"]


@pytest.mark.parametrize("rejected", [3, 1000])
def test_a_cluster_that_has_just_started_is_waited_for(server, command, monkeypatch, rejected):
    monkeypatch.setattr(jobs, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(jobs, "_START_SECONDS", 5.0 if rejected == 3 else 0.1)
    server.not_ready = rejected
    status, out, err = command("submit", *SEARCH)
    first = f"{server.address} is starting; waiting until it accepts jobs …\n"
    assert out.startswith(first)
    assert out.count(first) == 1
    if rejected == 3:
        assert (status, err) == (0, "")
        assert list(server.jobs) == ["first"]
    else:
        assert (status, err.count("\n")) == (1, 1)
        assert "No available agent" in err


def test_packages_are_shipped_once_without_the_working_directory(server, command):
    assert command("submit", *SEARCH)[0] == 0
    environment = server.jobs["first"]["runtime_env"]
    assert sorted(environment["py_modules"]) == sorted(f"gcs://{name}" for name in server.packages)
    assert "working_dir" not in environment
    assert int(environment["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]) > 60
    files = shipped_files(server)
    assert {name.split("/")[0] for name in files} == PACKAGES
    assert {"tune_ode/cli/main.py", "search_spaces/recipes/fast.yaml", "analysis/page/report.css",
            "tune_ode/py.typed"} <= files  # fmt: skip
    assert not [name for name in files if "__pycache__" in name]
    assert command("submit", *SEARCH[:-1], "second")[0] == 0
    assert sum(request.startswith("PUT") for request in server.requests) == len(PACKAGES)


def test_shipped_packages_find_their_data_and_their_revision(server, command, tmp_path):
    assert command("submit", *SEARCH)[0] == 0
    for content in server.packages.values():
        zipfile.ZipFile(io.BytesIO(content)).extractall(tmp_path)
    code = (
        "import tune_ode, search_spaces.recipes, tune_ode.runs.provenance as p;"
        "print(tune_ode.__file__, search_spaces.recipes.recipes(), p.revision())"
    )
    printed = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True,
        env=server.jobs["first"]["runtime_env"]["env_vars"] | {"PYTHONPATH": str(tmp_path)},
    ).stdout  # fmt: skip
    assert printed.startswith(str(tmp_path))
    assert "'fast'" in printed
    assert str(revision()) in printed


@pytest.mark.long
def test_the_shipped_files_are_those_of_a_wheel(server, command, tmp_path):
    assert command("submit", *SEARCH)[0] == 0
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    root = Path(tune_ode.__file__).parents[1]
    subprocess.run([*build, "--wheel-dir", tmp_path, root], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert shipped_files(server) == files


def shipped_files(server):
    archives = (zipfile.ZipFile(io.BytesIO(content)) for content in server.packages.values())
    names = (name for archive in archives for name in archive.namelist())
    return {name for name in names if not name.endswith("/")}


def test_check_submits_nothing(server, command):
    status, out, _ = command("submit", *SEARCH, "--check")
    assert (status, server.jobs, server.requests) == (0, {}, [])
    assert "command   tune-ode search --address auto --name first" in out
    assert "calibrate" not in out
    assert " --no-calibrate" in command("submit", *SEARCH, "--check", "--no-calibrate")[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "runs"], "--output runs is a path on this machine"),
        (["--output", "s3://me:secret@bucket/runs"], "take them from the environment"),
        (["--data-dir", "data"], "--data-dir data is a path on this machine"),
        (["--dataset", "folder:photos"], "--dataset photos is a path on this machine"),
        (["--space", "mine.yaml"], "--space mine.yaml is a path on this machine"),
        (["--start-from", "runs/old"], "--start-from runs/old is a path on this machine"),
        (["--start-from", "~/best.yaml"], "absolute path on storage that all of its nodes share"),
        (["--storage", "sqlite:///study.db"], "--storage study.db is a path on this machine"),
        (["--storage", "postgresql://me:secret@host/db"], "set TUNE_ODE_STORAGE_PASSWORD where"),
        (["--log-to", "mlflow:http://me:secret@host"], "--log-to must not contain a password"),
        (["--space", "quik"], "did you mean 'quick'?"),
        (["--set", "solver.rtol=1..0"], "solver.rtol"),
        (["--fix", "solver.metod=euler"], "did you mean 'solver.method'"),
        (["--sampler", "tpo"], "did you mean 'tpe'?"),
        (["--objective", "speed"], "'speed' is not one of"),
        (["--name", "a/b"], "--name must be letters"),
        (["--trails", "3"], "did you mean '--trials'?"),
    ],
)
def test_options_that_would_fail_on_the_cluster_are_rejected_before_submission(
    server, command, options, message
):
    status, out, err = command("submit", *SEARCH, *options)
    assert (status, out, server.requests) == (2, "", [])
    assert message in err
    assert err.count("\n") == 1
    assert "secret" not in err


def test_the_url_of_a_run_in_an_object_store_keeps_its_options(server, command):
    options = "endpoint_override=store:9000&scheme=http"
    output = f"s3://bucket/runs?{options}"
    assert command("submit", "--output", output, "--name", "first")[0] == 0
    job = server.jobs["first"]
    assert job["metadata"] == {"tune_ode_run": f"s3://bucket/runs/first?{options}"}
    arguments = shlex.split(job["entrypoint"])
    assert arguments[arguments.index("--output") + 1] == output
    server.jobs["first"]["status"] = "SUCCEEDED"
    assert f"tune-ode rank 's3://bucket/runs/first?{options}'" in command("status", "first")[1]
    assert command("resume", "first")[0] == 0
    assert f"resume 's3://bucket/runs/first?{options}'" in server.jobs["first.2"]["entrypoint"]


def test_names_on_the_cluster_are_not_resolved_here(server, command):
    status, *_ = command(
        "submit", *SEARCH, "--space", "/shared/my.yaml",
        "--sampler", "theirs:sampler", "--start-from", "fast", "--start-from", "s3://bucket/old",
        "--dataset", "folder:/shared/photos", "--storage", "postgresql://me@host/db",
    )  # fmt: skip
    assert status == 0
    assert server.jobs["first"]["metadata"] == {"tune_ode_run": "/shared/runs/first"}


def test_only_our_jobs_are_listed(server, command):
    server.add("first", "SUCCEEDED", end_time=1_700_000_123_000)
    server.add("theirs")
    server.jobs["theirs"]["metadata"] = {}
    server.add("second", run="/shared/runs/second")
    status, out, _ = command("status")
    assert status == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["first", "succeeded"],
        ["second", "running"],
    ]
    assert "0:02:03" in out


@pytest.mark.parametrize(
    ("state", "message", "line"),
    [
        ("RUNNING", None, "job       first is running\n"),
        ("STOPPED", None, "tune-ode resume first --address"),
        ("SUCCEEDED", None, "tune-ode rank /shared/runs/first"),
        ("FAILED", "exit code 2, last logs:\ntune-ode: no GPU", "first failed: tune-ode: no GPU\n"),
    ],
)
def test_the_status_of_a_job_names_the_next_command(server, command, state, message, line):
    server.add("first", state, message=message)
    status, out, _ = command("status", "first")
    assert status == 0
    assert line in out


def test_a_job_is_stopped_once(server, command):
    server.add("first")
    status, out, _ = command("stop", "first")
    assert status == 0
    assert "first was stopped" in out
    assert f"tune-ode resume first --address {server.address}" in out
    status, _, err = command("stop", "first")
    assert (status, err) == (2, "tune-ode: job first has already ended: it was stopped\n")


def test_logs_are_printed_unchanged(server, command):
    server.add("first", "SUCCEEDED")
    assert command("logs", "first") == (0, "trial 0001 completed\n", "")


def test_a_resume_is_a_new_job_of_the_same_run(server, command):
    server.add("first", "STOPPED")
    assert command("resume", "first", "--trials", 30)[0] == 0
    assert server.jobs["first.2"]["metadata"] == {"tune_ode_run": "/shared/runs/first"}
    assert server.jobs["first.2"]["entrypoint"].endswith(
        "tune_ode.cli resume /shared/runs/first --address auto --trials 30"
    )
    status, _, err = command("resume", "first")
    assert status == 2
    assert "job first.2 is running and writes to /shared/runs/first; wait for it" in err


def test_a_run_is_resumed_on_a_cluster_that_lost_its_job(server, command):
    assert command("resume", "/shared/runs/old")[0] == 0
    assert server.jobs["old"]["metadata"] == {"tune_ode_run": "/shared/runs/old"}


@pytest.mark.parametrize("name", ["status", "logs", "stop", "resume"])
def test_unknown_ids_are_rejected_with_the_known_ones(server, command, name):
    server.add("first")
    status, _, err = command(name, "frist")
    assert status == 2
    assert "unknown job 'frist'; did you mean 'first'? valid: first" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("error", [(401, "Unauthorized"), (403, "Forbidden")])
def test_a_rejected_token_names_the_remedy(server, command, error):
    server.error = error
    status, _, err = command("status")
    assert status == 2
    assert "requires a token" in err
    assert "RAY_AUTH_TOKEN_PATH" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("error", [(500, "sorry"), (404, "no such page"), (200, "<html>")])
def test_a_server_other_than_ray_is_an_error_in_one_line(server, command, error):
    server.error = error
    status, _, err = command("status")
    assert status in (1, 2)
    assert server.address in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:1", "ssh -N -L 8265:127.0.0.1:8265 HEAD"),
        ("127.0.0.1:8265", "must be the URL of a Ray head node's job server"),
        ("http://me:secret@127.0.0.1:8265", "must not contain a password"),
    ],
)
def test_invalid_addresses_are_rejected_in_one_line(usage_error, address, message):
    error = usage_error("status", "--address", address)
    assert message in error
    assert "secret" not in error


def test_the_address_option_overrides_the_environment(server, command, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    server.add("first")
    assert "first" in command("status")[1]


def test_a_token_is_sent_only_in_a_header(server, tune_ode_process):
    token = "c0ffee" * 8
    status, out, err = tune_ode_process(
        "submit", *SEARCH, "--verbose", "--address", server.address, RAY_AUTH_TOKEN=token
    )
    assert status == 0
    assert all(f"Bearer {token}" in request for request in server.requests)
    assert token not in out + err + json.dumps(server.jobs)
    assert not any(token.encode() in package for package in server.packages.values())
