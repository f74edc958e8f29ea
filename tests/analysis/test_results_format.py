"""The pages on file formats, ranking and clock document exactly the columns that are written."""

import re
from pathlib import Path

from analysis.clock import JUMP, LEAST_CPU_SHARE, MOST_EXCESS
from analysis.confirmation.data import MAX_ODE_GAP
from analysis.confirmation.load import load_confirmation
from analysis.load import RUNNING
from analysis.ranking import rank
from analysis.ranking.metrics import METRICS, PARAMETRIC_METRICS
from analysis.ranking.rank_trials import FLOOR_UNDER_BEST
from tests.analysis.conftest import load_ranked
from tune_ode.records import Outcome

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("reference/results-format.md", "concepts/ranking.md", "concepts/clock.md")
TEXT = "\n".join((DOCS / page).read_text(encoding="utf-8") for page in PAGES)


def rows(heading):
    """Return the first cells of the table with a heading."""
    table = TEXT.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", table, flags=re.MULTILINE)


def test_columns_are_documented_in_the_order_of_the_files(run_of_12):
    ranking = rank(run_of_12[0], targets=(0.9,), budgets=(10.0,))
    names = [re.sub(r"_0\.9$", "_TARGET", str(name)) for name in ranking.table]
    names = [name.replace("_within_10s", "_within_BUDGETs") for name in names]
    assert rows("column") == names
    assert list(ranking.to_records()[0]) == list(ranking.table)


def test_every_metric_is_documented():
    assert rows("`--by`") == [*METRICS, *PARAMETRIC_METRICS]
    for name, column in METRICS.items():
        assert f"| `{name}` | `{column}` |" in TEXT


def test_every_key_of_a_confirmation_is_documented(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.9)])
    run.confirm([("0001", [(1.0, 0.9)], {})])
    (row,) = load_confirmation(*load_ranked(run.folder)).to_records()
    assert rows("key") == list(row)
    for names in (row["latencies"][0], row["solved"][0]):
        assert all(name in TEXT for name in names)
    assert f"more than {MAX_ODE_GAP}" in TEXT


def test_every_outcome_and_threshold_is_documented():
    for outcome in (*Outcome, RUNNING):
        assert f"`{outcome}`" in TEXT
    assert f"{FLOOR_UNDER_BEST} under the best" in TEXT
    assert f"{LEAST_CPU_SHARE} CPU seconds" in TEXT
    assert f"over {JUMP} times the median" in TEXT
    assert MOST_EXCESS == 0.1, "the text says a tenth"
