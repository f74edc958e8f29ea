"""Training: optimizers, schedules, the clock, checkpoints and `train`; knows no Ray, no Optuna."""

from tune_ode.training.checkpoints import SavedModel, load_model
from tune_ode.training.evaluation import evaluate
from tune_ode.training.train import TrainingResult, train, training_loop, untold
from tune_ode.training.trial import Diverged, TrialContext

__all__ = [
    "Diverged",
    "SavedModel",
    "TrainingResult",
    "TrialContext",
    "evaluate",
    "load_model",
    "train",
    "training_loop",
    "untold",
]
