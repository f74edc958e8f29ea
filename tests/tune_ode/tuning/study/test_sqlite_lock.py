"""A SQLite database that another process has locked: wait, say so, then say what it is."""

import sqlite3
import threading

import pytest

from tune_ode.errors import TuneOdeError, UsageError
from tune_ode.tuning.study import sqlite_wait
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.tuning.study.storage import check_storage, open_database

WAITING = "waiting for the study's database, which another process has locked"


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    open_database(url)
    return url


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """Lock the database; return a function that releases it."""
    monkeypatch.setattr(sqlite_wait, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(sqlite_wait, "LOCKED_SECONDS", 0.3)
    # as many backup tools and browsers of databases do
    other = sqlite3.connect(tmp_path / "study.db", isolation_level=None, check_same_thread=False)
    return lambda: other.execute("BEGIN EXCLUSIVE"), lambda: other.execute("ROLLBACK")


@pytest.mark.parametrize(
    "operation",
    [
        lambda url, space: check_storage(url, "study"),
        lambda url, space: StudyAdapter(space, url=url),
    ],
    ids=["check", "open"],
)
def test_a_database_that_stays_locked_is_not_a_password_problem(
    url, lock, space, capsys, operation
):
    lock[0]()
    with pytest.raises(
        UsageError, match="is locked by another process.* end that process"
    ) as found:
        operation(url, space)
    assert "password" not in str(found.value).lower()
    assert capsys.readouterr().err.count(WAITING) == 1


def test_a_database_that_stays_locked_ends_a_search_with_the_reason(url, lock, space):
    study = StudyAdapter(space, url=url, remedy="resume")
    lock[0]()
    with pytest.raises(TuneOdeError, match="database is locked by another process.*: resume"):
        study.ask()


def test_a_lock_that_is_released_is_waited_for(url, lock, space, capsys, monkeypatch):
    monkeypatch.setattr(sqlite_wait, "LOCKED_SECONDS", 30.0)
    study = StudyAdapter(space, url=url)
    lock[0]()
    timer = threading.Timer(1.5, lock[1])
    timer.start()
    assert study.ask() is not None
    timer.join()
    assert capsys.readouterr().err.count(WAITING) == 1


def test_a_file_that_cannot_be_read_needs_no_server(tmp_path):
    (tmp_path / "notes.txt").write_text("not a database, and longer than its header is" * 9)
    with pytest.raises(UsageError, match="is not a database; choose another file"):
        check_storage(f"sqlite:///{tmp_path}/notes.txt", "study")
