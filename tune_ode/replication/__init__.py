"""Train configurations again with several seeds: `confirm` and `compare`."""
