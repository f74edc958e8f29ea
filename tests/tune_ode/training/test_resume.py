"""An interrupted and resumed training equals an uninterrupted one, bit for bit."""

import itertools
from pathlib import Path

import pytest
import torch

from tune_ode.training import TrialContext
from tune_ode.training.checkpoints import read_checkpoint

TRAININGS = [
    {"optimizer__name": "sgd", "schedule__name": "cosine", "schedule__warmup": 0.2},
    {"optimizer__name": "muon", "schedule__name": "plateau", "schedule__patience": 0},
    {"optimizer__name": "adamw", "schedule__name": "onecycle"},
    {"optimizer__name": "sgd", "schedule__name": "onecycle"},
    {"optimizer__name": "muon", "schedule__name": "onecycle"},
    {"optimizer__name": "rmsprop", "schedule__name": "step", "model__normalization": "batch"},
    {"optimizer__name": "adam", "schedule__name": "exponential", "training__gradient_clip": 0.5},
    # its first step sizes depend on the previous batches
    {"optimizer__name": "adamw", "schedule__name": "constant", "solver__method": "bosh3",
     "solver__rtol": 0.1, "solver__atol": 0.1},
]  # fmt: skip
each_training = pytest.mark.parametrize(
    "fields", TRAININGS, ids=lambda s: f"{s['optimizer__name']}-{s['schedule__name']}"
)


def assert_same_end(one: Path, other: Path) -> None:
    """Compare weights, optimizer states and random states."""
    a, b = (read_checkpoint(folder / "last.pt") for folder in (one, other))
    for name in a["model"]:
        assert torch.equal(a["model"][name], b["model"][name]), name
    for name in ("optimizer", "random", "schedule", "progress"):
        assert tensors(a["training"][name]) == tensors(b["training"][name]), name


def tensors(tree: object) -> object:
    if isinstance(tree, torch.Tensor):
        return tree.tolist()
    if isinstance(tree, dict):
        return {key: tensors(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [tensors(value) for value in tree]
    return tree


@each_training
def test_interrupted_after_any_report(fields, small_config, train, results, tmp_path: Path):
    """Resume after each report, at the end of an epoch (5 s) or inside one."""
    config = small_config(**fields)
    options = {"report_instants": [3, 5, 7, 8, 14]}
    expected = list(train(config, checkpoints=tmp_path / "uninterrupted", **options))
    assert [report.train_seconds for report in expected] == [3, 5, 7, 8, 14, 15]

    folder = tmp_path / "interrupted"
    found = [next(train(config, checkpoints=folder, **options))]
    for _ in expected[1:]:
        torch.rand(3)
        resumed = train(config, checkpoints=folder, resume_from=folder / "last.pt", **options)
        assert next(resumed) == found[-1]
        found.append(next(resumed))
    assert list(map(results, found)) == list(map(results, expected))
    assert_same_end(tmp_path / "uninterrupted", folder)


@each_training
def test_stopped_after_any_batch(fields, small_config, train, results, tmp_path: Path):
    """`should_stop` may end any batch: the first, one inside an epoch, the last one."""
    config = small_config(**fields)
    expected = list(train(config, checkpoints=tmp_path / "uninterrupted"))

    folder = tmp_path / "interrupted"
    reports = {}
    for batches in (1, 3, 2, 4, 9):  # of 15 batches; the last of an epoch does not ask
        calls = itertools.count(1)
        for report in train(
            config,
            checkpoints=folder,
            resume_from=folder / "last.pt" if (folder / "last.pt").exists() else None,
            should_stop=lambda calls=calls, batches=batches: next(calls) == batches,
        ):
            reports[report.epoch] = report
    assert [results(report) for report in reports.values()] == list(map(results, expected))
    a, b = (read_checkpoint(path / "last.pt") for path in (tmp_path / "uninterrupted", folder))
    assert all(torch.equal(a["model"][name], b["model"][name]) for name in a["model"])


def test_a_stop_takes_effect_immediately_and_loses_no_batch(small_config, train, tmp_path: Path):
    assert not list(train(small_config(), checkpoints=tmp_path, should_stop=lambda: True))
    saved = read_checkpoint(tmp_path / "last.pt")["training"]
    assert (saved["progress"]["batch"], saved["report"]) == (1, None)
    assert not (tmp_path / "best.pt").exists()


def test_clocks_accumulate_over_attempts(small_config, train, clock, tmp_path: Path):
    """A batch takes 1 s, an evaluation 10 s, a warm-up 100 s; time between attempts is ignored."""
    first = next(train(small_config(), checkpoints=tmp_path))
    clock.advance(3600)
    context = TrialContext(attempt=2, now=clock)
    resumed = train(small_config(), context=context, resume_from=tmp_path / "last.pt")
    assert next(resumed) == first
    second = next(resumed)
    assert (first.attempt, second.attempt) == (1, 2)
    assert second.train_seconds == 10
    assert second.eval_seconds == 20
    assert second.warmup_seconds == 200
    assert second.wall_seconds == 2 * (100 + 5 + 10)
    assert second.cpu_seconds > first.cpu_seconds
    assert second.train_cpu_seconds > first.train_cpu_seconds


def test_instants_passed_before_the_resume_are_not_reported_again(
    small_config, train, tmp_path: Path
):
    options = {"checkpoints": tmp_path, "report_instants": [2, 4]}
    next(train(small_config(), **options))
    resumed = train(small_config(), resume_from=tmp_path / "last.pt", **options)
    assert [report.train_seconds for report in itertools.islice(resumed, 3)] == [2, 4, 15]


@pytest.mark.parametrize("budget", [None, 7])
def test_resuming_a_finished_training_yields_its_last_report(
    small_config, train, tmp_path: Path, budget: float | None
):
    options = {"checkpoints": tmp_path, "budget_seconds": budget}
    *_, last = train(small_config(), **options)
    assert list(train(small_config(), resume_from=tmp_path / "last.pt", **options)) == [last]


def test_a_budget_reached_during_a_stop_is_still_reported(
    small_config, train, clock, tmp_path: Path
):
    """A second passes between reading the clock and the stop, and reaches the budget."""

    def stop() -> bool:
        clock.advance(1)
        return True

    options = {"checkpoints": tmp_path, "budget_seconds": 2}
    assert not list(train(small_config(), should_stop=stop, **options))
    resumed = train(small_config(), resume_from=tmp_path / "last.pt", **options)
    assert [report.train_seconds for report in resumed] == [3]
