"""A local Ray starts without its dashboard and autoscaler, on the loopback interface."""

import os
import signal
import stat
from pathlib import Path

import pytest

from tune_ode.machine.resources import local_machine, plan_resources


@pytest.fixture
def startup():
    """Return the module; importing Ray takes a second."""
    from tune_ode.tuning.ray_backend import startup

    return startup


def test_the_skipped_services_exist_in_this_version_of_ray(startup):
    # if Ray renamed them, they would start again unnoticed
    from ray._private.node import Node

    for name in startup.SKIPPED_SERVICES:
        assert callable(getattr(Node, name))


def test_services_are_skipped_during_one_start_and_restored(startup, monkeypatch):
    import ray
    from ray._private.node import Node

    before = {name: getattr(Node, name) for name in startup.SKIPPED_SERVICES}
    during = {}
    monkeypatch.setattr(
        ray, "init", lambda **_: during.update({name: getattr(Node, name) for name in before})
    )
    with startup.started(plan_resources(local_machine(cpus=2, gpus=0)), verbose=False):
        assert not any(during[name] is before[name] for name in before)
        assert {name: getattr(Node, name) for name in before} == before


def test_a_local_ray_uses_the_loopback_address(startup, monkeypatch):
    """The machine's address may change or be unreachable, and is open to others."""
    import ray
    from ray._private import services

    monkeypatch.setattr(ray, "init", lambda **_: found.append(services.get_node_ip_address()))
    monkeypatch.setattr(services, "node_ip_address_from_perspective", lambda _: "192.0.2.1")
    found = []
    with startup.started(plan_resources(local_machine(cpus=2, gpus=0)), verbose=False):
        assert found == ["127.0.0.1"]
    assert services.get_node_ip_address() == "192.0.2.1"


def test_ray_starts_with_a_private_token_and_keeps_signal_handlers(startup, monkeypatch):
    import ray
    from ray._private import utils
    from ray._raylet import AuthenticationMode, get_authentication_mode

    def init(**options):
        utils.set_sigterm_handler(print)  # as Ray does
        folder = Path(options["_temp_dir"]).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        tokens.append(os.environ["RAY_AUTH_TOKEN"])
        # also where an earlier Ray in this process had another mode, which Ray remembers
        assert get_authentication_mode() == AuthenticationMode.TOKEN

    tokens = []
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of a cluster")
    handler = signal.getsignal(signal.SIGTERM)
    for _ in range(2):
        with startup.started(plan_resources(local_machine(cpus=2, gpus=0)), verbose=False):
            assert signal.getsignal(signal.SIGTERM) is handler
        assert os.environ["RAY_AUTH_TOKEN"] == "of a cluster"
        assert "RAY_AUTH_MODE" not in os.environ
    assert all(len(token) >= 32 and int(token, 16) for token in tokens)
    assert tokens[0] != tokens[1]


def test_processes_of_a_local_ray_see_neither_the_current_directory_nor_open_files(
    startup, monkeypatch, tmp_path
):
    import ray
    from ray._private import ray_constants, services

    def init(**options):
        found.update(os.environ)
        found["cwd"] = os.getcwd()
        os.umask(mask := os.umask(0))
        found["umask"] = mask
        build = services._build_python_executable_command_memory_profileable
        for component in ("DASHBOARD", "DASHBOARD_AGENT", "RUNTIME_ENV_AGENT"):
            kind = getattr(ray_constants, f"PROCESS_TYPE_{component}")
            found[component] = build(kind, str(tmp_path))[-1]

    found = {}
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "mine", "/other"]))
    monkeypatch.setenv("TUNE_ODE_CACHE", "cache")
    before = dict(os.environ)
    mask = os.umask(0o027)
    try:
        with startup.started(plan_resources(local_machine(cpus=2, gpus=0)), verbose=False) as one:
            assert found["cwd"] == str(one)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)
    assert Path.cwd() == tmp_path
    assert dict(os.environ) == before
    root = str(Path(startup.__file__).parents[3])
    assert found["PYTHONPATH"].split(os.pathsep) == [f"{tmp_path}/mine", "/other", root]
    assert found["PYTHONSAFEPATH"] == "1"
    assert found["TUNE_ODE_CACHE"] == str(tmp_path / "cache")
    assert (found["umask"], found["TUNE_ODE_UMASK"]) == (0o077, str(0o027))
    assert found["DASHBOARD_AGENT"] == found["RUNTIME_ENV_AGENT"] == startup.agent.__file__
    assert found["DASHBOARD"] != startup.agent.__file__
