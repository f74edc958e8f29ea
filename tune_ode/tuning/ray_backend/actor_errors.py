"""Errors of Ray that end the process of a trial, and what they mean.

Ray Tune expects two kinds: `RayActorError`, the process died, and `RayTaskError`, its code raised.
Any other, such as the `OutOfMemoryError` of Ray's memory monitor, would end the search.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

# first: it sets variables that Ray reads at import
import tune_ode.tuning.ray_backend.startup  # noqa: F401  # isort: skip

import ray
from ray.air.execution._internal import RayActorManager
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.execution import tune_controller

from tune_ode.errors import first_line
from tune_ode.tuning.search.crashes import KILLED, Crash


def crash_from(error: Exception | None) -> Crash:
    """Return why a process died from the error that Ray raised for it."""
    if isinstance(error, OutOfMemoryError):
        return Crash(short_of_memory=True)
    if isinstance(error, RayTaskError) or (
        isinstance(error, ActorDiedError) and error.actor_init_failed
    ):
        return Crash(cause=str(error).strip().splitlines()[-1])  # the end of a traceback
    if error is None or isinstance(error, RayActorError):
        return KILLED
    return Crash(cause=f"{type(error).__name__}: {first_line(error)}")


class ActorManager(RayActorManager):
    """Treats every error of Ray as the death of the actor, and first passes it on."""

    on_error: Callable[[Exception], None]

    def _actor_start_failed(self, tracked_actor: Any, exception: Exception) -> None:
        self.on_error(exception)
        super()._actor_start_failed(tracked_actor, exception)

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        self.on_error(exception)
        if not isinstance(exception, RayTaskError):
            if not isinstance(exception, ActorDiedError):
                # it may be alive, for example unreachable: two processes must not train one trial
                actor = tracked_actor_task._tracked_actor
                ray.kill(self._live_actors_to_ray_actors_resources[actor][0])
            exception = RayActorError(error_msg=first_line(exception))
        super()._actor_task_failed(tracked_actor_task, exception)


@contextlib.contextmanager
def forwarded_to(on_error: Callable[[Exception], None]) -> Iterator[None]:
    """Make Ray Tune use an `ActorManager`, for which it has no option."""
    # an attribute of the class, since Ray initializes the object a second time
    manager = type("ActorManager", (ActorManager,), {"on_error": staticmethod(on_error)})
    with patch.object(tune_controller, "RayActorManager", manager):
        yield
