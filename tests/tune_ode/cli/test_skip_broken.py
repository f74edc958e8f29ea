"""`--skip-broken` is kept with the run, and repeated by the commands that continue or judge it."""

import numpy as np
import pytest
from PIL import Image

from tests.factories import make_report, make_result
from tune_ode.config import TrialConfig
from tune_ode.records import read_manifest
from tune_ode.runs.folder import RunFolder
from tune_ode.tuning import launch
from tune_ode.tuning.options import SearchOptions
from tune_ode.tuning.plan import plan_search

NOTE = "left out: 1 of 20 images cannot be used: "


@pytest.fixture
def images(tmp_path, working_directory):
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(10):
            pixels = np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    (tmp_path / "images" / "cat" / "3.png").write_bytes(b"")
    return tmp_path / "images"


@pytest.fixture
def plans(monkeypatch):
    """Return the plans of what the commands would start."""
    plans = []
    monkeypatch.setattr(launch, "start", lambda plan, **_: plans.append(plan))
    monkeypatch.setattr("tune_ode.cli.display.result.print_result", lambda *_, **__: None)
    return plans


@pytest.mark.parametrize("command", ["search", "train"])
def test_a_search_or_training_records_it(tune_ode, images, plans, command):
    status, out, _ = tune_ode(command, "--dataset", f"folder:{images}", "--skip-broken")
    assert status == 0
    assert NOTE in out
    manifest = launch._manifest(plans[0])
    assert manifest.base["data"]["skip_broken"] is True
    assert manifest.notes[0].startswith(NOTE)


def test_resume_and_confirm_repeat_it(tune_ode, images):
    options = SearchOptions(
        dataset=f"folder:{images}", trials=1, fix={"data.skip_broken": True}, output="searches"
    )
    plan = plan_search(options)
    folder = RunFolder.create(plan.run_folder, launch._manifest(plan))
    spec = folder.add_trial(plan.base.to_dict(), {}, 0.0)
    folder.append(make_report(spec.trial_id))
    folder.write_result(make_result(spec.trial_id))
    folder.close()
    manifest = read_manifest(plan.run_folder)
    base = TrialConfig.from_dict(manifest.base)
    options = SearchOptions.from_dict(manifest.options)
    resumed = plan_search(options, base=base, manifest=manifest, run_folder=plan.run_folder)
    assert resumed.notes[0].startswith(NOTE)
    status, out, err = tune_ode("confirm", plan.run_folder, "--check")
    assert (status, err) == (0, "")
    assert NOTE in out


def test_a_comparison_takes_it(tune_ode, images):
    arguments = ("--dataset", f"folder:{images}", "--cases", "euler:backprop", "--check")
    status, _, err = tune_ode("compare", *arguments)
    assert status == 2
    assert "--skip-broken" in err
    status, out, _ = tune_ode("compare", *arguments, "--skip-broken")
    assert status == 0
    assert NOTE in out


def test_a_job_passes_it_on(tune_ode, images):
    arguments = ("submit", "--dataset", f"folder:{images}", "--skip-broken", "--check")
    status, out, _ = tune_ode(*arguments, "--output", images.parent)
    assert status == 0, out
    assert "--skip-broken" in out
