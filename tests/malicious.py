"""A run directory of someone else, which names code, servers and directories outside of it."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from search_spaces import Float, Space, to_dict
from tests.factories import make_manifest, make_report, make_result, make_spec
from tune_ode.records import dumps

MODULE = "malicious_module"


class Listener:
    """A server that counts connections, and keeps what it is sent."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.received = []
        """What was sent by each connection."""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(0.5)
                self.received.append(b"")
                try:
                    self.received[-1] = connection.recv(4096)
                except OSError:
                    continue

    def close(self):
        self._socket.close()


@pytest.fixture
def listener():
    server = Listener()
    yield server
    server.close()


@pytest.fixture
def code(tmp_path, monkeypatch):
    """Return the path of a file that importing the malicious module creates."""
    executed = tmp_path / "executed"
    text = f"open({str(executed)!r}, 'w')\ndef make(seed): raise ValueError('called')\n"
    (tmp_path / f"{MODULE}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    yield executed
    assert not executed.exists(), "its code was executed"


def names(port: int, outside: Path) -> list[tuple[str, object]]:
    """Return an option and its value for each kind of name."""
    server = f"127.0.0.1:{port}"
    return [
        ("sampler", f"{MODULE}:make"),
        ("storage", f"postgresql://user@{server}/database"),
        ("storage", f"postgresql://user@/database?host=127.0.0.1&port={port}"),
        ("storage", f"sqlite:///{outside / 'study.db'}"),
        ("address", server),
        ("address", "auto"),
        ("log_to", [f"mlflow:http://{server}"]),
        ("log_to", [f"mlflow:sqlite:///{outside / 'mlflow.db'}"]),
        ("log_to", ["wandb:project"]),
        ("start_from", [f"s3://bucket/run?endpoint_override={server}&scheme=http&region=x"]),
        ("data_dir", str(outside / "data")),
    ]


KINDS = [name for name, _ in names(0, Path())]


def write_run(folder: Path, **options: object) -> Path:
    """Write an interrupted search with one finished trial, and the given options."""
    run = folder / "run"
    space = Space({"optimizer.learning_rate": Float(1e-3, 1.0, log=True)})
    options = {"command": "search", "dataset": "digits", "trials": 5} | options
    manifest = make_manifest(options=options, space=to_dict(space), state="interrupted")
    trial = run / "trials" / "0001"
    trial.mkdir(parents=True)
    (run / "run.json").write_text(dumps(manifest.to_json()))
    (trial / "config.json").write_text(dumps(make_spec(params={}).to_json()))
    (trial / "reports.jsonl").write_text(dumps(make_report().to_json()) + "\n")
    (trial / "outcome.json").write_text(dumps(make_result(values=[0.5]).to_json()))
    return run


def rename_option(run: Path, **options: object) -> None:
    """Change options in a `run.json`."""
    manifest = json.loads((run / "run.json").read_text())
    manifest["options"] |= options
    (run / "run.json").write_text(json.dumps(manifest))


def add_hostile_files(run: Path, outside: Path) -> None:
    """Add trials and files that lead out of a run, block their readers or are not valid."""
    config = (run / "trials" / "0001" / "config.json").read_text()

    def trial(name: str, text: str = config) -> Path:
        folder = run / "trials" / name
        folder.mkdir()
        (folder / "config.json").write_text(text, encoding="utf-8")
        return folder

    trial("0002", json.dumps(json.loads(config) | {"trial_id": "../../../outside/out"}))
    os.mkfifo(trial("0003") / "reports.jsonl")
    trial("0004", "[" * 200_000)
    trial("0005", json.dumps(json.loads(config) | {"created": 10**400}))
    trial("²")
    (trial("0006") / "outcome.json").write_text(
        json.dumps(make_result(reason="\x1b[2J\x9b31m").to_json() | {"outcome": "won"})
    )
    (run / "trials" / "0007").symlink_to(outside)
    (run / "trials" / "0001" / "last.pt").symlink_to(outside / "last.pt")
    os.mkfifo(run / "trials" / "0001" / "best.pt")
    for name in ("study.log", "report", "confirm", ".lock"):
        (run / name).symlink_to(outside / name)
    (outside / "report").mkdir()
