"""The terminal's table holds the ranking: its numbers, its marks, and why a trial has none."""

import io

import pandas as pd
from rich.console import Console

from analysis.rank import Ranking
from tune_ode.cli.ranking_table import print_ranking

MEASURED = {
    "rank": 1, "trial_id": "0002", "outcome": "completed", "val_accuracy": 0.951,
    "seconds": 1.0, "accuracy_per_second": 0.851, "best_accuracy": 0.99, "anytime": 0.8,
    "seconds_to_floor": 1.0, "pareto": True, "train_seconds": 1.0, "wall_seconds": 3.25,
    "epochs": 4.0, "reason": "", "params": {"solver.method": "rk4"},
}  # fmt: skip
FAILED = dict.fromkeys(MEASURED) | {
    "trial_id": "0001", "outcome": "failed", "pareto": False, "reason": "KeyError: [/red]",
    "params": {"solver.method": "euler"},
}  # fmt: skip


def printed(rows, limit=None, width=140, by="accuracy_per_second"):
    table = pd.DataFrame(rows)
    table["rank"] = pd.Series([row["rank"] for row in rows], dtype=object)
    ranking = Ranking(table, by=by, clock="train", floor=0.9, chance=0.1)
    console = Console(file=io.StringIO(), width=width)
    print_ranking(ranking, console, limit=limit)
    return console.file.getvalue()


def test_numbers_marks_and_reasons():
    heading, first, second, *_ = printed([MEASURED, FAILED]).splitlines()
    assert heading.split()[:5] == ["rank", "trial", "outcome", "accuracy", "seconds"]
    assert first.split() == [
        "1", "0002*", "completed", "0.9510", "1.00", "3.25", "0.851", "0.9900", "0.800", "rk4",
    ]  # fmt: skip
    assert second.split()[:3] == ["-", "0001", "failed"]
    assert "KeyError: [/red]" in second, "text from outside is no markup"


def test_what_is_cut_is_counted():
    assert "and 1 more trial\n" in printed([MEASURED, FAILED], limit=1)
    assert "more trial" not in printed([MEASURED, FAILED], limit=2)


def test_a_narrow_terminal_shows_the_parameters_before_what_does_not_rank():
    heading, first, *_ = printed([MEASURED], width=80).splitlines()
    assert heading.split()[-2:] == ["acc./s", "parameters"]
    assert first.split()[-2:] == ["0.851", "rk4"]
    assert "best" in printed([MEASURED], width=80, by="accuracy").splitlines()[0]
    assert "anytime" in printed([MEASURED], width=80, by="anytime").splitlines()[0]
