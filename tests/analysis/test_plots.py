"""Plots show the data of the reports; each has a title and units, for incomplete runs too."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from analysis.importance import LEAST_TRIALS, importances
from analysis.load import load_run
from analysis.plots import (
    PLOTS,
    accuracy,
    draw,
    epochs,
    front,
    parameters,
    scales,
    solvers,
    style,
    time,
)
from analysis.plots.plot import title
from analysis.ranking import rank
from tune_ode.errors import UsageError
from tune_ode.records import REPORTS

RUN = Path(__file__).parents[1] / "data" / "run-of-12"
GPU = "NVIDIA A100"


@pytest.fixture(scope="module")
def seen():
    run = load_run(RUN)
    return run, rank(run)


def test_the_envelope_is_the_best_of_all_trials_so_far(by_hand):
    run = load_run(by_hand)
    data = accuracy.curves_data(run, rank(run))
    assert [line.trial_id for line in data.highlighted] == ["0002", "0001", "0003", "0008"]
    assert [line.trial_id for line in data.others] == ["0009", "0004"], "the ranked are highlighted"
    reached = dict(zip(*data.envelope, strict=True))
    assert reached == {1.0: 0.7, 2.0: 0.8, 3.0: 0.88, 4.0: 0.9, 8.0: 0.92}


def test_curves_are_drawn_as_their_data_say(by_hand):
    run = load_run(by_hand)
    _, ax = style.figure()
    accuracy.plot_curves(accuracy.curves_data(run, rank(run)), ax)
    assert (ax.get_xscale(), ax.get_xlabel()) == ("log", "training time (seconds, logarithmic)")
    assert (0.7, 0.88) in [tuple(line.get_ydata()) for line in ax.lines]
    others = [path[:, 1].tolist() for path in ax.collections[0].get_segments()]
    assert others == [[0.6], [0.3]]


def test_a_legend_names_only_what_differs(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.9)], params={"solver.method": "rk4", "model.width": 64})
    run.trial("0002", [(2.0, 0.9)], params={"solver.method": "euler", "model.width": 64})
    loaded = load_run(run.folder)
    labels = [line.label for line in accuracy.curves_data(loaded, rank(loaded)).highlighted]
    assert labels == ["1.  0001  rk4", "2.  0002  euler"]


def test_each_device_has_a_front_of_its_own(seen):
    data = front.front_data(*seen)
    fronts = {front.device: list(zip(front.seconds, front.accuracy, strict=True))
              for front in data.fronts}  # fmt: skip
    assert fronts == {
        # 0001 and 0003 both reach 0.8 after 2 s, and with 0004 0.9 after 4 s
        "cpu": [(1.0, 0.7), *[(2.0, 0.8)] * 2, (3.0, 0.88), *[(4.0, 0.9)] * 3, (8.0, 0.91)],
        GPU: [(0.1, 0.5), (0.2, 0.9), (0.8, 0.92)],
    }
    assert data.best == (3.0, 0.88, "0002")


def test_rates_by_solver_and_gradient(seen):
    data = solvers.solvers_data(*seen)
    groups = {(g.method, g.gradient): (g.rates.round(6).tolist(), g.trials) for g in data.groups}
    assert groups == {
        ("euler", "backprop"): ([0.26], 1),
        ("rk4", "backprop"): ([0.2, 0.2], 2),
        ("rk4", "adjoint"): ([0.2], 1),
        ("dopri5", "adjoint"): ([], 1),
    }
    assert data.device == "cpu", "the GPU's rates are not comparable"
    assert data.methods == ("euler", "rk4", "dopri5")


def with_solver(folder):
    setup = json.loads((folder / "config.json").read_text())
    setup["config"] = {"solver": {"method": "rk4", "gradient": "adjoint"}}
    (folder / "config.json").write_text(json.dumps(setup))


def test_a_trial_at_chance_has_no_rate_to_draw(make_run):
    run = make_run()
    for trial_id, reached in (("0001", 0.14), ("0002", 0.1), ("0003", 0.09)):
        with_solver(run.trial(trial_id, [(1.0, reached)]))
    loaded = load_run(run.folder)
    (group,) = solvers.solvers_data(loaded, rank(loaded)).groups
    assert (group.rates.tolist(), group.trials) == ([pytest.approx(0.04)], 3)
    assert solvers.solvers_data(loaded, rank(loaded, floor=0.5)) is None


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("accuracy", [0.1, 0.05])
def test_a_run_that_never_beats_chance_is_drawn_without_a_warning(make_run, accuracy):
    run = make_run()
    with_solver(run.trial("0001", [(1.0, accuracy), (2.0, accuracy)]))
    loaded = load_run(run.folder)
    for name in PLOTS:
        draw(loaded, rank(loaded), name)
    assert draw(loaded, rank(loaded), "accuracy-per-second-by-solver") is None


def test_evaluations_are_those_of_the_trials_that_make_them(seen):
    data = solvers.evaluations_data(*seen)
    assert data.trials == {"euler": 4, "rk4": 4, "dopri5": 2}
    assert data.bands["nfe_forward"]["rk4"].middle.tolist() == [4.0] * 4
    backward = data.bands["nfe_backward"]
    # of rk4 the adjoint is 0004's alone, whose three epochs it covers
    assert backward["rk4"].epochs.tolist() == [1.0, 2.0, 3.0]
    assert backward["rk4"].middle.tolist() == [4.0] * 3
    assert set(backward) == {"euler", "rk4", "dopri5"}


def test_the_timeline_gives_each_trial_a_lane(seen):
    data = time.timeline_data(*seen)
    assert data.lanes == (("here", GPU), ("here", "cpu"), ("here", "cpu"))
    bars = {bar.trial_id: bar for bar in data.bars}
    assert (len(bars), len(data.bars)) == (12, 13), "0012 has two attempts"
    assert (bars["0001"].start, bars["0001"].end) == (10.0, 20.0)
    assert bars["0011"].outcome == "running"
    for lane in range(3):
        spans = sorted((bar.start, bar.end) for bar in data.bars if bar.lane == lane)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_a_trial_that_went_on_has_a_bar_for_each_attempt(make_run):
    run = make_run()
    folder = run.trial("0001", [], attempt=3)
    lines = [
        # created at 0; attempt 1 reports at 6 and 8, its process dies
        (1, 6.0, 5.0), (1, 8.0, 7.0),
        # attempt 2 starts a second before the 2 s of training that it reports at 23
        (2, 23.0, 9.0), (2, 26.0, 12.0),
        # attempt 3 started at 40, says outcome.json, and ends at 50
        (3, 45.0, 16.0),
    ]  # fmt: skip
    with (folder / REPORTS).open("w") as file:
        for epoch, (attempt, timestamp, wall) in enumerate(lines, start=1):
            line = run.report("0001", epoch, 1.0 * epoch, 0.5, attempt).to_json()
            line |= {"timestamp": timestamp, "wall_seconds": wall}
            file.write(json.dumps(line) + "\n")
    outcome = json.loads((folder / "outcome.json").read_text())
    (folder / "outcome.json").write_text(json.dumps(outcome | {"started": 40.0, "ended": 50.0}))
    run.trial("0002", [(1.0, 0.5)])
    loaded = load_run(run.folder)
    data = time.timeline_data(loaded, rank(loaded))
    bars = {(bar.trial_id, bar.attempt): (bar.start, bar.end, bar.outcome) for bar in data.bars}
    assert bars == {
        ("0001", 1): (0.0, 8.0, "interrupted"),
        ("0001", 2): (21.0, 26.0, "interrupted"),
        ("0001", 3): (40.0, 50.0, "completed"),
        ("0002", 1): (0.0, 1.0, "completed"),
    }
    _, ax = style.figure()
    time.plot_timeline(data, ax)
    assert ax.get_title(loc="left") == "2 trials in 4 attempts over 2 lanes"


def test_an_attempt_that_still_runs_starts_where_it_did(make_run):
    run = make_run()
    folder = run.trial("0001", [(1.0, 0.5)], "interrupted")
    line = run.report("0001", 2, 3.0, 0.6, attempt=2).to_json()
    line |= {"timestamp": 100.0, "wall_seconds": 3.0 + 4.0}  # 3 s of them in attempt 1
    with (folder / REPORTS).open("a") as file:
        file.write(json.dumps(line) + "\n")
    loaded = load_run(run.folder)
    data = time.timeline_data(loaded, rank(loaded))
    assert [(bar.attempt, bar.start, bar.end, bar.outcome) for bar in data.bars] == [
        (1, 0.0, 1.0, "interrupted"),
        (2, 96.0, 100.0, "running"),
    ]


def test_the_pause_between_two_sittings_is_cut_out(make_run):
    run = make_run()
    for trial_id, start in (("0001", 0.0), ("0002", 5000.0)):
        folder = run.trial(trial_id, [(1.0, 0.5)])
        outcome = json.loads((folder / "outcome.json").read_text())
        outcome |= {"started": start, "ended": start + 10.0}
        (folder / "outcome.json").write_text(json.dumps(outcome))
    loaded = load_run(run.folder)
    data = time.timeline_data(loaded, rank(loaded))
    assert data.gaps == ((10.0, 4990.0),)
    assert [(bar.start, bar.end) for bar in data.bars] == [(0.0, 10.0), (10.0, 20.0)]


def test_the_uses_of_time_add_up(seen):
    data = time.time_use_data(*seen)
    run, _ = seen
    last = run.reports.groupby("trial").last()
    assert data.seconds["training"] == pytest.approx(last["train_seconds"].sum())
    assert data.seconds["evaluation"] == pytest.approx(0.1 * last["train_seconds"].sum())
    assert data.lanes == 3
    assert sum(data.seconds.values()) == pytest.approx(data.lanes * data.search_seconds, rel=0.01)


def test_the_time_around_trials_is_told_apart(make_run):
    """A lane of two trials, 2 s apart: half a second of that a proposal; 3 s of start before."""
    run = make_run()
    for trial_id, start in (("0001", 3.0), ("0002", 15.0)):
        folder = run.trial(trial_id, [(2.0, 0.5), (4.0, 0.6)])
        outcome = json.loads((folder / "outcome.json").read_text())
        (folder / "outcome.json").write_text(
            json.dumps(outcome | {"started": start, "ended": start + 10.0})
        )
        lines = [json.loads(line) for line in (folder / "reports.jsonl").open()]
        more = {"setup_seconds": 0.4, "checkpoint_seconds": 0.3, "timestamp": start + 5.0}
        (folder / "reports.jsonl").write_text(
            "".join(json.dumps(line | more) + "\n" for line in lines)
        )
    manifest = json.loads((run.folder / "run.json").read_text())
    manifest |= {"seconds": 29.0, "start_seconds": 3.0, "proposal_seconds": 0.5}
    (run.folder / "run.json").write_text(json.dumps(manifest | {"contention_seconds": 1.5}))
    loaded = load_run(run.folder)
    data = time.time_use_data(loaded, rank(loaded))
    assert (data.lanes, data.search_seconds) == (1, 30.5)
    assert list(data.seconds.values()) == pytest.approx(
        # training, evaluation, warm-up, checkpoints, setup, the rest of 2 × 9.4 s, messages,
        # turnover, proposals, start, timing of sharing, idle: what is left of 29 s and the timing
        [8.0, 0.2, 1.0, 0.6, 0.8, 8.2, 1.2, 1.5, 0.5, 3.0, 1.5, 4.0]
    )


def test_epochs_are_those_of_the_first_or_of_a_trial_that_was_asked_for(seen):
    run, ranking = seen
    assert epochs.epochs_data(run, ranking).trial_id == "0002"
    data = epochs.epochs_data(run, ranking, "0012")
    assert data.columns["val_accuracy"].tolist() == [0.6, 0.89]
    assert epochs.epochs_data(run, ranking, "0006") is None


def test_scales_place_numbers_and_choices():
    params = [{"rate": 10.0**-k, "name": name, "flag": k > 2} for k, name in
              enumerate(("b", "a", "c", "b"), start=1)]  # fmt: skip
    found = scales.scales(params, {"rate": "1e-4 .. 0.1 log", "name": ["a", "b", "c"]})
    assert found["rate"].position([1e-4, 1e-2, "x"])[:2] == pytest.approx([0, 2 / 3])
    assert found["name"].position(["a", "c", scales.Missing])[:2].tolist() == [0.0, 1.0]
    assert np.isnan(found["name"].position([scales.Missing]))
    assert found["flag"].choices == ("False", "True")
    assert scales.scales([{"x": 1}, {"x": 1}], {}) == {}, "nothing was searched"


def test_logarithmic_ranges_are_found_as_a_space_writes_them():
    from search_spaces import PRESETS, Float, Int, to_dict

    space, _ = PRESETS["full"]
    written = scales.logarithmic(to_dict(space))
    ranges = {name: one for name, one, _ in space.walk() if isinstance(one, Float | Int)}
    assert written == {name for name, one in ranges.items() if one.log}
    assert 0 < len(written) < len(ranges)


def made_up(count=200, seed=0):
    """Accuracy that follows `rate`, seconds that follow `width`, and `noise` that neither does."""
    draw = np.random.default_rng(seed)
    params = []
    for _ in range(count):
        one = {"rate": float(draw.uniform()), "width": int(draw.choice([16, 32, 64])),
               "noise": float(draw.uniform()), "kind": str(draw.choice(["a", "b"]))}  # fmt: skip
        if one["kind"] == "a":
            one["only_a"] = float(draw.uniform())
        params.append(one)
    values = [one["rate"] + 0.02 * draw.normal() for one in params]
    seconds = [one["width"] * np.exp(0.02 * draw.normal()) for one in params]
    return params, values, seconds


def test_importance_finds_what_decides():
    found = importances(*made_up())
    assert max(found.by_accuracy, key=found.by_accuracy.get) == "rate"
    assert max(found.by_seconds, key=found.by_seconds.get) == "width"
    assert found.by_accuracy["rate"] > 0.5
    assert found.by_accuracy["noise"] < 0.15
    assert sum(found.by_accuracy.values()) == pytest.approx(1)
    assert found.used["only_a"] < found.trials == 200
    assert found.best == 20
    assert set(found.names[:2]) == {"rate", "width"}


def test_importance_of_a_parameter_that_only_some_trials_have():
    params, _, seconds = made_up()
    values = [one.get("only_a", -1.0) for one in params]
    assert importances(params, values, seconds).names[0] in {"only_a", "width"}
    assert importances(params, values, seconds).by_accuracy["only_a"] > 0.3


def test_few_trials_or_a_single_value_have_no_importance():
    params, values, seconds = made_up(LEAST_TRIALS - 1)
    assert importances(params, values, seconds) is None
    assert importances([{"x": 1}] * 20, range(20), range(20)) is None
    assert importances([{"x": [1, k]} for k in range(20)], range(20), range(20)) is None


def test_what_few_trials_have_decides_nothing():
    params, values, seconds = made_up(40)
    for number, one in enumerate(params[: LEAST_TRIALS - 1]):
        one["rare"] = float(number)
    for one in params[:LEAST_TRIALS]:
        one["enough"] = one["rate"]
    assert {"rate", "enough"} <= set(importances(params, values, seconds).used)
    assert "rare" not in importances(params, values, seconds).used


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_has_a_title_and_units(seen, name):
    if name == "importance":
        params, values, seconds = made_up(40)
        figure, ax = style.figure()
        parameters.plot_importance(importances(params, values, seconds), ax)
    else:
        figure = PLOTS[name].draw(*seen)
    assert title(figure)
    for ax in figure.axes:
        assert name in {"slices", "parameters-of-the-best"} or ax.get_xlabel()


def test_a_notebook_shows_a_plot(seen):
    picture = draw(*seen, "timeline")
    assert picture._repr_png_()[:4] == b"\x89PNG"
    assert picture.title == "12 trials in 13 attempts over 3 lanes"


@pytest.mark.parametrize(
    "curves", [[], [[]], [[(1.0, None)]], [[(1.2, 0.5)]], [[(1, 0.1)] * 2] * 2]
)
def test_every_plot_draws_a_run_that_measured_little_or_nothing(make_run, curves):
    run = make_run(trial_seconds=None)
    for number, curve in enumerate(curves, start=1):
        run.trial(f"{number:04d}", curve, "diverged")
    loaded = load_run(run.folder)
    for plot in PLOTS.values():
        plot.draw(loaded, rank(loaded))


def test_an_unknown_plot_names_the_known(seen):
    with pytest.raises(UsageError, match="unknown plot 'time'"):
        draw(*seen, "time")


def test_report_lines_of_an_older_version_draw_what_they_have(make_run):
    run = make_run()
    folder = run.trial("0001", [])
    line = {"epoch": 1.0, "train_seconds": 1.0, "val_accuracy": 0.5, "attempt": 1}
    (folder / REPORTS).write_text(json.dumps(line) + "\n")
    loaded = load_run(run.folder)
    assert rank(loaded).to_records()[0]["best_accuracy"] == 0.5
    drawn = {name for name, plot in PLOTS.items() if plot.draw(loaded, rank(loaded)) is not None}
    assert "accuracy-over-time" in drawn
