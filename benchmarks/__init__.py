"""Where the figures of the documentation come from: each module is a command."""

import os

# the profiler's own log; read when torch is imported
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
