"""`compare` on the digits with real training processes, killed and continued."""

import json

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]
COMPARE = (
    "compare", "--dataset", "digits", "--cases", "euler:adjoint,rk4:backprop,resnet", "--epochs",
    "1", "--name", "run", "--fix", "model.width=8",
)  # fmt: skip


def test_a_killed_comparison_is_continued_by_the_same_command(tune_ode, run_folder):
    command = tune_ode(*COMPARE)
    run_folder.wait_for(lambda run: run.finished(), timeout=300, process=command.process)
    command.kill()
    kept = run_folder.finished()
    out = tune_ode(*COMPARE, COLUMNS="200").succeed(timeout=700)
    results = run_folder.results()
    assert run_folder.finished().items() >= kept.items()
    assert [result["outcome"] for result in results.values()] == ["completed"] * 3
    assert "One network, 3 cases, digits: 1 epoch on 863 images" in out
    report = run_folder.folder / "report"
    assert (report / "comparison.png").read_bytes()[:4] == b"\x89PNG"
    rows = json.loads((report / "comparison.json").read_text())
    assert [row["case"] for row in rows] == ["euler:adjoint", "rk4:backprop", "resnet"]
    counts = ("nfe_forward", "nfe_backward", "vjp_backward")
    assert [[row[count] for count in counts] for row in rows] == [[1, 1, 1], [4, 0, 4], [0, 0, 0]]
    for row in rows:
        assert 0 < row["seconds_per_epoch"] < row["wall_seconds_per_epoch"]
        assert 0 <= row["test_accuracy"] <= 1
    for trial in results:
        assert not (run_folder.folder / "trials" / trial / "confirmation.json").exists()
