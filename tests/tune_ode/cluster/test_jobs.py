"""What a cluster is asked, what is made of its answers, and what is never told to it."""

import json
import shlex

import pytest

from tune_ode.cli.main import run
from tune_ode.cli.options import duration

SEARCH = ("--output", "/shared/runs", "--name", "first")


@pytest.fixture
def ask(server, capsys):
    """Return a function that runs a command on the server: status, standard output and error."""

    def ask(*arguments):
        status = run([*map(str, arguments), "--address", server.address])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return status, printed.out, printed.err

    return ask


def test_a_submitted_search_is_the_same_search_on_the_cluster(server, ask, tmp_path):
    file = tmp_path / "nightly.yaml"
    file.write_text("trials: 7\nfix: {solver.method: euler}\n")
    status, out, _ = ask(
        "submit", *SEARCH, "--config", file, "--time-budget", "1h", "--gpus-per-trial", "0",
        "--fix", "model.width=32", "--verbose",
    )  # fmt: skip
    assert status == 0
    assert out.startswith(f"job       first on {server.address}\nrun       /shared/runs/first\n")
    job = server.jobs["first"]
    assert job["metadata"] == {"tune_ode_run": "/shared/runs/first"}
    assert job["entrypoint"].startswith("exec python -P -m tune_ode.cli search --address auto --")
    words = shlex.split(job["entrypoint"])
    options = dict(zip(words[8:-1:2], words[9:-1:2], strict=True))
    assert words[-1] == "--verbose"
    assert duration(options.pop("--time-budget")) == 3600
    assert float(options.pop("--gpus-per-trial")) == 0
    assert options == {
        "--name": "first", "--fix": "model.width=32", "--trials": "7", "--output": "/shared/runs",
    }  # fmt: skip
    assert "--fix solver.method=euler --fix model.width=32" in job["entrypoint"]


def test_what_is_shipped_is_a_wheel_and_never_a_folder(server, ask):
    assert ask("submit", *SEARCH)[0] == 0
    environment = server.jobs["first"]["runtime_env"]
    ((name, content),) = server.packages.items()
    assert environment["py_modules"] == [f"gcs://{name}"]
    assert name.endswith("-py3-none-any.whl")
    assert content.startswith(b"PK")
    assert "working_dir" not in environment
    assert int(environment["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]) > 60


def test_check_submits_nothing(server, ask):
    status, out, _ = ask("submit", *SEARCH, "--check")
    assert (status, server.jobs, server.requests) == (0, {}, [])
    assert "command   tune-ode search --address auto --name first" in out
    assert "calibrate" not in out
    assert " --no-calibrate" in ask("submit", *SEARCH, "--check", "--no-calibrate")[1]


@pytest.mark.parametrize(
    ("options", "said"),
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
        (["--log-to", "mlflow:http://me:secret@host"], "--log-to takes no password here"),
        (["--space", "quik"], "did you mean 'quick'?"),
        (["--set", "solver.rtol=1..0"], "solver.rtol"),
        (["--fix", "solver.metod=euler"], "did you mean 'solver.method'"),
        (["--sampler", "tpo"], "did you mean 'tpe'?"),
        (["--objective", "speed"], "'speed' is not one of"),
        (["--name", "a/b"], "--name must be letters"),
        (["--trails", "3"], "did you mean '--trials'?"),
    ],
)
def test_a_search_that_would_fail_there_is_refused_here(server, ask, options, said):
    status, out, err = ask("submit", *SEARCH, *options)
    assert (status, out, server.requests) == (2, "", [])
    assert said in err
    assert err.count("\n") == 1
    assert "secret" not in err


def test_a_run_in_an_object_store_is_named_with_what_opens_it(server, ask):
    options = "endpoint_override=store:9000&scheme=http"
    output = f"s3://bucket/runs?{options}"
    assert ask("submit", "--output", output, "--name", "first")[0] == 0
    job = server.jobs["first"]
    assert job["metadata"] == {"tune_ode_run": f"s3://bucket/runs/first?{options}"}
    words = shlex.split(job["entrypoint"])
    assert words[words.index("--output") + 1] == output
    server.jobs["first"]["status"] = "SUCCEEDED"
    assert f"tune-ode rank 's3://bucket/runs/first?{options}'" in ask("status", "first")[1]
    assert ask("resume", "first")[0] == 0
    assert f"resume 's3://bucket/runs/first?{options}'" in server.jobs["first.2"]["entrypoint"]


def test_names_of_the_cluster_are_left_to_it(server, ask):
    status, *_ = ask(
        "submit", *SEARCH, "--space", "/shared/my.yaml",
        "--sampler", "theirs:sampler", "--start-from", "fast", "--start-from", "s3://bucket/old",
        "--dataset", "folder:/shared/photos", "--storage", "postgresql://me@host/db",
    )  # fmt: skip
    assert status == 0
    assert server.jobs["first"]["metadata"] == {"tune_ode_run": "/shared/runs/first"}


def test_jobs_are_listed_and_those_of_others_are_not(server, ask):
    server.add("first", "SUCCEEDED", end_time=1_700_000_123_000)
    server.add("theirs")
    server.jobs["theirs"]["metadata"] = {}
    server.add("second", run="/shared/runs/second")
    status, out, _ = ask("status")
    assert status == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["first", "succeeded"],
        ["second", "running"],
    ]
    assert "0:02:03" in out


@pytest.mark.parametrize(
    ("state", "message", "said"),
    [
        ("RUNNING", None, "job       first is running\n"),
        ("STOPPED", None, "tune-ode resume first --address"),
        ("SUCCEEDED", None, "tune-ode rank /shared/runs/first"),
        ("FAILED", "exit code 2, last logs:\ntune-ode: no GPU", "first failed: tune-ode: no GPU\n"),
    ],
)
def test_a_job_is_told_of_with_what_to_do_next(server, ask, state, message, said):
    server.add("first", state, message=message)
    status, out, _ = ask("status", "first")
    assert status == 0
    assert said in out


def test_a_node_without_pip_is_named_for_what_it_lacks(server, ask):
    trace = "runtime_env setup failed:\nUnboundLocalError: cannot access local variable 'exit_code'"
    server.add("first", "FAILED", message=trace, error_type="RUNTIME_ENV_SETUP_FAILURE")
    status, out, _ = ask("status", "first")
    assert status == 0
    assert "Ray runs `pip` for that, which must be in the PATH" in out
    assert "UnboundLocalError" not in out


def test_a_job_is_stopped_once(server, ask):
    server.add("first")
    status, out, _ = ask("stop", "first")
    assert status == 0
    assert "first was stopped" in out
    assert f"tune-ode resume first --address {server.address}" in out
    status, _, err = ask("stop", "first")
    assert (status, err) == (2, "tune-ode: job first has ended already: it was stopped\n")


def test_logs_are_printed_as_they_are(server, ask):
    server.add("first", "SUCCEEDED")
    assert ask("logs", "first") == (0, "trial 0001 completed\n", "")


def test_a_resume_is_a_new_job_of_the_same_run(server, ask):
    server.add("first", "STOPPED")
    assert ask("resume", "first", "--trials", 30)[0] == 0
    assert server.jobs["first.2"]["metadata"] == {"tune_ode_run": "/shared/runs/first"}
    assert server.jobs["first.2"]["entrypoint"].endswith(
        "tune_ode.cli resume /shared/runs/first --address auto --trials 30"
    )
    status, _, err = ask("resume", "first")
    assert status == 2
    assert "job first.2 is running and writes to /shared/runs/first; wait for it" in err


def test_a_run_is_resumed_where_its_cluster_has_forgotten_it(server, ask):
    assert ask("resume", "/shared/runs/old")[0] == 0
    assert server.jobs["old"]["metadata"] == {"tune_ode_run": "/shared/runs/old"}


@pytest.mark.parametrize("command", ["status", "logs", "stop", "resume"])
def test_an_unknown_id_is_said_with_those_that_are_known(server, ask, command):
    server.add("first")
    status, _, err = ask(command, "frist")
    assert status == 2
    assert "unknown job 'frist'; did you mean 'first'? valid: first" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("refusal", [(401, "Unauthorized"), (403, "Forbidden")])
def test_a_refused_token_is_told_how_to_give(server, ask, refusal):
    server.refuses = refusal
    status, _, err = ask("status")
    assert status == 2
    assert "asks for a token" in err
    assert "RAY_AUTH_TOKEN_PATH" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("refusal", [(500, "sorry"), (404, "no such page"), (200, "<html>")])
def test_a_server_that_is_none_of_ray(server, ask, refusal):
    server.refuses = refusal
    status, _, err = ask("status")
    assert status in (1, 2)
    assert server.address in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:1", "ssh -N -L 8265:127.0.0.1:8265 HEAD"),
        ("127.0.0.1:8265", "must be the URL of a Ray head node's job server"),
        ("http://me:secret@127.0.0.1:8265", "takes no password"),
    ],
)
def test_an_address_where_no_cluster_is(capsys, address, said):
    assert run(["status", "--address", address]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "secret" not in err
    assert err.count("\n") == 1


def test_the_address_that_is_named_wins_over_the_environment(server, ask, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    server.add("first")
    assert "first" in ask("status")[1]


def test_a_token_goes_into_a_header_and_nowhere_else(server, tune_ode_process):
    token = "c0ffee" * 8
    status, out, err = tune_ode_process(
        "submit", *SEARCH, "--verbose", "--address", server.address, RAY_AUTH_TOKEN=token
    )
    assert status == 0
    assert all(f"Bearer {token}" in request for request in server.requests)
    assert token not in out + err + json.dumps(server.jobs)
    assert not any(token.encode() in package for package in server.packages.values())
