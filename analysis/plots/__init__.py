"""The plots of a report: for each a function that computes what is seen, and one that draws it.

From a notebook, `draw(run, ranking, "timeline")` shows one of `PLOTS`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from analysis.load import Run
from analysis.plots import (
    accuracy,
    compared,
    confirmed,
    epochs,
    front,
    parameters,
    solvers,
    style,
    time,
)
from analysis.ranking import Ranking
from tune_ode.errors import UsageError, suggest_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_Draw = Callable[[Run, Ranking], "Figure | None"]


@dataclass(frozen=True)
class Plot:
    """A plot as the report shows it."""

    name: str
    """Of its PNG file, without the ending."""
    how_to_read: str
    draw: _Draw
    """Returns None where there is nothing to see."""


@dataclass(frozen=True)
class Picture:
    """A plot, drawn."""

    name: str
    """Of its PNG file, without the ending."""
    title: str
    """Says what is seen, for those who cannot see it."""
    how_to_read: str
    png: bytes = field(repr=False)

    @property
    def data_url(self) -> str:
        """The PNG inside a page."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    def _repr_png_(self) -> bytes:
        """Return the PNG, as a notebook shows it."""
        return self.png


def draw(run: Run, ranking: Ranking, name: str) -> Picture | None:
    """Draw one plot; None where there is nothing to see.

    Raises:
        QuestionError: no plot has that name.
    """
    if name not in PLOTS:
        raise UsageError(suggest_name("plot", name, PLOTS))
    plot = PLOTS[name]
    figure = plot.draw(run, ranking)
    if figure is None:
        return None
    png = io.BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight", pad_inches=0.15)
    return Picture(name, title(figure), plot.how_to_read, png.getvalue())


def title(figure: Figure) -> str:
    """Return what stands above a figure."""
    above = figure.get_suptitle()
    return above or figure.axes[0].get_title(loc="left")


def _one(
    data: Callable[[Run, Ranking], Any],
    plot: Callable[[Any, Any], None],
    run: Run,
    ranking: Ranking,
    *,
    height: Callable[[Any], float] = lambda data: 5.0,
) -> Figure | None:
    """Draw a plot of one panel."""
    if (seen := data(run, ranking)) is None:
        return None
    figure, ax = style.figure(9, height(seen))
    plot(seen, ax)
    return figure


def _several(
    data: Callable[[Run, Ranking], Any],
    plot: Callable[[Any, Any], None],
    run: Run,
    ranking: Ranking,
    *,
    height: Callable[[Any], float],
) -> Figure | None:
    """Draw a plot of several panels."""
    if (seen := data(run, ranking)) is None:
        return None
    figure = style.blank(9, height(seen), constrained=True)
    plot(seen, figure)
    return figure


_ALL = (
    Plot(
        "comparison",
        "Up is better. A line is a case, the mean of its seeds, its band from the worst of them to "
        "the best. Lines that lie on each other say that the cases learn alike: what tells them "
        "apart is then their seconds.",
        partial(_several, compared.compared_data, compared.plot_compared, height=lambda _: 4.4),
    ),
    Plot(
        "confirmed",
        "Right is better. A point is a configuration trained again, its bar the 95% interval of "
        "the mean over seeds; the hollow diamond is what the search had reported. Diamonds right "
        "of the points are luck that was taken for merit; bars that overlap are places that may "
        "change.",
        partial(
            _several, confirmed.confirmed_data, confirmed.plot_confirmed,
            height=lambda data: 1.9 + 0.5 * len(data.rows),
        ),
    ),
    Plot(
        "solved-otherwise",
        "Up and to the left is better. A point is one way to solve the trained models, the star "
        "the solver that they were trained with; the steps are the best within each cost. Steps "
        "that reach the star's height left of it are a cheaper prediction for nothing; points "
        "that fall right of the star show a network of discrete steps, and no ODE.",
        partial(_one, confirmed.solved_data, confirmed.plot_solved),
    ),
    Plot(
        "accuracy-over-time",
        "Up and to the left is better. Coloured: the best trials of the ranking; grey: the others; "
        "dashed: the best of all trials by that time; dotted: the accuracy that a trial must reach "
        "to be ranked.",
        partial(_one, accuracy.curves_data, accuracy.plot_curves),
    ),
    Plot(
        "accuracy-against-time",
        "Each point is one report of one trial. The steps join the reports that none beats in "
        "both time and accuracy; the star is the most efficient report above the floor, and "
        "along the dotted curve through it every point would be as efficient, along those right of "
        "it a half, a quarter and an eighth as much.",
        partial(_one, front.front_data, front.plot_front),
    ),
    Plot(
        "accuracy-per-second-by-solver",
        "To the right is better. A point is a trial, a bar the median of its solver and gradient; "
        "at the right stands how many of the measured trials reached the floor: few points of "
        "many trials are a fragile choice.",
        partial(
            _one, solvers.solvers_data, solvers.plot_solvers,
            height=lambda data: 1.8 + 0.32 * len(data.methods) * len(data.gradients),
        ),
    ),
    Plot(
        "parameters-of-the-best",
        "A line is a trial, from its value of one parameter to that of the next. Where the blue "
        "lines meet, the best trials agree; where they scatter as the grey ones do, the parameter "
        "does not matter.",
        partial(_one, parameters.parallel_data, parameters.plot_parallel),
    ),
    Plot(
        "importance",
        "The longer a bar, the more a parameter tells the best trials from the rest. A parameter "
        "that only some trials have is judged within those, and counts by their share of the best; "
        "trials that were stopped early count with what they had reached.",
        partial(
            _one, parameters.importance_data, parameters.plot_importance,
            height=lambda data: 1.5 + 0.36 * min(len(data.used), 24),
        ),
    ),
    Plot(
        "slices",
        "Higher is better. A point is a trial; the best of the ranking are blue. A trend "
        "shows where to search on; points at an edge show that a range was cut too short.",
        partial(
            _several, parameters.slices_data, parameters.plot_slices,
            height=lambda data: 0.5 + 2.0 * -(-len(data.scales) // 4),
        ),
    ),
    Plot(
        "evaluations",
        "What a batch costs: a line is the median of a solver's trials, its band eight tenths of "
        "them. An adaptive solver's line climbs as the ODE that it learns gets harder; rising cost "
        "per epoch has its reason here.",
        partial(_several, solvers.evaluations_data, solvers.plot_evaluations, height=lambda _: 4.2),
    ),
    Plot(
        "timeline",
        "A bar is a trial, from its start to its end; one that was interrupted and went on has a "
        "bar for each attempt, an earlier one up to its last report. White space is time in which "
        "a lane had none; bars that grow longer where many stand above each other hint at a shared "
        "device.",
        partial(
            _one, time.timeline_data, time.plot_timeline,
            height=lambda data: float(min(2.2 + 0.4 * len(data.lanes), 9)),
        ),
    ),
    Plot(
        "where-the-time-went",
        "All that the machine could have given, by what it was used for. Only training buys "
        "accuracy; idle time is what more trials at once could have used.",
        partial(_one, time.time_use_data, time.plot_time_use, height=lambda _: 5.4),
    ),
    Plot(
        "epochs-of-the-best",
        "The first trial of the ranking, epoch by epoch. Validation loss that rises while training "
        "loss falls is overfitting; a pace that falls has its reason in the evaluations.",
        partial(_several, epochs.epochs_data, epochs.plot_epochs, height=lambda _: 6.2),
    ),
)  # fmt: skip
PLOTS = {plot.name: plot for plot in _ALL}
"""Every plot of a report by name, in its order."""
COMPARISON = "comparison"
"""Of a comparison, beside its table."""
OF_THE_CONFIRMATION = ("confirmed", "solved-otherwise")
"""Those that stand beside the confirmed figures."""
