"""The training loop: reports, instants, clocks, and how it ends."""

import dataclasses
import math
import os
import socket
import time

import pytest
import torch
from torch.nn import functional

from tune_ode.errors import ConfigurationError, SolveFailed
from tune_ode.training import Diverged, TrialContext, evaluate, load_model

CPU = torch.device("cpu")


def test_each_epoch_is_reported_with_the_seconds_of_its_batches(small_config, train, clock):
    """A batch takes 1 s, an evaluation 10 s, the warm-up 100 s, the consumer 1000 s."""
    reports = []
    for report in train(small_config()):
        reports.append(report)
        clock.advance(1000)
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert [report.train_seconds for report in reports] == [5, 10, 15]
    assert [report.epoch_seconds for report in reports] == [5, 5, 5]
    assert [report.eval_seconds for report in reports] == [10, 20, 30]
    assert [report.warmup_seconds for report in reports] == [100, 100, 100]
    assert [report.wall_seconds for report in reports] == [115, 1130, 2145]
    assert [report.samples_per_second for report in reports] == [12, 12, 12]


def test_a_given_test_set_is_evaluated_outside_the_training_time(small_config, data, train):
    """Everything else is the same: the test set does not influence the training."""
    without = list(train(small_config()))
    assert {(report.test_loss, report.test_accuracy) for report in without} == {(None, None)}
    with_test = dataclasses.replace(data, test=data.validation)
    reports = list(train(small_config(), data=with_test))
    for report, before in zip(reports, without, strict=True):
        assert (report.test_loss, report.test_accuracy) == (report.val_loss, report.val_accuracy)
        assert (report.train_seconds, report.train_loss) == (
            before.train_seconds,
            before.train_loss,
        )
        assert (report.nfe_forward, report.val_loss) == (before.nfe_forward, before.val_loss)
    assert [report.eval_seconds for report in reports] == [20, 40, 60]


def test_weights_of_classes_apply_to_the_training_loss_only(small_config, data, train):
    def measured(weights):
        (report,) = train(
            small_config(**{"training.epochs": 1}),
            data=dataclasses.replace(data, class_weights=weights),
        )
        return report.train_loss, report.val_loss

    plain = measured(None)
    assert measured(torch.tensor([2.0, 2.0, 2.0])) == pytest.approx(plain, rel=1e-5)
    without_first = measured(torch.tensor([0.0, 1.0, 1.0]))
    assert without_first[0] < plain[0]
    assert without_first[1] > plain[1], "class 0 counts as before"


def test_a_report_contains_the_environment(small_config, train, clock):
    concurrent = iter([2, 5, 1])
    context = TrialContext("0042", 3, lambda: next(concurrent), now=clock)
    before, cpu = time.time(), time.process_time()
    reports = list(train(small_config(), context=context))
    assert [report.concurrent_trials for report in reports] == [2, 5, 1]
    last = reports[-1]
    assert (last.trial_id, last.attempt) == ("0042", 3)
    assert (last.device, last.node) == ("cpu", socket.gethostname())
    assert last.peak_memory_bytes is None
    assert before <= reports[0].timestamp <= last.timestamp <= time.time()
    assert 0 < reports[0].train_cpu_seconds < last.train_cpu_seconds < last.cpu_seconds
    assert 0 < reports[0].cpu_seconds < last.cpu_seconds <= time.process_time() - cpu


def test_losses_and_accuracies_match_a_manual_computation(small_config, data, train, tmp_path):
    """With a tiny learning rate every batch of the epoch sees the initial weights."""
    config = small_config(
        training__epochs=1,
        training__label_smoothing=0.2,
        optimizer__learning_rate=1e-30,
        model__head__dropout=0.0,
    )
    (report,) = train(config, checkpoints=tmp_path)
    model = load_model(tmp_path / "last.pt", CPU).model
    batch_losses, correct = [], 0
    for images, labels in data.train.epoch(0):
        logits = model(images).detach()
        batch_losses.append(functional.cross_entropy(logits, labels, label_smoothing=0.2).item())
        correct += (logits.argmax(1) == labels).sum().item()
    assert report.train_loss == pytest.approx(sum(batch_losses) / 5, rel=1e-6)
    assert report.train_accuracy == correct / 60
    assert (report.val_loss, report.val_accuracy) == evaluate(model, data.validation)


@pytest.mark.parametrize(("method", "evaluations"), [("euler", 2), ("midpoint", 4), ("rk4", 8)])
def test_function_evaluations_count_training_batches_only(
    small_config, train, method: str, evaluations: int
):
    """Inside an epoch the mean is over its batches so far."""
    config = small_config(solver__method=method, solver__steps=2, training__epochs=2)
    for report in train(config, report_instants=[3, 7]):
        assert report.nfe_forward == evaluations, report.epoch
        assert report.nfe_backward == 0
        assert report.vjp_backward == evaluations
        assert report.solver_steps == 2
        assert report.rejected_steps == 0


def test_the_adjoint_counts_backward_evaluations(small_config, train):
    config = small_config(solver__gradient="adjoint", solver__steps=2, training__epochs=1)
    (report,) = train(config)
    assert report.nfe_backward >= 2


def test_the_reported_learning_rate_is_that_of_the_last_batch(small_config, train):
    """Cosine over 15 batches; the last batches of the epochs are 4, 9 and 14."""
    reports = list(train(small_config(optimizer__learning_rate=0.2)))
    expected = [0.1 * (1 + math.cos(math.pi * done / 15)) for done in (4, 9, 14)]
    assert [report.learning_rate for report in reports] == pytest.approx(expected)


def test_plateau_uses_the_training_loss_of_each_epoch(small_config, train, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "tune_ode.training.optimization.schedules.PlateauSchedule.end_epoch",
        lambda self, loss: seen.append(loss),
    )
    reports = list(train(small_config(schedule__name="plateau")))
    assert seen == [report.train_loss for report in reports[:-1]], "the last one changes nothing"


def test_clipping_bounds_the_norm_of_the_gradient(small_config, data, train, tmp_path):
    """Plain SGD changes the weights by the rate times the gradient."""

    def gradient_norm(clip: float | None) -> float:
        config = small_config(
            training__epochs=1,
            training__batch_size=60,
            training__gradient_clip=clip,
            optimizer__momentum=0.0,
            optimizer__learning_rate=rate,
        )
        one_batch = dataclasses.replace(data, train=dataclasses.replace(data.train, batch_size=60))
        models = []
        for step_rate in (1e-30, rate):
            step = config.with_values({"optimizer.learning_rate": step_rate})
            list(train(step, data=one_batch, checkpoints=tmp_path))
            models.append(load_model(tmp_path / "last.pt", CPU).model.state_dict())
        squares = [(models[1][n] - models[0][n]).square().sum() for n in models[0]]
        return math.sqrt(sum(squares)) / rate

    rate = 0.01
    unclipped = gradient_norm(None)
    assert gradient_norm(unclipped / 4) == pytest.approx(unclipped / 4, rel=1e-2)
    assert gradient_norm(unclipped * 4) == pytest.approx(unclipped, rel=1e-4)


def test_equal_seeds_give_identical_trainings_and_other_seeds_do_not(small_config, train, tmp_path):
    runs = []
    for seed, name in ((1, "a"), (1, "b"), (2, "c")):
        torch.rand(seed + len(runs))  # other draws in the process
        config, checkpoints = small_config(seed=seed), tmp_path / name
        reports = list(train(config, checkpoints=checkpoints))
        weights = load_model(checkpoints / "last.pt", CPU).model.state_dict()
        runs.append(([report.train_loss for report in reports], weights))
    assert runs[0][0] == runs[1][0] != runs[2][0]
    assert all(torch.equal(runs[0][1][n], runs[1][1][n]) for n in runs[0][1])


def test_a_caller_that_draws_and_trains_between_reports_has_no_effect(small_config, train):
    """A suspended training and its process do not share random numbers."""
    expected = [report.train_loss for report in train(small_config())]
    torch.manual_seed(11)
    undisturbed = torch.rand(6)
    torch.manual_seed(11)
    drawn, train_losses = [], []
    for report in train(small_config()):
        drawn.append(torch.rand(2))
        state = torch.get_rng_state()
        next(train(small_config(seed=5)))
        torch.set_rng_state(state)
        train_losses.append(report.train_loss)
    assert train_losses == expected
    assert torch.equal(torch.cat(drawn), undisturbed)


def test_instants_replace_the_ends_of_epochs_and_are_reported_once_each(small_config, train):
    """2 is inside the first epoch, 5 at its end, 5.5 and 5.7 in one batch, 99 after the end."""
    config = small_config(training__epochs=3)
    reports = list(train(config, report_instants=[5.7, 2, 5, 5.5, 99]))
    assert [report.epoch for report in reports] == pytest.approx([0.4, 1, 1.2, 3])
    assert [report.batches for report in reports] == [2, 5, 6, 15]
    assert [report.train_seconds for report in reports] == [2, 5, 6, 15]
    assert [report.epoch_seconds for report in reports] == [2, 5, 1, 5]


def test_reports_inside_epochs_do_not_change_the_training(small_config, train, results):
    plain = list(train(small_config()))
    frequent = list(train(small_config(), report_instants=range(1, 15)))
    assert len(frequent) == 15
    at_ends = [report for report in frequent if report.epoch == int(report.epoch)]
    assert list(map(results, at_ends)) == list(map(results, plain))


@pytest.mark.parametrize(
    ("budget", "epochs", "seconds"), [(7, [1, 1.4], 7), (6.5, [1, 1.2], 6), (5, [1], 5)]
)
def test_a_budget_ends_the_training_with_a_report(
    small_config, train, budget: float, epochs: list[float], seconds: float
):
    reports = list(train(small_config(), budget_seconds=budget))
    assert [report.epoch for report in reports] == pytest.approx(epochs)
    assert reports[-1].train_seconds == seconds


def test_a_budget_that_is_not_positive_is_rejected(small_config, train):
    for budget in (0, -1, math.nan):
        with pytest.raises(ConfigurationError, match="positive"):
            list(train(small_config(), budget_seconds=budget))


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_a_huge_learning_rate_diverges_with_the_remedy(small_config, train, name: str, tmp_path):
    config = small_config(
        optimizer__name=name,
        optimizer__learning_rate=100,
        model__normalization="none",
        model__ode__normalization="none",
        model__ode__convolutions=4,
        solver__steps=20,
        schedule__name="constant",
    )
    with pytest.raises(Diverged) as error:
        list(train(config, checkpoints=tmp_path))
    message = str(error.value)
    assert "\n" not in message
    for part in ("epoch", "learning rate 100", "lower optimizer.learning_rate"):
        assert part in message


def test_a_diverged_trial_ends_at_the_batch_with_the_nan(small_config, data, train, clock):
    """After a warm-up of 100 s, an epoch of 5 s, an evaluation of 10 s and 3 batches."""

    class BreaksInItsSecondEpoch(type(data.train)):
        def epoch(self, number, first_batch=0):
            for batch, (images, labels) in enumerate(super().epoch(number, first_batch)):
                yield images * (torch.nan if (number, batch) == (1, 2) else 1), labels

    train_batches = BreaksInItsSecondEpoch(data.train.images, data.train.labels, data.train.clock)
    bad = dataclasses.replace(data, train=train_batches)
    with pytest.raises(Diverged, match=r"training loss is not finite.*epoch 1\.6,"):
        list(train(small_config(), data=bad))
    assert clock.seconds == 118


def test_a_non_finite_validation_loss_diverges(small_config, data, train):
    data.validation.stored.fill_(torch.nan)
    with pytest.raises(Diverged, match="validation loss is not finite.*epoch 1,"):
        list(train(small_config()))


def test_a_failed_solve_diverges_with_its_remedy(small_config, train, monkeypatch):
    def fail(*_):
        raise SolveFailed("step size underflow; loosen solver.rtol")

    monkeypatch.setattr("tune_ode.training.trial.evaluate", fail)
    with pytest.raises(Diverged, match=r"loosen solver.rtol \(epoch 1, learning rate") as error:
        list(train(small_config()))
    assert isinstance(error.value.__cause__, SolveFailed)


def test_too_few_evaluations_for_a_solve_diverge(small_config, train):
    config = small_config(solver__method="dopri5", solver__max_evaluations=3)
    with pytest.raises(Diverged, match="max_evaluations"):
        list(train(config))


def test_out_of_memory_errors_are_not_converted(small_config, train, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr("tune_ode.training.trial.evaluate", fail)
    with pytest.raises(torch.OutOfMemoryError):
        list(train(small_config()))


def test_a_closed_generator_leaves_only_its_checkpoints(small_config, train, tmp_path):
    random = torch.get_rng_state()
    run = train(small_config(), checkpoints=tmp_path, report_instants=[2])
    report = next(run)
    assert report.epoch == 0.4
    run.close()
    assert sorted(os.listdir(tmp_path)) == ["best.pt", "last.pt"]
    assert torch.equal(torch.get_rng_state(), random)


def test_checkpoints_are_written_before_their_report_is_yielded(small_config, train, tmp_path):
    for report in train(small_config(), checkpoints=tmp_path):
        resumed = train(small_config(), resume_from=tmp_path / "last.pt")
        assert next(resumed) == report


def test_on_batch_receives_the_epochs_trained(small_config, data, train):
    config = small_config()
    epochs: list[float] = []
    list(train(config, on_batch=epochs.append))
    batches = len(data.train)
    expected = [n / batches for n in range(1, config.training.epochs * batches + 1)]
    assert epochs == pytest.approx(expected)
