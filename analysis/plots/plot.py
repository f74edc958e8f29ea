"""A plot and its rendered picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

from analysis.plots import style

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

    def render(self, *args: Inputs.args, **kwargs: Inputs.kwargs) -> Picture | None:
        """Draw the plot as a PNG; return None if there is nothing to show."""
        figure = self.draw(*args, **kwargs)
        if figure is None:
            return None
        png = io.BytesIO()
        figure.savefig(png, format="png", bbox_inches="tight", pad_inches=0.15)
        return Picture(self.name, title(figure), self.how_to_read, png.getvalue())


def one_panel(
    data: Data | None,
    plot: Callable[[Data, Axes], None],
    height: float | Callable[[Data], float] = 5.0,
) -> Figure | None:
    """Draw data on a figure with one pair of axes; return None for no data."""
    if data is None:
        return None
    figure, ax = style.figure(9, height(data) if callable(height) else height)
    plot(data, ax)
    return figure


def several_panels(
    data: Data | None, plot: Callable[[Data, Figure], None], height: float | Callable[[Data], float]
) -> Figure | None:
    """Draw data on an empty figure, which the plot divides; return None for no data."""
    if data is None:
        return None
    figure = style.blank(9, height(data) if callable(height) else height, constrained=True)
    plot(data, figure)
    return figure


def title(figure: Figure) -> str:
    """Return the title of a figure: its suptitle or that of its first axes."""
    return figure.get_suptitle() or figure.axes[0].get_title(loc="left")
