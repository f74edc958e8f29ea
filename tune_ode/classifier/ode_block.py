"""An ODE block: the state at the end of the interval, in place of a stack of residual blocks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ode.classifier.vector_field import VectorField
from tune_ode.config import AdaptiveSolver, FixedGridSolver, OdeConfig, SolverConfig
from tune_ode.solvers import FirstStep, SolveStatistics, StepSizeCache, solve
from tune_ode.solvers.unrolled import can_unroll, count_grid_solution


class OdeBlock(nn.Module):
    """x(0) → x(T) of dx/dt = f(t, x, θ) (Chen et al. 2018, arXiv:1806.07366).

    Args:
        channels: channels of the input.
        config: the ODE function and T, `integration_time`.
        solver: how to integrate and differentiate.
        augmented_channels: zero channels appended to the input (Dupont et al. 2019,
            arXiv:1904.01681): room for trajectories that would otherwise have to cross. Where
            group or instance normalization sees zeros alone the solution starts steeply, which
            costs an adaptive solver one or two steps; layer normalization does not.
        compile: whether to compile: the whole solve where it can be unrolled, else the evaluation.
    """

    def __init__(
        self,
        channels: int,
        config: OdeConfig,
        solver: SolverConfig,
        augmented_channels: int = 0,
        *,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.function = VectorField(channels + augmented_channels, config)
        self.solver = solver
        self.end_time = config.integration_time
        self.augmented_channels = augmented_channels
        self.compile_programs = compile
        self.statistics = SolveStatistics()
        self.carried = StepSizeCache()
        """From training batch to training batch; it goes into checkpoints, and out of them."""
        self._own = solver
        """That they suit, whatever `solver` becomes."""
        self.register_state_dict_post_hook(_put)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_take)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, channels + augmented_channels, H, W).

        Raises:
            SolveFailed: the solve met one of its bounds; see `tune_ode.solvers.solve`.
        """
        if self.augmented_channels:
            x = functional.pad(x, (0, 0, 0, 0, 0, self.augmented_channels))
        if x.dtype in (torch.bfloat16, torch.float16):
            x = x.float()  # steps are too small a part of the state for half precision
        planes = self.function.planes(*x.shape[-2:])
        if self.compile_programs and can_unroll(self.solver):
            return self._unrolled(x, planes)
        return solve(
            self._evaluation(planes),
            x,
            self.solver,
            end_time=self.end_time,
            statistics=self.statistics,
            parameters=self.function.dependencies(planes),
            carried=self._carried(),
        )

    def _carried(self) -> StepSizeCache | None:
        solver = self.solver
        if not (isinstance(solver, AdaptiveSolver) and solver.carry_step and solver == self._own):
            return None
        # an evaluation begins as the training would, and leaves no trace in it
        return self.carried if self.training else copy.deepcopy(self.carried)

    def _evaluation(self, planes: tuple[Tensor, ...]) -> Callable[[float | Tensor, Tensor], Tensor]:
        if not self.compile_programs:
            return partial(self.function, planes=planes)
        # imported here: the compiler takes seconds to load
        from tune_ode.classifier.programs import evaluate

        def evaluation(t: float | Tensor, x: Tensor) -> Tensor:
            # a tensor, since a program is made for each number it is called with
            time = t if isinstance(t, Tensor) else x.new_full((), t)
            return evaluate()(self.function, time, x, planes)

        return evaluation

    def _unrolled(self, x: Tensor, planes: tuple[Tensor, ...]) -> Tensor:
        from tune_ode.classifier.programs import solve_on_grid

        assert isinstance(self.solver, FixedGridSolver)
        method, steps = self.solver.method, self.solver.steps
        program = solve_on_grid(x.device.type)
        end = program(self.function, x, planes, method, steps, self.end_time)
        count_grid_solution(self.statistics, method, steps, end)
        return end


_CARRIED = "carried_steps"
"""In a state_dict: lengths forward and backward, in the ODE's time; 0 where there was no solve."""


def _put(block: OdeBlock, state: dict[str, Any], prefix: str, metadata: object) -> None:
    lengths = [step.length or 0.0 for step in (block.carried.forward, block.carried.backward)]
    if any(lengths):
        state[prefix + _CARRIED] = torch.tensor(lengths, dtype=torch.float64)


def _take(block: OdeBlock, state: dict[str, Any], prefix: str, *_: object) -> None:
    lengths = state.pop(prefix + _CARRIED, torch.zeros(2)).tolist()
    block.carried = StepSizeCache(*(FirstStep(length or None) for length in lengths))
