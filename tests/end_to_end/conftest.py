"""The command line as a person runs it: a process of its own, real Ray, real training."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


class Command:
    """A `tune-ode` process."""

    def __init__(self, folder: Path, *arguments: object, **environment: str):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tune_ode.cli", *map(str, arguments)],
            cwd=folder,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait(self, timeout: float = 240) -> tuple[int, str, str]:
        """Return exit status, standard output and standard error."""
        out, err = self.process.communicate(timeout=timeout)
        assert "Traceback" not in out + err
        return self.process.returncode, out, err

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill the driver alone, as the out-of-memory killer does; Ray's processes follow it."""
        self.process.kill()
        self.process.communicate()

    def trial_processes(self) -> list[int]:
        """Process ids of the trials."""
        return self.processes("TrialActor")

    def processes(self, what: str) -> list[int]:
        """Process ids of those below this one that have a word in their command line."""
        parents, names = {}, {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    stat = (entry / "stat").read_text()
                    names[int(entry.name)] = (entry / "cmdline").read_text()
                except OSError:
                    continue
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])

        def descends(pid: int) -> bool:
            while pid in parents:
                if pid == self.process.pid:
                    return True
                pid = parents[pid]
            return False

        return [pid for pid, name in names.items() if what in name and descends(pid)]


class RunReader:
    """What a run folder holds, read as a stranger would: plain files."""

    def __init__(self, folder: Path):
        self.folder = folder

    def outcomes(self) -> dict[str, dict]:
        files = sorted(self.folder.glob("trials/*/outcome.json"))
        return {file.parent.name: json.loads(file.read_text()) for file in files}

    def finished(self) -> dict[str, str]:
        """Content of the outcome of every trial that needs no resume."""
        return {
            trial: json.dumps(outcome)
            for trial, outcome in self.outcomes().items()
            if outcome["outcome"] != "interrupted"
        }

    def lines(self, trial: str) -> list[dict]:
        text = (self.folder / "trials" / trial / "reports.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def manifest(self) -> dict:
        return json.loads((self.folder / "run.json").read_text())

    def study(self, url: str | None = None):
        """The study as Optuna alone reads it, from the journal or a database."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        journal = self.folder / "study.log"
        storage = url or JournalStorage(JournalFileBackend(str(journal)))
        return optuna.load_study(storage=storage, study_name=self.manifest()["study"])

    def study_states(self) -> list[str]:
        return [trial.state.name for trial in self.study().get_trials()]

    def check(self, trials: int, url: str | None = None) -> None:
        """Exactly so many trials, each the same thing in the study and on disk, none twice."""
        outcomes = self.outcomes()
        assert len(outcomes) == len(list(self.folder.glob("trials/*"))) == trials
        assert self.manifest()["state"] == "finished"
        study = self.study(url)
        told = {trial.user_attrs["trial_id"]: trial for trial in study.get_trials()}
        assert len(told) == len(study.get_trials()) == trials
        params = set()
        for trial_id, outcome in outcomes.items():
            setup = json.loads((self.folder / "trials" / trial_id / "config.json").read_text())
            params.add(json.dumps(setup["params"], sort_keys=True))
            assert told[trial_id].params == setup["params"]
            assert told[trial_id].values == outcome["values"]
            state = {"completed": "COMPLETE", "stopped": "COMPLETE", "failed": "FAIL"}
            assert told[trial_id].state.name == state.get(outcome["outcome"], "PRUNED")
            epochs = [line["epoch"] for line in self.lines(trial_id)] if outcome["values"] else []
            assert epochs == sorted(set(epochs)), "no epoch is counted twice"
        assert len(params) == trials, "no proposal is repeated"

    def wait_for(self, what, timeout: float = 120) -> None:
        """Wait until `what(self)` holds."""
        deadline = time.monotonic() + timeout
        while not what(self):
            assert time.monotonic() < deadline, f"not within {timeout} s in {self.folder}"
            time.sleep(0.1)


@pytest.fixture
def tune_ode(tmp_path):
    """Return a function that starts a command in a folder of the test's own."""
    started = []

    def start(*arguments: object, **environment: str) -> Command:
        started.append(Command(tmp_path, *arguments, **environment))
        return started[-1]

    yield start
    for command in started:
        if command.process.poll() is None:
            os.killpg(command.process.pid, signal.SIGKILL)


@pytest.fixture
def run_folder(tmp_path):
    """Return a reader of the run that commands make under the name `run`."""
    return RunReader(tmp_path / "runs" / "run")


SMALL = (
    "--name", "run", "--fix", "model.width=16", "--fix", "solver.method=euler", "--no-calibrate"
)  # fmt: skip


def by_the_clock(seconds):
    """Options of trials that end after so many seconds: no machine is too fast to catch them."""
    return ("--sampler", "random", "--trial-seconds", f"{seconds}s",
            "--fix", "training.epochs=1000")  # fmt: skip


@pytest.fixture
def small():
    """Options of a search whose trials take a second or two."""
    return SMALL
