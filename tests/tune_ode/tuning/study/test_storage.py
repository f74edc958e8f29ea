"""A study's place is checked before anything starts, and its password is written nowhere."""

import json
import multiprocessing
import resource
import sqlite3

import optuna
import pytest

from search_spaces import PRESETS
from tune_ode.config import TrialConfig
from tune_ode.errors import StorageFull, TuneOdeError, UsageError
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.tuning.study.storage import (
    PASSWORD_VARIABLE,
    check_storage,
    open_database,
    study_hash,
    without_password,
)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "must be sqlite:///PATH or postgresql://USER@HOST/DATABASE"),
        ("postgresql://h:port/d", "must be sqlite"),
        ("mysql://root@localhost/d", "found mysql"),
        ("sqlite://", "found no database that lasts"),
        ("sqlite:///:memory:", "found no database that lasts"),
        ("postgresql://localhost", "found no database that lasts"),
        ("sqlite:////no/such/folder/study.db", "/no/such/folder is none; make it"),
        ("postgresql+nodriver://u@127.0.0.1:1/d", r"pip install 'tune-ode\[postgresql\]'"),
    ],
)
def test_a_database_that_cannot_keep_a_study_is_refused(url, said):
    with pytest.raises(UsageError, match=said):
        check_storage(url)


def test_a_server_that_does_not_answer_is_refused_without_its_password():
    pytest.importorskip("psycopg", reason="no psycopg: pip install 'tune-ode[postgresql]'")
    with pytest.raises(UsageError, match="cannot be reached: .*; start the server") as refused:
        check_storage("postgresql://me:sesame@127.0.0.1:1/studies")
    assert "sesame" not in str(refused.value)
    assert PASSWORD_VARIABLE in str(refused.value)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("not a database, and longer than its header is" * 9)
    with pytest.raises(UsageError, match="file is not a database"):
        check_storage(f"sqlite:///{tmp_path}/notes.txt", "study")


def test_checking_writes_nothing(tmp_path):
    check_storage(f"sqlite:///{tmp_path}/new.db", "study")
    sqlite3.connect(tmp_path / "other.db").close()
    check_storage(f"sqlite:///{tmp_path}/other.db", "study")
    assert (tmp_path / "other.db").stat().st_size == 0
    assert not (tmp_path / "new.db").exists()


def test_a_new_study_needs_a_name_that_is_free(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    optuna.create_study(storage=open_database(url), study_name="digits-1")
    check_storage(url, "digits-2")
    check_storage(url)
    with pytest.raises(UsageError, match="already has a study digits-1; choose another --name"):
        check_storage(url, "digits-1")


def test_tables_of_another_optuna_are_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    open_database(url)
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("UPDATE version_info SET schema_version = 1")
        database.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    with pytest.raises(UsageError, match="optuna"):
        open_database(url)


def test_a_url_is_written_down_without_its_password(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = "postgresql://me:sesame@db:5432/studies?sslmode=require"
    assert without_password(url) == "postgresql://me@db:5432/studies?sslmode=require"
    in_query = "postgresql://me@db/studies?password=sesame"
    assert without_password(in_query) == "postgresql://me@db/studies"
    assert without_password("sqlite:///here.db") == f"sqlite:///{tmp_path}/here.db"
    question = SearchOptions(storage=url).resolved()
    assert "sesame" not in json.dumps(question.to_dict())
    assert question.resolved() == question


def test_a_plan_does_not_show_the_password(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tune_ode.tuning.plan.check_storage", lambda *_: None)
    chosen = plan(SearchOptions(storage="postgresql://me:sesame@db/studies", name="run"))
    assert "sesame" not in repr(chosen)
    assert chosen.storage_url == "postgresql://me:sesame@db/studies"
    assert chosen.study.startswith("run-")


def test_a_hash_tells_questions_apart_and_nothing_else():
    space, base = {"a": "0 .. 1"}, TrialConfig().to_dict()
    asked = study_hash(space, base, "anytime")
    reseeded = TrialConfig().with_values({"seed": 5, "data.split_seed": 6}).to_dict()
    assert study_hash(dict(space), reseeded, "anytime") == asked
    other_data = TrialConfig().with_values({"data.train_images": 100}).to_dict()
    others = {
        study_hash({"a": "0 .. 2"}, base, "anytime"),
        study_hash(space, other_data, "anytime"),
        study_hash(space, base, "accuracy"),
    }
    assert len(others | {asked}) == 4


@pytest.mark.parametrize("name", PRESETS)
def test_a_hash_is_the_same_once_its_question_was_written_down(name):
    space, base = PRESETS[name][0].to_dict(), TrialConfig().to_dict()
    read_again = json.loads(json.dumps([space, base]))
    assert study_hash(*read_again, "anytime") == study_hash(space, base, "anytime")


def _fill(make, said):
    """Propose until a file may grow no further, as on a full disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    proposals = make()
    try:
        while True:
            trial, _ = proposals.ask()
            proposals.attach(trial, f"{trial.number:04d}")
    except StorageFull as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        proposals.ask()  # there is room again: the same process can go on
        said.put(str(error))


def test_a_journal_on_a_full_disk_stays_readable(tmp_path, space):
    def make():
        return StudyAdapter(
            space, journal=tmp_path / "study.log", sampler="random", remedy="resume"
        )

    context = multiprocessing.get_context("fork")
    said = context.Queue()
    process = context.Process(target=_fill, args=(make, said))
    process.start()
    assert said.get(timeout=60).endswith("free some space, then resume")
    process.join()
    assert (tmp_path / "study.log").stat().st_size > 3000
    assert len(make().study.get_trials()) > 1


@pytest.mark.long
def test_a_server_that_stops_in_mid_search_is_one_line(postgresql, space, monkeypatch):
    """The password comes from the environment; with the server back, the study goes on."""
    monkeypatch.setenv(PASSWORD_VARIABLE, postgresql.password)

    def make():
        url = postgresql.url_without_password
        return StudyAdapter(space, url=url, study="stopped", sampler="random", remedy="resume it")

    proposals = make()
    trial, _ = proposals.ask()
    proposals.attach(trial, "0001")
    postgresql.stop()
    try:
        with pytest.raises(TuneOdeError, match="database failed: .* is kept: resume it"):
            proposals.ask()
        with pytest.raises(UsageError, match="cannot be reached: .*refused"):
            make()
    finally:
        postgresql.start()
    proposals.ask()
    assert len(make().study.get_trials()) == 2
    with pytest.raises(UsageError, match="already has a study stopped"):
        check_storage(postgresql.url_without_password, "stopped")
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong")
    with pytest.raises(UsageError, match="password authentication failed"):
        check_storage(postgresql.url_without_password)
