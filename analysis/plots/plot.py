"""A plot and its rendered picture."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

from analysis.plots import style
from analysis.plots.isolation import isolated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Inputs = ParamSpec("Inputs")
Data = TypeVar("Data")


@dataclass(frozen=True)
class Picture:
    """A rendered plot."""

    name: str
    """Name of its PNG file without the extension."""
    title: str
    how_to_read: str
    png: bytes = field(repr=False)

    @property
    def data_url(self) -> str:
        """The PNG as a `data:` URL for an HTML page."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    def _repr_png_(self) -> bytes:
        """Return the PNG, which a notebook displays."""
        return self.png


@dataclass(frozen=True)
class Plot(Generic[Inputs]):
    """A named plot, drawn on request."""

    name: str
    """Name of its PNG file without the extension."""
    how_to_read: str
    draw: Callable[Inputs, Figure | None]
    """Returns None if there is nothing to show."""

    def figure(self, *args: Inputs.args, **kwargs: Inputs.kwargs) -> Figure | None:
        """Draw the plot; return None if there is nothing to show."""
        with isolated():
            return self.draw(*args, **kwargs)

    def render(self, *args: Inputs.args, **kwargs: Inputs.kwargs) -> Picture | None:
        """Draw the plot as a PNG; return None if there is nothing to show."""
        with isolated():
            figure = self.draw(*args, **kwargs)
            if figure is None:
                return None
            return Picture(self.name, title(figure), self.how_to_read, style.to_png(figure))


def one_panel(
    data: Data | None,
    plot: Callable[[Data, Axes], None],
    height: float | Callable[[Data], float] = 5.0,
) -> Figure | None:
    """Draw data on a figure with one pair of axes; return None for no data."""
    return several_panels(data, lambda known, figure: plot(known, style.axes(figure)), height)


def several_panels(
    data: Data | None, plot: Callable[[Data, Figure], None], height: float | Callable[[Data], float]
) -> Figure | None:
    """Draw data on a canvas, which the plot divides with `style.grid`; return None for no data."""
    if data is None:
        return None
    figure = style.canvas(9, height(data) if callable(height) else height)
    plot(data, figure)
    return figure


def title(figure: Figure) -> str:
    """Return the title of a figure: its suptitle or that of its first axes."""
    return figure.get_suptitle() or figure.axes[0].get_title(loc="left")
