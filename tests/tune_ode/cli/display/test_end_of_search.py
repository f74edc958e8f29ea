"""The end of a search: why it ended, on screen, in run.json and on the page."""

import pytest

from search_spaces import Choice, Space
from tune_ode.cli.app import new_console
from tune_ode.cli.display.result import print_result
from tune_ode.errors import RunFailed
from tune_ode.records import Outcome
from tune_ode.tuning.launch import SearchResult
from tune_ode.worker.task import TrialEnd

TWO = Space({"model.width": Choice(8, 16)})


@pytest.fixture
def print_end(capsys, monkeypatch):
    """Return a function that prints the end of a search, and returns output and page."""
    monkeypatch.setattr("analysis.report.pictures", lambda *_: [])

    def print_end(search, error=None):
        search.close()
        search.folder.update(options={"command": "search", "trials": search.budget.trials})
        result = SearchResult(
            run_folder=search.folder.path, interrupted=False, stop_reason=search.stop_reason,
            failed=search.failed,
        )  # fmt: skip
        if error is None:
            print_result(result, new_console())
        else:
            with pytest.raises(RunFailed) as failed:
                print_result(result, new_console())
            assert str(failed.value).startswith(error)
        page = (search.folder.path / "report" / "index.html").read_text()
        return capsys.readouterr().out, page

    return print_end


def test_an_exhausted_space(make_search, drive, print_end):
    search = make_search(space=TWO, trials=9)
    drive(search)
    out, page = print_end(search)
    ending = "finished (the space is exhausted after 2 points)"
    assert out.endswith(f"{ending}\n")
    assert ending in page


def test_a_time_budget_shorter_than_the_start(make_search, clock, print_end):
    search = make_search(trials=None, seconds=1.0)
    clock.now += 25
    assert search.next_task() is None
    reason = "time budget: starting took 25 s; raise --time-budget"
    _, page = print_end(search, f"no trial was measured: {reason}")
    assert f"finished ({reason})" in page


def test_no_measurement(make_search, drive, print_end):
    def run_trial(task):
        reason = f"reason {'abc'[int(task.trial_id) % 3]}"
        yield TrialEnd(outcome=Outcome.FAILED, reason=reason)

    search = make_search(space=TWO, trials=9)
    drive(search, run_trial=run_trial)
    hint = "see the reasons with: tune-ode rank "
    reason = "the space is exhausted after 2 points"
    print_end(search, f"no trial was measured: {reason}; {hint}")
