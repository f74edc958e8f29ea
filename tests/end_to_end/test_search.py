"""A search on real Ray survives what happens to searches, and its numbers are those on disk."""

import json

import numpy as np
import pytest

from tests.end_to_end.conftest import by_the_clock


def check_finished(run, trials):
    assert len(run.outcomes()) == trials
    assert run.manifest()["state"] == "finished"
    assert not set(run.study_states()) & {"RUNNING", "WAITING"}
    assert (run.folder / "report" / "index.html").exists()


def points_of(lines, price):
    """Recompute from a trial's lines the seconds that rank, and the accuracies: those that it took
    alone where the price of sharing is known."""
    if price is None:
        return [(pytest.approx(line["train_seconds"]), line["val_accuracy"]) for line in lines]
    points, before, total = [], 0.0, 0.0
    for line in lines:
        beside = line["mean_concurrent_trials"]
        slowdown = np.interp(beside, price["concurrency"], price["slowdown"])
        total += (line[price["column"]] - before) / slowdown
        before = line[price["column"]]
        points.append((pytest.approx(total), line["val_accuracy"]))
    return points


def check_ranking(rows, run):
    """Recompute the ranking from the report lines, by hand."""
    chance, price = run.manifest()["chance"], run.manifest()["contention"].get("cpu")
    points = {row["trial_id"]: points_of(run.lines(row["trial_id"]), price) for row in rows}
    floor = max(accuracy for curve in points.values() for _, accuracy in curve) - 0.05
    for row in rows:
        rates = [(a - chance) / s.expected for s, a in points[row["trial_id"]] if a >= floor]
        expected = max(rates, default=None)
        assert row["accuracy_per_second"] == (expected and pytest.approx(expected))
        assert (row["seconds"], row["val_accuracy"]) in points[row["trial_id"]]
        assert row["outcome"] == run.outcomes()[row["trial_id"]]["outcome"]
    ranked = [row for row in rows if row["rank"] is not None]
    assert [row["rank"] for row in ranked] == list(range(1, len(ranked) + 1))
    rates = [row["accuracy_per_second"] for row in ranked]
    assert rates == sorted(rates, reverse=True)
    assert rows[: len(ranked)] == ranked


def test_interrupted_resumed_and_ranked(tune_ode, run_folder, small):
    """Ctrl-C keeps every finished trial; a resume goes on; the ranking follows from the lines."""
    search = tune_ode(
        "search", *small, *by_the_clock(2), "--trials", "4", "--log-to", "tensorboard",
        "--max-concurrent", "2",
    )  # fmt: skip
    run_folder.wait_for(lambda run: len(run.finished()) >= 1)
    search.interrupt()
    status, _, err = search.wait(timeout=30)
    assert status == 130
    assert err == "tune-ode: interrupted; to continue: tune-ode resume runs/run\n"
    finished = run_folder.finished()
    assert 1 <= len(finished) < 4
    assert "RUNNING" not in run_folder.study_states()

    status, out, err = tune_ode("resume", run_folder.folder).wait()
    assert (status, err) == (0, "")
    check_finished(run_folder, 4)
    assert run_folder.finished().items() >= finished.items(), "finished trials stay as they were"
    # nothing on the screen but what the search itself says
    assert "ray" not in out.lower()

    status, out, _ = tune_ode("rank", run_folder.folder, "--json").wait()
    rows = json.loads(out)
    assert status == 0
    assert rows[0].keys() >= {
        "rank", "trial_id", "outcome", "val_accuracy", "seconds", "accuracy_per_second", "params",
    }  # fmt: skip
    assert len(rows) == 4
    check_ranking(rows, run_folder)

    boards = run_folder.folder / "tensorboard"
    assert {folder.name for folder in boards.iterdir()} == run_folder.outcomes().keys()
    assert all(any(folder.iterdir()) for folder in boards.iterdir())


@pytest.mark.long
def test_interrupted_while_ray_starts(tune_ode, run_folder, small):
    """There is nothing to save yet, and nothing to wait for."""
    search = tune_ode("search", *small, "--trials", "2")
    run_folder.wait_for(lambda run: (run.folder / "run.json").exists())
    search.interrupt()
    status, _, err = search.wait(timeout=60)
    assert (status, err) == (130, "tune-ode: interrupted; to continue: tune-ode resume runs/run\n")
    assert run_folder.outcomes() == {}
    status, _, err = tune_ode("resume", run_folder.folder).wait()
    assert (status, err) == (0, "")
    check_finished(run_folder, 2)


@pytest.mark.long
def test_interrupted_while_a_step_is_timed_beside_others(tune_ode, run_folder, small):
    """All trials are done: the search is, too; a resume that tries more times it then."""
    search = tune_ode("search", *small, "--trials", "2", "--calibrate", PYTHONUNBUFFERED="1")
    while "timing a training step" not in search.process.stdout.readline():
        assert search.process.poll() is None
    search.interrupt()
    status, out, err = search.wait(timeout=60)
    assert (status, err) == (0, "")
    assert "the price of sharing is not known: interrupted" in out
    check_finished(run_folder, 2)
    assert run_folder.manifest()["contention"] == {}
    more = ("resume", run_folder.folder, "--trials", "3", "--profile")
    status, out, err = tune_ode(*more).wait()
    assert (status, err) == (0, "")
    assert "timing a training step" in out
    for what in ("training", "checkpoints", "proposals", "start: Ray", "idle"):
        assert what in out
    sharing = run_folder.manifest()["contention"]
    assert sharing["cpu"]["concurrency"] == [1, 2]
    assert all(factor > 0 for factor in sharing["cpu"]["slowdown"])
    status, out, err = tune_ode("resume", run_folder.folder, "--trials", "4").wait()
    assert (status, err) == (0, "")
    assert "timing a training step" not in out, "what is known is not timed again"
    assert run_folder.manifest()["contention"] == sharing
    check_finished(run_folder, 4)
    status, out, _ = tune_ode("rank", run_folder.folder, "--json").wait()
    assert status == 0
    check_ranking(json.loads(out), run_folder)


@pytest.mark.long
def test_a_time_budget_ends_a_search(tune_ode, run_folder, small):
    search = tune_ode("search", *small, "--time-budget", "40s", "--fix", "training.epochs=20")
    status, out, _ = search.wait()
    assert status == 0
    assert "ended: the time budget is used up" in out
    assert {o["outcome"] for o in run_folder.outcomes().values()} >= {"interrupted"}
    status, _, _ = tune_ode("resume", run_folder.folder, "--time-budget", "30s").wait()
    assert status == 0
    assert "RUNNING" not in run_folder.study_states()


@pytest.mark.long
@pytest.mark.timeout(400)
def test_the_default_search_finds_a_good_digits_classifier(tune_ode, run_folder):
    """What `make search` runs: at least 12 trials, and one above 0.95 validation accuracy."""
    status, _, err = tune_ode("search", "--name", "run").wait(timeout=360)
    assert (status, err) == (0, "")
    _, out, _ = tune_ode("rank", run_folder.folder, "--json").wait()
    rows = json.loads(out)
    assert len(rows) >= 12
    assert rows[0]["best_accuracy"] > 0.95


@pytest.mark.long
@pytest.mark.timeout(400)
def test_real_mnist_and_cifar10(tune_ode, run_folder, real_data):
    """Short searches on real images run through; how good they get takes longer than a test."""
    for name, data in (
        ("mnist", ("--dataset", "mnist", "--data-dir", real_data, "--train-images", "3000")),
        ("cifar", ("--dataset", f"folder:{real_data / 'cifar10'}", "--train-images", "1000")),
    ):
        search = tune_ode("search", "--name", name, *data, "--trials", "4", "--time-budget", "80s")
        status, out, err = search.wait()
        assert (status, err) == (0, "")
        assert "report" in out
        _, out, _ = tune_ode("rank", run_folder.folder.with_name(name), "--json").wait()
        best = max(row["best_accuracy"] or 0 for row in json.loads(out))
        assert best > (0.5 if name == "mnist" else 0.12)
