"""A run written by hand, its ranking worked out by hand.

tests/data/run-of-12 holds every outcome, ties, an accuracy that is null, an epoch reported twice, a
last line cut off, and two kinds of device. Chance is 0.1, a trial's budget 100 s.

| trial | outcome | device | (seconds, validation accuracy) by report |
| --- | --- | --- | --- |
| 0001 | completed | cpu | (1, 0.5) (2, 0.8) (4, 0.9) |
| 0002 | stopped | cpu | (1, 0.7) (3, 0.88) |
| 0003 | completed | cpu | as 0001 |
| 0004 | completed | cpu | (2, 0.5) (4, 0.9) (8, 0.91), each an epoch |
| 0005 | stopped | cpu | (1, 0.3), with half the CPU seconds that it waited for |
| 0006 | diverged | | |
| 0007 | failed | cpu | (1, null) |
| 0008 | out_of_memory | | |
| 0009 | completed | GPU | (0.1, 0.5) (0.2, 0.9) |
| 0010 | interrupted | GPU | (0.5, 0.2) (0.8, 0.92) |
| 0011 | | GPU | (0.4, 0.88), then half a line |
| 0012 | completed | GPU | (0.2, 0.6) (0.4, 0.95), the second again after a restart: (0.45, 0.89) |
"""

from math import log
from pathlib import Path

import pytest

from analysis.load import load_run
from analysis.ranking import rank

RUN = Path(__file__).parents[2] / "data" / "run-of-12"
GPU = "NVIDIA A100"


@pytest.fixture(scope="module")
def run():
    return load_run(RUN)


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


def test_the_floor_is_5_points_under_the_best_which_is_no_line_that_was_replaced(ranking):
    assert ranking.floor == pytest.approx(0.92 - 0.05)


def test_each_device_is_ranked_for_itself(ranking, rows):
    # cpu first: 5 measured trials against 4
    assert ranking.devices == ("cpu", GPU)
    assert [(row["rank"], i, row["device"]) for i, row in rows.items()] == [
        (1, "0002", "cpu"),  # 0.78 / 3 = 0.26
        (2, "0004", "cpu"),  # 0.8 / 4 = 0.2, as the next two, but 0.91 later on
        (3, "0001", "cpu"),  # the same as 0003: by id
        (4, "0003", "cpu"),
        (None, "0005", "cpu"),  # below the floor
        (1, "0009", GPU),  # 0.8 / 0.2 = 4
        (2, "0011", GPU),  # 0.78 / 0.4 = 1.95
        (3, "0012", GPU),  # 0.79 / 0.45 = 1.76
        (4, "0010", GPU),  # 0.82 / 0.8 = 1.025
        (None, "0006", ""),  # nothing was measured: by id
        (None, "0007", "cpu"),
        (None, "0008", ""),
    ]
    assert "cpu, NVIDIA A100 are ranked separately" in ranking.describe()


def test_accuracy_per_second(rows):
    rates = {
        "0001": 0.8 / 4, "0002": 0.78 / 3, "0003": 0.8 / 4, "0004": 0.8 / 4, "0009": 0.8 / 0.2,
        "0010": 0.82 / 0.8, "0011": 0.78 / 0.4, "0012": 0.79 / 0.45,
    }  # fmt: skip
    for trial_id, row in rows.items():
        expected = rates.get(trial_id)
        assert row["accuracy_per_second"] == (expected and pytest.approx(expected))


def test_ladders(rows):
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


def test_what_to_use_within_each_budget(ranking):
    chosen = [(c.device, c.budget, c.trial_id, c.accuracy, c.seconds) for c in ranking.budget_picks]
    assert chosen == [
        ("cpu", 2.0, "0001", 0.8, 2.0),  # as 0003: by id; nothing was measured within 0.3 s
        ("cpu", 4.0, "0001", 0.9, 4.0),  # as 0003 and 0004
        (GPU, 0.3, "0009", 0.9, 0.2),
        (GPU, 2.0, "0010", 0.92, 0.8),
        (GPU, 4.0, "0010", 0.92, 0.8),
    ]


def test_the_front_of_each_device(rows):
    # cpu: (1, 0.7) (2, 0.8) (3, 0.88) (4, 0.9) (8, 0.91); GPU: (0.1, 0.5) (0.2, 0.9) (0.8, 0.92)
    on_front = {trial_id for trial_id, row in rows.items() if row["pareto"]}
    assert on_front == {"0001", "0002", "0003", "0004", "0009", "0010"}


def test_areas_over_log_seconds_from_1_to_100(rows, ranking):
    whole = log(100)
    anytime = {
        "0001": (0.5 * log(2) + 0.8 * log(2) + 0.9 * log(25)) / whole,
        "0002": (0.7 * log(3) + 0.88 * log(100 / 3)) / whole,
        "0004": (0.5 * log(2) + 0.9 * log(2) + 0.91 * log(12.5)) / whole,
        "0005": 0.3,
        "0009": 0.9,  # reports before the first instant count from it
        "0010": 0.92,
    }
    for trial_id, area in anytime.items():
        assert rows[trial_id]["anytime"] == pytest.approx(area)
    cpu = 0.7 * log(2) + 0.8 * log(1.5) + 0.88 * log(4 / 3) + 0.9 * log(2) + 0.91 * log(12.5)
    assert ranking.hypervolumes == {"cpu": pytest.approx(cpu / whole), GPU: pytest.approx(0.92)}


def test_what_each_trial_adds_to_the_hypervolume(rows):
    whole = log(100)
    adds = {
        # without it 0.5 until 2 s, and 0.8 instead of 0.88 from 3 to 4 s
        "0002": (0.2 * log(2) + 0.08 * log(4 / 3)) / whole,
        "0004": 0.01 * log(12.5) / whole,
        "0001": 0.0,  # 0003 has all of it
        "0003": 0.0,
        "0005": 0.0,
        "0010": 0.02,
        "0009": 0.0,  # 0010 is better from 0.8 s on, before the first instant
    }
    for trial_id, added in adds.items():
        assert rows[trial_id]["hypervolume_contribution"] == pytest.approx(added)


@pytest.mark.parametrize(
    ("by", "cpu", "gpu"),
    [
        ("accuracy", ["0004", "0001", "0003", "0002"], ["0010", "0009", "0012", "0011"]),
        # to 0.87: 3 s, and 4 s, where 0004 has the higher accuracy
        ("seconds", ["0002", "0004", "0001", "0003"], ["0009", "0011", "0012", "0010"]),
        # all on the front: by accuracy
        ("pareto", ["0004", "0001", "0003", "0002"], ["0010", "0009", "0012", "0011"]),
        ("hypervolume", ["0002", "0004", "0001", "0003"], ["0010", "0009", "0012", "0011"]),
        # 0.9 was missed by the others
        ("seconds@0.9", ["0004", "0001", "0003"], ["0009", "0010"]),
        # the floor does not count within a budget
        ("accuracy@1s", ["0002", "0001", "0003", "0005"], ["0010", "0009", "0012", "0011"]),
    ],
)
def test_other_measures(run, by, cpu, gpu):
    found = rank(run, by=by).to_records()
    for device, expected in (("cpu", cpu), (GPU, gpu)):
        ranked = [(r["rank"], r["trial_id"]) for r in found if r["device"] == device and r["rank"]]
        assert ranked == list(enumerate(expected, start=1))


def test_how_shared_and_how_disturbed_each_clock_was(rows):
    shared = {trial_id: row["concurrent_trials"] for trial_id, row in rows.items()}
    assert (shared["0001"], shared["0005"], shared["0009"], shared["0006"]) == (2, 4, 1, None)
    assert {trial_id: row["clock"] for trial_id, row in rows.items() if row["clock"]} == {
        # its third epoch took 4 s after two of 2 s: 1 s over 1.5 times the median, of 8 s in all
        "0004": "jumps",
        # 0.5 CPU seconds per wall-clock second
        "0005": "starved",
    }
    assert rows["0004"]["clock_excess"] == pytest.approx(1 / 8)
    assert rows["0005"]["cpu_share"] == pytest.approx(0.5)
