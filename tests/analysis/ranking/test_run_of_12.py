"""Ranking of a run written by hand, computed by hand.

tests/data/run-of-12 has every outcome, ties, a null accuracy, an epoch reported twice, a truncated
last report, and two device types. Chance is 0.1, the budget of a trial 100 s.

| trial | outcome | device | (seconds, validation accuracy) by report |
| --- | --- | --- | --- |
| 0001 | completed | cpu | (1, 0.5) (2, 0.8) (4, 0.9) |
| 0002 | stopped | cpu | (1, 0.7) (3, 0.88) |
| 0003 | completed | cpu | as 0001 |
| 0004 | completed | cpu | (2, 0.5) (4, 0.9) (8, 0.91), each an epoch |
| 0005 | stopped | cpu | (1, 0.3), with a CPU share of 0.5 |
| 0006 | diverged | | |
| 0007 | failed | cpu | (1, null) |
| 0008 | out_of_memory | | |
| 0009 | completed | GPU | (0.1, 0.5) (0.2, 0.9) |
| 0010 | interrupted | GPU | (0.5, 0.2) (0.8, 0.92) |
| 0011 | | GPU | (0.4, 0.88), then half a report |
| 0012 | completed | GPU | (0.2, 0.6) (0.4, 0.95), the second again after a restart: (0.45, 0.89) |
"""

from math import log

import pytest

from analysis.ranking import rank

GPU = "NVIDIA A100"


@pytest.fixture(scope="module")
def run(run_of_12):
    return run_of_12[0]


@pytest.fixture(scope="module")
def ranking(run):
    return rank(run, targets=(0.5, 0.9), budgets=(0.3, 2.0, 4.0))


@pytest.fixture(scope="module")
def rows(ranking):
    return {row["trial_id"]: row for row in ranking.to_records()}


def test_every_trial_is_read(run):
    assert dict(zip(run.trials["trial_id"], run.trials["outcome"], strict=True)) == {
        "0001": "completed", "0002": "stopped", "0003": "completed", "0004": "completed",
        "0005": "stopped", "0006": "diverged", "0007": "failed", "0008": "out_of_memory",
        "0009": "completed", "0010": "interrupted", "0011": "running", "0012": "completed",
    }  # fmt: skip
    assert len(run.reports) == 3 + 2 + 3 + 3 + 1 + 0 + 1 + 0 + 2 + 2 + 1 + 2


def test_the_floor_is_5_points_below_the_best_that_was_not_replaced(ranking):
    assert ranking.floor == pytest.approx(0.92 - 0.05)


def test_devices_are_ranked_separately(ranking, rows):
    # cpu first: 5 measured trials against 4
    assert ranking.devices == ("cpu", GPU)
    assert [(row["rank"], i, row["device"]) for i, row in rows.items()] == [
        (1, "0002", "cpu"),  # about 0.22 all four
        (2, "0001", "cpu"),  # ties with 0003: by id
        (3, "0003", "cpu"),
        (4, "0004", "cpu"),
        (None, "0005", "cpu"),  # below the floor
        (1, "0009", GPU),  # about 3.5
        (2, "0011", GPU),  # 0.78 / 0.4 = 1.95 shrunk to 1.75
        (3, "0012", GPU),  # about 1.74
        (4, "0010", GPU),  # about 0.82
        (None, "0006", ""),  # without accuracy: by id
        (None, "0007", "cpu"),
        (None, "0008", ""),
    ]
    assert "cpu, NVIDIA A100 are ranked separately" in ranking.describe()


def test_accuracy_per_second(rows):
    """Between the rates of the reports around the crossing of the floor, less shrinkage."""
    between = {
        "0001": (0.77 / 6, 0.77 / 2), "0002": (0.77 / 5, 0.77), "0003": (0.77 / 6, 0.77 / 2),
        "0004": (0.77 / 8, 0.77 / 2), "0009": (0.77 / 0.3, 0.77 / 0.1), "0010": (0.77, 0.77 / 0.5),
        "0011": (0.78 / 0.5, 0.78 / 0.4), "0012": (0.77 / 0.6, 0.77 / 0.2),
    }  # fmt: skip
    for trial_id, row in rows.items():
        if trial_id in between:
            low, high = between[trial_id]
            assert low < row["accuracy_per_second"] < high
            assert row["rate_low"] < row["accuracy_per_second"] < row["rate_high"]
        else:
            assert row["accuracy_per_second"] is None
            assert (row["rate_low"], row["tied"]) == (None, False)


def test_seconds_to_targets_and_accuracy_within_budgets(rows):
    names = "seconds_to_0.5", "seconds_to_0.9", "accuracy_within_0.3s", "accuracy_within_2s"
    assert {i: tuple(row[name] for name in names) for i, row in rows.items()} == {
        "0001": (1.0, 4.0, None, 0.8),
        "0002": (1.0, None, None, 0.7),
        "0003": (1.0, 4.0, None, 0.8),
        "0004": (2.0, 4.0, None, 0.5),
        "0005": (None, None, None, 0.3),
        "0006": (None, None, None, None),
        "0007": (None, None, None, None),
        "0008": (None, None, None, None),
        "0009": (0.1, 0.2, 0.9, 0.9),
        "0010": (0.8, 0.8, None, 0.92),
        "0011": (0.4, None, None, 0.88),
        "0012": (0.2, None, 0.6, 0.89),
    }


def test_budget_picks(ranking):
    picks = [(p.device, p.budget, p.trial_id, p.accuracy, p.seconds) for p in ranking.budget_picks]
    assert picks == [
        ("cpu", 2.0, "0001", 0.8, 2.0),  # ties with 0003: by id; no report within 0.3 s
        ("cpu", 4.0, "0001", 0.9, 4.0),  # ties with 0003 and 0004
        (GPU, 0.3, "0009", 0.9, 0.2),
        (GPU, 2.0, "0010", 0.92, 0.8),
        (GPU, 4.0, "0010", 0.92, 0.8),
    ]


def test_pareto_front_of_each_device(rows):
    # cpu: (1, 0.7) (2, 0.8) (3, 0.88) (4, 0.9) (8, 0.91); GPU: (0.1, 0.5) (0.2, 0.9) (0.8, 0.92)
    on_front = {trial_id for trial_id, row in rows.items() if row["pareto"]}
    assert on_front == {"0001", "0002", "0003", "0004", "0009", "0010"}


def test_anytime_areas_and_hypervolumes(rows, ranking):
    total = log(1000)  # from 0.1 s to 100 s
    anytime = {
        "0001": (0.5 * log(2) + 0.8 * log(2) + 0.9 * log(25)) / total,
        "0002": (0.7 * log(3) + 0.88 * log(100 / 3)) / total,
        "0004": (0.5 * log(2) + 0.9 * log(2) + 0.91 * log(12.5)) / total,
        "0005": 0.3 * log(100) / total,
        "0009": (0.5 * log(2) + 0.9 * log(500)) / total,
        "0010": (0.2 * log(1.6) + 0.92 * log(125)) / total,
    }
    for trial_id, area in anytime.items():
        assert rows[trial_id]["anytime"] == pytest.approx(area)
    cpu = 0.7 * log(2) + 0.8 * log(1.5) + 0.88 * log(4 / 3) + 0.9 * log(2) + 0.91 * log(12.5)
    gpu = 0.5 * log(2) + 0.9 * log(4) + 0.92 * log(125)
    assert ranking.hypervolumes == pytest.approx({"cpu": cpu / total, GPU: gpu / total})


def test_hypervolume_contributions(rows):
    total = log(1000)
    contributions = {
        # without it 0.5 before 2 s, and 0.8 instead of 0.88 from 3 to 4 s
        "0002": (0.2 * log(2) + 0.08 * log(4 / 3)) / total,
        "0004": 0.01 * log(12.5) / total,
        "0001": 0.0,  # equal to 0003
        "0003": 0.0,
        "0005": 0.0,
        "0010": 0.02 * log(125) / total,
        # without it nothing before 0.2 s, then 0.6, 0.88 and 0.89 instead of 0.9 up to 0.8 s
        "0009": (0.5 * log(2) + 0.3 * log(2) + 0.02 * log(9 / 8) + 0.01 * log(16 / 9)) / total,
    }
    for trial_id, expected in contributions.items():
        assert rows[trial_id]["hypervolume_contribution"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("by", "cpu", "gpu"),
    [
        ("accuracy", ["0004", "0001", "0003", "0002"], ["0010", "0009", "0012", "0011"]),
        # to 0.87: 3 s; 4 s, where 0004 has a higher accuracy
        ("seconds", ["0002", "0004", "0001", "0003"], ["0009", "0011", "0012", "0010"]),
        # all on the front: by accuracy
        ("pareto", ["0004", "0001", "0003", "0002"], ["0010", "0009", "0012", "0011"]),
        ("hypervolume", ["0002", "0004", "0001", "0003"], ["0009", "0010", "0012", "0011"]),
        # others miss 0.9
        ("seconds@0.9", ["0004", "0001", "0003"], ["0009", "0010"]),
        # the floor does not apply within a budget
        ("accuracy@1s", ["0002", "0001", "0003", "0005"], ["0010", "0009", "0012", "0011"]),
    ],
)
def test_other_metrics(run, by, cpu, gpu):
    records = rank(run, by=by).to_records()
    for device, expected in (("cpu", cpu), (GPU, gpu)):
        ranked = [
            (r["rank"], r["trial_id"]) for r in records if r["device"] == device and r["rank"]
        ]
        assert ranked == list(enumerate(expected, start=1))


def test_concurrent_trials_and_clock_checks(rows):
    concurrent = {trial_id: row["concurrent_trials"] for trial_id, row in rows.items()}
    assert [concurrent[trial] for trial in ("0001", "0005", "0009", "0006")] == [2, 4, 1, None]
    assert {trial_id: row["clock"] for trial_id, row in rows.items() if row["clock"]} == {
        # the third epoch took 4 s after two of 2 s: 1 s above 1.5 · median, of 8 s in total
        "0004": "jumps",
        # 0.5 CPU seconds per wall-clock second
        "0005": "starved",
    }
    assert rows["0004"]["clock_excess"] == pytest.approx(1 / 8)
    assert rows["0005"]["cpu_share"] == pytest.approx(0.5)
