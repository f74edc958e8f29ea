"""A fake job server of a Ray head node: its HTTP interface without jobs."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import ray


class JobServer(ThreadingHTTPServer):
    """Replies to the job client as a Ray 2.60 dashboard does."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.jobs: dict[str, dict] = {}
        self.packages: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.error: tuple[int, str] | None = None
        """Status and body of every reply, if set."""
        self.not_ready = 0
        """How many submissions are rejected, as after the start of a cluster."""

    def add(self, job_id, status="RUNNING", run="/shared/runs/first", **details):
        self.jobs[job_id] = {
            "type": "SUBMISSION",
            "submission_id": job_id,
            "status": status,
            "entrypoint": "exec python",
            "metadata": {"tune_ode_run": run},
            "start_time": 1_700_000_000_000 + len(self.jobs),
            **details,
        }


class _Handler(BaseHTTPRequestHandler):
    server: JobServer

    def do_GET(self):
        if self.path == "/api/version":
            self._reply({"ray_version": ray.__version__, "version": "4", "ray_commit": ""})
        elif self.path == "/api/jobs/":
            self._reply(list(self.server.jobs.values()))
        elif self.path.startswith("/api/packages/gcs/"):
            known = self.path.rpartition("/")[2] in self.server.packages
            self._reply({}, 200 if known else 404)
        elif self.path.endswith("/logs"):
            self._reply({"logs": "trial 0001 completed\n"})

    def do_PUT(self):
        self.server.packages[self.path.rpartition("/")[2]] = self._body()
        self._reply({})

    def do_POST(self):
        body = self._body()
        if self.path == "/api/jobs/" and self.server.not_ready:
            self.server.not_ready -= 1
            self._reply("No available agent to submit job, please try again later.", 500)
        elif self.path == "/api/jobs/":
            request = json.loads(body)
            details = {key: request[key] for key in ("entrypoint", "metadata", "runtime_env")}
            self.server.add(request["submission_id"], **details)
            self._reply(
                {"job_id": request["submission_id"], "submission_id": request["submission_id"]}
            )
        elif self.path.endswith("/stop"):
            self.server.jobs[self.path.split("/")[-2]]["status"] = "STOPPED"
            self._reply({"stopped": True})

    def _body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _reply(self, content, status=200):
        self.server.requests.append(f"{self.command} {self.path} {self.headers}")
        text = json.dumps(content)
        if self.server.error:
            status, text = self.server.error
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """Return a job server on loopback that no environment variable overrides."""
    for variable in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(variable, raising=False)
    server = JobServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def tune_ode_process(tmp_path):
    """Return a function that runs a command in a separate process: status, output, errors."""

    def start(*arguments, **environment):
        completed = subprocess.run(
            [sys.executable, "-m", "tune_ode.cli", *arguments],
            cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True,
        )  # fmt: skip
        return completed.returncode, completed.stdout, completed.stderr

    return start
