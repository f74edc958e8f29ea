"""Schema of the records in a run directory; see `tune_ode.records.layout` for the files.

The types of the fields state their ranges; a record is validated when it is read from a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from tune_ode.records.record import (
    Amount,
    Count,
    Flag,
    Fraction,
    Instant,
    Number,
    Record,
    Seconds,
)

SCHEMA_VERSION = 3
"""Version of every record; runs of other versions are rejected."""


SEARCH_ENDED = "search ended"
"""Reason of a trial that was stopped because a limit ended its search."""


class Outcome(StrEnum):
    """How a trial ended; every trial ends with exactly one outcome."""

    COMPLETED = "completed"
    """Trained to its last epoch or to its budget of training seconds."""
    STOPPED = "stopped"
    """Stopped early: by the scheduler, by reaching the target accuracy, or by the end of the search
    (`SEARCH_ENDED`), after which a resume with a new limit continues the trial."""
    DIVERGED = "diverged"
    """Non-finite loss, step-size underflow, or function-evaluation budget exceeded."""
    OUT_OF_MEMORY = "out_of_memory"
    """An allocation failed, on the GPU or within the memory limit of the process."""
    FAILED = "failed"
    """An exception, a hang, or repeated crashes; kept with the traceback or stack."""
    INTERRUPTED = "interrupted"
    """Interrupted with the run (Ctrl-C, full disk); a resume continues the trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Record):
    """One measurement during training: a line of reports.jsonl.

    Cumulative fields count all attempts of a trial. "Since the last epoch" means since the end of
    the last full epoch, or since the start in the first one.
    """

    trial_id: str
    attempt: Count
    """Number of the attempt, from 1; readers keep the last line per (trial, epoch)."""
    timestamp: Instant
    """When the driver received the report, in Unix seconds."""
    epoch: Annotated[Amount, Field(gt=0)]
    """Epochs trained, above 0; fractional where a report falls inside an epoch."""
    batches: Annotated[Count, Field(ge=1)]
    """Batches trained."""
    horizon: Annotated[Count, Field(ge=1)]
    """Batches after which training and schedule end."""
    train_seconds: Seconds
    """Cumulative seconds of training only: no warm-up, evaluation or checkpoints."""
    warmup_seconds: Seconds
    """Cumulative seconds of warm-up before the training clock starts."""
    epoch_seconds: Seconds
    """Training seconds since the last epoch."""
    eval_seconds: Seconds
    """Cumulative seconds of evaluation."""
    wall_seconds: Seconds
    """Cumulative wall-clock seconds of the training, with everything but `setup_seconds`."""
    cpu_seconds: Seconds
    """Cumulative CPU seconds of the trial's process (user and system)."""
    train_loss: Number | None
    """Mean over the batches since the last epoch."""
    train_accuracy: Fraction | None
    """Mean over the same batches, in [0, 1]: augmented images, weights as they were."""
    val_loss: Number | None
    val_accuracy: Fraction | None
    """On the validation split, in [0, 1]."""
    nfe_forward: Amount | None
    """Function evaluations of the forward pass per batch, all blocks, since the last epoch."""
    nfe_backward: Amount | None
    """Function evaluations of the adjoint's backward solve per batch; 0 under backprop."""
    vjp_backward: Amount | None
    """Vector-Jacobian products of the backward pass per batch."""
    solver_steps: Amount | None
    """Accepted steps per batch, all blocks."""
    rejected_steps: Amount | None
    """Rejected steps per batch; 0 on a fixed grid."""
    learning_rate: Amount | None
    """Learning rate of the last batch."""
    samples_per_second: Amount | None
    """Training images per training second since the last epoch; null before any time has passed."""
    peak_memory_bytes: Count | None
    """Peak GPU memory in bytes; null on a CPU."""
    device: str
    """`cpu`, or the GPU's name."""
    node: str
    """Host name."""
    concurrent_trials: Count
    """Trials running on the node at the time of the report, this one included."""
    sequence: int | None = None
    """Number of the report, in the order in which the driver received those of the run."""
    train_cpu_seconds: Seconds | None = None
    """Cumulative CPU seconds of the process within `train_seconds`."""
    train_waiting_seconds: Seconds | None = None
    """Cumulative seconds within `train_seconds` in which threads of the process could run but had
    no core, summed over its threads; null where Linux does not count them."""
    mean_concurrent_trials: Amount | None = None
    """Time average of the trials on the node since the last report, this one included."""
    setup_seconds: Seconds | None = None
    """Seconds of this attempt before `wall_seconds` starts: imports, and images to the device."""
    checkpoint_seconds: Seconds | None = None
    """Cumulative seconds of writing checkpoints, excluding those of this report."""
    val_images: Count | None = None
    """Images of the validation split that `val_loss` and `val_accuracy` were measured on; null: all
    of them."""
    test_loss: Number | None = None
    test_accuracy: Fraction | None = None
    """On the test set, in [0, 1]; null except in a comparison, which selects nothing by it."""
    execution_mode: str | None = None
    """How the ODE blocks ran: `eager`, `compiled` or `cuda_graph`; compilation can fall back."""
    tf32: Flag | None = None
    """Whether float32 convolutions used TF32; null on a CPU."""
    schema_version: Count = SCHEMA_VERSION

    def __str__(self) -> str:
        accuracy = "-" if self.val_accuracy is None else f"{self.val_accuracy:.4f}"
        return (
            f"trial {self.trial_id}  epoch {self.epoch:.3g}  {self.train_seconds:.2f} s  "
            f"accuracy {accuracy}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSpec(Record):
    """What a trial trains: config.json."""

    trial_id: str
    config: dict[str, Any]
    """`TrialConfig.to_dict()`."""
    params: dict[str, Any]
    """The searched values by name, as proposed."""
    created: Instant
    """Unix seconds."""
    confirms: str | None = None
    """In `confirm/`: the trial that this one repeats with another seed, or `DEFAULT`. In a
    comparison: the name of its case. Null in a search."""
    schema_version: Count = SCHEMA_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult(Record):
    """How a trial ended: outcome.json."""

    trial_id: str
    attempt: Count
    """Number of the attempt that ended, from 1."""
    outcome: Outcome
    reason: str = ""
    """One line, for a table; empty where the outcome says it all."""
    traceback: str | None = None
    """Traceback of an exception, or stack of a hang; null for other outcomes."""
    values: list[Number] | None = None
    """What the sampler was given, one number per objective; null if nothing could be measured."""
    crashes: Count = 0
    """Crashed attempts, including the current one until it reports."""
    started: Instant
    """Start of the last attempt, in Unix seconds."""
    ended: Instant
    """Unix seconds."""
    gpu_seconds: Amount = 0.0
    """GPUs held × wall-clock seconds, over all attempts; 0 on a CPU."""
    schema_version: Count = SCHEMA_VERSION

    @property
    def can_resume(self) -> bool:
        """Whether a resume continues the trial, since the end of its run cut it off."""
        cut_off = self.outcome == Outcome.STOPPED and self.reason == SEARCH_ENDED
        return cut_off or self.outcome == Outcome.INTERRUPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class RunManifest(Record):
    """Options, provenance and state of a run: run.json."""

    name: str
    state: str
    """`running`, `finished` or `interrupted`. A search that reached a limit is finished."""
    options: dict[str, Any]
    """The command's options, given or default."""
    space: dict[str, Any]
    """The searched parameters by name; empty for a confirmation or comparison."""
    base: dict[str, Any]
    """The configuration that searched values are applied to (`TrialConfig.to_dict()`)."""
    chance: Fraction
    """Validation accuracy of always predicting the most frequent class, in [0, 1]."""
    trial_seconds: Annotated[Seconds, Field(gt=0)] | None
    """Budget of `train_seconds` per trial; null if epochs are the only limit."""
    validation_images: Count | None = None
    """Size of the validation split, which bounds the resolution of its accuracies."""
    train_images: Count | None = None
    """Training images per trial; null except in a comparison."""
    test_images: Count | None = None
    """Size of the test set; null except in a comparison."""
    created: Instant
    """Unix seconds."""
    study: str = "search"
    """Name of the Optuna study, in study.log or in the database `options["storage"]`."""
    start_points: list[dict[str, Any]] = field(default_factory=list)
    """Parameter values that are tried first, by name."""
    seconds: Seconds = 0.0
    """Wall-clock seconds of the run so far, over all resumes."""
    stop_reason: str | None = None
    """Why the search ended before its number of trials, such as `time budget`; null while it runs,
    or if it did not."""
    budget_seconds_used: Seconds = 0.0
    """Seconds of the time budget that are used, over all resumes without a new limit."""
    start_seconds: Seconds | None = None
    """Seconds from the last start of the search until its first trial had a process."""
    proposal_seconds: Seconds = 0.0
    """Seconds spent in the sampler, over all resumes."""
    contention_seconds: Seconds = 0.0
    """Seconds spent measuring `contention`, over all resumes."""
    versions: dict[str, str] = field(default_factory=dict)
    revision: str | None = None
    """Git revision of the package, with a `+` for uncommitted changes; null outside a checkout."""
    hardware: dict[str, Any] = field(default_factory=dict)
    """Node, processor, CPUs and GPUs of the machine, and the nodes of a cluster."""
    notes: list[str] = field(default_factory=list)
    """What the plan noted, such as files that were passed over or left out."""
    fingerprint: dict[str, Any] | None = None
    """What the images were, without their location (see `tune_ode.data.fingerprint`); null in older
    runs."""
    contention: dict[str, dict[str, Any]] = field(default_factory=dict)
    """`Contention` record by `Report.device`; empty if nothing was measured."""
    schema_version: Count = SCHEMA_VERSION

    @property
    def ending(self) -> str:
        """The state with its reason, such as `finished (time budget)`."""
        reason = self.stop_reason
        if reason is None and self.state == "finished" and self.options.get("command") == "search":
            trials = self.options.get("trials")
            reason = f"{trials} trial" + "s" * (trials != 1) if trials else None
        return self.state if reason in (None, self.state) else f"{self.state} ({reason})"
