"""The sentence that names the best trial: criterion, disturbed clocks, ties, the most accurate."""

import pytest

from analysis.load import load_run
from analysis.ranking import describe_best, rank
from analysis.ranking.best import criterion

FAST, ACCURATE = [(1.0, 0.9)], [(2.0, 0.5), (8.0, 0.94)]


@pytest.fixture
def disagreeing(make_run):
    """Return a run on idle cores: 0001 is first by rate, 0002 by accuracy."""
    return undisturbed(make_run(), {"0001": FAST, "0002": ACCURATE})


def undisturbed(run, curves):
    for trial_id, curve in curves.items():
        run.trial(trial_id, [])
        for epoch, (seconds, accuracy) in enumerate(curve, start=1):
            run.append(trial_id, epoch, seconds, accuracy, cpu_seconds=2 * seconds + 1)
    return run


def best(*runs, brief=False, **options):
    return describe_best(rank([load_run(run.folder) for run in runs], **options), brief=brief)


def test_the_sentence_names_the_criterion_and_why_the_most_accurate_trial_is_not_first(disagreeing):
    (sentence,) = best(disagreeing)
    head, more = sentence.split("; ")
    assert head == (
        "Best by accuracy per second: trial 0001 (rk4), 90.00% validation accuracy after 1 s of "
        "training time"
    )
    assert more.startswith(
        "trial 0002 is more accurate, 94.00%, but behind in accuracy per second: 0."
    )


@pytest.mark.parametrize(
    ("by", "named", "first"),
    [
        ("anytime", "anytime area", "0001"),
        ("seconds", "seconds to the floor", "0001"),
        ("seconds@0.92", "seconds to accuracy 0.92", "0002"),
        ("accuracy", "accuracy", "0002"),
        ("accuracy@1s", "accuracy within 1 s", "0001"),
        ("pareto", "accuracy on the Pareto front", "0002"),
    ],
)
def test_every_metric_has_a_name_and_the_most_accurate_first_needs_no_remark(
    disagreeing, by, named, first
):
    assert criterion(by) == named
    (sentence,) = best(disagreeing, by=by)
    assert sentence.startswith(f"Best by {named}: trial {first} ")
    assert ("is more accurate" in sentence) == (first == "0001")


@pytest.mark.parametrize(
    ("options", "command"),
    [
        ({}, "tune-ode confirm {run}"),
        # `confirm` takes the first by accuracy per second, which need not be these
        ({"by": "anytime"}, "tune-ode train {run}:0001"),
        ({"floor": 0.5}, "tune-ode train {run}:0001"),
    ],
)
def test_a_disturbed_clock_is_in_the_sentence_with_the_command_that_measures_again(
    make_run, options, command
):
    run = make_run()
    run.trial("0001", FAST)  # 1 s of CPU in 3 s
    command = command.format(run=run.folder)
    (sentence,) = best(run, **options)
    assert sentence.endswith(f"; its clock was disturbed (starved); confirm it with: {command}")
    (sentence,) = best(run, brief=True, **options)
    assert sentence.endswith("; its clock was disturbed (starved); confirm it")


def test_each_device_has_a_sentence(run_of_12):
    cpu, gpu = describe_best(run_of_12[1])
    assert cpu.startswith("Best on cpu by accuracy per second: trial 0002 (euler, backprop), ")
    assert gpu.startswith("Best on NVIDIA A100 by accuracy per second: trial 0009 ")
    assert "trial 0010 is more accurate, 92.00%" in gpu


def test_a_trial_of_several_runs_is_named_with_its_run(make_run, disagreeing):
    other = make_run("other")
    other.change_manifest(name="other")
    other.trial("0001", [(0.5, 0.92)])
    (sentence,) = best(disagreeing, other)
    assert sentence.startswith("Best by accuracy per second: trial other:0001 ")
    assert f"confirm it with: tune-ode train {other.folder}:0001" in sentence
    assert "trial by hand:0002 is more accurate" in sentence


def test_nothing_ranked_is_no_sentence(make_run, disagreeing):
    assert best(disagreeing, floor=0.99) == []
    assert best(make_run("empty")) == []
