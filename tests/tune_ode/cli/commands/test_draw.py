"""`draw`: diagrams of a configuration and of a trained model."""


def test_draw_a_configuration_and_a_trained_model(tune_ode, tmp_path):
    assert tune_ode("draw") == (0, "drawn     pictures/architecture.png\n", "")
    small = ["--train-images", "200", "--fix", "training.epochs=1", "--fix", "model.width=8"]
    assert tune_ode("train", "fast", "--name", "run", "--cpus-per-trial", "1", *small)[0] == 0
    status, out, err = tune_ode("draw", "runs/run:1", "--output", "trained")
    assert (status, err) == (0, "")
    assert out == "drawn     trained/architecture.png\ndrawn     trained/path.png\n"
    for file in (tmp_path / "trained").iterdir():
        assert file.read_bytes().startswith(b"\x89PNG")
    error = tune_ode("draw", "runs/run:1", "--dataset", "mnist")[2]
    assert "--dataset must be the data set of the run, digits, found mnist" in error


def test_invalid_arguments_are_rejected(usage_error, tmp_path):
    assert "'clasic' is neither a recipe" in usage_error("draw", "clasic")
    (tmp_path / "file").touch()
    message = "cannot write to file/pictures: Not a directory; choose another --output"
    assert message in usage_error("draw", "--output", "file/pictures")
    (tmp_path / "deep.yaml").write_text("model: {stem: {stages: 4}}")
    assert "use fewer model.stem.stages" in usage_error("draw", "deep.yaml")
    assert not (tmp_path / "pictures").exists()
