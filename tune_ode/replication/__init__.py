"""Train configurations again on fresh seeds: `confirm` and `compare`."""
