"""A run at a URL: what is wrong with it is said before anything starts, and no secret is kept."""

import json

import pytest

from tune_ode import records
from tune_ode.cli.main import run
from tune_ode.runs import lease
from tune_ode.runs.open import create_run
from tune_ode.tuning.launch import _manifest
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.0)


@pytest.fixture
def refused(capsys, monkeypatch):
    """Return a function that runs a command which must be refused, and returns what it says."""

    def started(*_, **__):
        pytest.fail("the command went on to search")

    monkeypatch.setattr("tune_ode.tuning.launch._search", started)

    def refused(*arguments):
        assert run([str(argument) for argument in arguments]) == 2
        printed = capsys.readouterr()
        assert printed.out == "", "no plan of what will not be run"
        assert printed.err.count("\n") == 1
        assert "Traceback" not in printed.err
        return printed.err

    return refused


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("s3://no-such-bucket-of-ours/runs", "NO_SUCH_BUCKET"),
        ("s3://", "names no bucket"),
        ("foo://bucket/runs", "a run is a folder, or a URL with s3://, gs://"),
        ("s3://bucket/runs?endpoint_override=127.0.0.1:1&scheme=http", "check the URL, the netwo"),
    ],
)
@pytest.mark.usefixtures("s3")
def test_a_place_that_cannot_be_written_is_told_before_the_data_are_loaded(
    refused, monkeypatch, output, said
):
    monkeypatch.setattr("tune_ode.tuning.plan.load", lambda *_, **__: pytest.fail("loaded"))
    assert said in refused("search", "--output", output, "--name", "run")


@pytest.mark.parametrize(
    "output",
    ["s3://key:secret@bucket/runs", "gs://bucket/runs?access_token=secret"],
)
@pytest.mark.parametrize("command", ["search", "train", "resume", "confirm"])
def test_credentials_in_a_url_are_refused_and_not_shown(refused, command, output):
    error = refused(command, *(["--output", output] if command in "search train" else [output]))
    assert "take them from the environment" in error
    assert "bucket/runs" in error
    assert "secret" not in error


@pytest.mark.parametrize("destination", ["tensorboard", "mlflow"])
def test_a_logger_that_writes_to_the_run_folder_is_refused(refused, s3, monkeypatch, destination):
    monkeypatch.setattr(
        "tune_ode.tuning.ray_backend.log_targets._PACKAGES", {destination: "json"}
    )  # is there
    output = f"{s3.url}/runs"
    error = refused("search", "--output", output, "--name", "run", "--log-to", destination)
    assert f"--log-to {destination} writes files to the run directory, and {output}/run is" in error
    assert s3.names() == []


def test_check_prints_the_place_and_leaves_it_empty(s3, capsys):
    assert run(["search", "--check", "--output", f"{s3.url}/runs", "--name", "run"]) == 0
    assert f"{s3.url}/runs/run\n" in capsys.readouterr().out
    assert s3.names() == []


def test_what_it_takes_to_open_it_again_is_kept(s3, s3_server, monkeypatch):
    """Without the variable that names the server, from another shell, say."""
    endpoint = s3_server["AWS_ENDPOINT_URL"].removeprefix("http://")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    options = f"endpoint_override={endpoint}&scheme=http&region=us-east-1"
    chosen = plan(SearchOptions(output=f"{s3.url}/runs/?{options}", name="größer", trials=1))
    folder = create_run(chosen.run_folder, _manifest(chosen))
    assert folder.resume_command == f"tune-ode resume '{s3.url}/runs/gr%C3%B6%C3%9Fer?{options}'"
    kept = json.loads((folder.path / records.MANIFEST).read_text())["options"]["output"]
    assert kept == f"{s3.url}/runs?{options}"
    folder.close()
    assert f"runs/größer/{records.MANIFEST}" in s3.names()
    assert run(["rank", f"{s3.url}/runs/gr%C3%B6%C3%9Fer?{options}"]) == 0


def test_a_name_that_is_taken_and_a_run_that_is_in_use(s3, refused):
    chosen = plan(SearchOptions(output=f"{s3.url}/runs", name="run", trials=1))
    folder = create_run(chosen.run_folder, _manifest(chosen))
    url = f"{s3.url}/runs/run"
    again = refused("search", "--output", f"{s3.url}/runs", "--name", "run")
    assert f"{url} exists already" in again
    assert "another process is writing" in refused("resume", url)
    assert "another process is writing" in refused("confirm", url)
    folder.close()
    assert f"{s3.url}/other is not a run directory" in refused("resume", f"{s3.url}/other")
