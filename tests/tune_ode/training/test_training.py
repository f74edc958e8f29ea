"""The training loop: what it reports, when, on which clock, and how it ends."""

import dataclasses
import math
import os
import socket
import time

import pytest
import torch
from torch.nn import functional

from tune_ode.errors import ConfigurationError, SolveFailed
from tune_ode.training import Diverged, TrialContext, evaluate, load_model, train, training_loop

CPU = torch.device("cpu")


@pytest.fixture
def context(clock) -> TrialContext:
    return TrialContext(trial_id="0042", attempt=3, concurrent_trials=2, now=clock)


def test_a_line_an_epoch_with_the_seconds_of_its_batches(small_config, data, context):
    """A batch takes 1 s, an evaluation 10 s, the warm-up 100 s, the consumer 1000 s."""
    lines = []
    for line in training_loop(small_config(), data, device=CPU, context=context):
        lines.append(line)
        context.now.advance(1000)
    assert [line.epoch for line in lines] == [1, 2, 3]
    assert [line.train_seconds for line in lines] == [5, 10, 15]
    assert [line.epoch_seconds for line in lines] == [5, 5, 5]
    assert [line.eval_seconds for line in lines] == [10, 20, 30]
    assert [line.warmup_seconds for line in lines] == [100, 100, 100]
    assert [line.wall_seconds for line in lines] == [115, 1130, 2145]
    assert [line.samples_per_second for line in lines] == [12, 12, 12]


def test_the_test_set_is_scored_where_it_is_given_and_off_the_clock(small_config, data, context):
    """Nothing else differs: a training learns nothing from what it is scored on."""
    alone = list(training_loop(small_config(), data, device=CPU, context=context))
    assert {(line.test_loss, line.test_accuracy) for line in alone} == {(None, None)}
    scored = dataclasses.replace(data, test=data.validation)
    lines = list(training_loop(small_config(), scored, device=CPU, context=context))
    for line, before in zip(lines, alone, strict=True):
        assert (line.test_loss, line.test_accuracy) == (line.val_loss, line.val_accuracy)
        assert (line.train_seconds, line.train_loss) == (before.train_seconds, before.train_loss)
        assert (line.nfe_forward, line.val_loss) == (before.nfe_forward, before.val_loss)
    assert [line.eval_seconds for line in lines] == [20, 40, 60]


def test_a_line_tells_where_it_was_measured(small_config, data, context):
    asked = iter([2, 5, 1])
    context = dataclasses.replace(context, concurrent_trials=lambda: next(asked))
    before, cpu = time.time(), time.process_time()
    lines = list(training_loop(small_config(), data, device=CPU, context=context))
    assert [line.concurrent_trials for line in lines] == [2, 5, 1]
    last = lines[-1]
    assert (last.trial_id, last.attempt) == ("0042", 3)
    assert (last.device, last.node) == ("cpu", socket.gethostname())
    assert last.peak_memory_bytes is None
    assert before <= lines[0].timestamp <= last.timestamp <= time.time()
    assert 0 < lines[0].train_cpu_seconds < last.train_cpu_seconds < last.cpu_seconds
    assert 0 < lines[0].cpu_seconds < last.cpu_seconds <= time.process_time() - cpu


def test_losses_and_accuracies_are_recomputed_by_hand(small_config, data, tmp_path):
    """One epoch at a rate of next to nothing: every batch sees the initial weights."""
    config = small_config(
        training__epochs=1,
        training__label_smoothing=0.2,
        optimizer__learning_rate=1e-30,
        model__head__dropout=0.0,
    )
    line = train(config, data, device=CPU, checkpoints=tmp_path).last
    model = load_model(tmp_path / "last.pt", CPU).model
    losses, hits = [], 0
    for images, labels in data.train.epoch(0):
        logits = model(images).detach()
        losses.append(functional.cross_entropy(logits, labels, label_smoothing=0.2).item())
        hits += (logits.argmax(1) == labels).sum().item()
    assert line.train_loss == pytest.approx(sum(losses) / 5, rel=1e-6)
    assert line.train_accuracy == hits / 60
    assert (line.val_loss, line.val_accuracy) == evaluate(model, data.validation)


@pytest.mark.parametrize(("method", "evaluations"), [("euler", 2), ("midpoint", 4), ("rk4", 8)])
def test_function_evaluations_are_those_of_training_batches(
    small_config, data, context, method: str, evaluations: int
):
    """Warm-up and evaluations don't count; inside an epoch the mean is over its batches so far."""
    config = small_config(solver__method=method, solver__steps=2, training__epochs=2)
    for line in training_loop(config, data, device=CPU, context=context, report_instants=[3, 7]):
        assert line.nfe_forward == evaluations, line.epoch
        assert line.nfe_backward == 0
        assert line.vjp_backward == evaluations
        assert line.solver_steps == 2
        assert line.rejected_steps == 0


def test_the_adjoint_evaluates_anew(small_config, data):
    config = small_config(solver__gradient="adjoint", solver__steps=2, training__epochs=1)
    line = train(config, data, device=CPU).last
    assert line.nfe_backward >= 2


def test_the_learning_rate_is_the_last_batchs(small_config, data):
    """Cosine over 15 batches; the epoch's last batches come after 4, 9 and 14."""
    lines = train(small_config(optimizer__learning_rate=0.2), data, device=CPU).lines
    expected = [0.1 * (1 + math.cos(math.pi * done / 15)) for done in (4, 9, 14)]
    assert [line.learning_rate for line in lines] == pytest.approx(expected)


def test_plateau_sees_each_epochs_training_loss(small_config, data, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "tune_ode.training.schedules.PlateauSchedule.end_epoch",
        lambda self, loss: seen.append(loss),
    )
    lines = train(small_config(schedule__name="plateau"), data, device=CPU).lines
    assert seen == [line.train_loss for line in lines]


def test_clipping_bounds_the_whole_gradient(small_config, data, tmp_path):
    """Plain SGD moves the weights by the gradient times the rate: at most `gradient_clip` of it."""

    def moved(clip: float | None) -> float:
        config = small_config(
            training__epochs=1,
            training__batch_size=60,
            training__gradient_clip=clip,
            optimizer__momentum=0.0,
            optimizer__learning_rate=rate,
        )
        one_batch = dataclasses.replace(data, train=dataclasses.replace(data.train, batch_size=60))
        models = []
        for rate_now in (1e-30, rate):
            step = config.with_values({"optimizer.learning_rate": rate_now})
            train(step, one_batch, device=CPU, checkpoints=tmp_path)
            models.append(load_model(tmp_path / "last.pt", CPU).model.state_dict())
        squares = [(models[1][n] - models[0][n]).square().sum() for n in models[0]]
        return math.sqrt(sum(squares)) / rate

    rate = 0.01
    free = moved(None)
    assert moved(free / 4) == pytest.approx(free / 4, rel=1e-2)
    assert moved(free * 4) == pytest.approx(free, rel=1e-4)


def test_equal_seeds_give_equal_bits_and_others_do_not(small_config, data, tmp_path):
    runs = []
    for seed, name in ((1, "a"), (1, "b"), (2, "c")):
        torch.rand(seed + len(runs))  # the process has drawn before
        result = train(small_config(seed=seed), data, device=CPU, checkpoints=tmp_path / name)
        weights = load_model(tmp_path / name / "last.pt", CPU).model.state_dict()
        runs.append(([line.train_loss for line in result.lines], weights))
    assert runs[0][0] == runs[1][0] != runs[2][0]
    assert all(torch.equal(runs[0][1][n], runs[1][1][n]) for n in runs[0][1])


def test_a_consumer_that_draws_and_trains_between_reports_changes_nothing(small_config, data):
    """A suspended training and its process do not see each other's random numbers."""
    expected = [line.train_loss for line in training_loop(small_config(), data, device=CPU)]
    torch.manual_seed(11)
    undisturbed = torch.rand(6)
    torch.manual_seed(11)
    drawn, losses = [], []
    for line in training_loop(small_config(), data, device=CPU):
        drawn.append(torch.rand(2))
        state = torch.get_rng_state()
        next(training_loop(small_config(seed=5), data, device=CPU))
        torch.set_rng_state(state)
        losses.append(line.train_loss)
    assert losses == expected
    assert torch.equal(torch.cat(drawn), undisturbed)


def test_instants_inside_an_epoch_are_reported_once_each(small_config, data, context):
    """2 falls inside the first epoch, 5 at its end, 5.5 and 5.7 into one batch, 99 never."""
    lines = list(
        training_loop(
            small_config(training__epochs=2),
            data,
            device=CPU,
            context=context,
            report_instants=[5.7, 2, 5, 5.5, 99],
        )
    )
    assert [line.epoch for line in lines] == pytest.approx([0.4, 1, 1.2, 2])
    assert [line.train_seconds for line in lines] == [2, 5, 6, 10]
    assert [line.epoch_seconds for line in lines] == [2, 5, 1, 5]


def test_reports_inside_epochs_do_not_change_the_training(small_config, data, context, results):
    plain = list(training_loop(small_config(), data, device=CPU, context=context))
    often = list(
        training_loop(
            small_config(), data, device=CPU, context=context, report_instants=range(1, 15)
        )
    )
    assert len(often) == 15
    at_ends = [line for line in often if line.epoch == int(line.epoch)]
    assert list(map(results, at_ends)) == list(map(results, plain))


@pytest.mark.parametrize(
    ("budget", "epochs", "seconds"), [(7, [1, 1.4], 7), (6.5, [1, 1.4], 7), (5, [1], 5)]
)
def test_a_budget_ends_the_training_with_a_report(
    small_config, data, context, budget: float, epochs: list[float], seconds: float
):
    lines = list(
        training_loop(small_config(), data, device=CPU, context=context, budget_seconds=budget)
    )
    assert [line.epoch for line in lines] == pytest.approx(epochs)
    assert lines[-1].train_seconds == seconds


def test_a_budget_that_is_no_time_is_refused(small_config, data):
    for budget in (0, -1, math.nan):
        with pytest.raises(ConfigurationError, match="positive"):
            train(small_config(), data, device=CPU, budget_seconds=budget)


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_a_huge_learning_rate_diverges_with_the_remedy(small_config, data, name: str, tmp_path):
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
        train(config, data, device=CPU, checkpoints=tmp_path)
    message = str(error.value)
    assert "\n" not in message
    for part in ("epoch", "learning rate 100", "lower optimizer.learning_rate"):
        assert part in message


def test_a_diverged_trial_ends_at_the_batch_that_shows_it(small_config, data, context):
    """Not at the epoch's end: warm-up 100 s, an epoch 5 s, an evaluation 10 s, then 3 batches."""

    class BreaksInItsSecondEpoch(type(data.train)):
        def epoch(self, number, first_batch=0):
            for batch, (images, labels) in enumerate(super().epoch(number, first_batch)):
                yield images * (torch.nan if (number, batch) == (1, 2) else 1), labels

    train_batches = BreaksInItsSecondEpoch(data.train.images, data.train.labels, data.train.clock)
    bad = dataclasses.replace(data, train=train_batches)
    with pytest.raises(Diverged, match=r"training loss is not finite.*epoch 1\.6,"):
        list(training_loop(small_config(), bad, device=CPU, context=context))
    assert context.now() == 118


def test_a_validation_loss_that_is_not_finite_diverges(small_config, fail_validation):
    with pytest.raises(Diverged, match="validation loss is not finite.*epoch 1,"):
        train(small_config(), fail_validation, device=CPU)


def test_a_failed_solve_diverges_with_its_own_remedy(small_config, data, monkeypatch):
    def fail(*_):
        raise SolveFailed("step size underflow; loosen solver.rtol")

    monkeypatch.setattr("tune_ode.training.trial.evaluate", fail)
    with pytest.raises(Diverged, match=r"loosen solver.rtol \(epoch 1, learning rate") as error:
        train(small_config(), data, device=CPU)
    assert isinstance(error.value.__cause__, SolveFailed)


def test_too_few_evaluations_for_a_solve_diverge(small_config, data):
    config = small_config(solver__method="dopri5", solver__max_evaluations=3)
    with pytest.raises(Diverged, match="max_evaluations"):
        train(config, data, device=CPU)


def test_running_out_of_memory_passes_through(small_config, data, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr("tune_ode.training.trial.evaluate", fail)
    with pytest.raises(torch.OutOfMemoryError):
        train(small_config(), data, device=CPU)


def test_a_closed_generator_leaves_the_last_report_and_no_rubbish(
    small_config, data, context, tmp_path
):
    random = torch.get_rng_state()
    run = training_loop(
        small_config(), data, device=CPU, context=context, checkpoints=tmp_path, report_instants=[2]
    )
    line = next(run)
    assert line.epoch == 0.4
    run.close()
    assert sorted(os.listdir(tmp_path)) == ["best.pt", "last.pt"]
    assert torch.equal(torch.get_rng_state(), random)


def test_checkpoints_are_written_before_the_line_they_belong_to(small_config, data, tmp_path):
    for line in training_loop(small_config(), data, device=CPU, checkpoints=tmp_path):
        resumed = training_loop(small_config(), data, device=CPU, resume_from=tmp_path / "last.pt")
        assert next(resumed) == line


def test_the_result_holds_all_lines_and_finds_the_best(small_config, data, monkeypatch):
    accuracies = iter([0.5, 0.75, 0.75])
    monkeypatch.setattr("tune_ode.training.trial.evaluate", lambda *_: (1.0, next(accuracies)))
    told = []
    result = train(small_config(), data, device=CPU, report=told.append)
    assert list(result.lines) == told
    assert result.last.epoch == 3
    assert result.best.epoch == 2


def test_every_batch_is_told_with_the_epochs_trained(small_config, data):
    config = small_config()
    told: list[float] = []
    train(config, data, device=CPU, on_batch=told.append)
    batches = len(data.train)
    expected = [n / batches for n in range(1, config.training.epochs * batches + 1)]
    assert told == pytest.approx(expected)
