"""Spaces and recipes by name: listed, printed, written as YAML, narrowed, started from."""

import sys

import pytest
from rich.console import Console

from search_spaces import PRESETS, Choice, Int, Space, resolve_space
from search_spaces.recipes import recipe, recipes
from tune_ode.cli.main import run
from tune_ode.cli.space_tree import print_space
from tune_ode.config import TrialConfig
from tune_ode.config.yaml_files import read_yaml


@pytest.fixture
def tell(tmp_path, capsys, monkeypatch):
    """Return a function that runs a command and returns its status and what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))

    def tell(*arguments):
        status = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return tell


def test_the_list_names_every_space_with_its_size(tell):
    status, printed = tell("spaces")
    assert status == 0
    for name in PRESETS:
        assert name in printed
        assert str(len(resolve_space(name).names)) in printed


def test_a_space_written_as_yaml_is_that_space(tell, tmp_path):
    for name in PRESETS:
        status, printed = tell("spaces", name, "--yaml")
        assert status == 0
        (tmp_path / "mine.yaml").write_text(printed)
        assert resolve_space("mine.yaml") == resolve_space(name)
        assert tell("spaces", "mine.yaml") == tell("spaces", name)


def test_a_tree_on_a_terminal_holds_every_parameter():
    console = Console(force_terminal=True, record=True, width=200, color_system=None)
    with console.capture() as capture:
        print_space(resolve_space("full"), "full", console)
    printed = capture.get()
    for name in resolve_space("full").names:
        assert name in printed
    assert "midpoint | heun2" in printed


def test_a_space_in_a_module_is_found_from_the_current_folder(tell, tmp_path):
    (tmp_path / "my_spaces.py").write_text(
        "from search_spaces import Int, Space\nWIDE = Space({'model.width': Int(64, 128)})\n"
    )
    status, printed = tell("search", "--check", "--space", "my_spaces:WIDE")
    assert status == 0
    assert "1 parameter" in printed
    assert "digits-WIDE" in printed
    status, printed = tell("search", "--check", "--space", "my_spaces:WIDTH")
    assert status == 2
    assert "did you mean 'WIDE'" in printed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise SystemExit(3)", "cannot import broken: SystemExit: 3"),
        ("1 +", "cannot import broken: SyntaxError"),
        ("SPACE = 1", "valid: none"),
    ],
)
def test_a_module_that_is_none(tell, tmp_path, monkeypatch, text, said):
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    status, printed = tell("search", "--check", "--space", "broken:SPACE")
    assert status == 2
    assert said in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--space", "none.yaml"], "cannot read none.yaml: No such file"),
        (["--space", "quik"], "a file.yaml, or package.module:NAME"),
        (["--set", "model.width"], "--set takes NAME=VALUE"),
        (["--set", "model.widht=1..2"], "near: model.width"),
        (["--fix", "solver.rtol=1", "--set", "solver.method=euler|rk4"], "fix solver.method too"),
        (["--fix", "model.ode.normalization=batch"], "needs solver.gradient=backprop"),
        (["--start-from", "clasic"], "did you mean 'classic'"),
        (["--start-from", "none.yaml"], "cannot read none.yaml"),
        (["--config", "none.yaml"], "cannot read none.yaml"),
    ],
)
def test_what_is_wrong_is_said(tell, arguments, said):
    status, printed = tell("search", "--check", *arguments)
    assert status == 2
    assert said in printed
    assert printed.count("\n") == 1


def test_what_small_images_have_no_use_for_is_said(tell):
    status, printed = tell("search", "--check", "--space", "full")
    assert status == 0
    assert "model.stem.stages@padded is null | 1: the images are 8×8" in printed
    assert (
        "no data.augmentation.saturation and data.augmentation.hue: the images are grey" in printed
    )


def test_recipes_are_listed_printed_and_can_be_edited(tell, tmp_path):
    status, printed = tell("recipes")
    assert status == 0
    assert all(name in printed for name in recipes())
    _, text = tell("recipes", "classic")
    (tmp_path / "mine.yaml").write_text(text)
    assert TrialConfig.from_dict(read_yaml(tmp_path / "mine.yaml")) == recipe("classic")
    status, printed = tell("recipes", "clasic")
    assert status == 2
    assert "did you mean 'classic'" in printed


class TestConfigFile:
    """`--config FILE.yaml`."""

    def test_its_options_hold_and_the_command_line_wins(self, tell, tmp_path):
        (tmp_path / "options.yaml").write_text(
            "space: solvers\ntrials: 3\ntime-budget: 1m30s\ncheck: true\nmax_concurrent: 1\n"
            "fix: {model.width: 16, solver.method: dopri5}\n"
            "set: {solver.rtol: 1e-3 .. 1e-2}\nstart-from: [classic]\nname:\n"
        )
        status, printed = tell("search", "--config", "options.yaml")
        assert status == 0
        assert "space solvers" in printed
        assert "3 trials, 90 s in all" in printed
        status, printed = tell("search", "--config", "options.yaml", "--trials", "7")
        assert "7 trials" in printed

    def test_settings_of_the_command_line_are_added_to_those_of_the_file(
        self, tell, tmp_path, monkeypatch
    ):
        asked = []
        monkeypatch.setattr(
            "tune_ode.tuning.plan.plan", lambda question, **_: asked.append(question) or 1 / 0
        )
        (tmp_path / "options.yaml").write_text("fix: {model.width: 16, model.blocks: 2}")
        with pytest.raises(ZeroDivisionError):
            tell("search", "--config", "options.yaml", "--fix", "model.blocks=3", "--fix", "seed=1")
        assert asked[0].fix == {"model.width": 16, "model.blocks": 3, "seed": 1}

    @pytest.mark.parametrize(
        ("text", "said"),
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
            ("- trials", "options.yaml must hold"),
        ],
    )
    def test_what_is_wrong_is_said_with_the_file(self, tell, tmp_path, text, said):
        (tmp_path / "options.yaml").write_text(text)
        status, printed = tell("search", "--check", "--config", "options.yaml")
        assert status == 2
        assert said in printed
        assert printed.count("\n") == 1

    def test_training_takes_one_too(self, tell, tmp_path):
        (tmp_path / "options.yaml").write_text("trials: 3")
        status, printed = tell("train", "classic", "--config", "options.yaml")
        assert status == 2
        assert "unknown option 'trials'; valid: dataset" in printed


def test_a_space_of_ones_own_is_searched_without_its_file(tmp_path, monkeypatch):
    from tune_ode.runs.folder import RunFolder
    from tune_ode.tuning import launch
    from tune_ode.tuning.options import SearchOptions
    from tune_ode.tuning.plan import plan

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNE_ODE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "mine.yaml"
    file.write_text("model.width: 8 .. 64 log\nmodel.stem.padding: {0: , 1: }\nmodel.blocks: 2\n")
    question = SearchOptions(
        space="mine.yaml", narrow={"model.width": "8..32"}, start_from=["fast"]
    )
    chosen = plan(question)
    assert chosen.start_points == [{"model.stem.padding": 0}]
    RunFolder.create(chosen.run_folder, launch._manifest(chosen)).close()
    file.unlink()

    taken_up = []
    monkeypatch.setattr(launch, "_search", lambda folder, plan, *_, **__: taken_up.append(plan))
    launch.resume(chosen.run_folder, Console())
    assert taken_up[0].space == chosen.space
    assert taken_up[0].space & {} == Space(
        {"model.width": Int(8, 32, log=True), "model.stem.padding": Choice(0, 1)}
    ) | Space.from_dict({"model.blocks": 2})
    assert taken_up[0].start_points == chosen.start_points, "those not yet tried still are"
