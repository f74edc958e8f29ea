"""Join a Ray cluster: with a token where it needs one, and without waiting for a silent one."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator
from unittest.mock import patch

# first: it sets variables that Ray reads at import
from tune_ode.tuning.ray_backend.startup import own_signals, use_token  # isort: skip

import ray
from ray._private import ray_constants

from tune_ode.errors import UsageError, first_line
from tune_ode.machine.resources import Cluster
from tune_ode.trust import has_ray_token
from tune_ode.tuning.ray_backend.cluster import cluster_state
from tune_ode.tuning.ray_backend.environment import ray_environment

_CONNECT_SECONDS = 5.0
_JOIN_SECONDS = 30.0
_ATTEMPTS = 3
"""A server that rejects the token, or its absence, would be asked 20 times."""


def join(address: str) -> Cluster:
    """Join a running cluster and return its nodes.

    Args:
        address: `HOST:PORT` of its head node, or `auto` on one of its nodes.

    Raises:
        UsageError: the address is invalid, no cluster responds, or it denies access.
    """
    if "://" in address:
        raise UsageError(
            f"--address must be HOST:PORT of a cluster's head node, or auto on one of its nodes, "
            f"found {address}; to submit a search to a cluster's dashboard: tune-ode submit"
        )
    host, _, port = address.rpartition(":")
    if address != "auto":
        if not host or not port.isdigit():
            raise UsageError(f"--address must be HOST:PORT or auto, found '{address}'")
        try:  # Ray would retry for a minute
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise _unreachable(address, str(error)) from None
    with (
        ray_environment(),
        own_signals(),
        contextlib.chdir("/"),  # Ray puts the current directory first on the path of trials
        patch.object(ray_constants, "NUM_REDIS_GET_RETRIES", _ATTEMPTS),
    ):
        # a cluster that needs no token gets none, and would cancel the actors of a driver with one
        may_retry = has_ray_token() and "RAY_AUTH_MODE" not in os.environ
        with _stderr_discarded() if may_retry else contextlib.nullcontext():
            failures = _connect(address)
        if failures and may_retry:
            use_token()
            failures = _connect(address)
    if failures:
        raise _unreachable(address, failures[0])
    return cluster_state()


def _connect(address: str) -> list[str]:
    """Return why a cluster cannot be joined; empty if it was."""
    failures: list[str] = []
    # a thread, since Ray waits minutes for a server that is silent, and obeys no signal meanwhile
    thread = threading.Thread(target=_init, args=(address, failures), daemon=True)
    thread.start()
    thread.join(_JOIN_SECONDS)
    if thread.is_alive():
        raise _unreachable(address, f"it did not respond within {_JOIN_SECONDS:g} s")
    return failures


@contextlib.contextmanager
def _stderr_discarded() -> Iterator[None]:
    """Discard what Ray's native code prints when a server rejects it; there is no option."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _init(address: str, failures: list[str]) -> None:
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            ignore_reinit_error=True,
        )
    except Exception as error:
        failures.append(first_line(error))


def _unreachable(address: str, reason: str) -> UsageError:
    return UsageError(
        f"no Ray cluster responds at --address {address}: {reason}; run `ray status` on its head "
        "node, and set RAY_AUTH_TOKEN if it requires a token"
    )
