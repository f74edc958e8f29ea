"""Starts Ray on this machine for a search, and ends it; or ends its stay in a cluster.

Whatever imports Ray imports this first, for the variables that Ray reads when it is imported.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from unittest.mock import patch

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C is the search's: it stops in order
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "inf"  # nobody reads its snapshots, and they grow
os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1000000"  # the search asks for no more than can run
os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the new one prints a table even when told to be silent
# the first try comes too early half of the time, and by default the second a second later
os.environ.setdefault("RAY_raylet_client_connect_timeout_milliseconds", "100")
os.environ.setdefault("RAY_raylet_client_num_connect_attempts", "100")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else ray warns of this default

import ray

from tune_ode.errors import TuneOdeError, first_line
from tune_ode.machine.resources import Cluster, TrialResources

_OBJECT_STORE_BYTES = 100 * 2**20
"""Only small messages pass through Ray's object store; its default takes a third of the memory."""
LEFT_OUT = ("start_api_server", "start_monitor")
"""What Ray's node would start for its dashboard and its autoscaler."""


@contextlib.contextmanager
def started(resources: TrialResources, *, verbose: bool) -> Iterator[None]:
    """Have a Ray: the cluster that was joined for the plan, or a new one of this machine.

    Args:
        resources: of the machine.
        verbose: let Ray speak.

    Raises:
        TuneOdeError: Ray could not be started.
    """
    quiet = logging.WARNING if verbose else logging.CRITICAL
    logging.getLogger("ray.tune").setLevel(quiet)
    if not verbose:
        _silence_raylet()
    try:
        if not resources.cluster.is_remote:
            _start(resources.cluster, verbose, quiet)
        yield
    finally:
        ray.shutdown()


def _start(machine: Cluster, verbose: bool, level: int) -> None:
    try:
        with _left_out():
            ray.init(
                # never join a cluster by accident: one that died leaves its address behind
                address="local",
                num_cpus=machine.cpus,
                num_gpus=machine.gpus,
                include_dashboard=False,
                log_to_driver=verbose,
                logging_level=level,
                object_store_memory=_OBJECT_STORE_BYTES,
            )
    except Exception as error:
        raise TuneOdeError(
            f"Ray could not be started: {first_line(error)}; --verbose tells more"
        ) from error


@contextlib.contextmanager
def _left_out() -> Iterator[None]:
    # a Ray of one machine's own has no use for them, and without them the first answer comes 2 of
    # 9 s sooner; the one starts even where no dashboard is asked for. There is no option for it
    from ray._private.node import Node

    with contextlib.ExitStack() as stack:
        for name in LEFT_OUT:
            if hasattr(Node, name):
                stack.enter_context(patch.object(Node, name, lambda node, **options: None))
        yield


def _silence_raylet() -> None:
    # Ray prints what becomes of its workers whatever `log_to_driver` says, over the live panel; the
    # search tells of a process that died by the trial's outcome. There is no option for it.
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda data, ignore_prefix: None
