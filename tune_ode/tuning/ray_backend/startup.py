"""Starts and stops Ray for a search.

Imported before Ray, which reads environment variables at import.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import site
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tune_ode.data.paths import CACHE_VARIABLE
from tune_ode.errors import TuneOdeError, first_line
from tune_ode.machine.resources import Cluster, TrialResources
from tune_ode.process.signals import STOP_SIGNALS, block_signals
from tune_ode.process.spawn import SAFE_PATH, environment
from tune_ode.tuning.ray_backend import agent
from tune_ode.tuning.ray_backend.environment import log_level, ray_environment
from tune_ode.tuning.ray_backend.session import session_directory
from tune_ode.worker.spec import UMASK_VARIABLE

# in a notebook without ipywidgets, Ray recommends them
with ray_environment(), log_level("ray.widgets", logging.ERROR):
    import ray
    import ray.tune  # reads the home directory
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

_OBJECT_STORE_BYTES = 100 * 2**20
"""Ray's object store carries small messages only; its default size is 30 % of the memory."""
SKIPPED_SERVICES = ("start_api_server", "start_monitor")
"""Methods of Ray's node that start its dashboard and its autoscaler."""


@contextlib.contextmanager
def started(resources: TrialResources, *, verbose: bool) -> Iterator[Path]:
    """Use the cluster that was joined, or start a local Ray; disconnect or stop it at the end.

    A connection of the program that started the search is left open.

    Yields a temporary directory, in which a local Ray keeps all its files.

    Args:
        resources: the planned resources.
        verbose: show Ray's own log output.

    Raises:
        TuneOdeError: Ray cannot be started.
    """
    level = logging.WARNING if verbose else logging.CRITICAL
    cluster = resources.cluster
    with session_directory() as directory, contextlib.ExitStack() as stack:
        stack.enter_context(ray_environment())
        stack.enter_context(_signal_handlers_kept())
        stack.enter_context(log_level("ray.tune", level))
        if not verbose:
            stack.enter_context(_silent_raylet())
        if not cluster.is_remote:
            stack.enter_context(_private_token())
        if not cluster.is_borrowed:
            stack.callback(ray.shutdown)
        if not cluster.is_remote:
            _start(cluster, directory, verbose, level)
        yield directory


@contextlib.contextmanager
def _private_token() -> Iterator[None]:
    """Give a local Ray a new token in the environment, which only this user can read.

    Ray would write one into the home directory, readable by all.
    """
    values = {"RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_AUTH_MODE": "token"}
    try:
        with environment(values):
            _read_token_again()  # an earlier search in this process may have left another mode
            yield
    finally:
        # what Ray remembers would be used for a cluster that is joined later
        _read_token_again()


def use_token() -> None:
    """Let Ray send the token of the environment or the home directory to the cluster it joins.

    By default, Ray sends none. It reads the variable throughout the connection; `connection_kept`
    restores it.
    """
    os.environ["RAY_AUTH_MODE"] = "token"
    _read_token_again()


def _read_token_again() -> None:
    AuthenticationTokenLoader.instance().reset_cache()
    Config.initialize("")


def _start(machine: Cluster, directory: Path, verbose: bool, level: int) -> None:
    try:
        with (
            _private_processes(directory),
            _without_services(),
            _on_loopback(),
            own_signals(),
        ):
            ray.init(
                # the default would try to join a cluster that crashed and left its address file
                address="local",
                num_cpus=machine.cpus,
                num_gpus=machine.gpus,
                include_dashboard=False,
                log_to_driver=verbose,
                logging_level=level,
                object_store_memory=_OBJECT_STORE_BYTES,
                _temp_dir=str(directory / "r"),
            )
    except Exception as error:
        raise TuneOdeError(
            f"cannot start Ray: {first_line(error)}; use --verbose for details"
        ) from error


@contextlib.contextmanager
def _private_processes(directory: Path) -> Iterator[None]:
    """Keep files of the current directory out of Ray's processes, and other users out of theirs.

    Ray would put the current directory first on the path of trial processes, where a file such as
    `analysis.py` would shadow a package, and would leave agents behind when a search is killed.
    """
    from ray._private import services

    umask = os.umask(0o077)
    variables = {**SAFE_PATH, UMASK_VARIABLE: str(umask), "PYTHONPATH": _python_path()}
    if cache := os.environ.get(CACHE_VARIABLE):
        variables[CACHE_VARIABLE] = os.path.abspath(cache)
    build = services._build_python_executable_command_memory_profileable

    def build_agent(component: str, *arguments: Any, **options: Any) -> list[str]:
        command = build(component, *arguments, **options)
        return [*command, str(agent.__file__)] if component.endswith("agent") else command

    try:
        with (
            environment(variables),
            contextlib.chdir(directory),
            patch.object(services, build.__name__, build_agent),
        ):
            yield
    finally:
        os.umask(umask)


def _python_path() -> str:
    """Return the absolute entries of `PYTHONPATH`, and the directory of this package."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    entries = [os.path.abspath(entry) for entry in given if entry]  # an empty one is the current
    root = str(Path(__file__).resolve().parents[3])
    if root not in (*site.getsitepackages(), site.getusersitepackages()):
        entries.append(root)
    return os.pathsep.join(dict.fromkeys(entries))


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
def own_signals() -> Iterator[None]:
    """Keep Ray from handling signals in this process, and its processes from receiving them.

    Ray would print a stack trace at SIGTERM and exit. A signal to this process group, as of a
    terminal, would end its other processes before the trials have saved their state.
    """
    from ray import _raylet
    from ray._private import services, utils

    raylet: Any = _raylet
    core_worker = raylet.CoreWorker

    def create(*arguments: Any, **options: Any) -> Any:
        # it installs handlers, and its threads inherit what is blocked
        with block_signals(), _signal_handlers_kept():
            return core_worker(*arguments, **options)

    in_own_session = partial(services.ConsolePopen, start_new_session=True)
    with (
        _signal_handlers_kept(),
        patch.object(utils, "set_sigterm_handler", lambda handler: None, create=True),
        patch.object(services, "ConsolePopen", in_own_session),
        patch.object(raylet, "CoreWorker", create),
    ):
        yield


@contextlib.contextmanager
def _signal_handlers_kept() -> Iterator[None]:
    """Restore the handlers that Ray replaces: of SIGTERM when it starts, of SIGUSR1 in a search."""
    before = {number: signal.getsignal(number) for number in (*STOP_SIGNALS, signal.SIGUSR1)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:  # None: it is not Python's
                    signal.signal(number, handler)


def _silent_raylet() -> contextlib.AbstractContextManager[object]:
    # Ray prints crashes of workers over the live display even without `log_to_driver`, and has no
    # option for this; the trial's outcome reports them
    from ray._private import worker

    if not hasattr(worker, "print_to_stdstream"):
        return contextlib.nullcontext()
    return patch.object(worker, "print_to_stdstream", lambda data, ignore_prefix: None)
