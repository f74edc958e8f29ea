"""A search among files and users that it does not trust."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import timed_trials, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
UID = 12345
ATTACK = Path(__file__).with_name("other_user.py")


def processes(search):
    """Return the ids of a search and all of its processes."""
    return [search.process.pid, *search.descendants("")]


def environment(pid):
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    return dict(item.split("=", 1) for item in os.fsdecode(content).split("\0") if "=" in item)


def listening(pids):
    """Return the addresses on which processes listen for TCP connections."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            inodes.add(os.readlink(link)) if link.is_symlink() else None
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in inodes:
                host, port = local.split(":")
                found.append((host, int(port, 16)))
    return found


def is_loopback(host):
    return host in ("0100007F", "0000000000000000FFFF00000100007F", "0" * 24 + "01000000")


@pytest.fixture
def session(monkeypatch, tmp_path):
    """Return a function that returns Ray's temporary directory, which is that of the test."""
    temporary = Path("/tmp") / f"t{os.getpid()}"
    temporary.mkdir(mode=0o755)
    monkeypatch.setenv("RAY_TMPDIR", str(temporary))
    yield lambda: next(temporary.glob("tune-ode.*"))
    shutil.rmtree(temporary)


def test_files_in_the_current_directory_shadow_no_module(tune_ode, tmp_path, run_folder, small):
    names = ("analysis", "fsspec", "search_spaces", "multiprocessing", "runpy", "ctypes", "aiohttp")
    for name in names:
        (tmp_path / f"{name}.py").write_text("open('executed', 'w')\nraise SystemExit(3)\n")
    script = tmp_path / "bin" / "tune-ode"  # like the installed one: its directory is searched
    script.parent.mkdir()
    call = "from tune_ode.cli.main import main\nif __name__ == '__main__':\n    main()\n"
    script.write_text(call)
    (tmp_path / "mine.py").write_text("import optuna\nsampler = optuna.samplers.RandomSampler\n")
    options = (*small, "--trials", 2, "--trial-seconds", "2s", "--sampler", "mine:sampler")

    def run(*arguments):
        command = [sys.executable, script, *map(str, arguments)]
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout + found.stderr

    run("search", *options)
    run("compare", "--dataset", "digits", "--cases", "euler:adjoint", "--epochs", 1)
    run("simulate", "runs/run", "--repetitions", 1, "--sampler", "random", "--scheduler", "none")
    assert not (tmp_path / "executed").exists()
    run_folder.check(2)


def test_no_process_survives_a_killed_search(tune_ode, run_folder, small):
    search = tune_ode("search", *small, *timed_trials(20), "--trials", 4)
    run_folder.wait_for(lambda run: run.started(), process=search.process)
    pids = search.descendants("")
    names = {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids}
    assert sum("ray::" in name for name in names.values()) >= 3, "agents and trials"
    search.kill()
    deadline = time.monotonic() + 10
    while alive := {pid: name for pid, name in names.items() if is_running(pid)}:
        assert time.monotonic() < deadline, f"after 10 s: {alive}"
        time.sleep(0.1)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_another_user_reaches_nothing(tune_ode, run_folder, small, session):
    if os.getuid() != 0:
        pytest.skip("only root can act as another user")
    os.umask(before := os.umask(0o022))
    search = tune_ode("search", *small, *timed_trials(10), "--trials", 2)
    run_folder.wait_for(lambda run: run.started(), process=search.process)
    pids = processes(search)
    folder = session()
    (gcs,) = folder.glob("r/session_2*/gcs_server_port_*")
    port = int(gcs.read_text())
    tokens = {environment(pid).get("RAY_AUTH_TOKEN") for pid in pids} - {None}
    ports = listening(pids)
    assert len(ports) >= 5
    assert all(is_loopback(host) for host, _ in ports), ports
    sockets = [str(path) for path in folder.rglob("*") if path.is_socket()]
    assert any("plasma" in path for path in sockets)
    files = [path for path in (folder / "r").rglob("*") if path.is_file()]
    files = [path for path in files if "artifacts" not in path.parts]  # written by the search
    readable = [path for path in files if path.stat().st_mode & 0o77]
    assert readable == []

    def attack(**variables):
        found = subprocess.run(
            [sys.executable, ATTACK, str(UID), str(folder), f"127.0.0.1:{port}", *map(str, pids)],
            input=json.dumps([sockets, [port for _, port in ports]]), text=True,
            capture_output=True, check=False, timeout=120, env=os.environ | variables,
        )  # fmt: skip
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout.splitlines()[-1])

    assert attack(RAY_AUTH_MODE="disabled") == []
    assert attack(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64) == []
    (token,) = tokens
    with_token = attack(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token)
    assert with_token == ["lists nodes", "writes to the GCS"], "the attack works, but for the token"
    assert search.wait()[0] == 0
    run_folder.check(2)
    checkpoint = next(run_folder.folder.glob("trials/*/best.pt"))
    assert checkpoint.stat().st_mode & 0o777 == 0o666 & ~before, "files of the run are as usual"


def test_a_cluster_is_joined_with_an_existing_token(tune_ode, tmp_path, small, session):
    token = "a1" * 32
    home = tmp_path / "home"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text(token)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {name: v for name, v in os.environ.items() if not name.startswith("RAY_AUTH")}
    head = subprocess.Popen(
        [Path(sys.executable).with_name("ray"), "start", "--head", f"--port={port}", "--block",
         "--node-ip-address=127.0.0.1", "--num-cpus=2", "--include-dashboard=false",
         "--object-store-memory=80000000"],
        env=variables | {"HOME": str(home), "RAY_AUTH_MODE": "token"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_until(lambda: not socket.socket().connect_ex(("127.0.0.1", port)), 60, head)
        time.sleep(3)
        options = ("search", *small, "--address", f"127.0.0.1:{port}", "--trials", 1, "--check")
        status, _, err = tune_ode(*options, HOME=str(tmp_path)).wait()
        assert status == 2, "without a token"
        assert "no Ray cluster responds" in err.splitlines()[-1]
        assert err.count("InvalidAuthToken") <= 4, "Ray asks 20 times"
        for given in ({"HOME": str(home)}, {"HOME": str(tmp_path), "RAY_AUTH_TOKEN": token}):
            out = tune_ode(*options, **given).succeed()
            assert "2 CPU cores" in out
        # trials run: an actor of a driver in another mode than its cluster is cancelled
        tune_ode(*options[:-1], HOME=str(home)).succeed()
    finally:
        os.killpg(head.pid, signal.SIGKILL)
        head.wait(30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_silent_server_can_be_interrupted(tune_ode, small, number):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        search = tune_ode("search", *small, "--address", address, "--check")
        server.accept()
        time.sleep(3)  # Ray connects
        search.process.send_signal(number)
        assert search.wait(10)[0] == 130
