"""Runs in an object store are ranked and reported like local ones."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.fs
import pytest

from analysis.load import load_run
from analysis.plots import draw
from analysis.ranking import rank
from analysis.report import write_report
from tune_ode.api.resolve import resolve_trial
from tune_ode.errors import RunFolderError, UsageError
from tune_ode.paths import run_path
from tune_ode.remote_path import RemotePath

RUN = Path(__file__).parents[1] / "data" / "run-of-12"


def upload(filesystem, key):
    """Upload the run of 12 trials."""
    local = pyarrow.fs.LocalFileSystem()
    pyarrow.fs.copy_files(str(RUN), key, source_filesystem=local, destination_filesystem=filesystem)


@pytest.fixture
def remote(tmp_path):
    """Return the run of 12 trials as a `RemotePath`, on a file system not known to be local."""
    filesystem = pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem())
    upload(filesystem, "bucket/run")
    return RemotePath(filesystem, "bucket/run", "store://bucket/run")


def assert_same_run(remote):
    local, copy = load_run(RUN), load_run(remote)
    assert copy.manifest == local.manifest
    assert copy.trials.equals(local.trials)
    assert copy.reports.equals(local.reports)
    assert rank(copy).to_records() == rank(local).to_records()
    return copy


def test_a_remote_run_is_ranked_like_a_local_one(remote):
    assert_same_run(remote)


@pytest.fixture
def few_plots(monkeypatch):
    """Draw one plot instead of ten, which take seconds."""
    monkeypatch.setattr(
        "analysis.report.pictures",
        lambda run, ranking, sections: [draw(run, ranking, "timeline")],
    )


@pytest.mark.usefixtures("few_plots")
def test_the_report_is_written_into_the_remote_run(remote, tmp_path):
    report = tmp_path / "bucket" / "run" / "report"
    report.mkdir()
    (report / "slices.png").write_bytes(b"an older plot")
    run = load_run(remote)
    assert str(write_report(run, rank(run))) == "store://bucket/run/report/index.html"
    names = {path.name for path in report.iterdir()}
    assert names == {"index.html", "ranking.csv", "ranking.json", "timeline.png"}
    assert (report / "ranking.json").read_text().count('"trial_id"') == 12


@pytest.mark.usefixtures("few_plots")
def test_a_report_can_be_written_to_a_local_directory(remote, tmp_path):
    run = load_run(remote)
    page = write_report(run, rank(run), output=tmp_path / "a" / "b")
    assert page == tmp_path / "a" / "b" / "index.html"
    assert page.exists()
    assert not (tmp_path / "bucket" / "run" / "report").exists()


def test_a_file_url_is_a_local_path(tmp_path):
    assert run_path(f"file://{RUN}") == RUN
    assert run_path("runs/run") == Path("runs/run")


def test_local_and_remote_runs_are_ranked_together(remote):
    ranking = rank([load_run(RUN), load_run(remote)])
    assert {row["run"] for row in ranking.to_records()} == {str(RUN), "store://bucket/run"}
    with pytest.raises(UsageError, match="named twice"):
        rank([load_run(remote), load_run(remote)])


def test_a_url_without_a_run_is_rejected(remote):
    with pytest.raises(RunFolderError, match="store://bucket/none is not a run directory"):
        load_run(remote.parent / "none")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("foo://bucket/run", "a URL with s3://, gs://"),
        ("s3://", "s3:// is not a run directory"),
        ("file:///nowhere", "/nowhere is not a run directory"),
    ],
)
def test_invalid_urls_are_rejected_in_one_line(usage_error, url, message):
    assert message in usage_error("rank", url)


def test_credentials_in_a_url_are_not_shown(usage_error):
    error = usage_error("rank", "foo://key:secret@bucket/run?token=secret")
    assert "foo://bucket/run" in error
    assert "secret" not in error


def test_pyarrow_fs_is_imported_for_a_url_only():
    code = (
        "import sys; from analysis.load import load_run; load_run(sys.argv[1]); "
        "print('pyarrow.fs' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(RUN)], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert result.stdout == "False\n"


def test_a_run_in_s3_is_ranked_and_reported(s3, tune_ode):
    upload(s3.filesystem, f"{s3.bucket}/runs/a run")
    url = f"{s3.url}/runs/a%20run"
    assert_same_run(url)
    assert tune_ode("report", url)[:2] == (0, f"{url}/report/index.html\n")
    with s3.filesystem.open_input_stream(f"{s3.bucket}/runs/a run/report/index.html") as page:
        assert b"</html>" in page.read()
    assert tune_ode("rank", url, RUN, "--json")[0] == 0
    remote, trial_id = resolve_trial(f"{url}:2")
    assert (str(remote), trial_id) == (url, "0002")
    assert resolve_trial(url)[1] == "0002", "the best"
    status, _, err = tune_ode("predict", f"{url}:2", "image.png")
    assert status == 2
    assert f"trial 0002 of {url} saved no model" in err


def test_a_small_object_is_written_by_one_request(s3, caplog):
    path = run_path(f"{s3.url}/run") / "run.json"
    with caplog.at_level("INFO", "werkzeug"):  # the server's log
        path.write_bytes(b"{}")
    assert ["PUT" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://{bucket}/none", "is not a run directory"),
        ("s3://no-such-bucket-of-ours/run", "s3://no-such-bucket-of-ours/run"),
        (
            "s3://{bucket}/run?endpoint_override=127.0.0.1:1&scheme=http",
            "check the URL, the network",
        ),
    ],
)
def test_missing_runs_in_s3_are_rejected_in_one_line(s3, usage_error, url, message):
    assert message in usage_error("rank", url.format(bucket=s3.bucket))
