"""The loopback interface, through which the processes of a local search communicate."""

from __future__ import annotations

import socket

from tune_ode.errors import UsageError

_CONNECT_SECONDS = 5.0


def check_loopback() -> None:
    """Check that processes on this machine can connect to each other.

    Without it, Ray would retry for a quarter of an hour.

    Raises:
        UsageError: they cannot.
    """
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), _CONNECT_SECONDS).close()
    except OSError as error:
        raise UsageError(
            f"a search needs the loopback interface, but 127.0.0.1 does not respond "
            f"({error.strerror or error}); enable it with: ip link set lo up"
        ) from None
