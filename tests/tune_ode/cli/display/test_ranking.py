"""The ranking in the terminal: numbers, marks, reasons of unranked trials."""

import io

import pandas as pd
import pytest
from rich.console import Console

from analysis.ranking import BudgetPick, Ranking
from tune_ode.cli.display.ranking import print_ranking

MEASURED = {
    "rank": 1, "trial_id": "0002", "outcome": "completed", "val_accuracy": 0.951,
    "seconds": 1.0, "accuracy_per_second": 0.851, "rate_low": 0.651, "rate_high": 1.151,
    "tied": False, "best_accuracy": 0.99, "anytime": 0.8,
    "seconds_to_floor": 1.0, "pareto": True, "train_seconds": 1.0, "wall_seconds": 3.25,
    "epochs": 4.0, "reason": "", "params": {"solver.method": "rk4"}, "run": "r", "device": "cpu",
    "hypervolume_contribution": 0.1, "concurrent_trials": 2.0, "clock": "", "cpu_share": 0.9,
    "clock_excess": 0.0, "isolated_seconds": 0.5, "isolated_error": 0.01,
}  # fmt: skip
FAILED = dict.fromkeys(MEASURED) | {
    "trial_id": "0001", "outcome": "failed", "pareto": False, "reason": "KeyError: [/red]",
    "params": {"solver.method": "euler"}, "device": "", "run": "r", "clock": "", "tied": False,
}  # fmt: skip


def printed(
    rows,
    limit=None,
    width=140,
    by="accuracy_per_second",
    devices=("cpu",),
    clock="train",
    runs=("r",),
):
    table = pd.DataFrame(rows)
    table["rank"] = pd.Series([row["rank"] for row in rows], dtype=object)
    pick = BudgetPick(
        device="cpu", budget=60.0, run="r", trial_id="0002", accuracy=0.97, seconds=50.0
    )
    ranking = Ranking(
        table, by=by, clock=clock, floor=0.9, chance=0.1, targets=(), budgets=(60.0,),
        budget_picks=(pick,), hypervolumes=dict.fromkeys(devices, 0.5), runs=runs,
        folders=runs,
    )  # fmt: skip
    console = Console(file=io.StringIO(), width=width)
    print_ranking(ranking, console, limit=limit)
    return console.file.getvalue()


def table(*arguments, **options):
    """Return the lines from the heading of the ranking on."""
    text = printed(*arguments, **options)
    return text[text.index("rank ") :].splitlines()


def test_rows_show_numbers_marks_and_reasons():
    heading, first, second, *_ = table([MEASURED, FAILED])
    assert heading.split()[:5] == ["rank", "trial", "outcome", "accuracy", "seconds"]
    assert first.split() == [
        "1", "0002*", "completed", "0.9510", "1.00", "3.25", "0.851", "0.250", "0.9900", "0.800",
        "2", "rk4",
    ]  # fmt: skip
    assert second.split()[:3] == ["-", "0001", "failed"]
    assert "KeyError: [/red]" in second, "text from outside is not markup"


def test_isolated_seconds_come_first_on_the_isolated_clock():
    text = printed([MEASURED, FAILED], clock="isolated")
    heading, first, *_ = table([MEASURED, FAILED], clock="isolated")
    assert heading.split()[3:7] == ["accuracy", "isolated", "seconds", "wall"]
    assert first.split()[3:7] == ["0.9510", "0.50", "1.00", "3.25"]
    assert "on the isolated clock" in text
    assert "within 2.0% (standard error)" in " ".join(text.split())
    narrow = table([MEASURED], clock="isolated", width=80)[0]
    assert narrow.split()[3:6] == ["accuracy", "isolated", "seconds"]
    assert "isolated" not in printed([MEASURED])


def test_intervals_and_ties_are_shown_and_explained():
    second = MEASURED | {"rank": 2, "trial_id": "0003", "tied": True}
    heading, first, tied, *_ = table([MEASURED, second])
    assert "acc./s      ±" in heading
    assert "0.851  0.250" in first
    assert tied.split()[:2] == ["2=", "0003*"]
    assert "= tied:" in printed([MEASURED, second])
    assert "= tied:" not in printed([MEASURED])
    by_another = printed([MEASURED, second], by="accuracy")
    assert "2=" not in by_another, "ties are those of accuracy per second"


def test_omitted_rows_are_counted():
    assert "and 1 more trial\n" in printed([MEASURED, FAILED], limit=1)
    assert "more trial" not in printed([MEASURED, FAILED], limit=2)


def test_a_narrow_terminal_omits_figures_that_do_not_rank():
    heading, first, *_ = table([MEASURED], width=80)
    assert heading.split()[-4:-1] == ["acc./s", "±", "shared"]
    assert first.split()[-4:] == ["0.851", "0.250", "2", "rk4"]
    assert "best" in table([MEASURED], width=80, by="accuracy")[0]
    assert "anytime" in table([MEASURED], width=80, by="anytime")[0]


def test_each_device_has_a_table_and_a_best_trial():
    other = MEASURED | {"device": "GPU", "trial_id": "0003"}
    text = printed([MEASURED, other, FAILED], devices=("cpu", "GPU"))
    assert text.index("on cpu") < text.index("0002*") < text.index("on GPU") < text.index("0003*")
    assert text.index("0003*") < text.index("KeyError"), "unmeasured trials are in the last table"
    assert "Best on cpu by accuracy per second: trial 0002 (rk4), " in text
    assert "Best on GPU by accuracy per second: trial 0003 (rk4), " in text
    assert "Seconds on different devices are not comparable" in " ".join(text.split())


def test_a_disturbed_clock_is_marked_and_explained():
    text = printed([MEASURED | {"clock": "starved"}])
    assert " 2! " in text
    assert "it waited for a CPU" in text
    assert "disturbed" not in printed([MEASURED])


def test_the_best_trial_within_each_budget_is_shown():
    line = next(line for line in printed([MEASURED]).splitlines() if line.startswith("1 min"))
    assert line.split() == ["1", "min", "0002", "0.9700", "rk4"]


@pytest.mark.parametrize("clock", ["train", "isolated"])
@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_ids_and_numbers_are_whole_at_any_width(width, clock):
    long = MEASURED | {
        "trial_id": "12345", "outcome": "interrupted", "train_seconds": 12345.678,
        "isolated_seconds": 12345.678, "clock": "jumps", "run": "a-run-with-a-long-name",
    }  # fmt: skip
    for runs in (("r",), ("r", long["run"])):
        lines = table(
            [MEASURED, long | {"run": runs[-1]}, FAILED], width=width, clock=clock, runs=runs
        )
        heading, first, second, third, *_ = lines
        assert max(map(len, lines)) <= width
        assert {"trial", "accuracy", "acc./s"} <= set(heading.split())
        assert {"0002*", "0.9510", "0.851"} <= set(first.split())
        assert {"12345*", "0.9510", "0.851"} <= set(second.split())
        assert "0001" in third.split()
        assert "12345.68" in second.split() or width < 80, "the clock that ranks goes last"
