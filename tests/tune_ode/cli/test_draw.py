"""`draw`: diagrams of a configuration and of a trained model."""

import pytest

from tune_ode.cli.main import run


@pytest.fixture
def draw(tmp_path, capsys, monkeypatch):
    """Return a function that runs `draw`, and returns its status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def draw(*arguments):
        capsys.readouterr()
        return run(["draw", *arguments]), *capsys.readouterr()

    return draw


def test_draw_a_configuration_and_a_trained_model(draw, tmp_path):
    assert draw() == (0, "drawn     pictures/architecture.png\n", "")
    small = ["--train-images", "200", "--fix", "training.epochs=1", "--fix", "model.width=8"]
    assert run(["train", "fast", "--name", "run", "--cpus-per-trial", "1", *small]) == 0
    status, out, err = draw("runs/run:1", "--output", "trained")
    assert (status, err) == (0, "")
    assert out == "drawn     trained/architecture.png\ndrawn     trained/path.png\n"
    for file in (tmp_path / "trained").iterdir():
        assert file.read_bytes().startswith(b"\x89PNG")
    assert "leave out --dataset" in draw("runs/run:1", "--dataset", "mnist")[2]


def test_invalid_arguments_are_rejected(draw, tmp_path):
    status, _, err = draw("clasic")
    assert status == 2
    assert "'clasic' is neither a recipe" in err
    (tmp_path / "file").touch()
    status, _, err = draw("--output", "file/pictures")
    assert status == 2
    assert "cannot write to file/pictures: Not a directory; choose another --output" in err
    (tmp_path / "deep.yaml").write_text("model: {stem: {stages: 4}}")
    status, _, err = draw("deep.yaml")
    assert status == 2
    assert "use fewer model.stem.stages" in err
    assert not (tmp_path / "pictures").exists()
