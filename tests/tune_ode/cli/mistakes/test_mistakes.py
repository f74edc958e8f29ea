"""Plausible mistakes are answered in one line that names the remedy, before anything starts."""

import shutil
from pathlib import Path

import pytest

RUN = Path(__file__).parents[3] / "data" / "run-of-12"
MISTAKES = [
    # commands
    ("serach", "did you mean: tune-ode search;"),
    ("list", "did you mean: tune-ode runs;"),
    ("version", "did you mean: tune-ode --version;"),
    ("runs/digits-1", "tune-ode rank runs/digits-1;"),
    # options
    ("search --trails 3", "did you mean '--trials'?"),
    ("search -trials 3", "did you mean '--trials'?"),
    ("search --dry-run", "did you mean '--check'?"),
    ("search --gpus 1", "did you mean '--gpus-per-trial'?"),
    ("search --no-calibrat", "did you mean '--no-calibrate'?"),
    ("search --check=yes", "write --check alone"),
    ("rank latest --top 3", "it is an option of confirm;"),
    ("rank latest --json --csv", "leave out one of them"),
    ("resume latest --seed 3", "start a new search, with --start-from RUN"),
    ("search --trials", "--trials N: Maximum number of trials"),
    ("rank", "RUN is missing: Directories or URLs of runs, names in runs/, or latest; list"),
    ("export latest", "--format NAME: onnx"),
    # fields in place of options
    ("search --learning-rate 0.1", "--fix optimizer.learning_rate=0.1"),
    ("search --learning_rate=0.1", "--fix optimizer.learning_rate=0.1"),
    ("search --learnng-rate 0.1", "--fix optimizer.learning_rate=0.1"),
    ("search --optimizer.learning_rate 0.1", "--fix optimizer.learning_rate=0.1"),
    ("train --lr 0.1", "--fix optimizer.learning_rate=0.1"),
    ("search --batch-size 64", "--fix training.batch_size=64"),
    ("search --solver rk4", "--fix solver.method=rk4"),
    ("search --optimiser adam", "--fix optimizer.name=adam"),
    ("search --epochs", "--fix training.epochs=VALUE"),
    # values that were split, or lack their option
    ("search mnist", "did you mean: --dataset mnist"),
    ("search solvers", "did you mean: --space solvers"),
    ("search options.yaml", "did you mean: --config options.yaml"),
    ("search --fix solver.method euler", "--fix solver.method=euler"),
    ("search --set model.width = 16..64", "--set model.width=16..64"),
    ("search --fix model.width=8 model.blocks=1", "--fix model.width=8 --fix model.blocks=1"),
    ("compare --cases rk4:adjoint resnet", "--cases rk4:adjoint --cases resnet"),
    ("search --time-budget 2h 30min", "--time-budget '2h 30min'"),
    # malformed values
    ("search --set model.width", "NAME=LOW..HIGH or NAME=A|B, such as --set model.width=16..64"),
    ("search --set model.width=", "NAME=LOW..HIGH or NAME=A|B"),
    ("search --set model.width=16-64", "the forms are LOW .. HIGH"),
    ("search --set model.width=16..64,lgo", "the forms are LOW .. HIGH"),
    ("search --set model.wdth=16..64", "near: model.width"),
    ("search --fix euler", "NAME=VALUE, such as --fix solver.method=euler"),
    ("search --fix learning_rate=0.1", "did you mean 'optimizer.learning_rate'?"),
    ("search --trials 0", "greater than or equal to 1, found '0'"),
    ("search --trials ten", "a valid integer, found 'ten'"),
    ("search --time-budget 5", "'5' has no unit; write 5s or 5min"),
    ("search --time-budget 5 min", "'5' has no unit; write 5s or 5min"),
    ("search --time-budget 1:30", "a duration such as 90s, 5min, 1h30m or 1d, found '1:30'"),
    ("search --target-accuracy 95", "95 percent is 0.95"),
    ("search --validation 20%", "20 percent is 0.2"),
    # names
    ("search --dataset MNIST", "did you mean 'mnist'?"),
    ("search --dataset photos", "'photos' is a folder; write folder:photos"),
    ("search --sampler TPE", "did you mean 'tpe'?"),
    ("search --start-from fst", "did you mean 'fast'?"),
    ("search --start-from digit-1", "did you mean 'digits-1'?"),
    ("search --space nothing.yaml", "give the path of a YAML file"),
    ("search --config options.yaml", "unknown option 'trails'; did you mean 'trials'?"),
    ("search --config space.yaml", "write set: {model.width: 16..32}"),
    ("search --name latest", "choose another name"),
    ("search --output s3:/bucket/runs", "a URL is written s3://bucket/runs"),
    ("search --start-from runs", "give one of them: --start-from runs/dig"),
    ("search --start-from digits-1:3", "give its run: --start-from runs/digits-1"),
    ("train quick", "tune-ode search --space quick"),
    ("train mnist", "--dataset mnist"),
    ("--trials 3", "it is an option of search, resume, simulate, submit; see: tune-ode --help"),
    ("train fst", "did you mean 'fast'? list recipes with: tune-ode recipes"),
    # runs and trials
    ("rank runs", "folder of 2 runs: digits-1, digits-2; give one of them: tune-ode rank runs/dig"),
    ("confirm runs", "give one of them: tune-ode confirm runs/dig"),
    ("rank latst", "did you mean 'latest'?"),
    ("rank digit-1", "did you mean 'digits-1'? list runs with: tune-ode runs"),
    ("report runs/digits-1/run.json", "give the run itself: tune-ode report runs/digits-1"),
    ("rank digits-1:0003", "give its run: tune-ode rank runs/digits-1"),
    ("predict digits-1:99 x.png", "has no trial 0099; see: tune-ode rank runs/digits-1"),
    ("predict digits-1:bset x.png", "give a number, such as 3, or best"),
    ("predict runs/digits-1/3 x.png", "a trial is given as runs/digits-1:3"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    for name in ("digits-1", "digits-2"):
        shutil.copytree(RUN, folder / "runs" / name)
    (folder / "photos").mkdir()
    (folder / "options.yaml").write_text("trails: 3\n")
    (folder / "space.yaml").write_text("model.width: 16..32\n")
    return folder


@pytest.mark.parametrize(("command", "remedy"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_answered_with_its_remedy(tune_ode, folder, monkeypatch, command, remedy):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("tune_ode.tuning.launch.create_run", lambda *_: pytest.fail("it started"))
    before = sorted(folder.rglob("*"))
    status, out, err = tune_ode(*command.split())
    assert (status, out) == (2, "")
    assert err.startswith("tune-ode: ")
    assert err.count("\n") == 1
    assert len(err) < 500
    assert remedy in err
    assert sorted(folder.rglob("*")) == before
