"""A search of the entire space on real data: no trial fails."""

import pytest


@pytest.mark.long
def test_no_trial_of_the_full_space_fails(tune_ode, run_folder):
    status, _, err = tune_ode(
        "search", "--space", "full", "--name", "run", "--trials", "14", "--trial-seconds", "1",
        "--start-from", "fast", "--start-from", "classic", "--no-calibrate",
    ).wait(timeout=800)  # fmt: skip
    assert status == 0, err
    results = run_folder.results()
    assert len(results) == 14
    assert all(result["outcome"] != "failed" for result in results.values()), results
