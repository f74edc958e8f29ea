"""`compare` on the digits: real trainings in processes of their own, and a kill."""

import json
import time

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(800)]
SMALL = (
    "compare", "--dataset", "digits", "--cases", "euler:adjoint,rk4:backprop,resnet", "--epochs",
    "1", "--name", "run", "--fix", "model.width=8",
)  # fmt: skip


def test_killed_it_goes_on_with_the_same_command(tune_ode, run_folder):
    command = tune_ode(*SMALL)
    deadline = time.monotonic() + 300
    while not run_folder.folder.exists() or not run_folder.finished():
        assert command.process.poll() is None, command.wait()
        assert time.monotonic() < deadline
        time.sleep(0.5)
    command.kill()
    kept = run_folder.finished()
    status, out, err = tune_ode(*SMALL, COLUMNS="200").wait(timeout=700)
    assert (status, err) == (0, "")
    assert run_folder.finished().items() >= kept.items()
    assert {end["outcome"] for end in run_folder.outcomes().values()} == {"completed"}
    assert len(run_folder.outcomes()) == 3
    assert "One network, 3 cases, digits: 1 epoch on 1,150 images" in out
    report = run_folder.folder / "report"
    assert (report / "comparison.png").read_bytes()[:4] == b"\x89PNG"
    euler, rk4, resnet = json.loads((report / "comparison.json").read_text())
    assert [row["case"] for row in (euler, rk4, resnet)] == [
        "euler:adjoint",
        "rk4:backprop",
        "resnet",
    ]
    counts = ("nfe_forward", "nfe_backward", "vjp_backward")
    assert [euler[count] for count in counts] == [1, 1, 1]
    assert [rk4[count] for count in counts] == [4, 0, 4]
    assert [resnet[count] for count in counts] == [0, 0, 0]
    for row in (euler, rk4, resnet):
        assert 0 < row["seconds_per_epoch"] < row["whole_seconds_per_epoch"]
        assert 0 <= row["test_accuracy"] <= 1
    for trial in ("0001", "0002", "0003"):
        assert not (run_folder.folder / "trials" / trial / "confirmation.json").exists()
