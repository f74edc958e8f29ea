"""Study storage: a journal file in the run directory, or a database given by a URL.

The run directory is the single source of truth; a damaged or lost study is rebuilt from it.
Passwords are never stored: `run.json` holds the URL without one.
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

from tune_ode.errors import DISK_FULL, StorageFull, TuneOdeError, UsageError, first_line, redact
from tune_ode.paths import expand_home
from tune_ode.records import append, open_regular
from tune_ode.tuning.study.sqlite_wait import LOCKED_SECONDS, WaitingConnection, is_locked

PASSWORD_VARIABLE = "TUNE_ODE_STORAGE_PASSWORD"
_VALID_URLS = "sqlite:///PATH or postgresql://USER@HOST/DATABASE"
_CONNECT_SECONDS = 10
_DAMAGED = ".damaged"
_LOCKED = f"is locked by another process, for over {LOCKED_SECONDS:g} s"


def study_hash(space: Mapping[str, Any], base: Mapping[str, Any], objective: str) -> str:
    """Return an 8-digit hash that two searches share if their results are comparable.

    Seeds do not count.

    Args:
        space: searched parameters, as in a run's manifest.
        base: configuration of everything else, data set included, as in a run's manifest.
        objective: name of the objective.
    """
    base = {name: part for name, part in base.items() if name != "seed"}
    base["data"] = {name: v for name, v in base.get("data", {}).items() if name != "split_seed"}
    content = json.dumps([space, base, objective], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def without_password(url: str) -> str:
    """Return the URL without its password, and with an absolute path for SQLite.

    Raises:
        UsageError: not a URL of a supported database.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        parsed = parsed.set(database=str(expand_home(parsed.database).absolute()))
    # `URL.set(password=None)` would keep the password
    bare = URL.create(
        parsed.drivername,
        parsed.username,
        host=parsed.host,
        port=parsed.port,
        database=parsed.database,
        query={
            name: v for name, v in parsed.query.items() if redact(f"{name}={v}") == f"{name}={v}"
        },
    )
    return bare.render_as_string(hide_password=False)


def check_storage(url: str, study_name: str | None = None) -> None:
    """Check that a database can store a study, without writing to it.

    Args:
        url: database URL, with its password if needed.
        study_name: name of a new study, which must not exist; None skips this check.

    Raises:
        UsageError: the database is unreachable, its driver is missing, or the study exists.
    """
    shown, parsed = without_password(url), _resolve(url)
    if parsed.get_backend_name() == "sqlite":
        file = Path(parsed.database or "")
        if not os.path.isdir(file.parent) or not os.access(file.parent, os.W_OK):
            raise UsageError(
                f"--storage {shown}: {file.parent} is not a writable directory; create it, or "
                "choose another"
            )
        if not os.path.exists(file):
            return
    with _usage_errors(shown):
        engine = sqlalchemy.create_engine(
            parsed, connect_args=_connect_args(parsed), poolclass=sqlalchemy.NullPool
        )
        with engine.connect() as connection:
            if study_name is None or not sqlalchemy.inspect(connection).has_table("studies"):
                return
            existing = sqlalchemy.text("SELECT 1 FROM studies WHERE study_name = :name")
            if connection.execute(existing, {"name": study_name}).first():
                raise UsageError(
                    f"--storage {shown} already has a study {study_name}; choose another --name"
                )


def open_database(url: str) -> BaseStorage:
    """Open a database, and create its tables if it has none.

    Raises:
        UsageError: the database cannot be opened.
    """
    shown, parsed = without_password(url), _resolve(url)
    try:
        with _usage_errors(shown):
            return RDBStorage(
                parsed.render_as_string(hide_password=False),
                engine_kwargs={"pool_pre_ping": True, "connect_args": _connect_args(parsed)},
            )
    except RuntimeError as error:  # tables of another Optuna version
        raise UsageError(f"--storage {shown}: {first_line(error)}") from None


def open_journal(path: Path) -> BaseStorage:
    """Open a journal file; rename an unreadable one and start an empty journal in its place.

    The caller must hold the lock of the run directory.
    """
    _drop_torn_line(path)
    try:
        return JournalStorage(_Journal(str(path)))
    except (OSError, MemoryError):
        raise
    except Exception:  # of many types, since any byte may be damaged
        # corrupted by a failing disk or a power cut; the study is rebuilt from the run directory
        os.replace(path, path.with_name(path.name + _DAMAGED))
        return JournalStorage(_Journal(str(path)))


@contextmanager
def storage_errors(remedy: str) -> Iterator[None]:
    """Turn storage errors during a search into one-line errors.

    Args:
        remedy: how to continue once the storage works again.

    Raises:
        StorageFull: the disk is full.
        TuneOdeError: the database failed.
    """
    try:
        yield
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise TuneOdeError(
            f"the study's database {_reason(error)}; everything finished is kept: {remedy}"
        ) from None
    except OSError as error:
        if error.errno in DISK_FULL:
            raise StorageFull(
                f"the disk is full; everything finished is kept: free some space, then {remedy}"
            ) from None
        raise


class _Journal(JournalFileBackend):
    """Journal whose appends are all-or-nothing, without Optuna's lock file and fsync.

    A killed driver leaves Optuna's lock file for 30 s; the lock of the run directory replaces it.
    Records lost in a power cut are rebuilt from the run directory.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        records = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        append(Path(self._file_path), records.encode())


def _drop_torn_line(journal: Path) -> None:
    """Truncate an incomplete last line, which Optuna would append to."""
    if not journal.exists():
        return
    with open_regular(journal, os.O_RDWR) as file:
        content = file.read()
        complete = content.rfind(b"\n") + 1
        if complete < len(content):
            file.truncate(complete)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UsageError(f"--storage must be {_VALID_URLS}") from None
    backend = parsed.get_backend_name()
    if backend not in {"sqlite", "postgresql"}:
        raise UsageError(f"--storage must be {_VALID_URLS}, found {backend}")
    if not parsed.database or parsed.database == ":memory:":
        raise UsageError(f"--storage must be {_VALID_URLS}, found no persistent database")
    return parsed


def _resolve(url: str) -> URL:
    """Return the URL with its driver, and with the password from the environment."""
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return make_url(without_password(url))
    if parsed.drivername == "postgresql":
        # the default driver differs between SQLAlchemy releases
        parsed = parsed.set(drivername="postgresql+psycopg")
    password = os.environ.get(PASSWORD_VARIABLE)
    if password and parsed.password is None and "password" not in parsed.query:
        parsed = parsed.set(password=password)
    return parsed


def _connect_args(parsed: URL) -> dict[str, Any]:
    if parsed.get_backend_name() == "sqlite":
        return {"factory": WaitingConnection, "timeout": 0.2}
    # fail fast if the server does not respond, also in the middle of a search
    return {
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives_idle": _CONNECT_SECONDS,
        "tcp_user_timeout": 3000 * _CONNECT_SECONDS,
    }


@contextmanager
def _usage_errors(shown: str) -> Iterator[None]:
    try:
        yield
    except (ImportError, sqlalchemy.exc.NoSuchModuleError):
        raise UsageError(
            f"--storage {shown} needs its driver: pip install 'tune-ode[postgresql]'"
        ) from None
    except (
        sqlalchemy.exc.SQLAlchemyError,
        sqlite3.Error,
        optuna.exceptions.StorageInternalError,
    ) as error:
        problem = f"cannot be reached: {first_line(_cause(error))}"
        remedy = f"start the server, or correct the URL (set its password in {PASSWORD_VARIABLE})"
        if shown.startswith("sqlite"):
            remedy = "choose another file"
        if is_locked(_cause(error)):
            problem, remedy = _LOCKED, "end that process, or choose another file"
        raise UsageError(f"--storage {shown} {problem}; {remedy}") from None


def _reason(error: BaseException) -> str:
    cause = _cause(error)
    return _LOCKED if is_locked(cause) else f"failed: {first_line(cause)}"


def _cause(error: BaseException) -> BaseException:
    """Return the error of the driver that Optuna and SQLAlchemy wrapped."""
    if isinstance(error, optuna.exceptions.StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    return getattr(error, "orig", None) or error
