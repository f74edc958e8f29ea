"""What a run directory or a YAML file names has to be given or approved before it has an effect."""

import os
import re
import stat
from pathlib import Path

import pytest

from tests.malicious import (
    KINDS,
    MODULE,
    add_hostile_files,
    code,
    listener,
    names,
    rename_option,
    write_run,
)
from tune_ode.replication import train as train_module
from tune_ode.tuning import launch

__all__ = ["code", "listener"]


@pytest.fixture(autouse=True)
def _user(tmp_path, monkeypatch):
    """A user without approvals, data directory, or credentials."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in os.environ.keys() & {"TUNE_ODE_DATA", "RAY_AUTH_TOKEN", "PGPASSWORD"}:
        monkeypatch.delenv(name)


@pytest.fixture
def started(monkeypatch):
    """Plans of the searches that were started; none trains."""
    plans = []

    def search(folder, plan, display, *, verbose):
        folder.close()
        plans.append(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "_search", search)
    monkeypatch.setattr(train_module, "open_or_create_run", lambda *_: pytest.fail("it started"))
    return plans


@pytest.fixture
def planned(monkeypatch):
    """Options of resumed searches whose names were approved; nothing is contacted."""
    options = []

    def plan(given, **_):
        options.append(given)
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "plan_search", plan)
    return options


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=KINDS)
def test_a_resume_of_a_foreign_run_follows_no_name(
    tune_ode, tmp_path, listener, code, started, planned, kind
):
    option, value = names(listener.port, tmp_path)[kind]
    before = set(tmp_path.iterdir())
    run = write_run(tmp_path, **{option: value})
    status, out, err = tune_ode("resume", run)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"{run} names {option} " in err
    assert "--trust" in err
    assert listener.received == []
    assert set(tmp_path.iterdir()) == before | {run}
    assert not planned

    assert tune_ode("resume", run, "--trust")[0] == 130
    assert tune_ode("resume", run)[0] == 130, "the approval is remembered"
    assert len(planned) == 2
    approvals = [*(tmp_path / "config").rglob("*.json")]
    assert {stat.S_IMODE(file.stat().st_mode) for file in approvals} == {0o600}

    changed = re.sub(r"\d|make|project|auto", "x", str(value))
    rename_option(run, **{option: [changed] if isinstance(value, list) else changed})
    assert tune_ode("resume", run)[0] == 2, "another name needs an approval"
    rename_option(run, **{option: value})
    run.rename(tmp_path / "moved")
    assert tune_ode("resume", tmp_path / "moved")[0] == 2, "another run needs one"


@pytest.mark.parametrize("option", ["storage", "address", "log_to", "data_dir"])
def test_a_repeated_option_needs_no_approval(tune_ode, tmp_path, planned, option):
    value = dict(names(1, tmp_path))[option]
    run = write_run(tmp_path, **{option: value})
    given = value[0] if isinstance(value, list) else value
    assert tune_ode("resume", run, "--" + option.replace("_", "-"), given)[0] == 130
    assert len(planned) == 1


@pytest.mark.parametrize(
    ("option", "variable"),
    [
        ("storage", "TUNE_ODE_STORAGE_PASSWORD"),
        ("storage", "PGPASSWORD"),
        ("log_to", "MLFLOW_TRACKING_TOKEN"),
        ("address", "RAY_AUTH_TOKEN"),
    ],
)
def test_a_credential_goes_to_no_server_that_only_a_file_named(
    tune_ode, tmp_path, planned, monkeypatch, option, variable
):
    monkeypatch.setenv(variable, "secret")
    for number in range(3):
        kind, value = next(pair for pair in names(10 + number, tmp_path) if pair[0] == option)
        run = write_run(tmp_path / str(number), **{kind: value})
        status, _, err = tune_ode("resume", run, "--trust")
        assert status == 2
        assert f"would receive the {variable}" in err
        assert "secret" not in err
    given = value[0] if isinstance(value, list) else value
    assert tune_ode("resume", run, "--" + option.replace("_", "-"), given)[0] == 130
    assert tune_ode("resume", run)[0] == 130, "the server is known"
    other = write_run(tmp_path / "other", **{option: value})
    assert tune_ode("resume", other, "--trust")[0] == 130


def test_a_run_of_this_user_needs_no_approval(tune_ode, tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "_run_on_ray", lambda search, *_, **__: search.stop("interrupted"))
    (tmp_path / "data").mkdir()
    options = ("--sampler", "optuna.samplers:RandomSampler", "--data-dir", "data", "--trials", 2)
    storage = ("--storage", f"sqlite:///{tmp_path}/study.db")
    assert tune_ode("search", *options, *storage, "--name", "run")[0] == 130
    assert tune_ode("resume", "runs/run")[0] == 130


def test_a_confirmation_uses_no_data_directory_that_a_file_named(tune_ode, tmp_path, started):
    run = write_run(tmp_path, data_dir=str(tmp_path / "outside"))
    status, _, err = tune_ode("confirm", run)
    assert status == 2
    assert f"names data_dir {tmp_path / 'outside'}" in err
    assert tune_ode("confirm", run, "--check", "--data-dir", tmp_path / "mine")[0] == 0
    assert tune_ode("confirm", run, "--check", "--trust")[0] == 0
    rename_option(run, data_dir=None)
    (run / "confirm").mkdir()
    (run / "confirm" / "run.json").write_bytes((run / "run.json").read_bytes())
    rename_option(run / "confirm", command="confirm", data_dir=str(tmp_path / "other"))
    assert f"names data_dir {tmp_path / 'other'}" in tune_ode("confirm", run, "--check")[2]


def test_a_comparison_uses_no_data_directory_that_a_file_named(tune_ode, tmp_path, started):
    run = write_run(tmp_path, command="compare", data_dir=str(tmp_path / "outside"), trials=None)
    status, _, err = tune_ode("resume", run)
    assert status == 2
    assert "names data_dir" in err


COMMANDS = [
    ("rank", "{run}"),
    ("report", "{run}", "--output", "page"),
    ("confirm", "{run}"),
    ("simulate", "{run}", "--repetitions", "1"),
    ("resume", "{run}"),
    ("predict", "{run}:1", "image.png"),
    ("export", "{run}:1", "--format", "torchscript"),
    ("draw", "{run}:1"),
    ("train", "{run}:1", "--name", "new"),
    ("search", "--start-from", "{run}", "--check"),
    ("submit", "--start-from", "{run}", "--output", "/shared", "--check"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("hostile", [False, True], ids=["names", "files"])
def test_no_command_follows_the_names_of_a_foreign_run(
    tune_ode, tmp_path, listener, code, started, no_pictures, monkeypatch, command, hostile
):
    monkeypatch.setenv("TUNE_ODE_STORAGE_PASSWORD", "secret")
    outside = tmp_path / "outside"
    outside.mkdir()
    run = write_run(tmp_path, **dict(names(listener.port, outside)))
    if hostile:
        add_hostile_files(run, outside)
    before = list(outside.rglob("*"))
    status, _, err = tune_ode(*(part.format(run=run) for part in command))
    assert status in (0, 1, 2, 130)
    assert err.count("\n") <= 1
    assert status == 0 or command[0] not in ("rank", "report")
    assert listener.received == []
    assert list(outside.rglob("*")) == before


@pytest.mark.parametrize(
    "line",
    [
        f"sampler: {MODULE}:make",
        f"space: {MODULE}:SPACE",
        "storage: postgresql://user@127.0.0.1:{port}/database",
        "address: 127.0.0.1:{port}",
        "log-to: mlflow:http://127.0.0.1:{port}",
        "start-from: ['s3://b/r?endpoint_override=127.0.0.1:{port}&scheme=http']",
        "notify: touch executed",
        "notify: http://127.0.0.1:{port}/",
    ],
)
def test_a_file_of_options_has_to_be_approved(
    tune_ode, tmp_path, listener, code, started, monkeypatch, line
):
    file = tmp_path / "options.yaml"
    file.write_text(line.format(port=listener.port) + "\ntrials: 2\n")
    status, out, err = tune_ode("search", "--config", file)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"{file} names {line.partition(':')[0].replace('-', '_')}" in err
    assert listener.received == []
    option, _, value = file.read_text().splitlines()[0].partition(": ")
    if "[" not in value and "log" not in option:
        monkeypatch.setattr("tune_ode.cli.commands.search._plan", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tune_ode("search", "--config", file, f"--{option}", value)
        with pytest.raises(ZeroDivisionError):
            tune_ode("search", "--config", file, "--trust")
        with pytest.raises(ZeroDivisionError):
            tune_ode("search", "--config", file)


def test_approvals_without_a_home_directory_are_for_one_command(
    tune_ode, tmp_path, planned, monkeypatch
):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/dev/null")
    run = write_run(tmp_path, address="auto")
    assert tune_ode("resume", run, "--trust")[0] == 130
    assert tune_ode("resume", run)[0] == 2
    assert not Path("~").exists()
