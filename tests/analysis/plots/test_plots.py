"""Data of the plots, and drawing of unusual runs."""

import dataclasses
import json

import numpy as np
import pytest

from analysis.plots import PLOTS, accuracy, draw, epochs, front, scales, solvers, style
from analysis.plots.plot import title
from tests.analysis.conftest import load_ranked
from tune_ode.errors import UsageError
from tune_ode.records import CONFIG, REPORTS, Report

GPU = "NVIDIA A100"
ADJOINT = {"solver": {"method": "rk4", "gradient": "adjoint"}}


def test_the_envelope_is_the_best_accuracy_so_far(by_hand):
    data = accuracy.curves_data(*load_ranked(by_hand))
    assert [curve.trial_id for curve in data.highlighted] == ["0002", "0001", "0003", "0008"]
    assert [curve.trial_id for curve in data.others] == ["0009", "0004"], "unranked trials"
    reached = dict(zip(*data.envelope, strict=True))
    assert reached == {1.0: 0.7, 2.0: 0.8, 3.0: 0.88, 4.0: 0.9, 8.0: 0.92}


def test_curves_are_drawn_from_their_data(by_hand):
    _, ax = style.figure()
    accuracy.plot_curves(accuracy.curves_data(*load_ranked(by_hand)), ax)
    assert (ax.get_xscale(), ax.get_xlabel()) == ("log", "training time (seconds, logarithmic)")
    assert (0.7, 0.88) in [tuple(line.get_ydata()) for line in ax.lines]
    others = [path[:, 1].tolist() for path in ax.collections[0].get_segments()]
    assert others == [[0.6], [0.3]]


def test_a_legend_shows_only_parameters_that_differ(make_run):
    run = make_run()
    run.trial("0001", [(1.0, 0.9)], params={"solver.method": "rk4", "model.width": 64})
    run.trial("0002", [(2.0, 0.9)], params={"solver.method": "euler", "model.width": 64})
    data = accuracy.curves_data(*load_ranked(run.folder))
    labels = [curve.label for curve in data.highlighted]
    assert labels == ["1.  0001  rk4", "2.  0002  euler"]


def test_each_device_has_a_pareto_front(run_of_12):
    data = front.front_data(*run_of_12)
    fronts = {front.device: list(zip(front.seconds, front.accuracy, strict=True))
              for front in data.fronts}  # fmt: skip
    assert fronts == {
        # 0001 and 0003 both reach 0.8 after 2 s, and with 0004 0.9 after 4 s
        "cpu": [(1.0, 0.7), *[(2.0, 0.8)] * 2, (3.0, 0.88), *[(4.0, 0.9)] * 3, (8.0, 0.91)],
        GPU: [(0.1, 0.5), (0.2, 0.9), (0.8, 0.92)],
    }
    assert data.best == (3.0, 0.88, "0002")


def test_rates_by_solver_and_gradient(run_of_12):
    data = solvers.solvers_data(*run_of_12)
    table = run_of_12[1].table.set_index("trial_id")["accuracy_per_second"]
    groups = {(g.method, g.gradient): (g.rates.tolist(), g.trials) for g in data.groups}
    assert groups == {
        ("euler", "backprop"): ([table["0002"]], 1),
        ("rk4", "backprop"): ([table["0001"], table["0003"]], 2),
        ("rk4", "adjoint"): ([table["0004"]], 1),
        ("dopri5", "adjoint"): ([], 1),
    }
    assert data.device == "cpu", "rates on a GPU are not comparable"
    assert data.methods == ("euler", "rk4", "dopri5")


def test_rates_of_trials_at_chance_are_not_drawn(make_run):
    run = make_run()
    for trial_id, reached in (("0001", 0.14), ("0002", 0.1), ("0003", 0.09)):
        run.change(run.trial(trial_id, [(1.0, reached)]) / CONFIG, config=ADJOINT)
    (group,) = solvers.solvers_data(*load_ranked(run.folder)).groups
    assert (group.rates.tolist(), group.trials) == ([pytest.approx(0.04)], 3)
    assert solvers.solvers_data(*load_ranked(run.folder, floor=0.5)) is None


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("accuracy", [0.1, 0.05])
def test_a_run_at_chance_is_drawn_without_a_warning(make_run, accuracy):
    run = make_run()
    run.change(run.trial("0001", [(1.0, accuracy), (2.0, accuracy)]) / CONFIG, config=ADJOINT)
    loaded = load_ranked(run.folder)
    pictures = {name: draw(*loaded, name) for name in PLOTS}
    assert pictures["accuracy-per-second-by-solver"] is None


def test_evaluations_are_medians_over_the_trials_that_do_them(run_of_12):
    data = solvers.evaluations_data(*run_of_12)
    assert data.trials == {"euler": 4, "rk4": 4, "dopri5": 2}
    assert data.bands["nfe_forward"]["rk4"].middle.tolist() == [4.0] * 4
    backward = data.bands["nfe_backward"]
    # 0004, with three epochs, is the only trial that uses rk4 with the adjoint
    assert backward["rk4"].epochs.tolist() == [1.0, 2.0, 3.0]
    assert backward["rk4"].middle.tolist() == [4.0] * 3
    assert set(backward) == {"euler", "rk4", "dopri5"}


def test_epochs_are_those_of_the_first_trial(run_of_12):
    data = epochs.epochs_data(*run_of_12)
    assert data.trial_id == "0002"
    assert data.columns["val_accuracy"].tolist() == [0.7, 0.88]


def test_positions_of_numbers_and_choices():
    params = [{"rate": 10.0**-k, "name": name, "flag": k > 2} for k, name in
              enumerate(("b", "a", "c", "b"), start=1)]  # fmt: skip
    found = scales.scales(params, {"rate": "1e-4 .. 0.1 log", "name": ["a", "b", "c"]})
    assert found["rate"].positions(params) == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert found["name"].positions(params).tolist() == [0.5, 0.0, 1.0, 0.5]
    assert np.isnan(found["name"].positions([{"rate": 0.1}]))
    assert found["flag"].choices == ("False", "True")
    assert scales.scales([{"x": 1}, {"x": 1}], {}) == {}, "a single value has no scale"


def test_logarithmic_ranges_of_a_serialized_space_are_recognized():
    from search_spaces import PRESETS, Float, Int, to_dict

    space, _ = PRESETS["full"]
    found = scales.logarithmic(to_dict(space))
    ranges = {name: domain for name, domain, _ in space.walk() if isinstance(domain, Float | Int)}
    assert found == {name for name, domain in ranges.items() if domain.log}
    assert 0 < len(found) < len(ranges)


@pytest.mark.parametrize("name", [name for name in PLOTS if name != "importance"])
def test_every_plot_has_a_title_and_units(run_of_12, name):
    figure = PLOTS[name].draw(*run_of_12)
    assert title(figure)
    for ax in figure.axes:
        assert name in {"slices", "parameters-of-the-best"} or ax.get_xlabel()


def test_a_notebook_displays_a_plot(run_of_12):
    picture = draw(*run_of_12, "timeline")
    assert picture._repr_png_()[:4] == b"\x89PNG"
    assert picture.title == "12 trials in 13 attempts over 3 lanes"


@pytest.mark.parametrize(
    "curves", [[], [[]], [[(1.0, None)]], [[(1.2, 0.5)]], [[(1, 0.1)] * 2] * 2]
)
def test_every_plot_accepts_runs_with_little_or_no_data(make_run, curves):
    run = make_run(trial_seconds=None)
    for number, curve in enumerate(curves, start=1):
        run.trial(f"{number:04d}", curve, "diverged")
    loaded = load_ranked(run.folder)
    for plot in PLOTS.values():
        plot.draw(*loaded)


def test_an_unknown_plot_is_rejected(run_of_12):
    with pytest.raises(UsageError, match="unknown plot 'time'"):
        draw(*run_of_12, "time")


def test_reports_without_the_fields_of_later_versions_are_drawn(make_run):
    run = make_run()
    folder = run.trial("0001", [])
    report = run.report("0001", 1, 1.0, 0.5).to_json()
    for field in dataclasses.fields(Report):
        if field.default is not dataclasses.MISSING:
            del report[field.name]
    (folder / REPORTS).write_text(json.dumps(report) + "\n")
    loaded, ranking = load_ranked(run.folder)
    assert ranking.to_records()[0]["best_accuracy"] == 0.5
    drawn = {name for name, plot in PLOTS.items() if plot.draw(loaded, ranking) is not None}
    assert "accuracy-over-time" in drawn
