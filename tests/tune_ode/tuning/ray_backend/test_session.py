"""A local Ray has a private temporary directory; abandoned ones are removed, others are not."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from tune_ode.errors import UsageError
from tune_ode.tuning.ray_backend import session


@pytest.fixture
def parents(tmp_path, monkeypatch):
    """Return the only directory for temporary files."""
    monkeypatch.setattr(session, "_parents", lambda: [tmp_path])
    return tmp_path


def old(path):
    """Make a directory look an hour old."""
    os.utime(path, (path.stat().st_mtime - 3600,) * 2)
    return path


def test_the_directory_is_private_and_removed_also_after_an_error(parents):
    with pytest.raises(KeyboardInterrupt), session.session_directory() as directory:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        (directory / "sockets").mkdir()
        raise KeyboardInterrupt
    assert list(parents.iterdir()) == []


def test_only_abandoned_directories_of_this_user_are_removed(parents, monkeypatch):
    with session.session_directory() as running:
        killed = parents / "tune-ode.killed"
        killed.mkdir()
        (killed / "lock").touch()
        unlocked = parents / "tune-ode.unlocked"
        unlocked.mkdir()
        new, other = parents / "tune-ode.new", parents / "something"
        new.mkdir()
        other.mkdir()
        link = parents / "tune-ode.link"
        link.symlink_to(other)
        for path in (running, killed, unlocked, other):
            old(path)
        with session.session_directory():
            assert {running, new, other, link} < set(parents.iterdir())
            assert not killed.exists()
            assert not unlocked.exists()
        killed.mkdir()
        monkeypatch.setattr(os, "getuid", lambda: killed.stat().st_uid + 1)
        with session.session_directory():
            assert old(killed).exists(), "it belongs to another user"


@pytest.mark.parametrize("name", ["long" * 20, "ä" * 11, "missing", "read-only"])
def test_an_unsuitable_directory_is_replaced_by_a_shorter_one(tmp_path, monkeypatch, name):
    base = Path(tempfile.mkdtemp(prefix="t.", dir="/tmp"))
    chosen = base / name
    if name != "missing":
        chosen.mkdir(mode=0o500 if name == "read-only" else 0o700)
    monkeypatch.setenv("RAY_TMPDIR", str(chosen))
    monkeypatch.setattr(tempfile, "tempdir", str(chosen))
    if name == "read-only":
        real = tempfile.mkdtemp

        def mkdtemp(prefix, dir):
            if Path(dir) == chosen:  # root could write there
                raise PermissionError
            return real(prefix=prefix, dir=dir)

        monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with session.session_directory() as directory:
        assert directory.parent in (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
        assert len(os.fsencode(f"{directory}{session._RAY_SOCKET}")) <= 107
    if chosen.exists():
        chosen.rmdir()
    base.rmdir()


def test_without_a_suitable_directory_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "_parents", lambda: [tmp_path / "missing"])
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    with pytest.raises(UsageError, match="at most .* bytes, but TMPDIR is .*/missing .*set TMPDIR"):
        session.check_session_directory()
