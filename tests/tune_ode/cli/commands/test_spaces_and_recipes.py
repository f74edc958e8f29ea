"""Spaces, recipes and option files on the command line."""

import pytest
from rich.console import Console

from search_spaces import PRESETS, Choice, Int, Space, from_dict, resolve_space
from search_spaces.recipes import recipe, recipes
from tune_ode.cli.display.spaces import print_space
from tune_ode.config import TrialConfig
from tune_ode.config.yaml_files import read_yaml


def test_the_list_contains_every_space_with_its_size(tune_ode):
    status, output, _ = tune_ode("spaces")
    assert status == 0
    for name in PRESETS:
        assert name in output
        assert str(len(resolve_space(name).names)) in output


def test_a_space_printed_as_yaml_can_be_read_back(tune_ode, tmp_path):
    for name in PRESETS:
        status, output, _ = tune_ode("spaces", name, "--yaml")
        assert status == 0
        (tmp_path / "mine.yaml").write_text(output)
        assert resolve_space("mine.yaml") == resolve_space(name)
        assert tune_ode("spaces", "mine.yaml") == tune_ode("spaces", name)


def test_a_tree_on_a_terminal_contains_every_parameter():
    console = Console(force_terminal=True, record=True, width=200, color_system=None)
    with console.capture() as capture:
        print_space(resolve_space("full"), "full", console)
    output = capture.get()
    for name in resolve_space("full").names:
        assert name in output
    assert "midpoint | heun2" in output


def test_a_space_in_a_module_is_found_in_the_current_directory(tune_ode, usage_error, tmp_path):
    (tmp_path / "my_spaces.py").write_text(
        "from search_spaces import Int, Space\nWIDE = Space({'model.width': Int(64, 128)})\n"
    )
    status, output, _ = tune_ode("search", "--check", "--space", "my_spaces:WIDE")
    assert status == 0
    assert "1 parameter" in output
    assert "digits-WIDE" in output
    assert "did you mean 'WIDE'" in usage_error("search", "--space", "my_spaces:WIDTH")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space", "none.yaml"], "cannot read none.yaml: No such file"),
        (["--space", "quik"], "a file.yaml, or package.module:NAME"),
        (["--set", "model.width"], "--set takes NAME=LOW..HIGH or NAME=A|B"),
        (["--set", "model.widht=1..2"], "near: model.width"),
        (["--fix", "solver.rtol=1", "--set", "solver.method=euler|rk4"], "fix solver.method too"),
        (["--fix", "model.ode.normalization=batch"], "needs solver.gradient=backprop"),
        (["--start-from", "clasic"], "did you mean 'classic'"),
        (["--start-from", "none.yaml"], "cannot read none.yaml"),
        (["--config", "none.yaml"], "cannot read none.yaml"),
    ],
)
def test_invalid_options_are_rejected_in_one_line(usage_error, arguments, message):
    assert message in usage_error("search", *arguments)


def test_the_plan_lists_what_the_images_do_not_support(tune_ode):
    status, output, _ = tune_ode("search", "--check", "--space", "full")
    assert status == 0
    assert "model.stem.stages@padded is null | 0 | 1: the images are 8×8" in output
    assert (
        "no data.augmentation.saturation and data.augmentation.hue: the images are grey" in output
    )


def test_recipes_are_listed_and_printed_and_can_be_edited(tune_ode, usage_error, tmp_path):
    status, output, _ = tune_ode("recipes")
    assert status == 0
    assert all(name in output for name in recipes())
    _, text, _ = tune_ode("recipes", "classic")
    (tmp_path / "mine.yaml").write_text(text)
    assert TrialConfig.from_dict(read_yaml(tmp_path / "mine.yaml")) == recipe("classic")
    assert "did you mean 'classic'" in usage_error("recipes", "clasic")


class TestConfigFile:
    """`--config FILE.yaml`."""

    def test_the_command_line_takes_precedence(self, tune_ode, tmp_path):
        (tmp_path / "options.yaml").write_text(
            "space: solvers\ntrials: 3\ntime-budget: 1m30s\ncheck: true\nmax_concurrent: 1\n"
            "fix: {model.width: 16, solver.method: dopri5}\n"
            "set: {solver.rtol: 1e-3 .. 1e-2}\nstart-from: [classic]\nname:\n"
        )
        status, output, _ = tune_ode("search", "--config", "options.yaml")
        assert status == 0
        assert "space solvers" in output
        assert "3 trials, 90 s in total" in output
        _, output, _ = tune_ode("search", "--config", "options.yaml", "--trials", "7")
        assert "7 trials" in output

    def test_fields_of_the_command_line_are_added_to_those_of_the_file(
        self, tune_ode, tmp_path, monkeypatch
    ):
        received = []
        monkeypatch.setattr(
            "tune_ode.tuning.plan.plan_search",
            lambda options, **_: received.append(options) or 1 / 0,
        )
        (tmp_path / "options.yaml").write_text("fix: {model.width: 16, model.blocks: 2}")
        with pytest.raises(ZeroDivisionError):
            tune_ode(
                "search", "--config", "options.yaml", "--fix", "model.blocks=3", "--fix", "seed=1"
            )
        assert received[0].fix == {"model.width": 16, "model.blocks": 3, "seed": 1}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("trails: 3", "options.yaml: unknown option 'trails'; did you mean 'trials'"),
            ("config: a.yaml", "unknown option 'config'"),
            ("trials: [1]", "options.yaml: trials takes one value"),
            ("trials: 0", "options.yaml: trials"),
            ("time-budget: soon", "options.yaml: time-budget"),
            ("fix: 3", "options.yaml: fix takes {NAME: VALUE, ...}, found 3"),
            ("start-from: [[a]]", "options.yaml: start-from takes [NAME, ...]"),
            ("fix: {model.width: {a: 1}}", "--fix model.width takes a value"),
            ("trials: 1\ntrials: 2", "options.yaml, line 2"),
            ("- trials", "options.yaml must map"),
        ],
    )
    def test_an_error_names_the_file(self, usage_error, tmp_path, text, message):
        (tmp_path / "options.yaml").write_text(text)
        assert message in usage_error("search", "--config", "options.yaml")

    def test_train_accepts_a_file(self, usage_error, tmp_path):
        (tmp_path / "options.yaml").write_text("trials: 3")
        error = usage_error("train", "classic", "--config", "options.yaml")
        assert "unknown option 'trials'; valid: dataset" in error


def test_a_search_resumes_without_the_file_of_its_space(tmp_path, monkeypatch):
    from tune_ode.runs.folder import RunFolder
    from tune_ode.tuning import launch
    from tune_ode.tuning.options import SearchOptions
    from tune_ode.tuning.plan import plan_search

    file = tmp_path / "mine.yaml"
    file.write_text("model.width: 8 .. 64 log\nmodel.stem.padding: {0: , 1: }\nmodel.blocks: 2\n")
    options = SearchOptions(
        space="mine.yaml", restrict={"model.width": "8..32"}, start_from=["fast"]
    )
    plan = plan_search(options)
    assert plan.start_points == [{"model.stem.padding": 0}]
    RunFolder.create(plan.run_folder, launch._manifest(plan)).close()
    file.unlink()

    resumed = []
    monkeypatch.setattr(launch, "_search", lambda folder, plan, *_, **__: resumed.append(plan))
    launch.resume(plan.run_folder)
    assert resumed[0].space == plan.space
    assert resumed[0].space == Space(
        {"model.width": Int(8, 32, log=True), "model.stem.padding": Choice(0, 1)}
    ) | from_dict({"model.blocks": 2})
    assert resumed[0].start_points == plan.start_points, "untried start points remain"
