"""ODE block: the state at the end of an interval, instead of a stack of residual blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from tune_ode.classifier.vector_field import VectorField
from tune_ode.config import AdaptiveSolver, FixedGridSolver, OdeConfig, SolverConfig
from tune_ode.config.execution import ExecutionMode
from tune_ode.solvers import SolveStatistics, StepSizeCache, solve
from tune_ode.solvers.control import Phase
from tune_ode.solvers.fixed_grid import can_unroll, count_grid_solution


class OdeBlock(nn.Module):
    """x(0) → x(t1) of dx/dt = f(t, x, θ) (Chen et al. 2018, arXiv:1806.07366).

    Args:
        channels: channels of the input.
        config: ODE function, and t1 as `integration_time`.
        solver: how to integrate and differentiate.
        augmented_channels: zero channels appended to the input (Dupont et al. 2019,
            arXiv:1904.01681), so that trajectories need not cross. Where group or instance
            normalization sees only zeros the solution starts steeply, which costs an adaptive
            solver one or two steps; layer normalization does not.
        compile: whether to compile the solve if it can be unrolled, else the ODE function.
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
        self.t1 = config.integration_time
        self.augmented_channels = augmented_channels
        self.compile_programs = compile
        self.statistics = SolveStatistics()
        self.step_sizes: StepSizeCache = {}
        """Updated by each training batch; saved in checkpoints."""
        self._training_solver = solver
        """The solver that `step_sizes` belong to; `solver` may be replaced."""
        self.register_state_dict_post_hook(_save_step_sizes)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_load_step_sizes)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, channels + augmented_channels, H, W).

        Raises:
            SolveFailed: the solve violated one of its bounds; see `tune_ode.solvers.solve`.
        """
        if self.augmented_channels:
            x = functional.pad(x, (0, 0, 0, 0, 0, self.augmented_channels))
        if x.dtype in (torch.bfloat16, torch.float16):
            x = x.float()  # half precision would round the steps away
        planes = self.function.planes(*x.shape[-2:])
        if self.compile_programs and can_unroll(self.solver):
            return self._unrolled(x, planes)
        return solve(
            self._evaluation(planes),
            x,
            self.solver,
            t1=self.t1,
            statistics=self.statistics,
            parameters=self.function.dependencies(planes),
            step_sizes=self._usable_step_sizes(),
        )

    @property
    def execution_mode(self) -> ExecutionMode:
        """Return how the block has run so far."""
        if not self.compile_programs:
            return "eager"
        from tune_ode.classifier.programs import evaluate, solve_on_grid

        device = next(self.parameters()).device
        program = solve_on_grid(device.type) if can_unroll(self.solver) else evaluate()
        return program.mode

    def _usable_step_sizes(self) -> StepSizeCache | None:
        solver = self.solver
        adaptive = isinstance(solver, AdaptiveSolver) and solver.carry_step
        if not adaptive or solver != self._training_solver:
            return None
        # an evaluation must not change the training's step sizes
        return self.step_sizes if self.training else self.step_sizes.copy()

    def _evaluation(self, planes: tuple[Tensor, ...]) -> Callable[[float | Tensor, Tensor], Tensor]:
        if not self.compile_programs:
            return partial(self.function, planes=planes)
        # imported lazily: the compiler takes seconds to load
        from tune_ode.classifier.programs import evaluate

        def evaluation(t: float | Tensor, x: Tensor) -> Tensor:
            # a tensor: torch compiles a program for every distinct Python float
            time = t if isinstance(t, Tensor) else x.new_full((), t)
            return evaluate()(self.function, time, x, planes)

        return evaluation

    def _unrolled(self, x: Tensor, planes: tuple[Tensor, ...]) -> Tensor:
        from tune_ode.classifier.programs import solve_on_grid

        assert isinstance(self.solver, FixedGridSolver)
        method, steps = self.solver.method, self.solver.steps
        program = solve_on_grid(x.device.type)
        solution = program(self.function, x, planes, method, steps, self.t1)
        count_grid_solution(self.statistics, method, steps, solution)
        return solution


_PHASES: tuple[Phase, ...] = get_args(Phase)
_STEP_SIZES = "step_sizes"
"""Key in a state_dict of the step sizes by phase; 0 where there was no solve."""


def _save_step_sizes(block: OdeBlock, state: dict[str, Any], prefix: str, _: object) -> None:
    if block.step_sizes:
        values = [block.step_sizes.get(phase, 0.0) for phase in _PHASES]
        state[prefix + _STEP_SIZES] = torch.tensor(values, dtype=torch.float64)


def _load_step_sizes(block: OdeBlock, state: dict[str, Any], prefix: str, *_: object) -> None:
    values = state.pop(prefix + _STEP_SIZES, torch.zeros(len(_PHASES))).tolist()
    block.step_sizes = {phase: dt for phase, dt in zip(_PHASES, values, strict=True) if dt}
