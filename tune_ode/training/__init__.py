"""Training: optimizers, schedules, clock, checkpoints and `training_loop`; no Ray, no Optuna."""

from tune_ode.training.checkpoints import SavedModel, load_model
from tune_ode.training.context import Diverged, TrialContext
from tune_ode.training.evaluation import evaluate
from tune_ode.training.loop import training_loop

__all__ = [
    "Diverged",
    "SavedModel",
    "TrialContext",
    "evaluate",
    "load_model",
    "training_loop",
]
