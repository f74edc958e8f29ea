"""Submit a command as a job on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from tune_ode.cli.notification import VARIABLE, notify_is_given
from tune_ode.errors import UsageError

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
"""The local end of an SSH tunnel to a head node."""


def resume_job(context: typer.Context, address: str, job_or_run: str) -> None:
    """Resume a run as a new job, given its directory or the id of an earlier job."""
    from tune_ode.cluster.jobs import Cluster

    run = job_or_run if "/" in job_or_run else Cluster(address).job(job_or_run).run
    arguments = ["resume", run, "--address", "auto"]
    submit_job(address, arguments + changed_arguments(context, leave_out={"run", "address"}), run)


def submit_job(address: str, arguments: list[str], run: str) -> None:
    """Submit a command and print the job, with the commands that follow and stop it."""
    from tune_ode.cluster.jobs import Cluster

    job_id = Cluster(address).submit(arguments, run, print)
    at = address_option(address)
    print(f"job       {job_id} on {address}")
    print(f"run       {run}")
    print(f"status    tune-ode status {job_id}{at}")
    print(f"follow    tune-ode logs {job_id} --follow{at}")
    print(f"stop      tune-ode stop {job_id}{at}")


def changed_arguments(context: typer.Context, *, leave_out: Iterable[str]) -> list[str]:
    """Return the options that differ from their defaults, including those of a --config file."""
    arguments = []
    for parameter in context.command.params:
        value = context.params[str(parameter.name)]
        if parameter.name == "notify":
            if notify_is_given(context):
                raise UsageError(
                    "--notify may be secret, and a cluster shows the command line of a job to all "
                    f"its users; set {VARIABLE} where the cluster is started"
                )
            continue
        if parameter.name in leave_out or value is None or value == parameter.default:
            continue
        if isinstance(value, bool):
            arguments.append((parameter.opts if value else parameter.secondary_opts)[0])
            continue
        values = value if isinstance(value, list) else [value]
        for item in values:
            arguments += [parameter.opts[0], str(item)]
    return arguments


def address_option(address: str) -> str:
    """Return the --address option for a command, empty for the default."""
    return "" if address == DEFAULT_ADDRESS else f" --address {address}"
