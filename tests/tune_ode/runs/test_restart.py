"""A trial whose checkpoint is lost starts over, and the search goes on."""

import json

import pytest

from tests.factories import make_checkpoint, make_manifest, make_report, make_task
from tune_ode.errors import RunFolderError
from tune_ode.records import LAST_CHECKPOINT, Outcome
from tune_ode.runs.folder import RunFolder
from tune_ode.runs.restart import restart_if_lost
from tune_ode.worker.task import run_trial


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return the content of a real checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_ODE_CACHE", str(tmp_path_factory.mktemp("cache")))
        task = make_task(tmp_path_factory.mktemp("run"), **{"training.epochs": 1})
        assert list(run_trial(task))[-1].outcome is Outcome.COMPLETED
    return (task.folder / LAST_CHECKPOINT).read_bytes()


@pytest.fixture
def folder(tmp_path):
    """Return a run with a trial that has reported two epochs."""
    folder = RunFolder.create(tmp_path / "run", make_manifest())
    spec = folder.add_trial({}, {}, 0.0)
    for epoch in (1, 2):
        folder.append(make_report(spec.trial_id, epoch))
    yield folder
    folder.close()


def with_other_bits(content):
    middle = len(content) // 2
    part = bytes(byte ^ 1 for byte in content[middle : middle + 300])
    return content[:middle] + part + content[middle + 300 :]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: b"", "empty"),
        (lambda content: content[:-1], "damaged"),
        (lambda content: content[: len(content) // 2], "damaged"),
        (lambda content: content[: len(content) // 2].ljust(len(content), b"\0"), "damaged"),
        (lambda content: bytes(len(content)), "damaged"),
        (with_other_bits, "damaged"),
        (lambda content: b"not a checkpoint", "damaged"),
        (None, "missing"),
    ],
)
def test_a_trial_with_a_lost_checkpoint_starts_over(folder, checkpoint, damage, problem):
    last = folder.trial("0001") / LAST_CHECKPOINT
    if damage is not None:
        last.write_bytes(damage(checkpoint))
    line = f"trial 0001 starts over: its last.pt is {problem}"
    assert restart_if_lost(folder, "0001") == line
    assert not last.exists()
    assert folder.reports("0001") == [], "they would mix with those of the new training"
    lost = (folder.trial("0001") / "lost-reports.jsonl").read_text().splitlines()
    assert [json.loads(report)["epoch"] for report in lost] == [1, 2]
    assert restart_if_lost(folder, "0001") is None


def test_a_trial_with_an_intact_checkpoint_resumes(folder, checkpoint):
    last = folder.trial("0001") / LAST_CHECKPOINT
    last.write_bytes(checkpoint)
    assert restart_if_lost(folder, "0001") is None
    assert last.read_bytes() == checkpoint
    assert len(folder.reports("0001")) == 2


def test_a_checkpoint_that_cannot_be_read_is_neither_lost_nor_removed(folder):
    (folder.trial("0001") / LAST_CHECKPOINT).mkdir()
    with pytest.raises(RunFolderError, match=r"last.pt: Is a directory; .* the trial starts over"):
        restart_if_lost(folder, "0001")
    assert len(folder.reports("0001")) == 2


def test_a_search_goes_on_and_says_what_starts_over(make_search, drive, curve):
    def with_checkpoints(task):
        for event in curve(task):
            (task.folder / LAST_CHECKPOINT).write_bytes(make_checkpoint())
            yield event

    said = []
    search = make_search(trials=4)
    drive(search, run_trial=with_checkpoints, events=3)
    search.stop("interrupted")
    search.close()
    (search.folder.trial("0001") / LAST_CHECKPOINT).write_bytes(b"")
    search = make_search(trials=4, say=said.append)
    drive(search, run_trial=with_checkpoints)
    search.close()
    assert said == ["trial 0001 starts over: its last.pt is empty"]
    assert {result.outcome for result in search.results.values()} <= {
        Outcome.COMPLETED,
        Outcome.STOPPED,
    }
    assert {report.attempt for report in search.folder.reports("0001")} == {2}
