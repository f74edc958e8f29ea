"""A search without a loopback interface is refused; commands that need none are not."""

import errno
import socket

import pytest

from tune_ode.machine.network import check_loopback


def test_loopback_responds():
    check_loopback()


@pytest.mark.parametrize("failing", ["create_server", "create_connection"])
def test_a_search_without_loopback_is_refused(monkeypatch, usage_error, failing):
    def fail(*_, **__):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, failing, fail)
    error = usage_error("search")
    assert "127.0.0.1 does not respond (Network is unreachable); enable it with" in error
