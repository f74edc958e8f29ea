"""Each reference recipe differs from its predecessor only in what its comments describe."""

import pytest

from search_spaces.recipes import recipe, recipes
from tune_ode.config.trial import dotted_paths

STEPS = {
    "mnist-dopri5": ("classic", {"data.dataset": "mnist"}),
    "mnist-adjoint-euler": (
        "mnist-dopri5",
        {"solver.method": "euler", "solver.gradient": "adjoint"},
    ),
    "mnist-adjoint-rk4": ("mnist-adjoint-euler", {"solver.method": "rk4"}),
    "mnist-adjoint-dopri5": ("mnist-dopri5", {"solver.gradient": "adjoint"}),
    # CIFAR-10 brings 3 input channels; the random crop is as for MNIST, to 32 pixels
    "cifar10-step1": ("mnist-adjoint-euler", {"data.dataset": "cifar10"}),
    "cifar10-step2": (
        "cifar10-step1",
        {
            "model.head.hidden_layers": 1,  # one more layer
            "model.stem.extra_layers": 3,  # two replace the stages, one adds a normalization
            "model.head.dropout": 0.1,
            "model.stem.stages": 0,  # stride 1
            "model.stem.padding": 1,
        },
    ),
    "cifar10-step3": (
        "cifar10-step2",
        {
            "model.ode.convolutions": 3,
            "optimizer.name": "adam",
            "optimizer.learning_rate": 0.001,
            "training.epochs": 200,
        },
    ),
    "cifar10-step4": (
        "cifar10-step3",
        {
            "optimizer.name": "sgd",
            "optimizer.learning_rate": 0.1,
            "data.augmentation.rotation": 15,
            "data.augmentation.flip": True,
            "data.augmentation.brightness": 0.1,  # these four: colour jitter
            "data.augmentation.contrast": 0.1,
            "data.augmentation.saturation": 0.1,
            "data.augmentation.hue": 0.05,
            "training.epochs": 300,  # 200, then 100 more
            "schedule.milestones": [0.25, 0.4167, 0.5833],  # those of the first 200 epochs
        },
    ),
    "cifar10-step5": (
        "cifar10-step4",
        {
            "solver.method": "dopri5",
            "model.stem.kind": "res",  # these four: the classic residual stem
            "model.stem.stages": None,
            "model.stem.padding": 0,
            "model.stem.extra_layers": 0,
            "model.head.hidden_layers": 0,
            "data.mean": [0.4824, 0.4713, 0.4357],
            "data.std": [0.1862, 0.1703, 0.1875],
            "data.augmentation.rotation": 0,  # crop, flip, hue and saturation remain
            "data.augmentation.brightness": 0,
            "data.augmentation.contrast": 0,
            "data.augmentation.saturation": 0.05,
            "optimizer.weight_decay": 1e-4,
            "training.epochs": 100,
            "schedule.milestones": [0.375, 0.625, 0.875],
        },
    ),
    "svhn-step5": (
        "cifar10-step5",
        {
            "data.dataset": "svhn",
            "data.mean": None,
            "data.std": None,
            "data.augmentation.flip": False,
        },
    ),
    "tiny-imagenet-step5": (
        "cifar10-step5",
        {"data.dataset": "tiny-imagenet", "data.mean": None, "data.std": None},
    ),
}
"""Name → the preceding recipe, and the fields of both that differ."""


@pytest.mark.parametrize("name", STEPS)
def test_a_step_changes_only_the_documented_fields(name):
    before, expected = STEPS[name]
    old, new = (dotted_paths(recipe(one).to_dict()) for one in (before, name))
    shared = old.keys() & new.keys()
    changed = {path: new[path] for path in shared if old[path] != new[path]}
    print(f"{before} → {name}:", *sorted(changed.items()), sep="\n  ")
    assert changed == expected
    # the fields of another solver or optimizer have their defaults
    assert recipe(before).with_values({p: new[p] for p in shared} | expected) == recipe(name)


def test_the_last_step_jitters_only_hue_and_saturation():
    augmentation = recipe("cifar10-step5").data.augmentation.to_dict()
    assert {name: strength for name, strength in augmentation.items() if strength} == {
        "crop": 4,
        "flip": True,
        "saturation": 0.05,
        "hue": 0.05,
    }


def test_the_longest_training_has_the_milestones_of_200_epochs():
    config = recipe("cifar10-step4")
    of_200 = [200 * share for share in recipe("cifar10-step3").schedule.milestones]
    assert [300 * share for share in config.schedule.milestones] == pytest.approx(of_200, abs=0.02)


def test_the_name_of_a_recipe_starts_with_its_data_set():
    for name in recipes():
        dataset = recipe(name).data.dataset
        assert name.startswith(f"{dataset}-") == (dataset != "digits")
