"""`import tune_ode` is fast and has the public names, for people and for type checkers."""

import subprocess
import sys
from pathlib import Path

import pytest

import tune_ode as to

SCRIPT = """
import matplotlib.figure
import numpy as np
import pandas as pd

import tune_ode as to


def show(report: to.Report) -> None:
    print(report.train_seconds, report)


fixed: dict[str, str] = {"solver.method": "euler"}
run: to.Run = to.search(
    dataset="digits", trials=20, time_budget="6m", fix=fixed, set={"model.width": "16..64"},
    start_from=["fast"], objective="anytime", on_report=show,
)
best: to.Trial = run.best
rate: float | None = best.rate
width: int = best.config.model.width
ranking: pd.DataFrame = run.ranking(by="accuracy@1s")
figure: matplotlib.figure.Figure = run.plot("timeline")
confirmed: to.Replication = run.confirm(top=3, seeds=3)
print(confirmed.table, confirmed.plot())
again = to.resume(run, trials=30)
trained = to.train("fast", dataset="mnist", fix={"training.epochs": 2})
compared = to.compare(cases=["rk4:adjoint", "resnet"], dataset="digits", seeds=2)
predictions: list[to.Prediction] = to.predict(to.load_run("latest"), "image.png")
predictions = to.predict(best, np.zeros((2, 8, 8), np.uint8))
try:
    to.train(best.config, progress=False)
except (to.UsageError, to.Interrupted) as error:
    print(error)
"""
WRONG = """
import tune_ode as to

to.search(trails=20)
to.search(objective="speed")
to.serach()
to.load_run("latest").best.accurracy
"""


def test_importing_the_package_imports_nothing_large():
    code = "import sys, tune_ode; tune_ode.__version__; dir(tune_ode); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "ray", "pandas", "numpy", "pydantic", "optuna"} & set(ran.stdout.split())


def test_all_public_names_exist_and_no_others():
    for name in to.__all__:
        assert getattr(to, name).__name__ == name
        assert name in dir(to)
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        _ = to.serach


def test_no_module_of_the_package_hides_a_public_name():
    names = {path.stem for path in Path(to.__file__).parent.iterdir()}
    assert not names & set(to.__all__), "importing the module would replace the function"


@pytest.mark.long
def test_a_users_script_is_checked_strictly(tmp_path):
    pytest.importorskip("mypy")
    good, wrong = tmp_path / "good.py", tmp_path / "wrong.py"
    good.write_text(SCRIPT)
    wrong.write_text(WRONG)
    config = tmp_path / "mypy.ini"  # what the packages import does not matter
    config.write_text("[mypy]\n[mypy-torch.*,ray.*,optuna.*,scipy.*]\nfollow_imports = skip\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", config]
    ran = subprocess.run([*command, good, wrong], capture_output=True, text=True)
    errors = ran.stdout.splitlines()
    assert not [line for line in errors if "good.py" in line]
    found = [line for line in errors if "wrong.py" in line and "error:" in line]
    assert len(found) == 4, ran.stdout
