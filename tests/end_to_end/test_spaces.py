"""Whole spaces, good and bad, on real data: a search ends with every outcome accounted for."""

import json

import pytest

BAD = """
# rates that diverge, tolerances that three steps cannot keep
optimizer.name: sgd
optimizer.learning_rate: 10.0 .. 100.0 log
solver.method:
  rk4:
    solver.steps: 1 .. 4
  dopri5:
    solver.rtol: 1e-12 .. 1e-11 log
    solver.atol: 1e-12
    solver.max_steps: 3
model.width: [16, 32]
model.ode.normalization: none
model.normalization: none
training.epochs: 3 .. 10
"""


@pytest.mark.long
def test_the_full_space_on_digits(tune_ode, run_folder):
    status, out, err = tune_ode(
        "search", "--space", "full", "--name", "run", "--trials", "40", "--trial-seconds", "4",
        "--start-from", "fast", "--start-from", "classic",
    ).wait(timeout=800)  # fmt: skip
    assert status == 0, err
    assert "Traceback" not in out + err
    outcomes = run_folder.outcomes()
    assert len(outcomes) == 40
    assert all(outcome["outcome"] != "failed" for outcome in outcomes.values()), outcomes


@pytest.mark.long
def test_a_bad_space_ends_in_outcomes(tune_ode, run_folder, tmp_path):
    (tmp_path / "bad.yaml").write_text(BAD)
    status, out, err = tune_ode(
        "search", "--space", "bad.yaml", "--name", "run", "--trials", "8", "--trial-seconds", "5"
    ).wait()
    assert status in (0, 1), err
    found = {json.dumps(outcome["outcome"]) for outcome in run_folder.outcomes().values()}
    assert '"diverged"' in found, out
    assert '"failed"' not in found, out
    assert "Traceback" not in out + err
