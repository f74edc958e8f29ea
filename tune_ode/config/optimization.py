"""Optimizer, learning-rate schedule, and length of the training."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tune_ode.config.base import ConfigModel

OptimizerName = Literal["sgd", "adam", "adamw", "rmsprop", "muon"]
ScheduleName = Literal["constant", "step", "cosine", "onecycle", "exponential", "plateau"]

Fraction = Annotated[float, Field(ge=0, lt=1)]
LearningRate = Annotated[float, Field(gt=0, le=100)]


class _Optimizer(ConfigModel):
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Applies to weights of convolutions and linear layers, not to normalizations and biases."""


class Sgd(_Optimizer):
    """Stochastic gradient descent with (Nesterov) momentum."""

    name: Literal["sgd"] = "sgd"
    learning_rate: LearningRate = 0.1
    """Highest learning rate of the schedule."""
    momentum: Fraction = 0.9
    """Share of the previous update that is kept."""
    nesterov: bool = False
    """Evaluate the gradient after the momentum step."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Adam(_Optimizer):
    """Adam (Kingma & Ba 2015), with weight decay in the gradient."""

    name: Literal["adam"] = "adam"
    learning_rate: LearningRate = 1e-3
    """Highest learning rate of the schedule."""
    beta1: Fraction = 0.9
    """Decay of the mean of the gradients."""
    beta2: Fraction = 0.999
    """Decay of the mean of their squares."""


class AdamW(_Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"] = "adamw"
    learning_rate: LearningRate = 1e-3
    """Highest learning rate of the schedule."""
    beta1: Fraction = 0.9
    """Decay of the mean of the gradients."""
    beta2: Fraction = 0.999
    """Decay of the mean of their squares."""


class RMSprop(_Optimizer):
    """RMSprop (Hinton's lecture 6e)."""

    name: Literal["rmsprop"] = "rmsprop"
    learning_rate: LearningRate = 1e-3
    """Highest learning rate of the schedule."""
    momentum: Fraction = 0.0
    """Share of the previous update that is kept."""
    alpha: Fraction = 0.99
    """Decay of the mean of the squared gradients."""


class Muon(_Optimizer):
    """Muon on convolution filters (Jordan et al. 2024), AdamW on everything else."""

    name: Literal["muon"] = "muon"
    learning_rate: LearningRate = 0.02
    """Learning rate of the orthogonalized updates of the filters."""
    momentum: Fraction = 0.95
    """Share of the previous gradients that is kept, before the orthogonalization."""
    adamw_learning_rate: LearningRate = 5e-3
    """Learning rate of AdamW on the remaining parameters."""


OptimizerConfig = Annotated[Sgd | Adam | AdamW | RMSprop | Muon, Field(discriminator="name")]


class _Schedule(ConfigModel):
    warmup: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of the training over which the rate rises linearly from near zero."""


class Constant(_Schedule):
    """Constant learning rate."""

    name: Literal["constant"] = "constant"


class Step(_Schedule):
    """Multiplies the rate by `factor` at each milestone."""

    name: Literal["step"] = "step"
    milestones: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(max_length=10)] = (
        0.375,
        0.625,
        0.875,
    )
    """Increasing shares of the training; the defaults are epochs 60, 100 and 140 of 160."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Factor of the rate at each milestone."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must increase, found {self.milestones}")
        return self


class Cosine(_Schedule):
    """Cosine annealing from the learning rate to `final` of it (Loshchilov & Hutter 2017)."""

    name: Literal["cosine"] = "cosine"
    final: Fraction = 0.0
    """Rate at the end, as a share of the learning rate."""


class OneCycle(_Schedule):
    """Linear rise to the learning rate at `peak`, then linear fall to zero (Smith & Topin 2018).

    Momentum falls and rises in the opposite direction, as in torch's OneCycleLR. The rise of the
    rate is part of the cycle: `warmup` must be 0.
    """

    name: Literal["onecycle"] = "onecycle"
    peak: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the training at which the rate is highest."""
    initial: Annotated[float, Field(gt=0, lt=1)] = 0.04
    """Rate at the start, as a share of the learning rate."""
    cycle_momentum: bool = True
    """Replace the optimizer's momentum (sgd, rmsprop, muon) and beta1 (adam, adamw, and muon's
    AdamW), unless it is 0, by a value between the following two. `False`: leave it constant. With
    muon on digits, 3 epochs, 5 seeds: validation accuracy 0.964 ± 0.005 cycled, 0.931 ± 0.012
    constant; sgd and adamw do not differ beyond their standard errors."""
    momentum_low: Fraction = 0.85
    """Momentum at `peak`."""
    momentum_high: Fraction = 0.95
    """Momentum at the start and at the end."""

    @model_validator(mode="after")
    def _momentum_falls_to_the_peak(self) -> Self:
        if not 0 < self.momentum_low <= self.momentum_high:
            raise ValueError(
                "onecycle needs 0 < momentum_low <= momentum_high, found "
                f"{self.momentum_low:g} and {self.momentum_high:g}; lower schedule.momentum_low, "
                "or set schedule.cycle_momentum to false"
            )
        return self

    @model_validator(mode="after")
    def _no_second_warmup(self) -> Self:
        if self.warmup:
            raise ValueError("onecycle warms up by itself; leave schedule.warmup at 0")
        return self


class Exponential(_Schedule):
    """Exponential decay to `final` of the learning rate over the training."""

    name: Literal["exponential"] = "exponential"
    final: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Rate at the end, as a share of the learning rate."""


class Plateau(_Schedule):
    """Multiplies the rate by `factor` after more than `patience` epochs without a lower loss.

    Follows the training loss, as torch's ReduceLROnPlateau with threshold 0.
    """

    name: Literal["plateau"] = "plateau"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Factor of the rate at each reduction."""
    patience: Annotated[int, Field(ge=0, le=100)] = 2
    """Epochs without a lower training loss before a reduction."""


ScheduleConfig = Annotated[
    Constant | Step | Cosine | OneCycle | Exponential | Plateau, Field(discriminator="name")
]


class TrainingConfig(ConfigModel):
    """Length and regularization of the training."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Maximum epochs of the training."""
    horizon: Annotated[int, Field(ge=1)] | None = None
    """Batches after which training and schedule end, if before the last epoch. None: as many as
    fit into the budget of training seconds, measured at the start and kept for repetitions."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 128
    """Images per step; images that do not fill the last batch of an epoch are dropped."""
    label_smoothing: Fraction = 0.0
    """Share of the target probability that is spread over all classes."""
    gradient_clip: Annotated[float, Field(gt=0)] | None = None
    """Maximum L2 norm of the gradient; None: no clipping."""
