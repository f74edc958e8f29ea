"""Explicit Runge–Kutta methods as data: their Butcher tableaux.

A step of size h from (t, x) evaluates the stages

    k_i = f(t + c_i h, x + h Σ_j a_ij k_j),   i = 1 … s,

and ends at x + h Σ_i b_i k_i. For an adaptive method h Σ_i e_i k_i estimates the error.
Coefficients are host floats, so a step does not synchronize with the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

Row = tuple[float, ...]


@dataclass(frozen=True)
class Tableau:
    """An explicit method with s stages."""

    order: int
    """p, where the error at a fixed final time is O(h^p)."""
    nodes: Row
    """c, s numbers; the first is 0."""
    matrix: tuple[Row, ...]
    """a, whose row i has the i − 1 numbers below the diagonal; the first row is empty."""
    weights: Row
    """b, s numbers."""
    error: Row | None = None
    """e, s numbers: the weights minus those of the embedded method; None for fixed-grid methods."""
    predictor_reused: bool = False
    """Whether the last stage, evaluated at a predictor of the new state, is reused as the first
    stage of the next step."""

    @property
    def first_same_as_last(self) -> bool:
        """Whether the last stage is f at the new state, and thus the first of the next step."""
        return self.weights[-1] == 0 and self.weights[:-1] == self.matrix[-1]

    @property
    def last_reused(self) -> bool:
        """Whether the last stage of a step is reused as the first of the next."""
        return self.first_same_as_last or self.predictor_reused

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.nodes)


TABLEAUX: Mapping[str, Tableau] = MappingProxyType(
    {
        "euler": Tableau(order=1, nodes=(0.0,), matrix=((),), weights=(1.0,)),
        "midpoint": Tableau(order=2, nodes=(0.0, 1 / 2), matrix=((), (1 / 2,)), weights=(0.0, 1.0)),
        # Heun's method of order 2, the explicit trapezoidal rule
        "heun2": Tableau(order=2, nodes=(0.0, 1.0), matrix=((), (1.0,)), weights=(1 / 2, 1 / 2)),
        # Heun (1900), order 3
        "heun3": Tableau(
            order=3,
            nodes=(0.0, 1 / 3, 2 / 3),
            matrix=((), (1 / 3,), (0.0, 2 / 3)),
            weights=(1 / 4, 0.0, 3 / 4),
        ),
        # Kutta (1901): the 3/8 rule, which torchdiffeq calls rk4
        "rk4": Tableau(
            order=4,
            nodes=(0.0, 1 / 3, 2 / 3, 1.0),
            matrix=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
            weights=(1 / 8, 3 / 8, 3 / 8, 1 / 8),
        ),
        # Kutta (1901): the classic Runge–Kutta method
        "rk4_classic": Tableau(
            order=4,
            nodes=(0.0, 1 / 2, 1 / 2, 1.0),
            matrix=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
            weights=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
        ),
        # Heun with embedded Euler. As in torchdiffeq, f is not evaluated at the corrected state:
        # one evaluation per step instead of two, and still order 2.
        "adaptive_heun": Tableau(
            order=2,
            nodes=(0.0, 1.0),
            matrix=((), (1.0,)),
            weights=(1 / 2, 1 / 2),
            error=(1 / 2, -1 / 2),
            predictor_reused=True,
        ),
        # Bogacki & Shampine (1989), 3(2)
        "bosh3": Tableau(
            order=3,
            nodes=(0.0, 1 / 2, 3 / 4, 1.0),
            matrix=((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
            weights=(2 / 9, 1 / 3, 4 / 9, 0.0),
            error=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
        ),
        # Dormand & Prince (1980), 5(4), with Shampine's (1986) embedded method, as in torchdiffeq
        "dopri5": Tableau(
            order=5,
            nodes=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
            matrix=(
                (),
                (1 / 5,),
                (3 / 40, 9 / 40),
                (44 / 45, -56 / 15, 32 / 9),
                (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
                (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
                (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
            ),
            weights=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
            error=(
                35 / 384 - 1951 / 21600,
                0.0,
                500 / 1113 - 22642 / 50085,
                125 / 192 - 451 / 720,
                -2187 / 6784 + 12231 / 42400,
                11 / 84 - 649 / 6300,
                -1 / 60,
            ),
        ),
        # Tsitouras (2011), 5(4), doi:10.1016/j.camwa.2011.06.002; the coefficients have no closed
        # form
        "tsit5": Tableau(
            order=5,
            nodes=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
            matrix=(
                (),
                (0.161,),
                (-0.008480655492356989, 0.335480655492357),
                (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
                (
                    5.325864828439257,
                    -11.748883564062828,
                    7.4955393428898365,
                    -0.09249506636175525,
                ),
                (
                    5.86145544294642,
                    -12.92096931784711,
                    8.159367898576159,
                    -0.071584973281401,
                    -0.028269050394068383,
                ),
                (
                    0.09646076681806523,
                    0.01,
                    0.4798896504144996,
                    1.379008574103742,
                    -3.290069515436081,
                    2.324710524099774,
                ),
            ),
            weights=(
                0.09646076681806523,
                0.01,
                0.4798896504144996,
                1.379008574103742,
                -3.290069515436081,
                2.324710524099774,
                0.0,
            ),
            error=(
                -0.00178001105222577714,
                -0.0008164344596567469,
                0.007880878010261995,
                -0.1447110071732629,
                0.5823571654525552,
                -0.45808210592918697,
                0.015151515151515152,
            ),
        ),
    }
)
"""Native methods by name; a test compares the names with `tune_ode.config.solver`."""
