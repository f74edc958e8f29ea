"""Commands that submit a search as a job on a Ray cluster, and follow and stop jobs."""

from __future__ import annotations

import inspect
import shlex
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tune_ode.cli.app import app
from tune_ode.cli.commands.job_submission import (
    DEFAULT_ADDRESS,
    address_option,
    changed_arguments,
    submit_job,
)
from tune_ode.cli.commands.search import search
from tune_ode.errors import Interrupted, RunFailed

if TYPE_CHECKING:
    from tune_ode.cluster.job import Job


Address = Annotated[
    str,
    typer.Option(
        metavar="http://HOST:8265",
        envvar="RAY_API_SERVER_ADDRESS",
        help="Job server of the cluster's head node.",
    ),
]
JobId = Annotated[str, typer.Argument(metavar="ID", help="Job id: the name of its run.")]


def _with_options_of(command: Callable[..., None], **own: Any) -> Callable[..., Any]:
    """Add the options of another command to one that takes `**options`.

    Args:
        command: whose options to add.
        own: annotation and default of options that replace those of the same name.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        parameters = dict(inspect.signature(command, eval_str=True).parameters)
        for name, (annotation, default) in own.items():
            parameters[name] = parameters[name].replace(annotation=annotation, default=default)
        function.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
        return function

    return decorate


@app.command()
@_with_options_of(search, address=(Address, DEFAULT_ADDRESS))
def submit(context: typer.Context, *, address: str, check: bool, **_: Any) -> None:
    """Start a search as a job on a Ray cluster, with the code of this machine."""
    from tune_ode.cli.resolve import search_options
    from tune_ode.cluster.request import check_request
    from tune_ode.tuning.options import run_name

    request = search_options(context)
    request = request.model_copy(update={"name": run_name(request), "address": None})
    run = check_request(request)
    arguments = ["search", "--address", "auto", "--name", str(request.name)]
    arguments += changed_arguments(context, leave_out={"config", "address", "check", "name"})
    if check:
        print(f"run       {run}\ncommand   tune-ode {shlex.join(arguments)}")
        return
    submit_job(address, arguments, run)


@app.command()
def status(
    job_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Job id; default: all jobs.")
    ] = None,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Show the status of jobs on a Ray cluster, or of one job."""
    from tune_ode.cluster.job import describe_state
    from tune_ode.cluster.jobs import Cluster

    cluster = Cluster(address)
    if job_id is None:
        _print_jobs(cluster.jobs(), address)
        return
    job = cluster.job(job_id)
    print(f"job       {job.id} {describe_state(job)}")
    print(f"run       {job.run}")
    if job.started is not None:
        duration = "duration" if job.has_ended else "running for"
        print(f"started   {_when(job.started)}, {duration} {_duration(job)}")
    _print_next(job, address)


@app.command()
def logs(
    job_id: JobId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print until the job ends.")
    ] = False,
    address: Address = DEFAULT_ADDRESS,
) -> None:
    """Print the output of a job; with --follow, until it ends."""
    from tune_ode.cluster.job import describe_state
    from tune_ode.cluster.jobs import Cluster

    cluster = Cluster(address)
    if not follow:
        print(cluster.logs(job_id), end="")
        return
    try:
        job = cluster.follow(job_id, lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        raise Interrupted(
            f"job {job_id} is still running; to stop it: "
            f"tune-ode stop {job_id}{address_option(address)}"
        ) from None
    if job.state == "failed":
        raise RunFailed(f"job {job_id} {describe_state(job)}")
    print(f"job {job_id} {describe_state(job)}", file=sys.stderr)


@app.command()
def stop(job_id: JobId, address: Address = DEFAULT_ADDRESS) -> None:
    """Stop a job gracefully: its search saves its state and can be resumed."""
    from tune_ode.cluster.job import describe_state
    from tune_ode.cluster.jobs import Cluster

    print(f"stopping  {job_id}; its trials save their state …")
    job = Cluster(address).stop(job_id)
    print(f"job       {job.id} {describe_state(job)}")
    _print_next(job, address)


def _print_jobs(jobs: list[Job], address: str) -> None:
    if not jobs:
        print(f"no jobs of tune-ode on {address}")
        return
    rows = [("job", "state", "started", "duration", "run")]
    rows += [(job.id, job.state, _when(job.started), _duration(job), job.run) for job in jobs]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _print_next(job: Job, address: str) -> None:
    if not job.has_ended:
        print(f"follow    tune-ode logs {job.id} --follow{address_option(address)}")
        print(f"stop      tune-ode stop {job.id}{address_option(address)}")
    elif job.state == "succeeded":
        print(f"ranking   tune-ode rank {shlex.quote(job.run)}, on a machine that can read it")
    else:
        print(f"log       tune-ode logs {job.id}{address_option(address)}")
        print(f"continue  tune-ode resume {job.id} --address {address}")


def _when(seconds: float | None) -> str:
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _duration(job: Job) -> str:
    if job.started is None:
        return "-"
    return str(timedelta(seconds=round((job.ended or time.time()) - job.started)))
