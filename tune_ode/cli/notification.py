"""`--notify COMMAND|URL`: sends a summary when a search has ended, in whatever way.

A target is never stored: the path of a webhook is a secret, and any argument of a command may be.
A notification that fails is one line on stderr and changes neither the result nor the exit status.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from typing import IO, TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import typer

from tune_ode.errors import Interrupted, UsageError, first_line, redact

if TYPE_CHECKING:
    from tune_ode.paths import RunPath

VARIABLE = "TUNE_ODE_NOTIFY"
"""Environment variable for the target, for jobs, whose command lines others can read."""
URL_SECONDS = 10.0
COMMAND_SECONDS = 60.0
_READ_BYTES = 1000
"""Of the end of a command's errors."""
_BEST = ("trial_id", "params", "val_accuracy", "best_accuracy", "seconds")
"""Columns of the ranking that the summary has of the best trial."""
_EXPECTED = "--notify must be a command or an http(s) URL"


class _NotSent(Exception):
    """Why a notification was not sent."""


def check_target(target: str | None) -> str | None:
    """Return a valid target of notifications.

    Raises:
        UsageError: neither an http(s) URL nor a command whose program exists.
    """
    if target is None:
        return None
    scheme, separator, _ = target.partition("://")
    if separator and scheme.isalnum():
        if scheme.lower() not in ("http", "https"):
            raise UsageError(f"{_EXPECTED}, found the scheme {scheme}://")
        try:
            valid = bool(urllib.parse.urlsplit(target).hostname) and target.isprintable()
        except ValueError:
            valid = False
        if not valid or " " in target:
            raise UsageError(f"{_EXPECTED}, found a URL that is not valid")
        return target
    program = next(iter(_arguments(target)), "")
    if shutil.which(program) is None:
        raise UsageError(
            f"{_EXPECTED}, and there is no program '{program}'; for a pipe, write: sh -c '…'"
        )
    return target


def notify_is_given(context: typer.Context) -> bool:
    """Return whether the option is on the command line, or in the file of `--config`."""
    source = context.get_parameter_source("notify")
    return source is not None and source.name in ("COMMANDLINE", "DEFAULT_MAP")


@contextmanager
def notification(target: str | None, run: RunPath) -> Iterator[None]:
    """Send a summary to a target, if there is one, after the block or at its exception.

    Nothing is sent if the usage was wrong, since nothing has run then.

    Args:
        target: a target that was checked.
        run: the run directory.
    """
    try:
        yield
    except UsageError:
        raise
    except (Interrupted, KeyboardInterrupt) as error:
        _notify(target, run, "interrupted", error)
        raise
    except BaseException as error:
        _notify(target, run, "failed", error)
        raise
    _notify(target, run, "finished", None)


def _notify(target: str | None, run: RunPath, state: str, error: BaseException | None) -> None:
    if target is None:
        return
    try:
        body = json.dumps(_summary(run, state, error), allow_nan=False).encode()
        if target.lower().startswith(("http://", "https://")):
            _post(target, body)
        else:
            _run(_arguments(target), body)
    except KeyboardInterrupt:
        _warn("interrupted")
    except _NotSent as failure:
        _warn(str(failure))
    except Exception as failure:  # whatever it is, the result does not depend on it
        _warn(f"{type(failure).__name__}: {first_line(failure)}")


def _warn(reason: str) -> None:
    print(f"tune-ode: the notification was not sent: {' '.join(reason.split())}", file=sys.stderr)


def _summary(run: RunPath, state: str, error: BaseException | None) -> dict[str, Any]:
    summary: dict[str, Any] = {"run": str(run), "state": state}
    reason = first_line(error) if error is not None else None
    sentences: list[str] = []
    try:
        # pandas takes half a second to import
        from analysis.load import load_run
        from analysis.ranking import describe_best, rank
        from tune_ode.records import REPORT

        loaded = load_run(run)
        ranking = rank(loaded)
        page = run / REPORT / "index.html"
        best = next(iter(ranking.first_rows()), None)
        summary |= {
            "dataset": loaded.manifest.options.get("dataset"),
            "seconds": loaded.manifest.seconds,
            "trials": len(loaded.trials),
            "outcomes": loaded.trials["outcome"].value_counts().to_dict(),
            "best": best and {name: best[name] for name in _BEST},
            "report": str(page) if page.exists() else None,
        }
        reason = reason or loaded.manifest.stop_reason
        sentences = describe_best(ranking, brief=True)
    except Exception as failure:  # such as a store that is gone: the rest is worth sending
        summary["unreadable"] = first_line(failure)
    # `text` is what Slack, Mattermost and others show
    reason = reason and redact(reason)
    text = f"tune-ode: {run.name} {state}" + (f" ({reason})" if reason else "")
    return {"text": ". ".join([text, *sentences]), "reason": reason, **summary}


def _post(url: str, body: bytes) -> None:
    """Send a POST request; its limit holds for all of it, the resolution of the name included."""
    failures: list[str] = []
    parts = urllib.parse.urlsplit(url)
    where = parts.hostname  # user, path and query may be secret
    login, _, address = parts.netloc.rpartition("@")
    headers = {"Content-Type": "application/json", "User-Agent": "tune-ode"}
    if login:
        encoded = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
        headers["Authorization"] = f"Basic {encoded}"
    request = Request(parts._replace(netloc=address).geturl(), body, headers)

    def send() -> None:
        try:
            build_opener(_NoRedirects).open(request, timeout=URL_SECONDS).close()
        except HTTPError as error:
            failures.append(f"{where} answered {error.code} {error.reason}")
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            failures.append(f"{where}: {reason}")

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(URL_SECONDS)
    if thread.is_alive():
        failures.append(f"{where} did not answer within {URL_SECONDS:g} s")
    if failures:
        raise _NotSent(failures[0])


class _NoRedirects(HTTPRedirectHandler):
    """Treats a redirection as an error: following it would turn the POST request into a GET."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _arguments(command: str) -> list[str]:
    try:
        program, *arguments = shlex.split(command) or [""]
    except ValueError as error:
        raise UsageError(f"{_EXPECTED}: {error}") from None
    return [os.path.expanduser(program), *arguments]


def _run(arguments: Sequence[str], body: bytes) -> None:
    # files, since a pipe would have to be read and written until the last process that has it ends
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
        stdin.write(body)
        stdin.seek(0)
        process = subprocess.Popen(
            arguments,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            status = process.wait(COMMAND_SECONDS)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise _NotSent(f"the command took more than {COMMAND_SECONDS:g} s") from None
            raise
        if status != 0:
            raise _NotSent(f"the command exited with status {status}{_last_line(stderr)}")


def _last_line(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _READ_BYTES))  # it may be huge
    lines = file.read().decode(errors="replace").split("\n")
    return next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")
