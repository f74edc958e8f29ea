"""The benchmarks behind the figures in the documentation; each is one command."""

import os

# silences the log of the profiler; read when torch is imported
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
