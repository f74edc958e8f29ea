"""No error of Ray ends a search: the trial restarts, and the reason is kept."""

import inspect
from unittest.mock import Mock

import pytest

from tune_ode.machine.resources import local_machine, plan_resources
from tune_ode.records import Outcome
from tune_ode.tuning.search.limits import MAX_CRASHES


@pytest.fixture
def engine(monkeypatch):
    """Return the module, with one live node; importing Ray takes a second."""
    from tune_ode.tuning.ray_backend import engine

    monkeypatch.setattr(engine, "alive_nodes", lambda: {"node": {}})
    monkeypatch.setattr(engine, "oom_kills", lambda: 0)
    monkeypatch.setattr(engine, "_MEMORY_SECONDS", 0.0)
    return engine


@pytest.fixture
def adapter(engine, make_search):
    """Return the link between Ray Tune and a search of one trial, and the lines that it says."""
    lines = []
    resources = plan_resources(local_machine(cpus=2, gpus=0))
    adapter = engine._Adapter(make_search(trials=1), resources, None, lambda: None, lines.append)
    adapter.lines = lines
    return adapter


def crash(adapter, error):
    """Start a trial whose process dies of an error; return its result."""
    adapter.suggest("ray")
    if error is not None:
        adapter.on_error(error)
    adapter.on_trial_complete("ray", error=True)
    return adapter._search.folder.result("0001")


def errors_of_ray():
    """Return what `ray.get` may raise for a call of an actor, apart from `RayTaskError`."""
    from ray import exceptions

    with_text = (
        "ActorUnschedulableError AuthenticationError NodeDiedError ObjectStoreFullError "
        "OutOfDiskError OutOfMemoryError PendingCallsLimitExceeded RaySystemError RpcError "
        "RuntimeEnvSetupError TaskUnschedulableError"
    )
    without = (
        "ActorDiedError ActorPlacementGroupRemoved AsyncioActorExit LocalRayletDiedError "
        "PlasmaObjectNotAvailable TaskCancelledError TaskPlacementGroupRemoved WorkerCrashedError"
    )
    lost = "ObjectFetchTimedOutError ObjectFreedError ObjectLostError OwnerDiedError"
    return [
        exceptions.ActorUnavailableError("it happened", None),
        OSError("cannot unpickle the result"),
        *(getattr(exceptions, name)("it happened") for name in with_text.split()),
        *(getattr(exceptions, name)() for name in without.split()),
        *(getattr(exceptions, name)("ab", b"", "here") for name in lost.split()),
    ]


def test_ray_tune_sees_every_error_as_the_death_of_a_process():
    from ray.exceptions import RayActorError
    from ray.tune.execution import tune_controller

    from tune_ode.tuning.ray_backend import actor_errors

    errors, seen = errors_of_ray(), []
    with (
        actor_errors.forwarded_to(seen.append),
        pytest.MonkeyPatch.context() as patch,
    ):
        kill = Mock()
        patch.setattr(actor_errors.ray, "kill", kill)
        manager = tune_controller.RayActorManager(resource_manager=Mock())
        for error in errors:
            actor, task = Mock(), Mock()
            manager._live_actors_to_ray_actors_resources[actor] = ("process", "resources")
            task._tracked_actor = actor
            manager._actor_task_failed(task, error)
            for on_error in (actor._on_error, task._on_error):
                (_, passed), _ = on_error.call_args
                assert isinstance(passed, RayActorError)
            assert actor not in manager._live_actors_to_ray_actors_resources
        assert kill.call_count == len(errors) - 1, (
            "except for ActorDiedError, no process survives in which the trial may train"
        )
        assert seen == errors
    assert tune_controller.RayActorManager.__module__.startswith("ray.")


def test_the_overridden_methods_exist_in_this_version_of_ray():
    # if Ray renamed them, such errors would end a search again
    from ray.air.execution._internal import RayActorManager
    from ray.tune.execution.tune_controller import TuneController

    from tune_ode.tuning.ray_backend.actor_errors import ActorManager

    for name in set(vars(ActorManager)) - {"__module__", "__doc__", "__annotations__"}:
        assert callable(getattr(RayActorManager, name))
    assert "RayActorManager(" in inspect.getsource(TuneController.__init__)


def out_of_memory():
    from ray.exceptions import OutOfMemoryError

    return OutOfMemoryError("Memory on the node was 22 GB / 23 GB")


@pytest.mark.parametrize("killer", ["Ray's memory monitor", "the kernel"])
def test_a_trial_restarts_three_times_while_memory_is_short(adapter, engine, monkeypatch, killer):
    for attempt in range(1, MAX_CRASHES + 2):
        if killer == "the kernel":
            monkeypatch.setattr(engine, "oom_kills", lambda attempt=attempt: attempt)
        result = crash(adapter, out_of_memory() if killer != "the kernel" else None)
        assert result.crashes == attempt
        expected = Outcome.INTERRUPTED if attempt <= MAX_CRASHES else Outcome.OUT_OF_MEMORY
        assert result.outcome is expected
        assert "its machine was short of memory" in result.reason
        assert "--max-concurrent" in result.reason
    assert "died 4 times" in result.reason
    assert len(adapter.lines) == 4
    assert adapter.lines[0] == (
        "memory is short: the process of trial 0001 was killed to free some; it restarts in 0 s"
    )
    assert adapter.suggest("next") == engine.Searcher.FINISHED


def test_the_restart_waits_for_memory_and_the_display_knows(adapter, engine, monkeypatch):
    monkeypatch.setattr(engine, "_MEMORY_SECONDS", 1000.0)
    crash(adapter, out_of_memory())
    assert adapter.suggest("too early") is None
    assert adapter._search.waiting == "memory, which is short"
    adapter._search.stop("time budget")
    assert adapter.suggest("too late") == engine.Searcher.FINISHED


def test_the_reason_names_what_ray_reports(adapter, engine):
    from ray import exceptions

    raised = exceptions.RayTaskError("step", "Traceback:\n  File x\nKeyError: 'width'", KeyError())
    assert crash(adapter, raised).reason == "its process died: KeyError: 'width'"
    setup = exceptions.RuntimeEnvSetupError("no module")
    assert "RuntimeEnvSetupError: Failed to set up" in crash(adapter, setup).reason
    assert "killed, or out of the machine's memory" in crash(adapter, None).reason
    failed = crash(adapter, exceptions.ActorDiedError())
    assert failed.outcome is Outcome.FAILED
    assert failed.reason == "its process died 4 times: killed, or out of the machine's memory"
