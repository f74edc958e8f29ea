"""Cost-aware TPE: the cost model fits known costs, and cheap trials come first."""

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from tune_ode.tuning.study.cost_aware_tpe import COST, CostAwareTPESampler, CostModel
from tune_ode.tuning.study.samplers import SAMPLERS, SamplerSource

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SPACE = {
    "model.width": IntDistribution(16, 128),
    "training.epochs": IntDistribution(1, 64, log=True),
    "solver.method": CategoricalDistribution(["euler", "rk4"]),
    "optimizer.learning_rate": FloatDistribution(1e-3, 1.0, log=True),
}


def seconds(params):
    """Quadratic in the width, linear in epochs, and four times as much for rk4."""
    method = 4.0 if params["solver.method"] == "rk4" else 1.0
    return 1e-3 * params["model.width"] ** 2 * params["training.epochs"] * method


@pytest.fixture
def trials():
    random = np.random.default_rng(0)
    trials = []
    for _ in range(200):
        params = {
            "model.width": int(random.integers(16, 129)),
            "training.epochs": int(np.exp(random.uniform(0, np.log(64)))),
            "solver.method": str(random.choice(["euler", "rk4"])),
            "optimizer.learning_rate": float(np.exp(random.uniform(np.log(1e-3), 0))),
        }
        trials.append(
            create_trial(
                params=params, distributions=SPACE, value=0.5,
                user_attrs={COST: seconds(params)},
            )
        )  # fmt: skip
    return trials


def contribution(model, name, *values):
    return model.log_seconds(name, np.array(values, dtype=float), SPACE[name])


def test_a_log_linear_cost_is_fitted(trials):
    model = CostModel(trials)
    widest, narrowest = contribution(model, "model.width", 128, 16)
    assert widest - narrowest == pytest.approx(2 * math.log(8), rel=0.03)
    many, few = contribution(model, "training.epochs", 64, 1)
    assert many - few == pytest.approx(math.log(64), rel=0.03)
    euler, rk4 = contribution(model, "solver.method", 0, 1)
    assert rk4 - euler == pytest.approx(math.log(4), rel=0.05)
    assert contribution(model, "optimizer.learning_rate", 1e-3, 1.0).tolist() == [0.0, 0.0]


def test_a_parameter_of_one_branch_has_a_cost_there(trials):
    steps = IntDistribution(1, 8, log=True)
    branched = []
    for trial in trials:
        number = 1 + len(branched) % 8
        is_euler = trial.params["solver.method"] == "euler"
        cost = trial.user_attrs[COST] * (number if is_euler else 1)
        branched.append(
            create_trial(
                params=trial.params | ({"solver.steps@euler": number} if is_euler else {}),
                distributions=SPACE | ({"solver.steps@euler": steps} if is_euler else {}),
                value=0.5,
                user_attrs={COST: cost},
            )
        )
    model = CostModel(branched)
    most, one = model.log_seconds("solver.steps@euler", np.array([8.0, 1.0]), steps)
    assert most - one == pytest.approx(math.log(8), rel=0.1)


def test_no_cost_is_predicted_from_few_trials_or_unknown_costs(trials):
    assert contribution(CostModel(trials[:4]), "model.width", 16, 128).tolist() == [0.0, 0.0]
    bare = [create_trial(params=t.params, distributions=SPACE, value=0.5) for t in trials]
    assert contribution(CostModel(bare), "model.width", 16, 128).tolist() == [0.0, 0.0]


def test_cheap_trials_come_first_and_cost_does_not_matter_at_the_end(trials):
    """The values are random, so only the cost can affect the proposals."""
    random = np.random.default_rng(1)
    study = optuna.create_study(direction="maximize")
    for trial in trials[:60]:
        study.add_trial(
            create_trial(
                params=trial.params, distributions=SPACE, value=float(random.uniform()),
                user_attrs=trial.user_attrs,
            )
        )  # fmt: skip

    def median_cost(spent):
        proposed = []
        for number in range(40):
            study.sampler = SamplerSource("tpe-cost", 0).sampler(100 + number, spent)
            assert isinstance(study.sampler, CostAwareTPESampler)
            trial = study.ask(SPACE)
            proposed.append(math.log(seconds(trial.params)))
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return np.median(proposed)

    first, last = median_cost(0.0), median_cost(1.0)
    assert first < last - 1.0, (first, last)


def test_it_equals_tpe_if_no_cost_is_known(trials):
    proposed = []
    for name in ("tpe", "tpe-cost"):
        study = optuna.create_study(direction="maximize", sampler=SAMPLERS[name](3))
        for number, trial in enumerate(trials[:30]):
            study.add_trial(
                create_trial(params=trial.params, distributions=SPACE, value=math.sin(number))
            )
        proposed.append(study.ask(SPACE).params)
    assert proposed[0] == proposed[1]
