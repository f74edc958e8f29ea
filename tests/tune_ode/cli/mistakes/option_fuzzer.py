"""Random options of `search`, valid and invalid, from a grammar of what users write.

A third of the fields are invalid, and characters of the files are dropped, doubled or replaced.
"""

import json
import random

from search_spaces import PRESETS
from search_spaces.recipes import recipes
from tune_ode.config.fields import config_fields

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
    ["--name", ""], ["--output", "space.yaml"], ["--train-images", "3"],
    ["--cpus-per-trial", "99"], ["--gpus-per-trial", "7"], ["--max-concurrent", "0"],
    ["--trial-seconds", "0"], ["--precision", "fp8"], ["--unknown"], ["--fix"], ["extra"],
]  # fmt: skip


class OptionFuzzer:
    """Generates options from a seed."""

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def options(self):
        """Return the arguments after `search`, and the files they name."""
        arguments, files = [], {}
        kind = self.rng.choice(["file", "file", "preset", "config"])
        if kind == "file":
            files["space.yaml"] = self.space_file()
            arguments += ["--space", "space.yaml"]
        elif kind == "preset":
            arguments += ["--space", self.preset()]
        else:
            files["options.yaml"] = self.options_file(files)
            arguments += ["--config", "options.yaml"]
        for _ in range(self.rng.choice([0, 0, 1, 1, 2, 3])):
            arguments += self.option()
        return arguments, files

    def preset(self):
        return self.rng.choice([*PRESETS, *["quick"] * 5])

    def space_file(self):
        lines = []
        self.write(lines, "", self.rng.randint(0, 6), valid=self.rng.random() < 0.6)
        return self.mutate("\n".join(lines) + "\n", 0.15)

    def write(self, lines, indent, count, valid):
        pool = [*REAL, *WHOLE, *NAMED, *BRANCHED]
        for path in self.rng.sample(pool, count) if count else []:
            name = path + self.rng.choice(["", "", "", "@a", "@b"])
            if not valid and self.rng.random() < 0.3:
                name = self.rng.choice([path[:-1], path + "@", "a.b", "seed", path.upper(), "3"])
            if path in BRANCHED and self.rng.random() < 0.9:
                lines.append(f"{indent}{name}:")
                for option, inner in BRANCHED[path].items():
                    lines.append(f"{indent}  {option}:")
                    for inner_path, bounds in inner.items():
                        # usually a separate name for each option, as required
                        at = f"@{option}" if self.rng.random() < 0.9 else ""
                        lines.append(f"{indent}    {inner_path}{at}: {self.range(*bounds)}")
            elif not valid and self.rng.random() < 0.4:
                lines.append(f"{indent}{name}: {self.rng.choice(WRONG_VALUES)}")
            else:
                lines.append(f"{indent}{name}: {self.value(path)}")

    def value(self, path):
        if path in NAMED:
            return self.rng.choice(
                [f"[{', '.join(map(str, NAMED[path]))}]", " | ".join(map(str, NAMED[path]))]
            )
        if path in BRANCHED:
            return next(iter(BRANCHED[path]))
        return self.range(*(REAL | WHOLE)[path])

    def range(self, low, high):
        kind = self.rng.choice(["range", "range", "log", "list", "one"])
        if kind == "log" and low > 0:
            return f"{low} .. {high} log"
        if kind == "list":
            return f"[{low}, {high}]"
        return low if kind == "one" else f"{low} .. {high}"

    def options_file(self, files):
        values = {}
        for key in self.rng.sample(
            ["trials", "time-budget", "space", "fix", "set", "seed", "sampler", "start-from",
             "precision", "dataset", "check", "trial_seconds", "max-concurrent"],
            self.rng.randint(0, 5),
        ):  # fmt: skip
            values[key] = {
                "trials": 3, "time-budget": "90s", "space": self.preset(),
                "fix": {"training.epochs": 2}, "set": {"model.width": "16 | 32"}, "seed": 4,
                "sampler": "random", "start-from": [*recipes()], "precision": "fp32",
                "dataset": "digits", "check": True, "trial_seconds": 5, "max-concurrent": 1,
            }[key]  # fmt: skip
            if self.rng.random() < 0.1:
                values[key] = self.rng.choice([None, [], {}, {"a": {"b": 1}}, -1, "x", True, [[]]])
        if self.rng.random() < 0.15:
            values[self.rng.choice(["trails", "config", "help", "", "--trials", "Trials"])] = 1
        return self.mutate(json.dumps(values), 0.15)

    def option(self):
        if self.rng.random() < 0.2:
            return self.rng.choice(WRONG_OPTIONS)
        if self.rng.random() < 0.1:
            path = self.rng.choice([*config_fields()])
            value = self.rng.choice([*WRONG_VALUES, "1", "0.5", "relu"])
            return [self.rng.choice(["--fix", "--set"]), f"{path}={value}"]
        return self.rng.choice(
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

    def mutate(self, text, chance):
        while text and self.rng.random() < chance:
            at = self.rng.randrange(len(text))
            replacement = self.rng.choice(
                ["", text[at] * 2, *"\t:{}[]-&*!|>'\"%@`#,?\x07\u00e9\n "]
            )
            text = text[:at] + replacement + text[at + 1 :]
        return text
