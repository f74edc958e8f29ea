"""The console script: handles signals before anything slow is imported, and until the end."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from typing import NoReturn

from tune_ode.process import signals

_INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line."""
    status: object = _INTERRUPTED
    try:
        with signals.interruptible():
            from tune_ode.cli.main import main as run

            run()
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:  # during the import
        with contextlib.suppress(OSError):  # the terminal is gone
            print("tune-ode: interrupted", file=sys.stderr)
    for number in signals.STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the result is there; only Python's exit follows
    if status == _INTERRUPTED:
        # Python would end itself by SIGINT if that arrived in `exec`, as of a dataclass
        if not signals.forced:
            atexit._run_exitfuncs()
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(_INTERRUPTED)
    sys.exit(status)  # type: ignore[arg-type]
