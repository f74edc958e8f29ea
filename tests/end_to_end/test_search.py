"""A search on real Ray can be interrupted at any time, and its ranking follows from its files."""

import json

import numpy as np
import pytest

from analysis.contention import shrink
from tests.end_to_end.conftest import timed_trials
from tune_ode.records import Contention


def check_finished(run, trials):
    assert len(run.results()) == trials
    assert run.manifest()["state"] == "finished"
    assert not set(run.study_states()) & {"RUNNING", "WAITING"}
    assert (run.folder / "report" / "index.html").exists()


def curve(reports, contention):
    """Recompute a trial's curve of (seconds, accuracy): isolated seconds if slowdown is known."""
    points, before, total = [], (0.0, 0.0), 0.0
    shrunk = None if contention is None else shrink(Contention.from_json(contention))
    for report in reports:
        seconds = report["train_seconds"]
        if shrunk is not None and max(shrunk.slowdown) > 1:
            concurrency = report["mean_concurrent_trials"]
            slowdown = np.interp(concurrency, shrunk.concurrency, shrunk.slowdown)
            spent = report[shrunk.column]
            total += min((spent - before[0]) / slowdown, seconds - before[1])
            before, seconds = (spent, seconds), total
        points.append((pytest.approx(seconds), report["val_accuracy"]))
    return points


def check_ranking(rows, run):
    """Recompute the ranking from the reports."""
    chance, contention = run.manifest()["chance"], run.manifest()["contention"].get("cpu")
    curves = {row["trial_id"]: curve(run.reports(row["trial_id"]), contention) for row in rows}
    floor = max(accuracy for points in curves.values() for _, accuracy in points) - 0.05
    for row in rows:
        rates = [(a - chance) / s.expected for s, a in curves[row["trial_id"]] if a >= floor]
        if rates:
            # smoothing and shrinkage move a rate, but not far from its reports
            low, rate, high = (row[n] for n in ("rate_low", "accuracy_per_second", "rate_high"))
            assert low < rate < high
            assert 0.2 < rate / max(rates) < 3
        else:
            assert row["accuracy_per_second"] is None
        assert (row["seconds"], row["val_accuracy"]) in curves[row["trial_id"]]
        assert row["outcome"] == run.results()[row["trial_id"]]["outcome"]
    ranked = [row for row in rows if row["rank"] is not None]
    assert [row["rank"] for row in ranked] == list(range(1, len(ranked) + 1))
    rates = [row["accuracy_per_second"] for row in ranked]
    assert rates == sorted(rates, reverse=True)
    assert rows[: len(ranked)] == ranked


def test_interrupted_resumed_and_ranked(tune_ode, run_folder, small):
    """Ctrl-C keeps finished trials, a resume completes the search, and its ranking is right."""
    search = tune_ode(
        "search", *small, *timed_trials(1), "--trials", "4", "--log-to", "tensorboard",
        "--max-concurrent", "2", "--scheduler", "none",
    )  # fmt: skip
    run_folder.wait_for(lambda run: len(run.finished()) >= 1, process=search.process)
    search.interrupt()
    status, _, err = search.wait(timeout=90)
    assert status == 130
    assert err == "tune-ode: interrupted; to continue: tune-ode resume runs/run\n"
    finished = run_folder.finished()
    assert 1 <= len(finished) < 4
    assert "RUNNING" not in run_folder.study_states()

    out = tune_ode("resume", run_folder.folder).succeed()
    check_finished(run_folder, 4)
    assert run_folder.finished().items() >= finished.items(), "finished trials do not change"
    assert "ray" not in out.lower(), "only the search's own output"

    status, out, _ = tune_ode("rank", run_folder.folder, "--json").wait()
    rows = json.loads(out)
    assert status == 0
    assert rows[0].keys() >= {
        "rank", "trial_id", "outcome", "val_accuracy", "seconds", "accuracy_per_second", "params",
    }  # fmt: skip
    assert len(rows) == 4
    check_ranking(rows, run_folder)

    boards = run_folder.folder / "tensorboard"
    assert {folder.name for folder in boards.iterdir()} == run_folder.results().keys()
    assert all(any(folder.iterdir()) for folder in boards.iterdir())


@pytest.mark.long
def test_interrupted_while_ray_starts_and_while_contention_is_measured(tune_ode, run_folder, small):
    """At first nothing is saved; later the search is finished, and a resume measures it."""
    search = tune_ode("search", *small, "--trials", "2", "--calibrate")
    run_folder.wait_for(lambda run: (run.folder / "run.json").exists(), process=search.process)
    search.interrupt()
    status, _, err = search.wait(timeout=60)
    assert (status, err) == (130, "tune-ode: interrupted; to continue: tune-ode resume runs/run\n")
    assert run_folder.results() == {}

    search = tune_ode("resume", run_folder.folder, PYTHONUNBUFFERED="1")
    while "timing training steps" not in search.process.stdout.readline():
        assert search.process.poll() is None
    search.interrupt()
    out = search.succeed(timeout=60)
    assert "contention was not measured: interrupted" in out
    check_finished(run_folder, 2)
    assert run_folder.manifest()["contention"] == {}

    out = tune_ode("resume", run_folder.folder, "--trials", "3", "--profile").succeed()
    for name in ("training", "checkpoints", "proposals", "startup: Ray", "idle"):
        assert name in out
    contention = run_folder.manifest()["contention"]["cpu"]
    assert contention["concurrency"] == [1, 2]
    assert all(factor > 0 for factor in contention["slowdown"])
    check_finished(run_folder, 3)
    status, out, _ = tune_ode("rank", run_folder.folder, "--json").wait()
    assert status == 0
    check_ranking(json.loads(out), run_folder)


@pytest.mark.long
def test_a_time_budget_ends_a_search(tune_ode, run_folder, small):
    options = (*timed_trials(60), "--scheduler", "none", "--time-budget", "30s")
    status, out, _ = tune_ode("search", *small, *options).wait()
    assert status == 0
    assert "finished (time budget)" in out
    ends = {(result["outcome"], result["reason"]) for result in run_folder.results().values()}
    assert ("stopped", "search ended") in ends
    assert "interrupted" not in dict(ends)
    assert run_folder.manifest()["state"] == "finished"
    assert "RUNNING" not in run_folder.study_states()


@pytest.mark.long
def test_the_default_search_finds_a_good_digits_classifier(tune_ode, run_folder):
    """That of `make search` finds one above 0.95 in at least 6 trials in a third of its time."""
    tune_ode("search", "--name", "run", "--time-budget", "80s").succeed()
    _, out, _ = tune_ode("rank", run_folder.folder, "--json").wait()
    rows = json.loads(out)
    assert len(rows) >= 6
    assert rows[0]["best_accuracy"] > 0.95


@pytest.mark.long
@pytest.mark.parametrize(
    ("dataset", "train_images", "accuracy"), [("mnist", 3000, 0.5), ("cifar10", 1000, 0.12)]
)
def test_real_images(tune_ode, run_folder, real_data, dataset, train_images, accuracy):
    """Short searches learn something; good accuracies would take longer than a test."""
    name = dataset if dataset == "mnist" else f"folder:{real_data / dataset}"
    search = tune_ode(
        "search", "--name", "run", "--dataset", name, "--data-dir", real_data, "--train-images",
        train_images, "--trials", "3", "--trial-seconds", "10s", "--no-calibrate",
    )  # fmt: skip
    out = search.succeed()
    assert "report" in out
    _, out, _ = tune_ode("rank", run_folder.folder, "--json").wait()
    assert max(row["best_accuracy"] or 0 for row in json.loads(out)) > accuracy
