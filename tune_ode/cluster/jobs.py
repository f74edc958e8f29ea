"""Jobs of a Ray cluster, through the job server of its head node (Ray's Jobs API).

A job runs one command of `tune-ode` on the cluster, in the code that was shipped with it. Its id is
the name of its run, `NAME.2` and so on for a resume; its metadata hold the run folder, which is
what survives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

# Ray's job client, unlike `ray start` and `ray.init`, uses a token only when told to; read by ray
# when it is imported
if (
    os.environ.keys() & {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
    or (Path.home() / ".ray" / "auth_token").exists()
):
    os.environ.setdefault("RAY_AUTH_MODE", "token")

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from tune_ode.cluster.job import RUN, Job, describe_state
from tune_ode.cluster.wheel import write_wheel
from tune_ode.errors import RunFailed, TuneOdeError, UsageError, first_line, suggest_name

_ADDRESS = "RAY_API_SERVER_ADDRESS"
_CONNECT_SECONDS = 10.0
_STOP_SECONDS = 120
"""Until Ray kills a job that was told to stop; its default of 3 is too short to save the state."""
_POLL_SECONDS = 1.0
_COLUMNS = 120
"""Of the tables in a log."""
_PYTHON = "exec python -P -m tune_ode.cli"
"""`exec`: signals reach the search, not a shell. `-P`: no folder it starts in hides what was
shipped."""

for _name in ("ray.dashboard.modules.job.sdk", "ray.dashboard.modules.dashboard_sdk"):
    logging.getLogger(_name).setLevel(logging.ERROR)  # they tell of uploads and sockets


class Cluster:
    """The job server of a Ray cluster."""

    def __init__(self, address: str) -> None:
        """Connect to it.

        Args:
            address: its URL, such as `http://HOST:8265`.

        Raises:
            QuestionError: no such server can be reached, or it refuses the token.
        """
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(
                f"--address must be the URL of a Ray head node's job server, such as "
                f"http://HOST:8265, found '{address}'"
            )
        if parts.username or parts.password:
            raise UsageError("--address takes no password; Ray takes tokens: RAY_AUTH_TOKEN_PATH")
        self.address = address.rstrip("/")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with self._asked():
            # tried first, since Ray's own request would wait minutes for a host that is silent
            socket.create_connection((parts.hostname, port), _CONNECT_SECONDS).close()
            # a variable of the environment, RAY_ADDRESS too, would win over the argument
            os.environ[_ADDRESS] = self.address
            self._client = JobSubmissionClient(self.address)

    def jobs(self) -> list[Job]:
        """Return the jobs of `tune-ode` that it knows of, oldest first."""
        with self._asked():
            found = self._client.list_jobs()
        ours = [Job.of(details) for details in found if RUN in (details.metadata or {})]
        return sorted(ours, key=lambda job: job.started or 0)

    def job(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            QuestionError: it knows none of that id.
        """
        jobs = {job.id: job for job in self.jobs()}
        if job_id not in jobs:
            raise UsageError(
                f"{self.address}: {suggest_name('job', job_id, jobs or ['none'])}; a job is "
                "forgotten when its cluster ends, its run is not: tune-ode resume RUN --address "
                f"{self.address}"
            )
        return jobs[job_id]

    def submit(self, arguments: Sequence[str], run: str) -> str:
        """Ship this code and start a command of `tune-ode` with it.

        Args:
            arguments: of the command line.
            run: the run folder.

        Returns:
            The job's id.

        Raises:
            QuestionError: a job of that run has not ended.
        """
        jobs = self.jobs()
        if busy := next((job for job in jobs if job.run == run and not job.has_ended), None):
            raise UsageError(
                f"job {busy.id} is {busy.state} and writes to {run}; wait for it, or stop it "
                f"first: tune-ode stop {busy.id} --address {self.address}"
            )
        with tempfile.TemporaryDirectory(prefix="tune-ode-wheel-") as folder, self._asked():
            return self._client.submit_job(
                entrypoint=f"{_PYTHON} {shlex.join(arguments)}",
                submission_id=_free_id(run, {job.id for job in jobs}),
                metadata={RUN: run},
                runtime_env={
                    "py_modules": [str(write_wheel(Path(folder)))],
                    "env_vars": {
                        "RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_SECONDS),
                        "COLUMNS": str(_COLUMNS),
                    },
                },
            )

    def stop(self, job_id: str) -> Job:
        """Stop a job in order; wait until its state is saved and it has ended.

        Raises:
            QuestionError: it has ended already.
        """
        job = self.job(job_id)
        if job.has_ended:
            raise UsageError(f"job {job_id} has ended already: it {describe_state(job)}")
        with self._asked():
            self._client.stop_job(job_id)
        while not job.has_ended:
            time.sleep(_POLL_SECONDS)
            job = self.job(job_id)
        return job

    def logs(self, job_id: str) -> str:
        """Return what a job has printed so far."""
        self.job(job_id)
        with self._asked():
            return self._client.get_job_logs(job_id)

    def follow(self, job_id: str, told: Callable[[str], None]) -> Job:
        """Tell what a job prints, from its beginning to its end.

        Args:
            job_id: its id.
            told: called with each piece of text.

        Raises:
            TuneOdeError: the connection was lost before that.
        """
        self.job(job_id)

        async def tail() -> None:
            async for text in self._client.tail_job_logs(job_id):
                told(text)

        with self._asked():
            asyncio.run(tail())
        job = self.job(job_id)
        if not job.has_ended:
            raise TuneOdeError(
                f"{self.address} closed the connection, and job {job_id} goes on; follow it again "
                "with the same command"
            )
        return job

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        """Turn what can go wrong with a request into one line with the remedy."""
        try:
            yield
        except AuthenticationError as error:
            said = first_line(error).partition(". ")[0]  # of advice that fills a screen
            raise UsageError(
                f"{self.address} asks for a token: {said}; put the head node's into "
                "a file of your own and name that in RAY_AUTH_TOKEN_PATH (`ray get-auth-token` on "
                "the head node prints it)"
            ) from None
        except (OSError, aiohttp.ClientError) as error:  # of `requests` too
            raise UsageError(
                f"no job server of a Ray cluster answers at {self.address}: {first_line(error)}; "
                "start the cluster, or a tunnel to its head node: ssh -N -L 8265:127.0.0.1:8265 "
                "HEAD"
            ) from None
        except (RuntimeError, ValueError) as error:
            raise RunFailed(f"{self.address} refused the request: {first_line(error)}") from None


def _free_id(run: str, taken: set[str]) -> str:
    # of a URL without the options that open it, which may hold a slash
    name = run.partition("?")[0].rstrip("/").rpartition("/")[2]
    job_id, count = name, 1
    while job_id in taken:
        count += 1
        job_id = f"{name}.{count}"
    return job_id
