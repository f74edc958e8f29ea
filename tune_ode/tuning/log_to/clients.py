"""Clients of TensorBoard, MLflow and Weights & Biases behind one interface.

A client is created for one run and imports its package then, which takes seconds. `start` opens a
trial, or reopens it when its run is resumed; `report` logs metrics at a step; `end` closes it.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from tune_ode.runs.folder import RunFolder
from tune_ode.tuning.log_to.targets import LogTarget


class _TensorBoard:
    def __init__(self, target: LogTarget, folder: RunFolder) -> None:
        from tensorboardX import SummaryWriter

        self._new_writer = SummaryWriter
        self._path = target.path(folder.path)
        self._trials: dict[str, tuple[SummaryWriter, dict[str, Any], dict[str, float]]] = {}
        """Trial id → writer, parameters, last metrics by tag."""

    def start(self, trial_id: str, params: dict[str, Any]) -> None:
        self._trials[trial_id] = self._new_writer(str(self._path / trial_id)), params, {}

    def report(self, trial_id: str, step: int, metrics: dict[str, float]) -> None:
        writer, _, last = self._trials[trial_id]
        last.clear()
        last |= {f"ray/tune/{name}": value for name, value in metrics.items()}
        for tag, value in last.items():
            writer.add_scalar(tag, value, step)
        writer.flush()

    def end(self, trial_id: str, failed: bool) -> None:
        from tensorboardX.summary import hparams

        writer, params, last = self._trials.pop(trial_id)
        if last:
            # `writer.add_hparams` would write them to a subdirectory
            for summary in hparams(params, last):
                writer.file_writer.add_summary(summary)
        writer.close()


class _MLflow:
    def __init__(self, target: LogTarget, folder: RunFolder) -> None:
        # read at import; MLflow reports its usage by default
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # 15 s instead of minutes (7 retries) until an unreachable server is an error
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = MlflowClient(target.target or f"sqlite:///{target.path(folder.path)}")
        name = folder.manifest.name
        experiment = self._client.get_experiment_by_name(name)
        self._experiment: str = (
            experiment.experiment_id if experiment else self._client.create_experiment(name)
        )
        self._run = run_id(folder)
        self._trials: dict[str, str] = {}
        """Trial id → MLflow's run id."""

    def start(self, trial_id: str, params: dict[str, Any]) -> None:
        from mlflow.entities import Param

        tags = {"tune_ode_run": self._run, "trial_name": trial_id}
        query = " and ".join(f"tags.{name} = '{value}'" for name, value in tags.items())
        found = self._client.search_runs([self._experiment], query, max_results=1)
        if found:
            self._client.update_run(found[0].info.run_id, status="RUNNING")
        else:
            found = [self._client.create_run(self._experiment, tags=tags, run_name=trial_id)]
        self._trials[trial_id] = found[0].info.run_id
        logged = [Param(name, str(value)) for name, value in params.items()]
        self._client.log_batch(self._trials[trial_id], params=logged)

    def report(self, trial_id: str, step: int, metrics: dict[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        logged = [Metric(name, value, now, step) for name, value in metrics.items()]
        self._client.log_batch(self._trials[trial_id], metrics=logged)

    def end(self, trial_id: str, failed: bool) -> None:
        status = "FAILED" if failed else "FINISHED"
        self._client.set_terminated(self._trials.pop(trial_id), status=status)


class _Wandb:
    def __init__(self, target: LogTarget, folder: RunFolder) -> None:
        # read by `setup`; its output would break the live display
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        wandb.setup()
        if os.environ.get("WANDB_MODE") not in {"offline", "disabled"} and not wandb.api.api_key:
            raise ValueError("no W&B API key; set WANDB_API_KEY or run `wandb login`")
        self._run = run_id(folder)
        self._options = {
            "project": target.target or "tune-ode",
            "group": folder.manifest.name,
            "dir": str(folder.path),
            "resume": "allow",
            "allow_val_change": True,
            # several runs at once in this process, whose output is not theirs
            "reinit": "create_new",
            "settings": wandb.Settings(console="off", x_disable_stats=True),
        }
        self._init = wandb.init
        self._trials: dict[str, Any] = {}

    def start(self, trial_id: str, params: dict[str, Any]) -> None:
        self._trials[trial_id] = self._init(
            id=f"{self._run}-{trial_id}", name=trial_id, config=params, **self._options
        )

    def report(self, trial_id: str, step: int, metrics: dict[str, float]) -> None:
        self._trials[trial_id].log(metrics, step=step)

    def end(self, trial_id: str, failed: bool) -> None:
        self._trials.pop(trial_id).finish(exit_code=int(failed))


def run_id(folder: RunFolder) -> str:
    """Return the run's name and creation time: names repeat on a server that many share."""
    return f"{folder.manifest.name}-{folder.manifest.created:.0f}"


CLIENTS: dict[str, type] = {"tensorboard": _TensorBoard, "mlflow": _MLflow, "wandb": _Wandb}
"""Name of a log target → its client."""
