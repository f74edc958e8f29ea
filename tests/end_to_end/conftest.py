"""Run the command line as a user does: separate processes, real Ray, real training."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def wait_until(condition, timeout: float = 240, process: subprocess.Popen | None = None) -> None:
    """Poll until a condition holds; fail after a timeout, or if a process ends before."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert process is None or process.poll() is None, f"it ended: {process.communicate()}"
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.1)


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
        assert "Traceback" not in out + err, out + err
        return self.process.returncode, out, err

    def succeed(self, timeout: float = 240) -> str:
        """Return standard output; fail unless the exit status is 0 and no error is printed."""
        status, out, err = self.wait(timeout)
        assert (status, err) == (0, ""), out
        return out

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> str:
        """Kill only the driver, as the kernel does for lack of memory; return what it printed.

        Ray's processes follow it.
        """
        self.process.kill()
        return "".join(self.process.communicate())

    def descendants(self, text: str) -> list[int]:
        """Return the ids of descendant processes with `text` in their command line."""
        parents, commands = {}, {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    stat = (entry / "stat").read_text()
                    commands[int(entry.name)] = (entry / "cmdline").read_text(errors="replace")
                except OSError:
                    continue
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])

        def descends(pid: int) -> bool:
            while pid in parents:
                if pid == self.process.pid:
                    return True
                pid = parents[pid]
            return False

        return [pid for pid, command in commands.items() if text in command and descends(pid)]


class RunReader:
    """Reads the plain files of a run directory."""

    def __init__(self, folder: Path):
        self.folder = folder

    def specs(self) -> dict[str, dict]:
        return self._files("config.json")

    def results(self) -> dict[str, dict]:
        return self._files("outcome.json")

    def _files(self, name: str) -> dict[str, dict]:
        files = sorted(self.folder.glob(f"trials/*/{name}"))
        return {file.parent.name: json.loads(file.read_text()) for file in files}

    def finished(self) -> dict[str, str]:
        """Return the content of the result of every trial that needs no resume."""
        return {
            trial: json.dumps(result)
            for trial, result in self.results().items()
            if result["outcome"] != "interrupted"
        }

    def started(self) -> set[str]:
        """Return the trials with a report."""
        return {file.parent.name for file in self.folder.glob("trials/*/reports.jsonl")}

    def reports(self, trial: str) -> list[dict]:
        text = (self.folder / "trials" / trial / "reports.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def manifest(self) -> dict:
        return json.loads((self.folder / "run.json").read_text())

    def study(self, url: str | None = None):
        """Return the study as Optuna alone reads it, from the journal or a database."""
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        journal = self.folder / "study.log"
        storage = url or JournalStorage(JournalFileBackend(str(journal)))
        return optuna.load_study(storage=storage, study_name=self.manifest()["study"])

    def study_states(self) -> list[str]:
        return [trial.state.name for trial in self.study().get_trials()]

    def check(self, trials: int, url: str | None = None) -> None:
        """Check the number of trials, that study and files agree, and that nothing is repeated."""
        results = self.results()
        assert len(results) == len(list(self.folder.glob("trials/*"))) == trials
        assert self.manifest()["state"] == "finished"
        study = self.study(url)
        in_study = {trial.user_attrs["trial_id"]: trial for trial in study.get_trials()}
        assert len(in_study) == len(study.get_trials()) == trials
        params = {trial_id: spec["params"] for trial_id, spec in self.specs().items()}
        for trial_id, result in results.items():
            assert in_study[trial_id].params == params[trial_id]
            assert in_study[trial_id].values == result["values"]
            state = {"completed": "COMPLETE", "stopped": "COMPLETE", "failed": "FAIL"}
            assert in_study[trial_id].state.name == state.get(result["outcome"], "PRUNED")
            epochs = [report["epoch"] for report in self.reports(trial_id)]
            assert not result["values"] or epochs == sorted(set(epochs)), "no epoch counts twice"
        proposals = {json.dumps(values, sort_keys=True) for values in params.values()}
        assert len(proposals) == trials, "no proposal is repeated"

    def wait_for(self, condition, timeout: float = 120, process=None) -> None:
        """Wait until `condition(self)` holds."""
        wait_until(lambda: condition(self), timeout, process)


@pytest.fixture
def tune_ode(tmp_path):
    """Return a function that starts a command in the test's directory."""
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
    """Return a reader of the run that commands create under the name `run`."""
    return RunReader(tmp_path / "runs" / "run")


SMALL = (
    "--name", "run", "--fix", "model.width=16", "--fix", "solver.method=euler", "--no-calibrate"
)  # fmt: skip


@pytest.fixture
def small():
    """Return options of a search whose trials take a second or two."""
    return SMALL


def timed_trials(seconds):
    """Return options of trials that end by time, so that they can be interrupted on any machine.

    Their horizons are chosen for that time: they take about half of it to all of it.
    """
    return ("--sampler", "random", "--trial-seconds", f"{seconds}s",
            "--fix", "training.epochs=1000")  # fmt: skip


@pytest.fixture(scope="session")
def _finished_search(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    search = Command(folder, "search", *SMALL, "--trials", 4, "--trial-seconds", "2s")
    assert search.wait()[0] == 0
    return folder / "runs"


@pytest.fixture
def finished_search(_finished_search, run_folder):
    """Return a reader of the test's copy of a small finished search."""
    shutil.copytree(_finished_search, run_folder.folder.parent)
    return run_folder
