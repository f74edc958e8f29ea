"""Fixtures of the data tests: an empty cache, image files, processes, a web server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tune_ode.data import cache

Tree = Callable[[Mapping[str, list[np.ndarray]]], Path]


@pytest.fixture(autouse=True)
def cache_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set an empty cache directory, without opened caches in this process."""
    root = tmp_path / "cache"
    monkeypatch.setenv("TUNE_ODE_CACHE", str(root))
    monkeypatch.setattr(cache, "_OPENED", {})
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return a function that writes PNG files: directory → pixel arrays (H, W) or (H, W, 3)."""

    def write(folders: Mapping[str, list[np.ndarray]]) -> Path:
        root = tmp_path / "images"
        for folder, images in folders.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for number, pixels in enumerate(images):
                Image.fromarray(pixels).save(root / folder / f"{number:03}.png")
        return root

    return write


@pytest.fixture
def python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts Python processes, which are killed at the end."""
    started = []

    def start(program: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def release(*processes: subprocess.Popen[str]) -> None:
    """Let processes continue together, each of which prints "ready" and then reads a line."""
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()


def quiet(operation: str, fraction: float) -> None:
    """Ignore the progress."""


@dataclass
class Web:
    """State of a local web server."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    truncate: bool = False
    """Close the connection after half of a file."""
    stall: threading.Event | None = None
    """Wait for this event after half of a file."""


@pytest.fixture
def web() -> Iterator[Web]:
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            content = state.files.get(self.path.lstrip("/"))
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            half = len(content) // 2
            self.wfile.write(content[:half])
            if state.truncate:
                return
            if state.stall is not None:
                state.stall.wait(60)
            self.wfile.write(content[half:])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield state
    if state.stall is not None:
        state.stall.set()
    server.shutdown()
    server.server_close()
