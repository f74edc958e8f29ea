"""Whatever is asked, `search --check` ends at once with 0 or 2, one line of error, nothing written.

The questions are made up of what people write and of how they slip: fields of a grammar, one in
three of them wrong, and now and then characters dropped, doubled or swapped in the whole file.
"""

import itertools
import json
import random
import signal
import subprocess
import sys

import pytest

from search_spaces import PRESETS
from search_spaces.recipes import recipes
from tune_ode.cli.main import run
from tune_ode.config.fields import config_fields

SECONDS = 20
"""Of one question; most take a hundredth."""

REAL = {
    "model.head.dropout": (0.0, 0.9), "model.ode.integration_time": (0.1, 4.0),
    "training.label_smoothing": (0.0, 0.3), "optimizer.weight_decay": (1e-6, 1e-2),
    "data.augmentation.rotation": (0.0, 30.0), "optimizer.learning_rate": (1e-4, 0.5),
}  # fmt: skip
WHOLE = {
    "model.width": (4, 64), "model.blocks": (1, 3), "model.ode.convolutions": (1, 4),
    "training.epochs": (1, 5), "training.batch_size": (16, 256), "model.stem.extra_layers": (0, 2),
    "data.augmentation.crop": (0, 3), "model.stem.stages": (0, 2),
}  # fmt: skip
NAMED = {
    "model.activation": ["relu", "gelu", "tanh"], "model.normalization": ["group", "none", "batch"],
    "model.ode.normalization": ["group", "layer", "batch"], "model.stem.kind": ["conv", "res"],
    "solver.gradient": ["backprop", "adjoint", "recompute"], "execution.precision": ["fp32"],
    "schedule.name": ["cosine", "onecycle", "step"], "model.stem.padding": [0, 1],
}  # fmt: skip
BRANCHED = {
    "solver.method": {
        "euler": {"solver.steps": (1, 4)},
        "rk4": {"solver.steps": (1, 2)},
        "dopri5": {"solver.rtol": (1e-3, 1e-1)},
        "explicit_adams": {"solver.steps": (1, 4)},
    },
    "optimizer.name": {
        "sgd": {"optimizer.momentum": (0.0, 0.9)},
        "adam": {"optimizer.beta1": (0.8, 0.9)},
        "muon": {"optimizer.adamw_learning_rate": (1e-3, 1e-2)},
    },
    "model.head.hidden_layers": {0: {}, 1: {"model.head.hidden_width": (8, 32)}},
}
WRONG_VALUES = [
    "", "wide", "1 ..", ".. 2", "2 .. 1", "-1 .. 2", "1 .. 2 log step 1", "0 .. 1 log",
    "1e999 .. 2", "9" * 30 + " .. 2", "[]", "[[1, 2], 3]", "{}", "{a: }", "{1: {2: {3: 4}}}",
    "null", "true",
    "!!python/object:os.system x", "*alias", "&a [*a]", "'", '"', "| a", "nan .. 1", "[1, 1]",
    "\u221e", "1 .. 2 step 0", "1 .. 2 step 7", "@", "..", "|", "a | a", "0x10 .. 0x20", "1_0",
]  # fmt: skip
WRONG_OPTIONS = [
    ["--set", "model.width"], ["--set", "=1"], ["--set", "model.widht=1..2"], ["--fix", "seed=-1"],
    ["--set", "model.width=a..b"], ["--fix", "solver.method=dopri"], ["--fix", "model.width=[1"],
    ["--fix", "model.width={a: 1}"], ["--fix", "a=&x {b: *x}"], ["--trials", "0"],
    ["--trials", "many"], ["--time-budget", "-3"], ["--time-budget", "soon"], ["--space", "none"],
    ["--space", "no.such:SPACE"], ["--space", "json:dumps"], ["--space", ":"],
    ["--space", "x.yaml"], ["--space", ".yaml"], ["--start-from", "nobody"],
    ["--start-from", "."], ["--config", "."],
    ["--config", "none.yaml"], ["--sampler", "tpo"], ["--scheduler", "asha"], ["--seed", "-1"],
    ["--dataset", "digit"], ["--dataset", "folder:"], ["--dataset", "folder:."], ["--name", "a/b"],
    ["--name", ""], ["--output", "question.yaml"], ["--train-images", "3"],
    ["--cpus-per-trial", "99"], ["--gpus-per-trial", "7"], ["--max-concurrent", "0"],
    ["--trial-seconds", "0"], ["--precision", "fp8"], ["--unknown"], ["--fix"], ["extra"],
]  # fmt: skip


class Asker:
    """Makes up a question from a number."""

    def __init__(self, number):
        self.dice = random.Random(number)

    def question(self):
        """Return the arguments after `search`, and the files they name."""
        arguments, files = [], {}
        kind = self.dice.choice(["file", "file", "preset", "config"])
        if kind == "file":
            files["question.yaml"] = self.space_file()
            arguments += ["--space", "question.yaml"]
        elif kind == "preset":
            arguments += ["--space", self.preset()]
        else:
            files["options.yaml"] = self.options_file(files)
            arguments += ["--config", "options.yaml"]
        for _ in range(self.dice.choice([0, 0, 1, 1, 2, 3])):
            arguments += self.option()
        return arguments, files

    def preset(self):
        return self.dice.choice([*PRESETS, *["quick"] * 5])

    def space_file(self):
        lines = []
        self.write(lines, "", self.dice.randint(0, 6), sound=self.dice.random() < 0.6)
        return self.slip("\n".join(lines) + "\n", 0.15)

    def write(self, lines, indent, count, sound):
        pool = [*REAL, *WHOLE, *NAMED, *BRANCHED]
        for path in self.dice.sample(pool, count) if count else []:
            name = path + self.dice.choice(["", "", "", "@a", "@b"])
            if not sound and self.dice.random() < 0.3:
                name = self.dice.choice([path[:-1], path + "@", "a.b", "seed", path.upper(), "3"])
            if path in BRANCHED and self.dice.random() < 0.9:
                lines.append(f"{indent}{name}:")
                for option, inner in BRANCHED[path].items():
                    lines.append(f"{indent}  {option}:")
                    for setting, bounds in inner.items():
                        # a name of its own for each option, as a person learns to write
                        at = f"@{option}" if self.dice.random() < 0.9 else ""
                        lines.append(f"{indent}    {setting}{at}: {self.range(*bounds)}")
            elif not sound and self.dice.random() < 0.4:
                lines.append(f"{indent}{name}: {self.dice.choice(WRONG_VALUES)}")
            else:
                lines.append(f"{indent}{name}: {self.value(path)}")

    def value(self, path):
        if path in NAMED:
            return self.dice.choice(
                [f"[{', '.join(map(str, NAMED[path]))}]", " | ".join(map(str, NAMED[path]))]
            )
        if path in BRANCHED:
            return next(iter(BRANCHED[path]))
        return self.range(*(REAL | WHOLE)[path])

    def range(self, low, high):
        kind = self.dice.choice(["range", "range", "log", "list", "one"])
        if kind == "log" and low > 0:
            return f"{low} .. {high} log"
        if kind == "list":
            return f"[{low}, {high}]"
        return low if kind == "one" else f"{low} .. {high}"

    def options_file(self, files):
        values = {}
        for key in self.dice.sample(
            ["trials", "time-budget", "space", "fix", "set", "seed", "sampler", "start-from",
             "precision", "dataset", "check", "trial_seconds", "max-concurrent"],
            self.dice.randint(0, 5),
        ):  # fmt: skip
            values[key] = {
                "trials": 3, "time-budget": "90s", "space": self.preset(),
                "fix": {"training.epochs": 2}, "set": {"model.width": "16 | 32"}, "seed": 4,
                "sampler": "random", "start-from": [*recipes()], "precision": "fp32",
                "dataset": "digits", "check": True, "trial_seconds": 5, "max-concurrent": 1,
            }[key]  # fmt: skip
            if self.dice.random() < 0.1:
                values[key] = self.dice.choice([None, [], {}, {"a": {"b": 1}}, -1, "x", True, [[]]])
        if self.dice.random() < 0.15:
            values[self.dice.choice(["trails", "config", "help", "", "--trials", "Trials"])] = 1
        return self.slip(json.dumps(values), 0.15)

    def option(self):
        if self.dice.random() < 0.2:
            return self.dice.choice(WRONG_OPTIONS)
        if self.dice.random() < 0.1:
            path = self.dice.choice([*config_fields()])
            value = self.dice.choice([*WRONG_VALUES, "1", "0.5", "relu"])
            return [self.dice.choice(["--fix", "--set"]), f"{path}={value}"]
        return self.dice.choice(
            [
                ["--trials", "5"], ["--time-budget", "1h30m"], ["--seed", "7"],
                ["--fix", "training.epochs=2"], ["--fix", "model.width=24"],
                ["--fix", "optimizer.name=adamw"], ["--fix", "optimizer.weight_decay=1e-4"],
                ["--fix", "solver.rtol=1e-2"], ["--fix", "schedule.milestones=[0.5]"],
                ["--set", "model.width=8..32"], ["--set", "model.head.dropout=0..0.2"],
                ["--set", "solver.method=euler|midpoint"], ["--set", "training.epochs=1..3,linear"],
                ["--set", "optimizer.learning_rate=1e-3..1e-2,log"], ["--precision", "bf16"],
                ["--start-from", "classic"], ["--start-from", "fast"], ["--sampler", "random"],
                ["--scheduler", "none"], ["--max-concurrent", "1"], ["--name", "mine"],
                ["--train-images", "500"], ["--trial-seconds", "3"], ["--verbose"],
            ]
        )  # fmt: skip

    def slip(self, text, chance):
        while text and self.dice.random() < chance:
            at = self.dice.randrange(len(text))
            slip = self.dice.choice(["", text[at] * 2, *"\t:{}[]-&*!|>'\"%@`#,?\x07\u00e9\n "])
            text = text[:at] + slip + text[at + 1 :]
        return text


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Return a function that puts a question to `search --check` and returns its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path.parent / "cache"))

    def hangs(number, frame):
        raise AssertionError(f"no answer within {SECONDS} s")

    monkeypatch.setattr("tune_ode.tuning.launch._search", lambda *_, **__: pytest.fail("it ran"))
    signal.signal(signal.SIGALRM, hangs)

    def check(arguments, files):
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        signal.alarm(SECONDS)
        try:
            status = run(["search", *arguments, "--check"])
        finally:
            signal.alarm(0)
        printed = capsys.readouterr()
        assert status in (0, 2)
        assert "Traceback" not in printed.out + printed.err
        if status == 2:
            assert printed.err.startswith("tune-ode: ")
            assert printed.err.count("\n") == 1
        else:
            assert "search " in printed.out
        assert {path.name for path in tmp_path.iterdir()} == files.keys(), "it wrote something"
        for name in files:
            (tmp_path / name).unlink()
        return status

    yield check
    signal.alarm(0)


def ask(check, numbers):
    statuses = {0: 0, 2: 0}
    for number in numbers:
        arguments, files = Asker(number).question()
        try:
            statuses[check(arguments, files)] += 1
        except BaseException as error:
            error.add_note(f"question {number}: {arguments}\n" + "\n".join(files.values()))
            raise
    return statuses


def test_whatever_is_asked_is_checked_or_refused(check):
    statuses = ask(check, range(100))
    # a fuzz that only ever says no, or yes, tests little
    assert min(statuses.values()) > 20, statuses


@pytest.mark.long
def test_five_hundred_questions_are_checked_or_refused(check):
    statuses = ask(check, range(500))
    assert min(statuses.values()) > 100, statuses


@pytest.mark.long
@pytest.mark.parametrize("part", range(3))
def test_what_is_valid_runs(check, part, tmp_path):
    """Four of twelve searches for real: a question that passes the check can be trained."""
    valid = []
    for number in itertools.count(1000):
        arguments, files = Asker(number).question()
        if not any("check" in text for text in files.values()) and check(arguments, files) == 0:
            valid.append((arguments, files))
        if len(valid) == 12:
            break
    for number, (arguments, files) in enumerate(valid[part::3]):
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        small = ["--trials", "2", "--time-budget", "30s", "--trial-seconds", "3"]
        command = [sys.executable, "-m", "tune_ode.cli", "search", *arguments, *small]
        command += ["--train-images", "300", "--name", f"run{number}", "--no-calibrate"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
        assert "Traceback" not in done.stdout + done.stderr
        trials = tmp_path / "runs" / f"run{number}" / "trials"
        outcomes = [
            json.loads(trial.read_text())["outcome"] for trial in trials.glob("*/outcome.json")
        ]
        # interrupted: the budget of a machine that has other things to do as well
        possible = {"completed", "stopped", "diverged", "interrupted"}
        assert {*outcomes} <= possible, (arguments, files, outcomes)
        # where nothing was measured, since no point trained or none had the time, it says so
        measured = any(trials.glob("*/reports.jsonl"))
        assert done.returncode == (0 if measured else 1), (arguments, files, done.stderr)
