"""Timeline and use of time."""

from itertools import pairwise

import pytest

from analysis.plots import style
from analysis.plots.time import plot_timeline, time_use_data, timeline_data
from tests.analysis.conftest import load_ranked
from tune_ode.records import OUTCOME

GPU = "NVIDIA A100"


def test_concurrent_trials_are_in_separate_lanes(run_of_12):
    data = timeline_data(*run_of_12)
    assert data.lanes == (("here", GPU), ("here", "cpu"), ("here", "cpu"))
    bars = {bar.trial_id: bar for bar in data.bars}
    assert (len(bars), len(data.bars)) == (12, 13), "0012 has two attempts"
    assert (bars["0001"].start, bars["0001"].end) == (10.0, 20.0)
    assert bars["0011"].outcome == "running"
    for lane in range(3):
        spans = sorted((bar.start, bar.end) for bar in data.bars if bar.lane == lane)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_every_attempt_has_a_bar(make_run):
    run = make_run()
    folder = run.trial("0001", [], attempt=3)
    for epoch, (attempt, timestamp, wall) in enumerate([
        # created at 0; attempt 1 reports at 6 and 8 and crashes
        (1, 6.0, 5.0), (1, 8.0, 7.0),
        # attempt 2 starts a second before the 2 s of training that it reports at 23
        (2, 23.0, 9.0), (2, 26.0, 12.0),
        # attempt 3 starts at 40 and ends at 50 according to outcome.json
        (3, 45.0, 16.0),
    ], start=1):  # fmt: skip
        run.append("0001", epoch, epoch, 0.5, attempt, timestamp=timestamp, wall_seconds=wall)
    run.change(folder / OUTCOME, started=40.0, ended=50.0)
    run.trial("0002", [(1.0, 0.5)])
    data = timeline_data(*load_ranked(run.folder))
    bars = {(bar.trial_id, bar.attempt): (bar.start, bar.end, bar.outcome) for bar in data.bars}
    assert bars == {
        ("0001", 1): (0.0, 8.0, "interrupted"),
        ("0001", 2): (21.0, 26.0, "interrupted"),
        ("0001", 3): (40.0, 50.0, "completed"),
        ("0002", 1): (0.0, 1.0, "completed"),
    }
    _, ax = style.figure()
    plot_timeline(data, ax)
    assert ax.get_title(loc="left") == "2 trials in 4 attempts over 2 lanes"


def test_a_running_attempt_starts_before_its_first_report(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.5)], "interrupted")
    # 3 of the 7 wall seconds belong to attempt 1
    run.append("0001", 2, 3.0, 0.6, attempt=2, timestamp=100.0, wall_seconds=7.0)
    data = timeline_data(*load_ranked(run.folder))
    assert [(bar.attempt, bar.start, bar.end, bar.outcome) for bar in data.bars] == [
        (1, 0.0, 1.0, "interrupted"),
        (2, 96.0, 100.0, "running"),
    ]


def test_the_pause_before_a_resume_is_cut_out(make_run):
    run = make_run()
    for trial_id, start in (("0001", 0.0), ("0002", 5000.0)):
        folder = run.trial(trial_id, [(1.0, 0.5)])
        run.change(folder / OUTCOME, started=start, ended=start + 10.0)
    data = timeline_data(*load_ranked(run.folder))
    assert data.gaps == ((10.0, 4990.0),)
    assert [(bar.start, bar.end) for bar in data.bars] == [(0.0, 10.0), (10.0, 20.0)]


def test_activities_add_up_to_the_time_of_all_lanes(run_of_12):
    data = time_use_data(*run_of_12)
    run, _ = run_of_12
    last = run.reports.groupby("trial").last()
    assert data.seconds["training"] == pytest.approx(last["train_seconds"].sum())
    assert data.seconds["evaluation"] == pytest.approx(0.1 * last["train_seconds"].sum())
    assert data.lanes == 3
    assert sum(data.seconds.values()) == pytest.approx(data.lanes * data.search_seconds, rel=0.01)


def test_time_between_trials_is_divided_by_activity(make_run):
    """One lane of two trials after 3 s of startup, 2 s apart, half a second of that proposals."""
    run = make_run()
    for trial_id, start in (("0001", 3.0), ("0002", 15.0)):
        folder = run.trial(trial_id, [])
        run.change(folder / OUTCOME, started=start, ended=start + 10.0)
        for epoch, (seconds, accuracy) in enumerate([(2.0, 0.5), (4.0, 0.6)], start=1):
            run.append(
                trial_id, epoch, seconds, accuracy, setup_seconds=0.4, checkpoint_seconds=0.3,
                timestamp=start + 5.0,
            )  # fmt: skip
    run.change_manifest(
        seconds=29.0, start_seconds=3.0, proposal_seconds=0.5, contention_seconds=1.5
    )
    data = time_use_data(*load_ranked(run.folder))
    assert (data.lanes, data.search_seconds) == (1, 30.5)
    assert list(data.seconds.values()) == pytest.approx(
        # training, evaluation, warm-up, checkpoints, imports and data, the rest of 2 · 9.4 s,
        # communication, pauses, proposals, startup, contention, idle: the rest of 30.5 s
        [8.0, 0.2, 1.0, 0.6, 0.8, 8.2, 1.2, 1.5, 0.5, 3.0, 1.5, 4.0]
    )
