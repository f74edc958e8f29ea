"""A sampler of our own: spaces need no Optuna."""

import random

import pytest


class Dice:
    """The `suggest_*` methods over a plain random source; one name must keep one range."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.asked = {}

    def suggest_float(self, name, low, high, *, step, log):
        value = self.random.uniform(low, high)
        if step is not None:
            value = low + step * round((value - low) / step)
        return self._note(name, (low, high, step, log), value)

    def suggest_int(self, name, low, high, *, step, log):
        return self._note(name, (low, high, step, log), self.random.randrange(low, high + 1, step))

    def suggest_categorical(self, name, choices):
        return self._note(name, tuple(choices), self.random.choice(choices))

    def _note(self, name, range_, value):
        assert self.asked.setdefault(name, range_) == range_
        return value


@pytest.fixture(scope="session")
def dice():
    """Return a function that makes a sampler from a seed."""
    return Dice
