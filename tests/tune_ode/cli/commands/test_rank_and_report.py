"""The commands `rank` and `report`: several runs, targets and budgets, invalid arguments."""

import json
import re
import shutil
from pathlib import Path

import pytest

RUN = Path(__file__).parents[3] / "data" / "run-of-12"


def test_rank_prints_a_table_for_each_device(tune_ode, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    status, out, _ = tune_ode("rank", RUN, "--targets", "90%", "--budgets", "2s,1m")
    assert status == 0
    assert out.index("on cpu") < out.index("0002*") < out.index("on NVIDIA A100")
    assert "1 min  cpu          0004*!" in out


def test_rank_shows_the_chosen_columns(tune_ode):
    _, out, _ = tune_ode("rank", RUN, "--columns", "trial, best,solver.method")
    assert re.search(r"^trial +best +solver *$", out, re.MULTILINE)


def test_rank_as_json_and_csv_has_the_given_targets_and_budgets(tune_ode):
    _, out, _ = tune_ode("rank", RUN, "--json", "--targets", "0.9", "--budgets", "2s")
    first = json.loads(out)[0]
    assert (first["trial_id"], first["seconds_to_0.9"], first["accuracy_within_2s"]) == (
        "0002", None, 0.7,
    )  # fmt: skip
    _, out, _ = tune_ode("rank", RUN, "--csv", "--by", "accuracy@2s")
    assert "accuracy_within_2s" in out.splitlines()[0]
    assert len(out.splitlines()) == 13


def test_several_runs_are_ranked_together(tune_ode, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(RUN, other)
    status, out, _ = tune_ode("rank", RUN, other, "--json")
    rows = json.loads(out)
    assert status == 0
    assert len(rows) == 24
    assert {row["run"] for row in rows} == {str(RUN), str(other)}


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["rank", RUN, "--targets", "2"], "expected a target accuracy in (0, 1]"),
        (["rank", RUN, "--budgets", "10s,soon"], "expected a duration such as 90s, 5min"),
        (["rank", RUN, "--by", "accuracy_per_secnd"], "did you mean 'accuracy_per_second'?"),
        (["rank", RUN, RUN], "named twice"),
        (["rank", RUN, "--columns", "trail"], "did you mean 'trial'?"),
        (["rank", RUN, "--columns", "trial", "--csv"], "CSV have all columns"),
        (["rank", RUN, "nowhere"], "not a run directory"),
        (["report", RUN, "--watch", "--every", "0.1s"], "--every is at least 1 s"),
        (["report", RUN, "--every", "soon"], "such as 90s"),
    ],
)
def test_invalid_arguments_are_rejected_in_one_line(usage_error, arguments, remedy):
    assert remedy in usage_error(*arguments)
    assert not (RUN / "report").exists()
