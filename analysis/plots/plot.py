"""A plot and its rendered picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from analysis.plots import style
from analysis.plots.isolation import isolated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Inputs = ParamSpec("Inputs")
Data = TypeVar("Data")
_WHITE = 0xFFFFFFFF


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
        with isolated():
            figure = self.draw(*args, **kwargs)
            if figure is None:
                return None
            return Picture(self.name, title(figure), self.how_to_read, to_png(figure))


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


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG, cropped to what is drawn and a white border.

    `savefig(bbox_inches="tight")` crops as well, but draws every figure twice.
    """
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    drawn = pixels.view(np.uint32)[..., 0] != _WHITE
    rows, columns = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
    pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, :3]
    border = round(0.15 * figure.dpi)
    pixels = np.pad(pixels, ((border, border), (border, border), (0, 0)), constant_values=255)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, format="png")
    return png.getvalue()


def title(figure: Figure) -> str:
    """Return the title of a figure: its suptitle or that of its first axes."""
    return figure.get_suptitle() or figure.axes[0].get_title(loc="left")
