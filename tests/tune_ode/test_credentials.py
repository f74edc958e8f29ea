"""Credentials are refused or redacted wherever they would be stored or shown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import make_manifest
from tune_ode.cluster.request import check_request
from tune_ode.errors import RunFolderError, TuneOdeError, UsageError, first_line, redact
from tune_ode.paths import require_persistent
from tune_ode.tuning.log_to import targets
from tune_ode.tuning.log_to.targets import LogTarget
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.study.storage import without_password
from tune_ode.worker.task import classify_error

URLS = [
    "postgresql://user:S3CRET@host/db",
    "postgresql://user:S3CRET@part@host/db",
    "postgresql://user:S3CRET/part@host/db",
    "postgresql://user@host/db?password=S3CRET",
    "postgresql://user@host/db?sslmode=require&sslpassword=S3CRET",
    "postgresql+psycopg://user@host/db?PASSWORD=S3CRET",
    "http://S3CRET@host:5000",
    "https://user:S3CRET@host",
    "https://host/?token=S3CRET",
    "https://host/?access_token=S3CRET&x=1",
    "s3://bucket/runs?endpoint_override=http://user:S3CRET@host:9000",
    "s3://bucket/runs?endpoint_override=http%3A%2F%2Fuser%3AS3CRET%40host",
    "host=h user=u password=S3CRET dbname=d",
    "host=h password='S3CRET with spaces'",
    "https://bucket.host/key?X-Amz-Credential=S3CRET&X-Amz-Signature=S3CRET",
    "Authorization: Bearer S3CRET",
]
HARMLESS = [
    "postgresql://user@host:5432/db?sslmode=require",
    "sqlite:////tmp/a@b/study.db",
    "http://host:5000",
    "s3://bucket/runs?endpoint_override=host:9000&scheme=http&region=us-east-1",
    "trial 0001 failed: 3 of 4 values at 10:30, see user@host",
    "set TUNE_ODE_STORAGE_PASSWORD to the password",
    "folder:/data/100%/images",
]


@pytest.mark.parametrize("text", URLS)
def test_a_credential_is_in_no_message(text, capsys):
    from tune_ode.cli.main import _print_error

    for wrapped in (text, f"cannot reach '{text}': refused", f"({text})"):
        assert "S3CRET" not in redact(wrapped)
        assert "***" in redact(wrapped)
        assert "S3CRET" not in str(UsageError(wrapped))
        assert "S3CRET" not in first_line(ValueError(wrapped))
        end = classify_error(ValueError(wrapped))
        assert "S3CRET" not in f"{end.reason} {end.traceback}"
        _print_error(wrapped, 1)
        assert "S3CRET" not in capsys.readouterr().err
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_is_unchanged(text):
    assert redact(text) == text
    assert str(TuneOdeError(text)) == text


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="%"), max_size=60))
def test_text_without_urls_and_options_is_unchanged(text):
    if "=" not in text and "://" not in text and "Bea" not in text and "Basic" not in text:
        assert redact(text) == text


@pytest.mark.parametrize("url", [url for url in URLS if url.startswith(("postgres", "http"))])
def test_a_tracking_uri_with_a_credential_is_refused(url, monkeypatch):
    monkeypatch.setattr(targets, "_PACKAGES", {"mlflow": "json"})
    with pytest.raises(UsageError, match="must not have a password or token") as error:
        LogTarget.parse(f"mlflow:{url}")
    assert "S3CRET" not in str(error.value)
    with pytest.raises(UsageError, match="must not contain a password"):
        check_request(SearchOptions(output="/shared", log_to=[f"mlflow:{url}"]))


@pytest.mark.parametrize("url", [url for url in URLS if url.startswith("postgres")])
def test_a_database_url_is_stored_without_credentials(url):
    assert "S3CRET" not in without_password(url)
    assert "user" in without_password(url)


@pytest.mark.parametrize("url", [url for url in URLS if url.startswith("s3")])
def test_the_url_of_a_run_with_a_credential_is_refused(url):
    with pytest.raises(RunFolderError, match="must have no credentials") as error:
        require_persistent(url)
    assert "S3CRET" not in str(error.value)


def test_a_page_and_a_notification_show_no_credential_of_an_older_run(tmp_path, monkeypatch):
    from analysis.load import load_run
    from analysis.page.text import command
    from tune_ode.cli.notification import _summary

    options = {"command": "search", "storage": URLS[0], "log_to": [f"mlflow:{URLS[6]}"]}
    run = tmp_path / "run"
    (run / "trials").mkdir(parents=True)
    manifest = make_manifest(options=options, stop_reason=f"cannot reach {URLS[3]}")
    (run / "run.json").write_text(json.dumps(manifest.to_json()))
    assert "S3CRET" not in command(load_run(run))
    assert "S3CRET" not in json.dumps(_summary(run, "failed", None))
