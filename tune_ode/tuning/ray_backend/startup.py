"""Starts and stops Ray for a search.

Imported before Ray: it sets environment variables that Ray reads at import.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # the search handles Ctrl-C
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "inf"  # its growing snapshots are never read
os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1000000"  # the search limits concurrency itself
os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the new output prints a table even when silenced
# the first attempt often comes too early, and by default the next one follows after a second
os.environ.setdefault("RAY_raylet_client_connect_timeout_milliseconds", "100")
os.environ.setdefault("RAY_raylet_client_num_connect_attempts", "100")
os.environ.setdefault(
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"
)  # silences a warning about its default

if not os.path.isabs(os.path.expanduser("~")):
    os.environ["HOME"] = "/"  # an unknown user, for whom Ray Tune cannot be imported; as in Docker

import ray
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from tune_ode.errors import TuneOdeError, first_line
from tune_ode.machine.resources import Cluster, TrialResources
from tune_ode.tuning.ray_backend.session import session_directory

_OBJECT_STORE_BYTES = 100 * 2**20
"""Ray's object store carries small messages only; its default size is 30 % of the memory."""
SKIPPED_SERVICES = ("start_api_server", "start_monitor")
"""Methods of Ray's node that start its dashboard and its autoscaler."""


@contextlib.contextmanager
def started(resources: TrialResources, *, verbose: bool) -> Iterator[Path]:
    """Use the cluster that was joined, or start a local Ray; disconnect or stop it at the end.

    Yields a temporary directory, in which a local Ray keeps all its files.

    Args:
        resources: the planned resources.
        verbose: show Ray's own log output.

    Raises:
        TuneOdeError: Ray cannot be started.
    """
    level = logging.WARNING if verbose else logging.CRITICAL
    logging.getLogger("ray.tune").setLevel(level)
    if not verbose:
        _silence_raylet()
    with session_directory() as directory, contextlib.ExitStack() as stack:
        if not resources.cluster.is_remote:
            stack.enter_context(_private_token())
        stack.callback(ray.shutdown)
        if not resources.cluster.is_remote:
            _start(resources.cluster, directory, verbose, level)
        yield directory


@contextlib.contextmanager
def _private_token() -> Iterator[None]:
    """Give a local Ray a new token in the environment, which only this user can read.

    Ray would write one into the home directory, readable by all.
    """
    variables = ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE")
    before = {name: os.environ.get(name) for name in variables}
    os.environ |= {"RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_AUTH_MODE": "token"}
    AuthenticationTokenLoader.instance().reset_cache()
    Config.initialize("")  # an earlier search in this process may have left another mode
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        # what Ray remembers would be used for a cluster that is joined later
        AuthenticationTokenLoader.instance().reset_cache()
        Config.initialize("")


def _start(machine: Cluster, directory: Path, verbose: bool, level: int) -> None:
    try:
        with _without_services(), _on_loopback(), _keep_signal_handler():
            ray.init(
                # the default would try to join a cluster that crashed and left its address file
                address="local",
                num_cpus=machine.cpus,
                num_gpus=machine.gpus,
                include_dashboard=False,
                log_to_driver=verbose,
                logging_level=level,
                object_store_memory=_OBJECT_STORE_BYTES,
                _temp_dir=str(directory / "r"),  # which Ray opens to all users
            )
    except Exception as error:
        raise TuneOdeError(
            f"cannot start Ray: {first_line(error)}; use --verbose for details"
        ) from error


@contextlib.contextmanager
def _without_services() -> Iterator[None]:
    # a local search needs neither, and the first report comes after 7 s instead of 9 s; Ray has no
    # option for this, and starts the API server even without a dashboard
    from ray._private import utils
    from ray._private.node import Node

    with contextlib.ExitStack() as stack:
        # the command line names the job, which fails for a path that is not valid Unicode
        if hasattr(utils, "get_entrypoint_name"):
            stack.enter_context(patch.object(utils, "get_entrypoint_name", lambda: "tune-ode"))
        for name in SKIPPED_SERVICES:
            if hasattr(Node, name):
                stack.enter_context(patch.object(Node, name, lambda node, **options: None))
        yield


def _on_loopback() -> contextlib.AbstractContextManager[object]:
    # the machine's address may change during a search, or be unreachable, and is open to others.
    # Ray replaces the loopback address if given as an option; this is its switch for macOS
    from ray._private import ray_constants

    return patch.object(ray_constants, "ENABLE_RAY_CLUSTER", False)


@contextlib.contextmanager
def _keep_signal_handler() -> Iterator[None]:
    """Keep Ray from handling SIGTERM: it would print a stack trace and exit."""
    from ray._private import utils

    before = signal.getsignal(signal.SIGTERM)
    with patch.object(utils, "set_sigterm_handler", lambda handler: None, create=True):
        yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # another handler is not Python's


def _silence_raylet() -> None:
    # Ray prints crashes of workers over the live display even without `log_to_driver`, and has no
    # option for this; the trial's outcome reports them
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda data, ignore_prefix: None
