"""Study storage is checked before a search starts, and its password is never stored."""

import json
import multiprocessing
import resource
import sqlite3

import optuna
import pytest

from search_spaces import PRESETS, to_dict
from tune_ode.config import TrialConfig
from tune_ode.errors import StorageFull, TuneOdeError, UsageError
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan_search
from tune_ode.tuning.study.optuna_study import StudyAdapter
from tune_ode.tuning.study.storage import (
    PASSWORD_VARIABLE,
    check_storage,
    open_database,
    study_hash,
    without_password,
)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "must be sqlite:///PATH or postgresql://USER@HOST/DATABASE"),
        ("postgresql://h:port/d", "must be sqlite"),
        ("mysql://root@localhost/d", "found mysql"),
        ("sqlite://", "found no persistent database"),
        ("sqlite:///:memory:", "found no persistent database"),
        ("postgresql://localhost", "found no persistent database"),
        ("sqlite:////no/folder/study.db", "/no/folder is not a writable directory; create it"),
        ("postgresql+nodriver://u@127.0.0.1:1/d", r"pip install 'tune-ode\[postgresql\]'"),
    ],
)
def test_unusable_databases_are_rejected(url, message):
    with pytest.raises(UsageError, match=message):
        check_storage(url)


def test_an_unreachable_server_is_rejected_without_printing_its_password():
    pytest.importorskip("psycopg", reason="no psycopg: pip install 'tune-ode[postgresql]'")
    with pytest.raises(UsageError, match="cannot be reached: .*; start the server") as rejected:
        check_storage("postgresql://me:sesame@127.0.0.1:1/studies")
    assert "sesame" not in str(rejected.value)
    assert PASSWORD_VARIABLE in str(rejected.value)


def test_a_file_that_is_not_a_database_is_rejected_and_unchanged(tmp_path):
    content = "not a database, and longer than its header is" * 9
    (tmp_path / "notes.txt").write_text(content)
    with pytest.raises(UsageError, match="file is not a database"):
        check_storage(f"sqlite:///{tmp_path}/notes.txt", "study")
    assert (tmp_path / "notes.txt").read_text() == content


def test_check_storage_writes_nothing(tmp_path):
    check_storage(f"sqlite:///{tmp_path}/new.db", "study")
    sqlite3.connect(tmp_path / "other.db").close()
    check_storage(f"sqlite:///{tmp_path}/other.db", "study")
    assert (tmp_path / "other.db").stat().st_size == 0
    assert not (tmp_path / "new.db").exists()


def test_a_new_study_needs_an_unused_name(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    optuna.create_study(storage=open_database(url), study_name="digits-1")
    check_storage(url, "digits-2")
    check_storage(url)
    with pytest.raises(UsageError, match="already has a study digits-1; choose another --name"):
        check_storage(url, "digits-1")


def test_tables_of_another_optuna_version_are_rejected(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    open_database(url)
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute("UPDATE version_info SET schema_version = 1")
        database.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    with pytest.raises(UsageError, match="optuna"):
        open_database(url)


def test_a_url_is_stored_without_its_password(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = "postgresql://me:sesame@db:5432/studies?sslmode=require"
    assert without_password(url) == "postgresql://me@db:5432/studies?sslmode=require"
    in_query = "postgresql://me@db/studies?password=sesame"
    assert without_password(in_query) == "postgresql://me@db/studies"
    assert without_password("sqlite:///here.db") == f"sqlite:///{tmp_path}/here.db"
    options = SearchOptions(storage=url).resolved()
    assert "sesame" not in json.dumps(options.to_dict())
    assert options.resolved() == options


@pytest.mark.usefixtures("working_directory")
def test_a_plan_does_not_show_the_password(monkeypatch):
    monkeypatch.setattr("tune_ode.tuning.plan.check_storage", lambda *_: None)
    plan = plan_search(SearchOptions(storage="postgresql://me:sesame@db/studies", name="run"))
    assert "sesame" not in repr(plan)
    assert plan.storage_url == "postgresql://me:sesame@db/studies"
    assert plan.study_name.startswith("run-")


def test_a_hash_depends_on_space_data_and_objective_but_not_on_seeds():
    space, base = {"a": "0 .. 1"}, TrialConfig().to_dict()
    expected = study_hash(space, base, "anytime")
    reseeded = TrialConfig().with_values({"seed": 5, "data.split_seed": 6}).to_dict()
    assert study_hash(dict(space), reseeded, "anytime") == expected
    other_data = TrialConfig().with_values({"data.train_images": 100}).to_dict()
    others = {
        study_hash({"a": "0 .. 2"}, base, "anytime"),
        study_hash(space, other_data, "anytime"),
        study_hash(space, base, "accuracy"),
    }
    assert len(others | {expected}) == 4


@pytest.mark.parametrize("name", PRESETS)
def test_a_hash_survives_serialization(name):
    space, base = to_dict(PRESETS[name][0]), TrialConfig().to_dict()
    restored = json.loads(json.dumps([space, base]))
    assert study_hash(*restored, "anytime") == study_hash(space, base, "anytime")


def fill(make, messages):
    """Ask until the file reaches its size limit, as on a full disk."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    study = make()
    try:
        while True:
            trial, _ = study.ask()
            study.attach(trial, f"{trial.number:04d}")
    except StorageFull as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        study.ask()  # the same process continues once there is space
        messages.put(str(error))


def test_a_journal_stays_readable_after_a_full_disk(tmp_path, space):
    journal = tmp_path / "study.log"

    def make():
        return StudyAdapter(space, journal=journal, sampler="random", remedy="resume")

    context = multiprocessing.get_context("fork")
    messages = context.Queue()
    process = context.Process(target=fill, args=(make, messages))
    process.start()
    assert messages.get(timeout=60).endswith("free some space, then resume")
    process.join()
    assert journal.stat().st_size > 3000
    assert len(make().study.get_trials()) > 1


@pytest.mark.long
def test_a_server_that_stops_during_a_search_gives_a_one_line_error(postgresql, space, monkeypatch):
    """The password comes from the environment; the study continues once the server is back."""
    monkeypatch.setenv(PASSWORD_VARIABLE, postgresql.password)

    def make():
        url = postgresql.url_without_password
        return StudyAdapter(space, url=url, study_name="name", sampler="random", remedy="resume it")

    study = make()
    trial, _ = study.ask()
    study.attach(trial, "0001")
    postgresql.stop()
    try:
        with pytest.raises(TuneOdeError, match="database failed: .* is kept: resume it"):
            study.ask()
        with pytest.raises(UsageError, match="cannot be reached: .*refused"):
            make()
    finally:
        postgresql.start()
    study.ask()
    assert len(make().study.get_trials()) == 2
    with pytest.raises(UsageError, match="already has a study name"):
        check_storage(postgresql.url_without_password, "name")
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong")
    with pytest.raises(UsageError, match="password authentication failed"):
        check_storage(postgresql.url_without_password)
