"""The plots of a report: each has a function that computes its data and one that draws them.

`draw(run, ranking, "timeline")` shows one of `PLOTS` in a notebook. The plots of confirmations and
comparisons are in `analysis.confirmation` and `analysis.comparison`.
"""

from __future__ import annotations

# first, since it imports matplotlib in a way that no configuration of a user breaks
from analysis.plots import isolation as isolation  # isort: skip
from analysis.load import Run
from analysis.plots import accuracy, epochs, front, parameters, solvers, time
from analysis.plots.plot import Picture, Plot, one_panel, several_panels
from analysis.ranking import Ranking
from tune_ode.errors import UsageError, suggest_name


def draw(run: Run, ranking: Ranking, name: str) -> Picture | None:
    """Render one plot; return None if there is nothing to show.

    Args:
        run: the run.
        ranking: its ranking.
        name: a key of `PLOTS`.

    Raises:
        UsageError: there is no plot of that name.
    """
    if name not in PLOTS:
        raise UsageError(suggest_name("plot", name, PLOTS))
    return PLOTS[name].render(run, ranking)


_PLOTS: tuple[Plot[[Run, Ranking]], ...] = (
    Plot(
        "accuracy-over-time",
        "Further up and left is better. Coloured: the best trials of the ranking; grey: all "
        "others; dashed: best accuracy of any trial so far; dotted: the accuracy that a trial must "
        "reach to be ranked.",
        lambda run, ranking: one_panel(accuracy.curves_data(run, ranking), accuracy.plot_curves),
    ),
    Plot(
        "accuracy-against-time",
        "Each point is a report of a trial. The steps are the Pareto front: reports that no other "
        "beats in both time and accuracy. The star is the most efficient report above the floor. "
        "Points on the dotted curve through it have the same accuracy per second; points on the "
        "curves to its right have a half, a quarter and an eighth of it.",
        lambda run, ranking: one_panel(front.front_data(run, ranking), front.plot_front),
    ),
    Plot(
        "accuracy-per-second-by-solver",
        "Further right is better. Each point is a trial; bars are medians by solver and gradient. "
        "The numbers on the right are the measured trials that reached the floor: a choice with "
        "few of many is fragile.",
        lambda run, ranking: one_panel(
            solvers.solvers_data(run, ranking),
            solvers.plot_solvers,
            lambda data: 1.8 + 0.32 * len(data.methods) * len(data.gradients),
        ),
    ),
    Plot(
        "parameters-of-the-best",
        "Each line is a trial and connects its parameter values. Where the blue lines converge, "
        "the best trials agree; where they scatter like the grey lines, the parameter does not "
        "matter.",
        lambda run, ranking: one_panel(
            parameters.parallel_data(run, ranking), parameters.plot_parallel
        ),
    ),
    Plot(
        "importance",
        "The longer the bar, the better a parameter separates the best trials from the rest. A "
        "conditional parameter is judged among the trials that have it, weighted by their share of "
        "the best. Trials that were stopped early count with the accuracy they had reached.",
        lambda run, ranking: one_panel(
            parameters.importance_data(run, ranking),
            parameters.plot_importance,
            lambda data: 1.5 + 0.36 * min(len(data.used), 24),
        ),
    ),
    Plot(
        "slices",
        "Higher is better. Each point is a trial; the best of the ranking are blue. A trend shows "
        "where to search next; good points at an edge suggest that the range is too narrow.",
        lambda run, ranking: several_panels(
            parameters.slices_data(run, ranking),
            parameters.plot_slices,
            lambda data: 0.5 + 2.0 * -(-len(data.scales) // 4),
        ),
    ),
    Plot(
        "evaluations",
        "Cost of a batch. Lines are medians over the trials of a solver; bands span the 10th to "
        "90th percentiles. The cost of an adaptive solver rises as the learned ODE gets stiffer, "
        "which explains rising seconds per epoch.",
        lambda run, ranking: several_panels(
            solvers.evaluations_data(run, ranking), solvers.plot_evaluations, 4.2
        ),
    ),
    Plot(
        "timeline",
        "Each bar is an attempt of a trial, from its start to its end or last report. White space: "
        "the lane was idle. Bars that are longer where many run at once suggest a shared device.",
        lambda run, ranking: one_panel(
            time.timeline_data(run, ranking),
            time.plot_timeline,
            lambda data: float(min(2.2 + 0.4 * len(data.lanes), 9)),
        ),
    ),
    Plot(
        "where-the-time-went",
        "Available time by use. Only training increases accuracy; idle time could be used by more "
        "concurrent trials.",
        lambda run, ranking: one_panel(time.time_use_data(run, ranking), time.plot_time_use, 5.4),
    ),
    Plot(
        "epochs-of-the-best",
        "The first trial of the ranking, by epoch. Validation loss that rises while training loss "
        "falls indicates overfitting; epochs that get slower are explained by the evaluations.",
        lambda run, ranking: several_panels(
            epochs.epochs_data(run, ranking), epochs.plot_epochs, 6.2
        ),
    ),
)
PLOTS = {plot.name: plot for plot in _PLOTS}
"""All plots of a search by name, in the order of the report."""
