"""The ranking in the terminal: figures, marks, parameters, and what a narrow one leaves out."""

import io
import math

import pandas as pd
import pytest
from rich.console import Console

from analysis.ranking import BudgetPick, Ranking
from tune_ode.cli.display.ranking import print_ranking
from tune_ode.errors import UsageError

MEASURED = {
    "rank": 1, "trial_id": "0002", "outcome": "completed", "val_accuracy": 0.951,
    "accuracy_low": 0.92, "accuracy_high": 0.98,
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
CONFIG = {
    "solver.method": "rk4", "solver.gradient": "backprop", "model.width": 16,
    "model.ode.normalization": "group", "model.normalization": "layer",
    "optimizer.learning_rate@sgd": 0.1234, "optimizer.nesterov": True, "training.epochs": 4,
}  # fmt: skip


def other(number, **params):
    """Return a measured trial that is worse than those with a lower number."""
    params = {name.replace("__", "."): value for name, value in params.items()}
    return MEASURED | {
        "rank": number, "trial_id": f"{number:04d}", "accuracy_per_second": 0.8 / number,
        "params": CONFIG | params,
    }  # fmt: skip


def printed(
    rows,
    limit=None,
    width=140,
    by="accuracy_per_second",
    devices=("cpu",),
    clock="train",
    runs=("r",),
    columns=None,
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
    print_ranking(ranking, console, limit=limit, columns=columns)
    return console.file.getvalue()


def table(*arguments, **options):
    """Return the lines from the heading of the ranking on."""
    text = printed(*arguments, **options)
    return text[text.index("rank ") :].splitlines()


def test_rows_show_figures_with_intervals_and_marks():
    heading, first, *_ = table([MEASURED, FAILED])
    assert heading.split() == ["rank", "trial", "accuracy", "±", "seconds", "acc./s", "±"]
    assert first.split() == ["1", "0002*", "0.951", "±0.030", "1.00", "0.85", "±0.25"]


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_small_and_large_rates_keep_significant_digits(scale):
    names = ("accuracy_per_second", "rate_low", "rate_high")
    rows = [MEASURED | {name: scale * MEASURED[name] for name in names}]
    rows[0]["seconds"] = 1 / scale
    *_, seconds, rate, spread = table(rows)[1].split()
    assert float(seconds) == pytest.approx(1 / scale, rel=0.01)
    assert float(rate) == pytest.approx(0.851 * scale, rel=0.01)
    assert float(spread.removeprefix("±")) == pytest.approx(0.25 * scale, rel=0.01)


def test_trials_without_a_measurement_are_listed_with_their_reasons():
    text = printed([MEASURED, FAILED])
    _, reason = text[text.index("not measured") :].splitlines()[:2]
    assert reason.split() == ["0001", "failed", "KeyError:", "[/red]"], "not markup"
    many = [MEASURED, *(FAILED | {"trial_id": f"{number:04d}"} for number in range(3, 9))]
    assert "and 3 more without a measurement" in printed(many, limit=1)
    assert "0008" in printed(many)


def test_only_parameters_that_differ_have_a_column():
    rows = [other(2), other(3, model__width=32, optimizer__nesterov=False)]
    heading, first, second, *_ = table(rows)
    assert heading.split()[-2:] == ["width", "nesterov"]
    assert first.split()[-2:] == ["16", "yes"]
    assert second.split()[-2:] == ["32", "no"]
    common = next(line for line in table(rows) if line.startswith("in all"))
    assert "rk4, backprop, ode norm group, outer norm layer, lr 0.123, epochs 4" in common
    (alone,) = [line for line in table([other(2)]) if line.startswith("in all")]
    assert "width 16" in alone


def test_a_parameter_of_several_branches_has_one_column():
    rows = [other(2), other(3)]
    params = dict(CONFIG)
    params["optimizer.learning_rate@adamw"] = params.pop("optimizer.learning_rate@sgd") / 10
    rows[1]["params"] = params
    heading, first, second, *_ = table(rows)
    assert heading.split().count("lr") == 1
    assert (first.split()[-1], second.split()[-1]) == ("0.123", "0.0123")
    del params["optimizer.learning_rate@adamw"]
    assert table(rows)[2].split()[-1] == "-"


def test_narrow_terminals_leave_out_the_least_important_parameters_and_say_which():
    # the accuracy depends on the width only; the seconds do not differ
    rows = [
        other(
            number, training__epochs=4 + number % 3, model__width=16 * (1 + (number > 12)),
            solver__method=("rk4", "euler", "midpoint")[number % 3],
            optimizer__nesterov=bool(number % 2),
        )
        | {"best_accuracy": 0.9 + 0.001 * number + 0.05 * (number <= 12)}
        for number in range(2, 30)
    ]  # fmt: skip
    parameters = {"solver", "width", "nesterov", "epochs"}
    for width in (140, 80, 60, 55):
        lines = table(rows, width=width)
        shown = parameters & set(lines[0].split())
        hidden = next((line for line in lines if line.startswith("hidden")), "")
        assert all((name in hidden) != (name in shown) for name in parameters)
        assert max(map(len, lines)) <= width
        assert "width" in shown or not shown
    assert shown == {"width"}


def test_chosen_columns():
    rows = [other(2), other(3, model__width=32)]
    text = printed(rows, columns=["trial", "wall_seconds", "best", "solver.method", "lr", "tied"])
    heading = next(line for line in text.splitlines() if "wall seconds" in line)
    assert heading.split() == ["trial", "wall", "seconds", "best", "solver", "lr", "tied"]
    row = text[text.index(heading) :].splitlines()[1]
    assert row.split() == ["0002*", "3.25", "0.9900", "rk4", "0.123", "no"]
    assert " width" in printed(rows, columns=["rank", "parameters"])
    with pytest.raises(UsageError, match="unknown column 'widht'; did you mean 'width'"):
        printed(rows, columns=["widht"])
    narrow = printed(rows, columns=["trial", "best", "anytime", "reason", "lr"], width=24)
    assert "hidden" in narrow
    assert "lr" in narrow[narrow.index("hidden") :]


def test_the_legend_has_four_lines_of_80_columns():
    rows = [
        MEASURED | {"clock": "starved"},
        other(3) | {"tied": True, "outcome": "interrupted", "clock": "starved"},
    ]
    lines = table(rows, width=80, clock="isolated")
    at = next(index for index, line in enumerate(lines) if line.startswith("ranked"))
    keys = [line.split()[0] for line in lines[at : at + 5]]
    assert keys == ["ranked", "seconds", "±", "marks", "Best"]
    text = "\n".join(lines)
    assert "on the isolated clock" in text
    assert "isolated training time to that accuracy, estimated within 2.0%" in text
    assert "= tied with the first; * Pareto front; ! clock disturbed: short of CPU" in text


def test_ties_are_those_of_accuracy_per_second():
    rows = [MEASURED, MEASURED | {"rank": 2, "trial_id": "0003", "tied": True}]
    assert table(rows)[2].split()[:2] == ["2=", "0003*"]
    assert "2=" not in printed(rows, by="accuracy")
    assert "= tied" not in printed(rows[:1])


@pytest.mark.parametrize(
    ("by", "heading"), [("accuracy", "best"), ("anytime", "anytime"), ("hypervolume", "adds")]
)
def test_the_figure_that_ranks_is_shown(by, heading):
    assert heading in table([MEASURED], width=40, by=by)[0].split()
    assert heading not in table([MEASURED])[0].split()


def test_the_outcome_is_shown_where_a_trial_may_continue():
    assert "outcome" not in table([MEASURED])[0]
    assert "outcome" in table([MEASURED | {"outcome": "running"}])[0]


def test_omitted_rows_are_counted():
    rows = [MEASURED, MEASURED | {"rank": 2, "trial_id": "0003"}]
    assert "and 1 more trial\n" in printed(rows, limit=1)
    assert "more trial" not in printed(rows, limit=2)


def test_each_device_has_a_table_and_a_best_trial():
    gpu = MEASURED | {"device": "GPU", "trial_id": "0003"}
    text = printed([MEASURED, gpu, FAILED], devices=("cpu", "GPU"))
    assert text.index("on cpu") < text.rindex("0002*") < text.index("on GPU") < text.index("0003*")
    assert text.index("0003*") < text.index("KeyError")
    assert "Best on cpu by accuracy per second: trial 0002 (rk4), " in text
    assert "Best on GPU by accuracy per second: trial 0003 (rk4), " in text
    assert "Seconds on different devices are not comparable" in " ".join(text.split())


def test_the_best_trial_within_each_budget_is_shown():
    line = next(line for line in printed([MEASURED]).splitlines() if line.startswith("1 min"))
    assert line.split() == ["1", "min", "0002*", "0.9700"]
    rows = [other(1, model__width=8), other(2)]
    line = next(line for line in printed(rows, limit=1).splitlines() if line.startswith("1 min"))
    assert line.split() == ["1", "min", "0002*", "0.9700", "16"], "although not in the ranking"


@pytest.mark.parametrize("clock", ["train", "isolated"])
@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_ids_and_numbers_are_whole_at_any_width(width, clock):
    long = MEASURED | {
        "trial_id": "12345", "outcome": "interrupted", "seconds": 12345.678,
        "clock": "jumps", "run": "a-run-with-a-long-name-2",
    }  # fmt: skip
    for runs in (("r",), ("r", long["run"])):
        lines = table(
            [MEASURED, long | {"run": runs[-1]}, FAILED], width=width, clock=clock, runs=runs
        )
        heading, first, second, *_ = lines
        assert max(map(len, lines)) <= width
        assert {"trial", "accuracy", "acc./s"} <= set(heading.split())
        assert "0002*" in first
        assert "12345*!" in second.split()
        assert {"0.85", "0.851"} & set(second.split())
        assert "12345.7" in second.split() or width < 60, "the clock that ranks goes last"
        assert len(runs) == 1 or "ame-2" in second


@pytest.mark.parametrize("width", [1, 5, 20, 30])
def test_absurdly_narrow_terminals_do_not_crash(width):
    assert printed([MEASURED, FAILED, other(3)], width=width, runs=("r", "s"))


def test_nothing_measured():
    missing = dict.fromkeys(MEASURED, math.nan) | {"rank": None, "tied": False}
    assert "failed" in printed([FAILED | {"trial_id": "0002"}, missing | FAILED], devices=())
