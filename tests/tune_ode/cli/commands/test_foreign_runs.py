"""`rank`, `report` and `predict` of runs whose files are not what they should be."""

import json
import os
import shutil
from pathlib import Path

import pytest

RUN = Path(__file__).parents[3] / "data" / "run-of-12"


@pytest.fixture
def run(tmp_path):
    """A copy of a run; trial 0002 is its best."""
    shutil.copytree(RUN, tmp_path / "run")
    return tmp_path / "run"


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def ranked(tune_ode, run):
    """Return the ids that `rank` shows, and what it says on stderr."""
    status, out, err = tune_ode("rank", run, "--json")
    assert status == 0
    assert err.count("\n") <= 1
    return {row["trial_id"] for row in json.loads(out)}, err


@pytest.mark.parametrize(
    "content",
    ["[" * 200_000, '{"a":' * 900 + "1" + "}" * 900, "[1]", "{}", '{"trial_id": "0002"}', "\xff"],
)
def test_a_trial_that_is_not_valid_is_passed_over_in_one_line(tune_ode, run, content):
    (run / "trials/0002/config.json").write_text(content, encoding="latin-1")
    ids, err = ranked(tune_ode, run)
    assert len(ids) == 11
    assert err.startswith("tune-ode: passed over what is not valid: 0002/config.json (")


@pytest.mark.parametrize(
    "values",
    [{"created": 1e300}, {"created": 10**400}, {"params": [1]}, {"config": "x"}, {"created": True}],
)
def test_a_value_of_another_type_or_range_is_passed_over(tune_ode, run, values):
    change(run / "trials/0002/config.json", **values)
    ids, err = ranked(tune_ode, run)
    assert len(ids) == 11
    assert f"0002/config.json ({next(iter(values))}" in err or "64 bits" in err


def test_the_rest_of_a_report_shows_what_was_passed_over(tune_ode, run, no_pictures):
    change(run / "trials/0002/outcome.json", outcome="won")
    (run / "confirm").mkdir()
    (run / "confirm/run.json").write_text("[]")
    status, out, err = tune_ode("report", run)
    assert status == 0
    assert err.count("\n") == 1
    page = Path(out.strip()).read_text()
    for text in ("0002/outcome.json (outcome: Input should be", "confirm ("):
        assert text in err
        assert text in page


def test_links_out_of_the_run_are_not_written_through(tune_ode, run, tmp_path, no_pictures):
    outside = tmp_path / "outside"
    outside.mkdir()
    (run / "report").symlink_to(outside)
    status, _, err = tune_ode("report", run)
    assert status == 2
    assert "report is a link" in err
    assert list(outside.iterdir()) == []
    assert tune_ode("report", run, "--output", tmp_path / "page")[0] == 0


@pytest.mark.parametrize("name", ["run.json", "trials/0002/reports.jsonl", "confirm/run.json"])
def test_a_pipe_does_not_block(tune_ode, run, name):
    (run / "confirm").mkdir()
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    status, _, err = tune_ode("rank", run)
    assert status == (2 if name == "run.json" else 0)
    assert ("not a regular file" in err) == (not name.startswith("confirm"))


def test_no_control_character_reaches_the_screen(tune_ode, run, no_pictures):
    evil = "\x1b[2J\x9b31m\u202egpj\x07"
    manifest = json.loads((run / "run.json").read_text())
    change(run / "run.json", name=evil, options=manifest["options"] | {"dataset": evil})
    for trial in (run / "trials").iterdir():
        change(trial / "config.json", params={evil: evil})
        (trial / "outcome.json").write_text(
            json.dumps({"trial_id": "x", "attempt": 1, "outcome": "failed", "reason": evil,
                        "started": 0.0, "ended": 1.0})
        )  # fmt: skip
    for command in (["rank"], ["rank", "--csv"], ["rank", "--json"], ["report"]):
        _, out, err = tune_ode(command[0], run, *command[1:])
        assert "gpj" in out or command[0] == "report"
        assert not set(out + err) & {"\x1b", "\x9b", "\u202e", "\x07"}
    assert not set((run / "report/index.html").read_text()) & {"\x1b", "\x9b", "\u202e", "\x07"}


def test_csv_has_no_formulas(tune_ode, run):
    change(run / "trials/0002/config.json", params={"@SUM(A1)": "=cmd|' /C calc'!A0", "x": -0.5})
    _, out, _ = tune_ode("rank", run, "--csv")
    assert "'@SUM(A1)" in out.splitlines()[0]
    assert "'=cmd|" in out
    assert ",-0.5" in out


@pytest.mark.parametrize("name", ["²", "../trials/0002", "0002/", "x"])
def test_an_id_that_is_no_trial_is_rejected(usage_error, run, name):
    assert "trial" in usage_error("train", f"{run}:{name}")
