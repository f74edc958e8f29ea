"""The process and its machine: limits, signals, threads, clock, device errors."""
