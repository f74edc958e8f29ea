"""The configuration of a trial: validated, immutable, with a round trip through plain dicts."""

from tune_ode.config.data import AugmentationConfig, DataConfig
from tune_ode.config.execution import ExecutionConfig
from tune_ode.config.model import HeadConfig, ModelConfig, OdeConfig, StemConfig
from tune_ode.config.optimization import OptimizerConfig, ScheduleConfig, TrainingConfig
from tune_ode.config.solver import AdaptiveSolver, FixedGridSolver, SolverConfig
from tune_ode.config.trial import TrialConfig

__all__ = [
    "AdaptiveSolver",
    "AugmentationConfig",
    "DataConfig",
    "ExecutionConfig",
    "FixedGridSolver",
    "HeadConfig",
    "ModelConfig",
    "OdeConfig",
    "OptimizerConfig",
    "ScheduleConfig",
    "SolverConfig",
    "StemConfig",
    "TrainingConfig",
    "TrialConfig",
]
