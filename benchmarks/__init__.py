"""What the figures of README and docs come from: each benchmark is one command."""

import os

# the profiler's own log; read when torch is imported
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
