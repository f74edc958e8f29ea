"""What a search, a training and a loaded run offer to a script or notebook."""

import gc
import os
import signal
import threading
import warnings

import numpy as np
import optuna
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

import tune_ode as to
from tune_ode.data import load


def process_state():
    """Return what a call could leave changed in this process."""
    return {
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "threads": torch.get_num_threads(),
        "random": torch.get_rng_state().tolist(),
        "dtype": torch.get_default_dtype(),
        "grad": torch.is_grad_enabled(),
        "frozen": gc.get_freeze_count(),
        "filters": [one for one in map(str, warnings.filters) if "optuna" in one],
        "verbosity": optuna.logging.get_verbosity(),
    }


def test_a_search_passes_on_its_reports_and_returns_its_run(module_patch, tiny, capsys):
    before, reports = process_state(), []
    run = to.search(trials=2, name="first", on_report=reports.append, **tiny)
    assert process_state() == before
    assert [report.trial_id for report in reports] == list(run.reports["trial_id"])
    assert str(reports[0]).startswith("trial 0001  epoch ")
    assert (run.name, run.state, len(run.trials)) == ("first", "finished", 2)
    printed = capsys.readouterr().out.splitlines()
    assert printed[-3].startswith("run       runs/first")
    assert printed[-1].startswith("trial 0002 completed")
    assert "2/2 trials, 0 running, best accuracy" in printed[-1]


def test_a_run_has_trials_a_best_one_and_rankings(run):
    best = run.best
    assert best.rank == 1
    assert best == run.trial(best.id) == run.trial(int(best.id))
    assert best.config.solver.method == "euler"
    assert min(best.accuracy, best.seconds, best.rate) > 0
    assert f"trial {best.id}" in str(best)
    assert list(run.ranking()["rank"]) == [1, 2]
    assert run.ranking(by="accuracy", clock="wall")["clock"].size == 2
    assert len(to.rank([run])) == 2
    with pytest.raises(to.UsageError, match="a run is named twice"):
        to.rank([run, str(run.path)])
    assert run.options["trials"] == 2
    assert "Best by accuracy per second" in str(run)
    assert "<table" in run._repr_html_()
    with pytest.raises(to.UsageError, match="unknown metric 'acuracy'"):
        run.ranking(by="acuracy")
    with pytest.raises(to.UsageError, match="unknown argument 'floors'"):
        run.ranking(floors=1)
    with pytest.raises(to.UsageError, match="unknown trial '0009'"):
        run.trial(9)


def test_runs_are_found_as_on_the_command_line(run):
    for name in ("latest", run.name, str(run.path), run.path, run):
        assert to.load_run(name).best == run.best
    with pytest.raises(to.RunFolderError, match="not a run directory"):
        to.load_run("lates")


def test_plots_are_figures_that_pyplot_does_not_know(run, tmp_path):
    import matplotlib.pyplot as plt

    assert {"timeline", "accuracy-over-time"} <= set(run.plots)
    figure = run.plot("timeline")
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == []
    assert figure._repr_png_().startswith(b"\x89PNG")
    figure.savefig(tmp_path / "timeline.png")
    with Image.open(tmp_path / "timeline.png") as picture:
        assert picture.width < 1300, "without the margin for labels"
    with pytest.raises(to.UsageError, match="did you mean 'timeline'"):
        run.plot("timelin")
    with pytest.raises(to.UsageError, match="nothing to show"):
        run.plot("importance")


def test_a_report_is_written(run):
    assert run.report(by="accuracy") == run.path / "report" / "index.html"
    assert (run.path / "report" / "timeline.png").exists()


def test_a_trial_predicts_and_is_tested_without_a_trace_in_the_process(run, tmp_path):
    before = process_state()
    digits = load(run.best.config.data).test_images[:3, 0]
    Image.fromarray(digits[0]).save(tmp_path / "0.png")
    predicted = to.predict(run, digits)
    assert [one.image for one in predicted] == ["image 0", "image 1", "image 2"]
    (single,) = to.predict(run.best, digits[0])
    (file,) = to.predict(f"{run.name}:{run.best.id}", tmp_path / "0.png")
    (image,) = to.predict(run.path, Image.fromarray(digits[0]))
    assert {one.class_name for one in (single, file, image)} == {predicted[0].class_name}
    assert file.image == str(tmp_path / "0.png")
    assert run.best.test().images > 300
    assert not run.best.load_model().model.training
    assert process_state() == before
    with pytest.raises(to.UsageError, match="uint8 arrays"):
        to.predict(run, np.zeros((1, 8, 8)))
    with pytest.raises(to.UsageError, match=r"none\.png"):
        to.predict(run, "none.png")


@pytest.mark.parametrize("what", ["trial", "name", "configuration"])
def test_a_trial_can_be_trained_again(run, what):
    best = run.best
    again = {"trial": best, "name": best.name, "configuration": best.config}[what]
    before = process_state()
    trained = to.train(again, seed=3, train_images=300, progress=False)
    assert process_state() == before
    config = trained.best.config
    assert (config.solver, config.seed, config.data.train_images) == (best.config.solver, 3, 300)


def test_a_search_in_another_thread_leaves_signals_alone(module_patch, tiny):
    found = []

    def search():
        found.append(to.search(trials=1, progress=False, **tiny))

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert found[0].state == "finished"


def test_what_on_report_raises_ends_a_search_that_can_resume(module_patch, tiny):
    def fail(report):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        to.search(trials=1, name="failing", on_report=fail, progress=False, **tiny)
    assert to.load_run("failing").state == "interrupted"
    resumed = to.resume("failing", progress=False)
    assert (resumed.state, len(resumed.trials)) == ("finished", 1)


def test_an_interrupt_is_an_exception_with_the_command_that_resumes(module_patch, tiny):
    before = signal.getsignal(signal.SIGINT)

    def interrupt(report):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(to.Interrupted, match="tune-ode resume runs/stopped"):
        to.search(trials=2, name="stopped", on_report=interrupt, progress=False, **tiny)
    assert signal.getsignal(signal.SIGINT) is before
    assert to.load_run("stopped").state == "interrupted"
    assert to.resume("stopped", progress=False).state == "finished"


def test_a_search_without_a_result_is_an_error(module_patch, tiny):
    with pytest.raises(to.RunFailed, match="no trial was measured"):
        to.search(time_budget=1e-6, progress=False, **tiny)
