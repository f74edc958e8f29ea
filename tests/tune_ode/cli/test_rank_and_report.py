"""`rank` and `report` as they are typed: several runs, ladders, what is refused."""

import json
import shutil
from pathlib import Path

import pytest

from tune_ode.cli.main import run

RUN = Path(__file__).parents[2] / "data" / "run-of-12"


@pytest.fixture
def said(capsys):
    """Return a function that runs a command and returns status, output and errors."""

    def say(*arguments):
        status = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return say


def test_rank_prints_a_table_for_each_device(said, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    status, out, _ = said("rank", RUN, "--targets", "90%", "--budgets", "2s,1m")
    assert status == 0
    assert out.index("on cpu") < out.index("0002*") < out.index("on NVIDIA A100")
    assert "1 min  cpu          0004" in out


def test_rank_as_json_and_csv_has_the_ladders_that_were_asked_for(said):
    _, out, _ = said("rank", RUN, "--json", "--targets", "0.9", "--budgets", "2s")
    first = json.loads(out)[0]
    assert (first["trial_id"], first["seconds_to_0.9"], first["accuracy_within_2s"]) == (
        "0002", None, 0.7,
    )  # fmt: skip
    _, out, _ = said("rank", RUN, "--csv", "--by", "accuracy@2s")
    assert "accuracy_within_2s" in out.splitlines()[0]
    assert len(out.splitlines()) == 13


def test_several_runs_are_one_ranking(said, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(RUN, other)
    status, out, _ = said("rank", RUN, other, "--json")
    rows = json.loads(out)
    assert status == 0
    assert len(rows) == 24
    assert {row["run"] for row in rows} == {str(RUN), str(other)}


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["rank", RUN, "--targets", "2"], "a target is an accuracy above 0 and up to 1"),
        (["rank", RUN, "--budgets", "10s,soon"], "a budget is a time such as 10s"),
        (["rank", RUN, "--by", "accuracy_per_secnd"], "did you mean 'accuracy_per_second'?"),
        (["rank", RUN, RUN], "named twice"),
        (["rank", RUN, "nowhere"], "not a run directory"),
        (["report", RUN, "--watch", "--every", "0.1s"], "--every is at least 1 s"),
        (["report", RUN, "--every", "soon"], "such as 90s"),
    ],
)
def test_what_is_refused_is_said_in_one_line(said, arguments, remedy):
    status, out, err = said(*arguments)
    assert (status, out) == (2, "")
    assert remedy in err
    assert err.count("\n") == 1
    assert not (RUN / "report").exists()
