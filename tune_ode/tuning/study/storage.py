"""Where a study is kept: a journal file in the run folder, or a database named by a URL.

The run folder is the truth; a study follows from it, and a damaged or lost one is made again.
A password is never written down: `run.json` holds the URL without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import URL, make_url

from tune_ode.errors import StorageFull, TuneOdeError, UsageError
from tune_ode.runs.folder import DISK_FULL

PASSWORD_VARIABLE = "TUNE_ODE_STORAGE_PASSWORD"
_KINDS = "sqlite:///PATH or postgresql://USER@HOST/DATABASE"
_CONNECT_SECONDS = 10
_DAMAGED = ".damaged"


def study_hash(space: Mapping[str, Any], base: Mapping[str, Any], objective: str) -> str:
    """Return 8 digits that are equal where two searches ask the same question.

    Args:
        space: the searched parameters, as in a run's manifest.
        base: the configuration they are set on, data set included, as in a run's manifest.
        objective: its name.
    """
    base = {name: part for name, part in base.items() if name != "seed"}
    base["data"] = {name: v for name, v in base.get("data", {}).items() if name != "split_seed"}
    question = json.dumps([space, base, objective], sort_keys=True, default=str)
    return hashlib.sha256(question.encode()).hexdigest()[:8]


def without_password(url: str) -> str:
    """Return the URL as it may be written down and shown; a relative sqlite path made absolute.

    Raises:
        QuestionError: it names no database of a known kind.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        parsed = parsed.set(database=str(Path(parsed.database).expanduser().absolute()))
    # `URL.set` takes None for "as it is"
    bare = URL.create(
        parsed.drivername,
        parsed.username,
        host=parsed.host,
        port=parsed.port,
        database=parsed.database,
        query={name: value for name, value in parsed.query.items() if name != "password"},
    )
    return bare.render_as_string(hide_password=False)


def check_storage(url: str, study_name: str | None = None) -> None:
    """Try whether a study could be kept there; write nothing.

    Args:
        url: of the database, with its password where it needs one.
        study_name: a new study's name, which must be free; None: it may be there.

    Raises:
        QuestionError: it cannot be reached, its driver is missing, or the name is taken.
    """
    shown, parsed = without_password(url), _complete(url)
    if parsed.get_backend_name() == "sqlite":
        file = Path(parsed.database or "")
        if not file.parent.is_dir() or not os.access(file.parent, os.W_OK):
            raise UsageError(
                f"--storage {shown} needs a folder that can be written, and {file.parent} is "
                "none; make it, or choose another"
            )
        if not file.exists():
            return
    with _connected(parsed, shown) as engine, engine.connect() as connection:
        if study_name is None or not sqlalchemy.inspect(connection).has_table("studies"):
            return
        taken = sqlalchemy.text("SELECT 1 FROM studies WHERE study_name = :name")
        if connection.execute(taken, {"name": study_name}).first():
            raise UsageError(
                f"--storage {shown} already has a study {study_name}; choose another --name"
            )


def open_database(url: str) -> BaseStorage:
    """Open a database for a study; make its tables where it has none.

    Raises:
        QuestionError: it cannot be opened.
    """
    parsed = _complete(url)
    shown = without_password(url)
    try:
        with _engine_errors(shown):
            return RDBStorage(
                parsed.render_as_string(hide_password=False),
                engine_kwargs={"pool_pre_ping": True, "connect_args": _connect_args(parsed)},
            )
    except RuntimeError as error:  # the tables are another Optuna's
        raise UsageError(f"--storage {shown}: {_first_line(error)}") from None


def open_journal(path: Path) -> BaseStorage:
    """Open a journal file; one that cannot be read is set aside, and an empty one takes its place.

    The caller holds the run folder's lock.
    """
    _drop_torn_line(path)
    try:
        return JournalStorage(_Journal(str(path)))
    except (ValueError, KeyError, TypeError, AssertionError):
        # bytes that a failing disk or a power cut changed; all that it said is in the folder
        os.replace(path, path.with_name(path.name + _DAMAGED))
        return JournalStorage(_Journal(str(path)))


@contextmanager
def storage_errors(remedy: str) -> Iterator[None]:
    """Tell a full disk, or a database that went away in mid-search, in one line.

    Args:
        remedy: how to go on once it is back.
    """
    try:
        yield
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        cause = error.__cause__ or error
        line = str(getattr(cause, "orig", cause)).strip().splitlines()[0]
        raise TuneOdeError(
            f"the study's database failed: {line}; everything finished is kept: {remedy}"
        ) from None
    except OSError as error:
        if error.errno in DISK_FULL:
            raise StorageFull(
                f"the disk is full; everything finished is kept: free some space, then {remedy}"
            ) from None
        raise


class _Journal(JournalFileBackend):
    """Appends a record whole or not at all.

    Optuna's own takes a lock file, which a killed driver leaves behind for 30 s, and waits for the
    disk at every record. Here the run folder's lock keeps other drivers out, and what a power cut
    takes from the journal follows from the run folder.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        records = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with open(self._file_path, "ab", buffering=0) as file:
            before = file.tell()
            content = records.encode()
            try:
                while content:  # a disk with some room, but too little, takes a part
                    content = content[file.write(content) :]
            except OSError:
                os.ftruncate(file.fileno(), before)
                raise


def _drop_torn_line(journal: Path) -> None:
    """Remove a last line that a killed driver left unfinished; Optuna would append to it."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(journal, whole)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UsageError(f"--storage must be {_KINDS}") from None
    kind = parsed.get_backend_name()
    if kind not in {"sqlite", "postgresql"}:
        raise UsageError(f"--storage must be {_KINDS}, found {kind}")
    if not parsed.database or parsed.database == ":memory:":
        raise UsageError(f"--storage must be {_KINDS}, found no database that lasts")
    return parsed


def _complete(url: str) -> URL:
    """Add what a URL leaves out: the driver, and the password from the environment."""
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return make_url(without_password(url))
    if parsed.drivername == "postgresql":
        # which driver is meant by default differs between releases of SQLAlchemy
        parsed = parsed.set(drivername="postgresql+psycopg")
    password = os.environ.get(PASSWORD_VARIABLE)
    if password and parsed.password is None and "password" not in parsed.query:
        parsed = parsed.set(password=password)
    return parsed


@contextmanager
def _connected(parsed: URL, shown: str) -> Iterator[sqlalchemy.Engine]:
    with _engine_errors(shown):
        engine = sqlalchemy.create_engine(parsed, connect_args=_connect_args(parsed))
        try:
            yield engine
        finally:
            engine.dispose()


def _connect_args(parsed: URL) -> dict[str, Any]:
    # a server that does not answer must not keep a question waiting
    key = "timeout" if parsed.get_backend_name() == "sqlite" else "connect_timeout"
    return {key: _CONNECT_SECONDS}


@contextmanager
def _engine_errors(shown: str) -> Iterator[None]:
    try:
        yield
    except (ImportError, sqlalchemy.exc.NoSuchModuleError):
        raise UsageError(
            f"--storage {shown} needs its driver: pip install 'tune-ode[postgresql]'"
        ) from None
    except (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error) as error:
        raise UsageError(
            f"--storage {shown} cannot be reached: {_first_line(error)}; start the server, or "
            f"correct the URL (a password may stand in {PASSWORD_VARIABLE})"
        ) from None


def _first_line(error: Exception) -> str:
    said = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
    return said.splitlines()[0]
