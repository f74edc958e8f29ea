"""Jobs on a Ray cluster, through the job server of its head node (Ray's Jobs API).

A job runs one command of `tune-ode` on the cluster, with the code it was submitted with. Its id is
the name of its run, with a suffix for each resume (`NAME.2`); its metadata names the run directory,
which outlives the job.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import shlex
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tune_ode.trust import has_ray_token  # isort: skip

# unlike `ray start` and `ray.init`, Ray's job client uses a token only in this mode, which it reads
# at import
if has_ray_token():
    os.environ.setdefault("RAY_AUTH_MODE", "token")

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from tune_ode.cluster.job import RUN, Job, describe_state
from tune_ode.errors import RunFailed, TuneOdeError, UsageError, first_line, suggest_name
from tune_ode.runs.provenance import REVISION_VARIABLE, revision

_PACKAGES = ("tune_ode", "search_spaces", "analysis")
"""The packages that are shipped with a job."""

_ADDRESS = "RAY_API_SERVER_ADDRESS"
_CONNECT_SECONDS = 10.0
_STOP_SECONDS = 120
"""Until Ray kills a job after a stop; the default of 3 s is too short to save its state."""
_POLL_SECONDS = 1.0
_NOT_READY = "No available agent"
"""In the reply of a server whose cluster has just started."""
_START_SECONDS = 30.0
_COLUMNS = 120
"""Width of the tables in a log."""
_PYTHON = "exec python -P -m tune_ode.cli"
"""`exec`: signals reach the search, not a shell. `-P`: the working directory cannot shadow the
shipped packages."""

for _name in (
    "ray.dashboard.modules.job.sdk",
    "ray.dashboard.modules.dashboard_sdk",
    "ray._private.runtime_env.packaging",
):
    logging.getLogger(_name).setLevel(logging.ERROR)  # they log uploads and sockets


class Cluster:
    """The job server of a Ray cluster."""

    def __init__(self, address: str) -> None:
        """Connect to the server.

        Args:
            address: its URL, such as `http://HOST:8265`.

        Raises:
            UsageError: the URL is invalid, no server responds, or it rejects the token.
        """
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(
                f"--address must be the URL of a Ray head node's job server, such as "
                f"http://HOST:8265, found '{address}'"
            )
        if parts.username or parts.password:
            raise UsageError(
                "--address must not contain a password; Ray uses tokens: RAY_AUTH_TOKEN_PATH"
            )
        self.address = address.rstrip("/")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with self._requests():
            # Ray's own request would wait minutes for a host that does not respond
            socket.create_connection((parts.hostname, port), _CONNECT_SECONDS).close()
            # environment variables, RAY_ADDRESS included, override the argument
            os.environ[_ADDRESS] = self.address
            self._client = JobSubmissionClient(self.address)

    def jobs(self) -> list[Job]:
        """Return the jobs of `tune-ode`, oldest first."""
        with self._requests():
            found = self._client.list_jobs()
        ours = [Job.from_details(details) for details in found if RUN in (details.metadata or {})]
        return sorted(ours, key=lambda job: job.started or 0)

    def job(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            UsageError: the id is unknown.
        """
        jobs = {job.id: job for job in self.jobs()}
        if job_id not in jobs:
            raise UsageError(
                f"{self.address}: {suggest_name('job', job_id, jobs or ['none'])}; a cluster "
                "that was restarted has lost its jobs, not their runs: tune-ode resume RUN "
                f"--address {self.address}"
            )
        return jobs[job_id]

    def submit(self, arguments: Sequence[str], run: str, say: Callable[[str], None]) -> str:
        """Ship the running code to the cluster and start a command of `tune-ode` with it.

        Args:
            arguments: the command line, without the program.
            run: the run directory.
            say: called with one line if the cluster is not ready yet, and is waited for.

        Returns:
            The job's id.

        Raises:
            UsageError: another job of the run is pending or running.
        """
        jobs = self.jobs()
        if busy := next((job for job in jobs if job.run == run and not job.has_ended), None):
            raise UsageError(
                f"job {busy.id} is {busy.state} and writes to {run}; wait for it, or stop it "
                f"first: tune-ode stop {busy.id} --address {self.address}"
            )
        root = Path(__file__).resolve().parents[2]
        variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_SECONDS), "COLUMNS": str(_COLUMNS)}
        if here := revision():  # git finds it in this checkout, but not in the shipped packages
            variables[REVISION_VARIABLE] = here
        with self._requests():
            return self._submit_when_ready(
                say,
                entrypoint=f"{_PYTHON} {shlex.join(arguments)}",
                submission_id=_free_id(run, {job.id for job in jobs}),
                metadata={RUN: run},
                runtime_env={
                    "py_modules": [str(root / package) for package in _PACKAGES],
                    "excludes": ["__pycache__"],
                    "env_vars": variables,
                },
            )

    def _submit_when_ready(self, say: Callable[[str], None], **job: Any) -> str:
        deadline = None
        while True:
            try:
                return self._client.submit_job(**job)
            except RuntimeError as error:
                if _NOT_READY not in str(error) or time.monotonic() > (deadline or math.inf):
                    raise
            if deadline is None:
                deadline = time.monotonic() + _START_SECONDS
                say(f"{self.address} is starting; waiting until it accepts jobs …")
            time.sleep(_POLL_SECONDS)

    def stop(self, job_id: str) -> Job:
        """Stop a job gracefully; return after it has saved its state and ended.

        Raises:
            UsageError: the job has already ended.
        """
        job = self.job(job_id)
        if job.has_ended:
            raise UsageError(f"job {job_id} has already ended: it {describe_state(job)}")
        with self._requests():
            self._client.stop_job(job_id)
        while not job.has_ended:
            time.sleep(_POLL_SECONDS)
            job = self.job(job_id)
        return job

    def logs(self, job_id: str) -> str:
        """Return the output of a job so far."""
        self.job(job_id)
        with self._requests():
            return self._client.get_job_logs(job_id)

    def follow(self, job_id: str, write: Callable[[str], None]) -> Job:
        """Pass on the output of a job from its start to its end.

        Args:
            job_id: the job's id.
            write: called with each piece of output.

        Returns:
            The job after its end.

        Raises:
            TuneOdeError: the connection was lost while the job was running.
        """
        self.job(job_id)

        async def tail() -> None:
            async for text in self._client.tail_job_logs(job_id):
                write(text)

        with self._requests():
            asyncio.run(tail())
        job = self.job(job_id)
        if not job.has_ended:
            raise TuneOdeError(
                f"{self.address} closed the connection, but job {job_id} is still running; repeat "
                "the command to follow it again"
            )
        return job

    @contextlib.contextmanager
    def _requests(self) -> Iterator[None]:
        """Turn errors of requests into one line with a remedy."""
        try:
            yield
        except AuthenticationError as error:
            reason = first_line(error).partition(". ")[0]  # Ray adds a screenful of advice
            raise UsageError(
                f"{self.address} requires a token: {reason}; copy the token of the head node "
                "(`ray get-auth-token` prints it) to a file and set RAY_AUTH_TOKEN_PATH to its path"
            ) from None
        except (OSError, aiohttp.ClientError) as error:  # OSError: also those of `requests`
            raise UsageError(
                f"no job server of a Ray cluster responds at {self.address}: {first_line(error)}; "
                "start the cluster, or a tunnel to its head node: ssh -N -L 8265:127.0.0.1:8265 "
                "HEAD"
            ) from None
        except (RuntimeError, ValueError) as error:
            raise RunFailed(f"{self.address} rejected the request: {first_line(error)}") from None


def _free_id(run: str, taken: set[str]) -> str:
    # without the options of a URL, which may contain a slash
    name = run.partition("?")[0].rstrip("/").rpartition("/")[2]
    job_id, count = name, 1
    while job_id in taken:
        count += 1
        job_id = f"{name}.{count}"
    return job_id
