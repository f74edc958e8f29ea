"""Searches of entire spaces on real data account for the outcome of every trial."""

import pytest

BAD = """
# learning rates that diverge, tolerances that three steps cannot meet
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
def test_no_trial_of_the_full_space_fails(tune_ode, run_folder):
    status, _, err = tune_ode(
        "search", "--space", "full", "--name", "run", "--trials", "40", "--trial-seconds", "2",
        "--start-from", "fast", "--start-from", "classic", "--no-calibrate",
    ).wait(timeout=800)  # fmt: skip
    assert status == 0, err
    results = run_folder.results()
    assert len(results) == 40
    assert all(result["outcome"] != "failed" for result in results.values()), results


@pytest.mark.long
def test_a_bad_space_ends_with_diverged_trials(tune_ode, run_folder, tmp_path):
    (tmp_path / "bad.yaml").write_text(BAD)
    status, out, err = tune_ode(
        "search", "--space", "bad.yaml", "--name", "run", "--trials", "8", "--trial-seconds", "3"
    ).wait()
    assert status in (0, 1), err
    outcomes = {result["outcome"] for result in run_folder.results().values()}
    assert "diverged" in outcomes, out
    assert "failed" not in outcomes, out
