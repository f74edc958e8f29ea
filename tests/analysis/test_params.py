"""Parameters as short text and as columns."""

from analysis.params import compact_params, headings, varied_params


def test_compact_params_are_short_and_unambiguous():
    params = {
        "solver.method": "rk4",
        "solver.steps@rk4": 2,
        "optimizer.learning_rate@sgd": 0.123456,
        "model.normalization": "batch",
        "model.ode.normalization": "group",
        "model.ode.hidden_width": 32,
        "model.head.hidden_width": 64,
        "optimizer.nesterov": False,
        "model.width": 64,
        "model.stem.width": None,
    }
    short = (
        "rk4, steps 2, lr 0.123, outer norm batch, ode norm group, ode hidden_width 32, "
        "head hidden_width 64, no nesterov, width 64, stem width default"
    )
    assert compact_params(params) == short


def test_headings_are_short_and_unique():
    names = [
        "solver.method", "optimizer.name", "schedule.name", "optimizer.learning_rate",
        "model.normalization", "model.ode.normalization", "model.width", "model.head.width",
        "model.blocks", "data.augmentation.crop", "crop",
    ]  # fmt: skip
    assert list(headings(names).values()) == [
        "solver", "optimizer", "schedule", "lr", "outer norm", "ode norm", "width",
        "head width", "blocks", "augmentation crop", "crop",
    ]  # fmt: skip
    unlike = ["a.b.x", "c.b.x"]
    assert list(headings(unlike).values()) == ["a b x", "c b x"]


def test_parameters_that_only_some_trials_have_differ():
    trials = [{"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 4}]
    assert varied_params(trials) == ["b", "c"]
    assert varied_params(trials[:1]) == ["a", "b", "c"]
    assert varied_params([]) == []
    assert varied_params([{"a": 1}, {"a": True}, {"a": 1.0}]) == ["a"], "types differ too"
