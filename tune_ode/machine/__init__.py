"""CPUs, GPUs and memory of machines, and the share of each trial."""
