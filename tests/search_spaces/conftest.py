"""A random sampler without Optuna."""

import random

import pytest


class RandomTrial:
    """Optuna's `suggest_*` methods over `random.Random`; each name must keep one range."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.ranges = {}

    def suggest_float(self, name, low, high, *, step=None, log=False):
        value = self.random.uniform(low, high)
        if step is not None:
            value = low + step * round((value - low) / step)
        return self._record(name, (low, high, step, log), value)

    def suggest_int(self, name, low, high, *, step=1, log=False):
        return self._record(
            name, (low, high, step, log), self.random.randrange(low, high + 1, step)
        )

    def suggest_categorical(self, name, choices):
        return self._record(name, tuple(choices), self.random.choice(choices))

    def _record(self, name, range_, value):
        assert self.ranges.setdefault(name, range_) == range_
        return value


@pytest.fixture(scope="session")
def random_trial():
    """Return a function that creates a trial from a seed."""
    return RandomTrial
