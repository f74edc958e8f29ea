"""Runs one of Ray's agents, so that it ends with Ray's node and serves no metrics.

A script, which Ray starts in place of the agent's; its arguments are the agent's script and its
arguments. An agent would outlive a killed search by minutes, and a port with metrics is open to all
users of the machine.
"""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1
_METRICS_AGENT = "dashboard"
"""Directory of the agent that serves metrics."""

if __name__ == "__main__":
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            sys.exit(1)
    del sys.argv[0]
    if os.path.basename(os.path.dirname(sys.argv[0])) == _METRICS_AGENT:
        sys.argv.append("--disable-metrics-collection")
    runpy.run_path(sys.argv[0], run_name="__main__")
