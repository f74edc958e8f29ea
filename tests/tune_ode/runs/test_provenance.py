"""A run records the revision of its code, whoever owns the checkout."""

from pathlib import Path

import pytest

from tune_ode.runs.provenance import revision


def test_the_revision_of_a_checkout_of_another_user(monkeypatch):
    if not (Path(__file__).parents[3] / ".git").exists():
        pytest.skip("not in a Git checkout")
    expected = revision()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert revision() == expected
    assert expected is not None
