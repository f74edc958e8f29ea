"""Runs at a URL: errors are reported before anything starts, and no credentials are stored."""

import json

import pytest

from tune_ode import records
from tune_ode.runs import lease
from tune_ode.runs.open import create_run
from tune_ode.tuning.launch import _manifest
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan_search


@pytest.fixture(autouse=True)
def no_delay(monkeypatch):
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("s3://no-such-bucket-of-ours/runs", "NO_SUCH_BUCKET"),
        ("s3://", "names no bucket"),
        ("foo://bucket/runs", "a run is a directory, or a URL with s3://, gs://"),
        ("s3://bucket/runs?endpoint_override=127.0.0.1:1&scheme=http", "check the URL, the netwo"),
    ],
)
@pytest.mark.usefixtures("s3")
def test_an_output_that_cannot_be_written_is_an_error_before_the_data_are_loaded(
    usage_error, monkeypatch, output, message
):
    monkeypatch.setattr("tune_ode.tuning.plan.load", lambda *_, **__: pytest.fail("loaded"))
    assert message in usage_error("search", "--output", output, "--name", "run")


@pytest.mark.parametrize(
    "output", ["s3://key:secret@bucket/runs", "gs://bucket/runs?access_token=secret"]
)
@pytest.mark.parametrize("command", ["search", "train", "resume", "confirm"])
def test_credentials_in_a_url_are_rejected_and_not_shown(usage_error, command, output):
    error = usage_error(command, *(["--output", output] if command in "search train" else [output]))
    assert "take them from the environment" in error
    assert "bucket/runs" in error
    assert "secret" not in error


@pytest.mark.parametrize("target", ["tensorboard", "mlflow"])
def test_a_log_target_in_a_remote_run_directory_is_rejected(usage_error, s3, monkeypatch, target):
    monkeypatch.setattr("tune_ode.tuning.log_to.targets._PACKAGES", {target: "json"})  # is there
    output = f"{s3.url}/runs"
    error = usage_error("search", "--output", output, "--name", "run", "--log-to", target)
    assert f"--log-to {target} writes files to the run directory, and {output}/run is" in error
    assert s3.names() == []


def test_check_prints_the_url_and_writes_nothing(s3, tune_ode):
    status, out, _ = tune_ode("search", "--check", "--output", f"{s3.url}/runs", "--name", "run")
    assert status == 0
    assert f"{s3.url}/runs/run\n" in out
    assert s3.names() == []


def test_the_url_with_its_options_is_stored(s3, s3_server, tune_ode, monkeypatch):
    """A later command may run without the environment variable of the server."""
    endpoint = s3_server["AWS_ENDPOINT_URL"].removeprefix("http://")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    options = f"endpoint_override={endpoint}&scheme=http&region=us-east-1"
    plan = plan_search(SearchOptions(output=f"{s3.url}/runs/?{options}", name="größer", trials=1))
    folder = create_run(plan.run_folder, _manifest(plan))
    assert folder.resume_command == f"tune-ode resume '{s3.url}/runs/gr%C3%B6%C3%9Fer?{options}'"
    kept = json.loads((folder.path / records.MANIFEST).read_text())["options"]["output"]
    assert kept == f"{s3.url}/runs?{options}"
    folder.close()
    assert f"runs/größer/{records.MANIFEST}" in s3.names()
    assert tune_ode("rank", f"{s3.url}/runs/gr%C3%B6%C3%9Fer?{options}")[0] == 0


def test_an_existing_run_and_a_run_in_use_are_errors(s3, usage_error):
    plan = plan_search(SearchOptions(output=f"{s3.url}/runs", name="run", trials=1))
    folder = create_run(plan.run_folder, _manifest(plan))
    url = f"{s3.url}/runs/run"
    again = usage_error("search", "--output", f"{s3.url}/runs", "--name", "run")
    assert f"{url} exists already" in again
    assert "another process is writing" in usage_error("resume", url)
    assert "another process is writing" in usage_error("confirm", url)
    folder.close()
    assert f"{s3.url}/other is not a run directory" in usage_error("resume", f"{s3.url}/other")
