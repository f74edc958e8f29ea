"""What all tests share: real image data, servers of PostgreSQL and S3, where they are to be had."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.fs
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # One worker per core; more threads would compete for it, and idle OpenMP threads spin.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_approvals(tmp_path_factory):
    """Keep the approvals of the tests' runs out of the user's configuration."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with MNIST/raw and cifar10/{train,test}, named by TUNE_ODE_DATA."""
    folder = os.environ.get("TUNE_ODE_DATA")
    if not folder or not (Path(folder) / "MNIST" / "raw").is_dir():
        pytest.skip("no real MNIST and CIFAR-10: set TUNE_ODE_DATA to a folder that holds them")
    return Path(folder)


@dataclass
class Bucket:
    """A bucket on an S3 server of the tests' own, on loopback; the environment has its address."""

    bucket: str
    filesystem: "pyarrow.fs.S3FileSystem"

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}"

    def names(self) -> list[str]:
        """Names of all objects; markers of folders are none."""
        everything = pyarrow.fs.FileSelector(self.bucket, recursive=True)
        found = self.filesystem.get_file_info(everything)
        return sorted(info.path.partition("/")[2] for info in found if info.is_file)


@pytest.fixture
def s3(s3_server, monkeypatch):
    """Return an empty bucket; skipped where there is no server to start."""
    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    filesystem, _ = pyarrow.fs.FileSystem.from_uri("s3://any?allow_bucket_creation=true")
    bucket = f"tune-ode-{secrets.token_hex(4)}"
    filesystem.create_dir(bucket)
    return Bucket(bucket, filesystem)


@pytest.fixture(scope="session")
def s3_server():
    """Return the environment that leads to a running server."""
    moto = pytest.importorskip("moto.server", reason="no S3 server: pip install 'moto[server]'")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "tester",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    server.stop()


@dataclass
class Server:
    """A PostgreSQL server of the tests' own, on loopback."""

    user: str
    password: str
    port: int
    folder: Path
    binaries: Path
    database: str = "postgres"

    @property
    def url_without_password(self) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{self.database}"

    @property
    def url(self) -> str:
        """URL for Optuna itself, with driver and password."""
        place = f"{self.user}:{self.password}@127.0.0.1:{self.port}/{self.database}"
        return f"postgresql+psycopg://{place}"

    def command(self, program: str, *arguments: object) -> None:
        # a server refuses to run as root
        become = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        subprocess.run(
            [*become, self.binaries / program, *map(str, arguments)],
            cwd=self.folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        log = self.folder / "log"
        self.command("pg_ctl", "-D", self.folder / "data", "-l", log, "-w", "-o", options, "start")

    def with_new_database(self) -> "Server":
        import psycopg

        name = f"test_{secrets.token_hex(4)}"
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=self.user, password=self.password,
            dbname="postgres", autocommit=True,
        ) as connection:  # fmt: skip
            connection.execute(f"CREATE DATABASE {name}")
        return replace(self, database=name)

    def stop(self) -> None:
        self.command("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")


@pytest.fixture
def postgresql(postgresql_server):
    """Return a running server with an empty database of the test's own."""
    return postgresql_server.with_new_database()


@pytest.fixture(scope="session")
def postgresql_server():
    """Return a running server; skipped where there is none to start."""
    pytest.importorskip("psycopg", reason="no psycopg: pip install 'tune-ode[postgresql]'")
    found = [Path(shutil.which("pg_ctl") or "/none").resolve().parent]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    binaries = next((folder for folder in found if (folder / "initdb").exists()), None)
    if binaries is None:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="tune-ode-postgresql-"))
    server = Server("tester", secrets.token_hex(8), port, folder, binaries)
    secret = folder / "password"
    secret.write_text(server.password)
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        for path in (folder, secret):
            os.chown(path, user.pw_uid, user.pw_gid)
    try:
        authentication = ("--auth=scram-sha-256", f"--pwfile={secret}", f"--username={server.user}")
        server.command("initdb", "-D", folder / "data", "--no-sync", *authentication)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
