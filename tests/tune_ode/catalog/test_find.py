"""A run is found by path, by name in runs/, or as the latest, by every command alike."""

from unittest.mock import Mock

import pytest

from tests.factories import make_manifest
from tune_ode.catalog.find import find_run, resolve_run
from tune_ode.errors import RunFolderError, UsageError
from tune_ode.paths import RunPath
from tune_ode.records import MANIFEST, dumps


@pytest.fixture(autouse=True)
def _in_working_directory(working_directory):
    """Look up runs in an empty directory."""


@pytest.fixture
def make_run(tmp_path):
    def make(path, created=0.0):
        (tmp_path / path / "trials").mkdir(parents=True)
        (tmp_path / path / MANIFEST).write_text(dumps(make_manifest(created=created).to_json()))

    return make


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("runs/old", "runs/old"),
        ("old", "runs/old"),
        ("./here", "here"),
        ("here", "here"),
        ("both", "both"),
        ("latest", "runs/new"),
        ("runs/latest", "runs/new"),
        ("other/latest", "other/only"),
        ("nothing", None),
        ("empty", None),
        ("none/latest", None),
    ],
)
def test_a_run_is_found(make_run, tmp_path, name, found):
    for number, run in enumerate(
        ["runs/new", "runs/old", "here", "both", "runs/both", "other/only"]
    ):
        make_run(run, created=9.0 - number)
    (tmp_path / "empty").mkdir()
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / MANIFEST).write_text("{")
    (tmp_path / "runs" / "file").touch()
    run = find_run(name)
    assert (run and str(run)) == found


def test_the_latest_run_of_a_store_is_found(object_store):
    manifests = {
        f"bucket/run/{name}/{MANIFEST}": dumps(make_manifest(created=created).to_json())
        for name, created in (("a", 1.0), ("b", 3.0), ("c", 2.0))
    }
    store = object_store({key: text.encode() for key, text in manifests.items()})
    folder: RunPath = store.path
    assert str(resolve_run(folder / "latest")) == f"{folder}/b"
    with pytest.raises(RunFolderError, match="folder of 3 runs: a, b, c; give one of them"):
        resolve_run(folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("runs", "runs is a folder of 2 runs: a, b; give one of them: tune-ode rank runs/b;"),
        ("runs/a/run.json", "inside a run; give the run itself: tune-ode rank runs/a"),
        ("runs/a/trials/0001", "inside a run; give the run itself: tune-ode rank runs/a"),
        ("file", "file is not a run directory: it is a file; list runs with: tune-ode runs"),
        ("digits-quick", "is not a run directory: no digits-quick/run.json; list runs with"),
        ("none/latest", "none has no runs; start one with: tune-ode search"),
        ("runs/aa", "did you mean 'a'?"),
        ("bb", "did you mean 'b'?"),
        ("x" * 300, "is not a run directory"),
    ],
)
def test_what_is_not_a_run_is_named_with_the_command_to_type(make_run, tmp_path, name, message):
    make_run("runs/a", 1.0)
    make_run("runs/b", 2.0)
    (tmp_path / "runs" / "a" / "trials" / "0001").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError) as error:
        resolve_run(name, command="tune-ode rank")
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["latest", "a/b", ".hidden", "-x", "", "a b"])
@pytest.mark.parametrize("command", ["search", "train", "compare"])
def test_a_name_that_stands_for_something_else_is_rejected(usage_error, command, name):
    assert "--name" in usage_error(command, f"--name={name}")


@pytest.mark.parametrize(
    "command", ["rank", "report", "confirm", "simulate", "resume", "predict", "draw", "train"]
)
def test_every_command_finds_the_latest_run(make_run, tune_ode, monkeypatch, command):
    monkeypatch.setattr("analysis.report.pictures", lambda *_: [])
    started = Mock(side_effect=UsageError("started"))
    monkeypatch.setattr("tune_ode.tuning.launch.resume", started)
    arguments = [command, "latest", *(["image.png"] if command == "predict" else [])]
    assert "runs has no runs; start one with: tune-ode search" in tune_ode(*arguments)[2]
    make_run("runs/new", 1.0)
    assert "latest" not in tune_ode(*arguments)[2]


def test_a_search_starts_from_a_run_by_name_and_from_a_recipe_first(make_run, tune_ode, tmp_path):
    make_run("runs/new", 1.0)
    make_run("runs/fast", 2.0)
    for name in ("new", "latest"):
        _, _, err = tune_ode("search", "--start-from", name, "--check")
        assert "none of its measured trials is in the search space" in err
    assert tune_ode("search", "--start-from", "fast", "--check")[0] == 0, "the recipe"
