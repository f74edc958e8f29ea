"""What is measured and where it is written: the contract between a search and its analysis.

A run folder holds

    run.json              the manifest: question, space, seeds, versions, hardware, state
    study.log             the Optuna study (journal file)
    trials/<id>/          config.json, reports.jsonl, outcome.json, last.pt, best.pt,
                          stack.txt (where a stuck trial stood)
    report/               index.html, plots, ranking.csv, ranking.json, confirmed.json
    confirm/              the best trials trained again: a run folder of its own, whose trials hold
                          confirmation.json, too

JSON throughout; seconds are floats, instants are Unix seconds, accuracies are shares in [0, 1].
A value that is not finite, or was not measured, is null. Standard library only: analysis reads
with this module where neither torch nor ray is installed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

SCHEMA_VERSION = 2

MANIFEST = "run.json"
STUDY = "study.log"
TRIALS = "trials"
REPORT = "report"
CONFIRM = "confirm"
CONFIG = "config.json"
REPORTS = "reports.jsonl"
OUTCOME = "outcome.json"
CONFIRMATION = "confirmation.json"
STACK = "stack.txt"
STOP_FILE = "stop"
"""While this file is in the run folder, its trials save their state and end."""
LAST_CHECKPOINT = "last.pt"
BEST_CHECKPOINT = "best.pt"

COMPARE = "compare"
"""Command of a comparison's `question`."""

DEFAULT = "default"
"""Stands for the space's default configuration where a trial's id names what is trained again."""


class Outcome(StrEnum):
    """How a trial ended; every trial ends as exactly one of these."""

    COMPLETED = "completed"
    """Trained to its last epoch or to its budget of seconds."""
    STOPPED = "stopped"
    """Stopped early by the scheduler."""
    DIVERGED = "diverged"
    """Non-finite loss, step-size underflow, or function-evaluation budget exceeded."""
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"
    """An exception; kept with its traceback."""
    INTERRUPTED = "interrupted"
    """Cut off with the run (Ctrl-C, time budget); a resume continues it."""


class _Record:
    """JSON in and out for dataclasses: unknown keys are ignored, non-finite numbers become null."""

    def to_json(self) -> dict[str, Any]:
        return {name: _finite(value) for name, value in asdict(self).items()}  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: value for name, value in values.items() if name in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(_Record):
    """One measurement of a trial in training: a line of reports.jsonl."""

    trial_id: str
    attempt: int
    """Counts a trial's starts from 1; readers keep the last line per (trial, epoch)."""
    timestamp: float
    """Unix seconds at which the driver wrote the line."""
    epoch: float
    """Epochs trained; a fraction where a report falls inside one."""
    train_seconds: float
    """Cumulative seconds of training only: no warm-up, evaluation or checkpoints; all attempts."""
    warmup_seconds: float
    """Seconds of warm-up before the clock started, over all attempts."""
    epoch_seconds: float
    """Training seconds since the previous epoch's end."""
    eval_seconds: float
    """Cumulative seconds of evaluation."""
    wall_seconds: float
    """Cumulative seconds with everything counted, from the start of `train`, over all attempts."""
    cpu_seconds: float
    """Cumulative CPU seconds of the trial's process (user and system)."""
    train_loss: float | None
    """Mean over the batches since the previous epoch's end."""
    train_accuracy: float | None
    """Likewise, on augmented images and with the weights of the moment."""
    val_loss: float | None
    val_accuracy: float | None
    nfe_forward: float
    """Function evaluations per training batch, all blocks, since the previous epoch's end."""
    nfe_backward: float
    """Evaluations made anew in the backward pass, per batch: the adjoint's."""
    vjp_backward: float
    """Evaluations differentiated in the backward pass, per batch: what backprop costs there."""
    solver_steps: float
    """Accepted steps per batch, all blocks."""
    rejected_steps: float
    """Rejected steps per batch; 0 on a fixed grid."""
    learning_rate: float
    """At the last batch."""
    samples_per_second: float | None
    """Training images per training second since the previous epoch's end."""
    peak_memory_bytes: int | None
    """Peak device memory; null on a CPU."""
    device: str
    """`cpu`, or the GPU's name."""
    node: str
    """Host name."""
    concurrent_trials: int
    """Trials that shared the node when this one reported, itself included."""
    train_cpu_seconds: float | None = None
    """Cumulative CPU seconds of the process within `train_seconds`."""
    mean_concurrent_trials: float | None = None
    """Trials that shared the node since the last report, itself included: their mean over time."""
    setup_seconds: float | None = None
    """Seconds of this attempt before `wall_seconds` began: imports, and images onto the device."""
    checkpoint_seconds: float | None = None
    """Cumulative seconds of writing checkpoints, those that belong to this line not included."""
    test_loss: float | None = None
    test_accuracy: float | None = None
    """On the test set; null but in a comparison, where nothing is chosen by it."""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSpec(_Record):
    """What a trial was asked to do: config.json."""

    trial_id: str
    config: dict[str, Any]
    """`TrialConfig.to_dict()`."""
    params: dict[str, Any]
    """The searched values by name, as proposed."""
    created: float
    """Unix seconds."""
    confirms: str | None = None
    """In a run's `confirm/`: the trial that this one trains again, or `DEFAULT`; in a comparison,
    the name of its case."""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult(_Record):
    """How a trial ended: outcome.json."""

    trial_id: str
    attempt: int
    outcome: Outcome
    reason: str = ""
    """One line, for a table."""
    traceback: str | None = None
    values: list[float] | None = None
    """What the sampler was told, one number an objective; null where there was nothing to tell."""
    crashes: int = 0
    """Attempts so far that ended without a word: the trial's process died, or the search with it.
    Of an attempt that goes on, these are the ones if nothing more is written."""
    started: float
    """Unix seconds of the last attempt's start."""
    ended: float
    gpu_seconds: float = 0.0
    """GPUs it held × wall-clock seconds it held them, over all attempts."""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Contention(_Record):
    """How trials on one kind of device slow each other down, timed after the search's last trial.

    What was timed is the training step of the run's `base` on its data.
    """

    column: str
    """What of a report line the slowdown divides: `train_cpu_seconds` of trials with one CPU
    thread, whose wait for a core is no CPU time; else `train_seconds`."""
    concurrency: list[int]
    """Trials at once on a node, rising from 1."""
    slowdown: list[float]
    """Seconds of a step at each of them, as a multiple of those alone."""
    error: list[float]
    """Standard error of each; 0 of the first, which is 1 by definition."""
    step_seconds: float
    """Of a step alone, by the column."""
    repetitions: int
    threads: int
    """CPU threads of each trial."""
    node: str
    """Where it was timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solve(_Record):
    """A trained model's ODE, solved in one way."""

    method: str
    steps: int | None
    """On a fixed grid."""
    rtol: float | None
    """Of an adaptive method; its atol is the same, but for the model's own solver."""
    own: bool
    """Whether the model was trained with it."""
    evaluations: float | None
    """Of the ODE function, per batch, all blocks; null where the solve met one of its bounds."""
    accuracy: float | None
    """On (a part of) the validation split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(_Record):
    """How long a prediction takes, from normalized images on the device to logits there."""

    batch: int
    """Images."""
    repetitions: int
    median_ms: float
    """Milliseconds per batch."""
    low_ms: float
    """First quartile."""
    high_ms: float
    """Third quartile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation(_Record):
    """What a retrained model was put through: confirmation.json.

    All of it by the checkpoint with the best validation accuracy.
    """

    trial_id: str
    test_accuracy: float
    test_loss: float
    test_images: int
    solve_images: int
    """Of the validation split, that `solves` and `tight` were measured on."""
    solves: list[dict[str, Any]]
    """`Solve`s in single precision, the model's own first; none of a model without an ODE."""
    reference: dict[str, Any] | None
    """The `Solve` at a tight tolerance; its accuracy is null where that was not possible; null of a
    model without an ODE."""
    latencies: list[dict[str, Any]]
    """`Latency` of a single image and of a large batch."""
    threads: int
    """CPU threads of training and prediction."""
    cold_seconds: float | None
    """From the start of a fresh process, without compiled programs of earlier ones, to the end of
    the training; null where it was interrupted on the way."""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class RunManifest(_Record):
    """What was asked of a run, and where it ran: run.json."""

    name: str
    state: str
    """`running`, `finished` or `interrupted`."""
    options: dict[str, Any]
    """The options of the search, as given or by default."""
    space: dict[str, Any]
    """The searched parameters by name."""
    base: dict[str, Any]
    """The configuration that a proposal's values are set on."""
    chance: float
    """Validation accuracy of guessing the most frequent class."""
    trial_seconds: float | None
    """Budget of train_seconds of one trial; null where only its epochs end it."""
    validation_images: int | None = None
    """Images that validation accuracies are measured on: how finely they can be told apart."""
    train_images: int | None = None
    """Of a comparison: images that each training trains on."""
    test_images: int | None = None
    """Of a comparison: images that its test accuracies are measured on."""
    created: float
    """Unix seconds."""
    study: str = "search"
    """Name of the Optuna study, in study.log or in the database of `question["storage"]`."""
    start_points: list[dict[str, Any]] = field(default_factory=list)
    """Points that are tried first, by parameter name."""
    seconds: float = 0.0
    """Wall-clock seconds searched so far, over all resumes."""
    start_seconds: float | None = None
    """From the search's start, the last one, until its first trial had a process."""
    proposal_seconds: float = 0.0
    """That the sampler took, over all resumes."""
    contention_seconds: float = 0.0
    """That the timing of `sharing` took, over all resumes."""
    versions: dict[str, str] = field(default_factory=dict)
    revision: str | None = None
    """git revision of the package, if it runs from a checkout; `+` marks uncommitted changes."""
    hardware: dict[str, Any] = field(default_factory=dict)
    contention: dict[str, dict[str, Any]] = field(default_factory=dict)
    """`Sharing` by kind of device, as report lines name it; empty where nothing was timed."""
    schema_version: int = SCHEMA_VERSION


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
