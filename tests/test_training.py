"""The training loop on a linear model: order, shards, streams, early stopping, Ctrl-C, numbers gone wrong,
checkpoints."""

import functools
import math
import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from minirec import optim, training
from minirec.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from minirec.functional import RowGradient, dropout_forward
from minirec.storage import ModelFileError, save_arrays

N, D = 23, 3
DATA = np.random.default_rng(0).standard_normal((N, D))
TARGETS = DATA @ np.array([1.0, -2.0, 0.5]) + 0.25


class Linear:
    """y = x · w + b with dropout on x. It keeps what it was asked for, so that the tests can look."""

    def __init__(self, dtype: Any = np.float64, rate: float = 0.0) -> None:
        self.params = {"w": np.zeros(D, dtype), "b": np.zeros((), dtype)}
        self.rate, self.dtype = rate, dtype
        self.rows: list[list[int]] = []  # of each batch
        self.negatives: list[int] = []
        self.shards: list[tuple[int, float]] = []  # (examples, upstream) of each call
        self.calls = 0
        self.lock = threading.Lock()

    def draw(self, rows: np.ndarray, rng: np.random.Generator) -> training.Batch:
        self.rows.append(rows.tolist())
        self.negatives.append(int(rng.integers(2**40)))
        return DATA[rows].astype(self.dtype), TARGETS[rows].astype(self.dtype)

    def loss_and_grads(
        self, batch: training.Batch, upstream: float, rng: np.random.Generator
    ) -> tuple[Any, training.Grads]:
        with self.lock:
            self.calls += 1
            self.shards.append((len(batch[0]), upstream))
        x, y = batch
        x, _ = dropout_forward(x, self.rate, rng)
        e = x @ self.params["w"] + self.params["b"] - y
        de = e * (2.0 * upstream / len(e))
        return (e * e).mean(), {"w": de @ x, "b": np.asarray(de.sum())}

    def train(self, **options: Any) -> training.TrainingLog:
        settings = {"seed": 5, "epochs": 3, "batch_size": 7, "progress": False} | options
        optimizer = settings.pop("optimizer", None) or optim.SGD(0.05)
        return training.train(self.params, self.draw, self.loss_and_grads, N, optimizer, **settings)


def with_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(training, "shard_threads", functools.partial(training.shard_threads, threads))


def copies(params: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.copy() for name, array in params.items()}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


# Order, steps, schedule


def test_an_epoch_sees_each_example_once_and_epochs_differ() -> None:
    model = Linear()
    log = model.train(epochs=3)
    per_epoch = math.ceil(N / 7)
    assert log.steps == len(model.rows) == 3 * per_epoch
    assert [len(rows) for rows in model.rows[:per_epoch]] == [7, 7, 7, 2]
    epochs = [np.concatenate(model.rows[e * per_epoch : (e + 1) * per_epoch]).tolist() for e in range(3)]
    assert all(sorted(epoch) == list(range(N)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_training_finds_the_model_and_says_how_far_it_came() -> None:
    model = Linear()
    log = model.train(epochs=200, optimizer=optim.SGD(0.1))
    np.testing.assert_allclose(model.params["w"], [1.0, -2.0, 0.5], rtol=0, atol=1e-6, equal_nan=False)
    np.testing.assert_allclose(model.params["b"], 0.25, rtol=0, atol=1e-6, equal_nan=False)
    assert len(log.losses) == 200
    assert log.losses[-1] < 1e-10 < log.losses[0]
    assert log.ended == "all epochs"
    assert log.best_epoch == 0  # nobody asked for validation
    assert log.seconds > 0


def test_the_loss_of_an_epoch_is_the_mean_over_its_examples() -> None:
    model = Linear()
    log = model.train(epochs=1, optimizer=optim.SGD(0.0))  # nothing moves: the loss at zero parameters
    assert log.losses == [pytest.approx(float((TARGETS**2).mean()), rel=1e-14)]


def test_the_schedule_is_asked_at_every_step_and_its_answer_is_used() -> None:
    asked: list[tuple[int, int]] = []

    def schedule(step: int, total: int) -> float:
        asked.append((step, total))
        return 0.1 if step == 1 else 0.0

    model, once = Linear(), Linear()
    model.train(epochs=2, schedule=schedule)
    assert asked == [(step, 8) for step in range(1, 9)]
    rows = np.array(model.rows[0])
    _, grads = once.loss_and_grads((DATA[rows], TARGETS[rows]), 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(model.params["w"], -0.1 * grads["w"], rtol=1e-13, equal_nan=False)


def test_gradients_are_clipped_before_the_step() -> None:
    model = Linear()
    model.train(epochs=1, batch_size=N, optimizer=optim.SGD(1.0), clip=0.25)
    norm = math.sqrt(float(model.params["w"] @ model.params["w"] + model.params["b"] ** 2))
    assert norm == pytest.approx(0.25, rel=1e-12)


# Streams


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_order() -> None:
    first, again, other = Linear(np.float32, 0.3), Linear(np.float32, 0.3), Linear(np.float32, 0.3)
    logs = [first.train(), again.train(), other.train(seed=6)]
    assert same(first.params, again.params)
    assert logs[0].losses == logs[1].losses
    assert first.rows != other.rows
    assert first.negatives != other.negatives
    assert not same(first.params, other.params)


def test_switching_dropout_off_changes_neither_order_nor_negatives() -> None:
    dropped, plain, in_shards = Linear(rate=0.4), Linear(rate=0.0), Linear(rate=0.4)
    dropped.train()
    plain.train()
    in_shards.train(shard_size=2)
    assert dropped.rows == plain.rows == in_shards.rows
    assert dropped.negatives == plain.negatives == in_shards.negatives
    assert len(set(dropped.negatives)) == len(dropped.negatives)  # each step has a stream of its own
    assert not same(dropped.params, plain.params)


def test_streams_are_told_apart_by_every_part_of_their_key() -> None:
    keys = [(training.DROPOUT, 1, 0), (training.DROPOUT, 0, 1), (training.DROPOUT, 1), (training.ORDER, 1)]
    keys += [(training.NEGATIVES, 1), (training.INITIALIZATION,), (training.DROPOUT, 1, 1)]
    draws = [int(training.stream(7, *key).integers(2**60)) for key in keys]
    assert len(set(draws)) == len(keys)
    assert draws == [int(training.stream(7, *key).integers(2**60)) for key in keys]
    assert draws != [int(training.stream(8, *key).integers(2**60)) for key in keys]


def test_as_seed() -> None:
    assert training.as_seed(3) == training.as_seed(3) == training.as_seed(np.random.default_rng(3))
    assert training.as_seed(3) != training.as_seed(4)
    assert training.as_seed(None) != training.as_seed(None)


# Shards


@pytest.mark.parametrize(("n", "size"), [(1, 1), (7, 3), (6, 3), (5, 11)])
def test_shards_cut_a_batch_in_order(n: int, size: int) -> None:
    slices = training.shard_slices(n, size)
    assert [i for rows in slices for i in range(n)[rows]] == list(range(n))
    assert all(rows.stop - rows.start == size for rows in slices[:-1])


@pytest.mark.parametrize("size", [1, 2, 5, 22])
def test_shards_add_up_to_the_batch(size: int) -> None:
    model = Linear()
    model.params["w"] += [0.3, 0.7, -0.2]

    def generator(s: int) -> np.random.Generator:
        return training.stream(1, s)

    whole, grads = training.batch_gradients((DATA, TARGETS), model.loss_and_grads, N, generator)
    model.shards.clear()
    loss, total = training.batch_gradients((DATA, TARGETS), model.loss_and_grads, size, generator)
    # Sums of 23 terms of size 1, in another order.
    assert loss == pytest.approx(whole, rel=1e-13)
    for name in grads:
        np.testing.assert_allclose(total[name], grads[name], rtol=1e-12, atol=1e-14, equal_nan=False)
    assert [n for n, _ in model.shards] == [len(range(N)[rows]) for rows in training.shard_slices(N, size)]
    assert [upstream for _, upstream in model.shards] == [n / N for n, _ in model.shards]


@pytest.mark.parametrize("shard_size", [1, 3, None])
def test_any_number_of_threads_gives_the_same_bits(
    shard_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for threads in (1, 2, 3):
        with monkeypatch.context() as patch:
            with_threads(patch, threads)
            model = Linear(np.float32, rate=0.3)
            log = model.train(shard_size=shard_size, optimizer=optim.Adam(0.05))
        found.append((model.params, log.losses))
    for params, losses in found[1:]:
        assert same(params, found[0][0])
        assert losses == found[0][1]


def test_rows_of_one_shard_and_an_array_of_another_add_up() -> None:
    by_row = RowGradient(np.array([1]), np.array([[3.0, 5.0]]), (3, 2))
    given = [by_row, np.full((3, 2), 7.0), by_row]
    _, grads = training.batch_gradients(
        (np.arange(3),),
        lambda shard, upstream, rng: (0.0, {"E": given[shard[0][0]]}),
        1,
        lambda s: None,  # type: ignore[arg-type, return-value]
    )
    assert grads["E"].tolist() == [[7.0, 7.0], [13.0, 17.0], [7.0, 7.0]]


def test_each_shard_of_each_step_has_its_own_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    with_threads(monkeypatch, 1)
    model, drawn = Linear(), []
    true_loss = model.loss_and_grads

    def spy(batch: training.Batch, upstream: float, rng: np.random.Generator) -> Any:
        drawn.append(rng.random())
        return true_loss(batch, upstream, rng)

    monkeypatch.setattr(model, "loss_and_grads", spy)
    model.train(epochs=1, shard_size=3)
    # Steps of 7, 7, 7 and 2 examples.
    shards = [(step, s) for step in range(1, 5) for s in range(3 if step < 4 else 1)]
    assert drawn == [training.stream(5, training.DROPOUT, step, s).random() for step, s in shards]
    assert len(set(drawn)) == len(shards)


def test_the_threads_are_as_many_as_asked_for() -> None:
    meet = threading.Barrier(3)  # broken after ten seconds unless three calls are under way at once
    with training.shard_threads(3) as each:
        assert sorted(each(lambda i: (meet.wait(10), i)[1], range(3))) == [0, 1, 2]
    with training.shard_threads(1) as each:
        assert set(each(lambda _: threading.current_thread(), range(3))) == {threading.main_thread()}


# Early stopping


def test_early_stopping_puts_the_best_parameters_back() -> None:
    model, values, kept = Linear(), iter([0.1, 0.4, 0.3, 0.4, 0.2, 0.9]), []

    def validate() -> float:
        kept.append(copies(model.params))
        return next(values)

    live = dict(model.params)
    log = model.train(epochs=6, validate=validate, patience=2)
    assert log.validation == [(1, 0.1), (2, 0.4), (3, 0.3), (4, 0.4)]  # an equal value is not a better one
    assert log.best_epoch == 2
    assert same(model.params, kept[1])
    assert not same(kept[1], kept[3])
    assert all(model.params[name] is live[name] for name in live)
    assert log.ended == "early stopping: no better validation for 2 epochs; kept the parameters of epoch 2"


def test_the_best_parameters_are_kept_also_without_an_early_stop() -> None:
    model, values, kept = Linear(), iter([0.1, 0.5, 0.2]), []

    def validate() -> float:
        kept.append(copies(model.params))
        return next(values)

    log = model.train(epochs=3, validate=validate, patience=3)
    assert same(model.params, kept[1])
    assert log.ended == "all epochs; kept the parameters of epoch 2"


# Ctrl-C


class Interrupted(Linear):
    """Somebody presses Ctrl-C while the loss of this step is being computed, `times` times."""

    def __init__(self, step: int, times: int = 1) -> None:
        super().__init__()
        self.step, self.times = step, times

    def loss_and_grads(self, *args: Any) -> Any:
        if self.calls + 1 == self.step:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)
        return super().loss_and_grads(*args)


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_ends_after_the_step_and_leaves_a_usable_model(
    threads: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with_threads(monkeypatch, threads)
    before, model, straight = signal.getsignal(signal.SIGINT), Interrupted(step=3), Linear()
    log = model.train(epochs=3, progress=True, name="little model")
    assert log.steps == 3
    assert log.ended == "interrupted in epoch 1 after 3 steps"
    assert len(log.losses) == 1
    assert signal.getsignal(signal.SIGINT) is before
    captured = capsys.readouterr()
    words = "little model: interrupted in epoch 1 after 3 steps; the model can be used as it is"
    assert words in captured.out + captured.err
    # The third step was made whole: the parameters are those of three steps without an interruption.
    straight.train(epochs=3, schedule=lambda step, total: 0.05 if step <= 3 else 0.0)
    assert same(model.params, straight.params)


def test_ctrl_c_after_a_validation_keeps_the_best_parameters() -> None:
    model, kept = Interrupted(step=6), []

    def validate() -> float:
        kept.append(copies(model.params))
        return 0.5

    log = model.train(epochs=3, validate=validate)
    assert log.ended == "interrupted in epoch 2 after 6 steps; kept the parameters of epoch 1"
    assert same(model.params, kept[0])


def test_a_second_ctrl_c_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with_threads(monkeypatch, 1)
    before, model = signal.getsignal(signal.SIGINT), Interrupted(step=3, times=2)
    with pytest.raises(KeyboardInterrupt):
        model.train()
    assert model.calls == 2  # the third loss was not finished
    assert signal.getsignal(signal.SIGINT) is before


def test_the_old_handler_is_back_after_an_error_too() -> None:
    before, model = signal.getsignal(signal.SIGINT), Linear()
    with pytest.raises(ZeroDivisionError):
        model.train(validate=lambda: 1 / 0)
    assert signal.getsignal(signal.SIGINT) is before


def test_training_in_another_thread_leaves_signals_alone() -> None:
    model, logs = Linear(), []
    worker = threading.Thread(target=lambda: logs.append(model.train()))
    worker.start()
    worker.join(30)
    assert logs[0].ended == "all epochs"


# Numbers that are not finite


class Broken(Linear):
    """From this step on the loss or a gradient is not a number."""

    def __init__(self, step: int, loss: float | None = None, gradient: str | None = None) -> None:
        super().__init__()
        self.step, self.loss, self.gradient = step, loss, gradient
        self.before: dict[str, np.ndarray] = {}

    def loss_and_grads(self, *args: Any) -> Any:
        loss, grads = super().loss_and_grads(*args)
        if self.calls == self.step:
            self.before = copies(self.params)
            loss = loss if self.loss is None else np.float64(self.loss)
            if self.gradient is not None:
                grads[self.gradient] = grads[self.gradient] * np.nan
        return loss, grads


@pytest.mark.parametrize("loss", [np.nan, np.inf])
@pytest.mark.parametrize("clip", [1.0, math.inf])
def test_a_loss_that_is_not_finite_stops_with_the_step(loss: float, clip: float) -> None:
    model = Broken(step=6, loss=loss)
    with pytest.raises(
        FloatingPointError, match=rf"step 6: the loss is {loss}; all parameters are still finite"
    ):
        model.train(clip=clip)
    assert same(model.params, model.before)
    assert model.params["w"].any()


def test_a_loss_that_is_not_finite_names_the_parameter_that_is_not() -> None:
    model = Linear()
    model.params["w"][1] = np.nan
    with pytest.raises(FloatingPointError, match="step 1: the loss is nan; parameter w is not finite"):
        model.train()


@pytest.mark.parametrize("gradient", ["w", "b"])
@pytest.mark.parametrize("clip", [1.0, math.inf])
def test_a_gradient_that_is_not_finite_is_never_stepped_with(gradient: str, clip: float) -> None:
    model = Broken(step=6, gradient=gradient)
    with pytest.raises(FloatingPointError, match=rf"step 6: the gradient of {gradient} is not finite"):
        model.train(clip=clip)
    assert same(model.params, model.before)
    assert model.params["w"].any()


# Progress


def test_the_bar_shows_loss_and_validation_on_stderr_only_when_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Linear().train(validate=lambda: 0.125, progress=True, name="little model")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "little model" in captured.err
    assert "valid=0.1250" in captured.err
    assert "loss=" in captured.err
    Linear().train(validate=lambda: 0.125)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_blas_has_one_thread_while_shards_run() -> None:
    """Each thread of the pool takes its products alone; afterwards BLAS is as it was."""

    def blas() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = blas()
    with training.shard_threads(2):
        assert set(blas()) <= {1}
    assert blas() == before


def test_blas_is_restored_when_two_trainings_overlap() -> None:
    before = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    first, second = training.shard_threads(1), training.shard_threads(1)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)  # the one that came first ends first
    second.__exit__(None, None, None)
    assert [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"] == before


# Checkpoints


class Stopped(Exception):
    """Somebody ends the process."""


OPTIMIZERS = {
    "sgd with momentum": lambda: optim.SGD(0.05, momentum=0.9),
    "adam": lambda: optim.Adam(0.05),
    "adamw": lambda: optim.AdamW(0.05),
}
VALUES = (0.3, 0.5, 0.4, 0.45, 0.6, 0.1)  # of the validation after epochs 1 to 6


def run(
    path: Path | None, optimizer: str = "adam", stop: int | None = None, **options: Any
) -> tuple[Linear, training.TrainingLog]:
    """Six epochs in float32 with dropout. `stop`: the process dies in the validation after epoch stop + 1."""
    model = Linear(np.float32, rate=0.3)

    def validate() -> float:
        epoch = round(len(model.rows) / 4) + begun  # 4 batches per epoch
        if stop is not None and epoch == stop + 1:
            raise Stopped
        return VALUES[epoch - 1]

    begun = len(read_checkpoint(path).log["losses"]) if path is not None and path.exists() else 0
    common = {"epochs": 6, "shard_size": 3, "patience": 6, "identity": {"kind": "linear", "sizes": (3, 1)}}
    settings = {**common, "validate": validate, "optimizer": OPTIMIZERS[optimizer](), **options}
    try:
        return model, model.train(checkpoint=path, **settings)
    except Stopped:
        return model, training.TrainingLog()


def equal_logs(a: training.TrainingLog, b: training.TrainingLog) -> bool:
    """In all but the time that it took."""
    return asdict(a) | {"seconds": 0} == asdict(b) | {"seconds": 0}


@pytest.mark.parametrize("stop", [1, 3, 5])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_resumed_training_gives_the_same_bits(optimizer: str, stop: int, tmp_path: Path) -> None:
    straight, log = run(None, optimizer)
    assert len(log.losses) == 6
    assert log.best_epoch == 5
    run(tmp_path / "c.npz", optimizer, stop)
    assert len(read_checkpoint(tmp_path / "c.npz").log["losses"]) == stop
    resumed, again = run(tmp_path / "c.npz", optimizer)
    assert len(resumed.rows) == 4 * (6 - stop)
    assert resumed.rows == straight.rows[4 * stop :]
    assert same(resumed.params, straight.params)
    assert equal_logs(again, log)


@pytest.mark.parametrize("stop", [1, 3, 5])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_more_epochs_may_be_asked_for_where_there_is_no_schedule(
    optimizer: str, stop: int, tmp_path: Path
) -> None:
    straight, log = run(None, optimizer, validate=None)
    run(tmp_path / "c.npz", optimizer, validate=None, epochs=stop)
    resumed, again = run(tmp_path / "c.npz", optimizer, validate=None)
    assert same(resumed.params, straight.params)
    assert equal_logs(again, log)


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_resumed_schedule_is_asked_for_the_steps_that_are_left(stop: int, tmp_path: Path) -> None:
    def schedule(step: int, total: int) -> float:
        return optim.cosine(step, total, 0.1)

    straight, log = run(None, schedule=schedule)
    run(tmp_path / "c.npz", stop=stop, schedule=schedule)
    resumed, again = run(tmp_path / "c.npz", schedule=schedule)
    assert same(resumed.params, straight.params)
    assert equal_logs(again, log)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_early_stopping_counts_on_after_a_stop(stop: int, tmp_path: Path) -> None:
    straight, log = run(None, patience=2)
    assert log.ended == "early stopping: no better validation for 2 epochs; kept the parameters of epoch 2"
    assert len(log.losses) == 4
    run(tmp_path / "c.npz", stop=stop, patience=2)
    resumed, again = run(tmp_path / "c.npz", patience=2)
    assert same(resumed.params, straight.params)
    assert equal_logs(again, log)


@pytest.mark.parametrize("patience", [2, 6])
def test_a_training_that_ended_does_no_further_step(patience: int, tmp_path: Path) -> None:
    first, log = run(tmp_path / "c.npz", patience=patience)
    content = (tmp_path / "c.npz").read_bytes()
    again, log_again = run(tmp_path / "c.npz", patience=patience)
    assert again.calls == 0
    assert same(again.params, first.params)
    assert equal_logs(log_again, log)
    stored = read_checkpoint(tmp_path / "c.npz").log["seconds"]
    assert log_again.seconds >= stored  # the time of the first run counts
    assert (tmp_path / "c.npz").read_bytes() == content


def test_more_patience_goes_on_where_early_stopping_ended(tmp_path: Path) -> None:
    straight, log = run(None)
    ended, _ = run(tmp_path / "c.npz", patience=2)
    live = read_checkpoint(tmp_path / "c.npz").params
    assert not same(live, ended.params)  # those of epoch 4, and not of the best one
    resumed, again = run(tmp_path / "c.npz")
    assert same(resumed.params, straight.params)
    assert equal_logs(again, log)


def test_ctrl_c_leaves_the_checkpoint_of_the_last_whole_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    straight, model, resumed = Linear(), Interrupted(step=7), Linear()
    path = tmp_path / "c.npz"
    straight.train()
    log = model.train(checkpoint=path, progress=True)
    assert log.ended == (
        f"interrupted in epoch 2 after 7 steps; with the checkpoint {path} training goes on after epoch 1"
    )
    captured = capsys.readouterr()
    assert "training goes on after epoch 1; the model can be used" in captured.out + captured.err
    resumed.train(checkpoint=path)
    assert len(resumed.rows) == 8
    assert same(resumed.params, straight.params)
    assert "begins anew" in Interrupted(step=3).train(checkpoint=tmp_path / "new.npz").ended
    assert not (tmp_path / "new.npz").exists()


def test_ctrl_c_in_a_validation_keeps_that_epoch(tmp_path: Path) -> None:
    def validate() -> float:
        signal.raise_signal(signal.SIGINT)
        return 0.5

    log = Linear().train(checkpoint=tmp_path / "c.npz", validate=validate)
    assert "interrupted after epoch 1; kept the parameters of epoch 1; with" in log.ended
    assert log.ended.endswith("goes on after epoch 1")
    assert read_checkpoint(tmp_path / "c.npz").log["validation"] == [(1, 0.5)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"identity": {"kind": "cubic", "sizes": (3, 1)}},
            "identity.kind is 'linear' there and 'cubic' here",
        ),
        ({"identity": {"kind": "linear"}}, r"identity.sizes is \[3, 1\] there and nothing here"),
        ({"seed": 6}, "it began with another seed"),
        ({"shard_size": 4}, "training.shard_size is 3 there and 4 here"),
        ({"batch_size": 8}, "training.batch_size is 7 there and 8 here"),
        ({"clip": 1.0}, "training.clip is inf there and 1.0 here"),
        ({"optimizer": "sgd with momentum"}, "training.optimizer.kind is 'Adam' there and 'SGD' here"),
        ({"validate": None}, "training.validation is True there and False here"),
        ({"schedule": lambda step, total: 0.1}, "schedule depend on them.* is None there and 6 here"),
        ({"epochs": 5}, "holds epoch 6, and with epochs = 5 .* set epochs to at least 6"),
        ({"patience": 2}, "holds epoch 6, and with patience = 2 .* set patience to at least 3"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    run(tmp_path / "c.npz")
    content = (tmp_path / "c.npz").read_bytes()
    with pytest.raises(ValueError, match=rf"checkpoint .*c\.npz .*{words}.*delete the file"):
        run(tmp_path / "c.npz", **options)
    assert (tmp_path / "c.npz").read_bytes() == content


def test_parameters_of_another_dtype_or_shape_are_refused(tmp_path: Path) -> None:
    Linear().train(checkpoint=tmp_path / "c.npz")
    with pytest.raises(
        ValueError, match=r"parameters\.w is 'float64 \(3,\)' there and 'float32 \(3,\)' here"
    ):
        Linear(np.float32).train(checkpoint=tmp_path / "c.npz")


def test_other_epochs_are_refused_under_a_schedule(tmp_path: Path) -> None:
    def schedule(step: int, total: int) -> float:
        return optim.cosine(step, total, 0.1)

    Linear().train(checkpoint=tmp_path / "c.npz", schedule=schedule, epochs=3)
    for epochs in (2, 4):
        words = rf"epochs \(the rates of a schedule depend on them\) is 3 there and {epochs} here"
        with pytest.raises(ValueError, match=words):
            Linear().train(checkpoint=tmp_path / "c.npz", schedule=schedule, epochs=epochs)


def test_no_more_than_five_differences_are_listed(tmp_path: Path) -> None:
    Linear().train(checkpoint=tmp_path / "c.npz", identity={str(i): i for i in range(7)})
    with pytest.raises(ValueError, match=r"identity\.4 is 4 there and 5 here; 2 more differ"):
        Linear().train(checkpoint=tmp_path / "c.npz", identity={str(i): i + 1 for i in range(7)})


def test_damaged_and_foreign_files_are_refused_before_a_step(tmp_path: Path) -> None:
    path, model = tmp_path / "c.npz", Linear()
    Linear().train(checkpoint=path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFileError, match="damaged or cut short"):
        model.train(checkpoint=path)
    save_arrays(path, {"model": "Popularity"}, {"counts": np.zeros(3)})
    with pytest.raises(ModelFileError, match="is no checkpoint of a training: give another file name"):
        model.train(checkpoint=path)
    save_arrays(path, {"kind": "training checkpoint"}, {})
    with pytest.raises(ModelFileError, match="lacks a part"):
        model.train(checkpoint=path)
    facts = {"parameters": {"w": "float64 (3,)"}}
    write_checkpoint(path, Checkpoint(facts, {"w": np.zeros(2)}, {}, {}, {"validation": []}))
    with pytest.raises(ModelFileError, match="not those that it states"):
        model.train(checkpoint=path)
    assert model.calls == 0


def test_a_place_that_cannot_be_written_to_is_refused_before_a_step(tmp_path: Path) -> None:
    model = Linear()
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere: make it first"):
        model.train(checkpoint=tmp_path / "nowhere" / "c.npz")
    with pytest.raises(IsADirectoryError, match="is a folder: give the name of a file"):
        model.train(checkpoint=tmp_path)
    assert model.calls == 0


def test_without_a_seed_that_of_the_checkpoint_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    assert training.as_seed(None, path) != training.as_seed(None, path)  # there is none yet
    Linear().train(checkpoint=path, seed=12345)
    assert training.as_seed(None, path) == 12345
    assert training.as_seed(3, path) == training.as_seed(3)


def test_without_threads_shards_run_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with training.shard_threads(4) as each:
        assert list(each(lambda s: s * s, range(3))) == [0, 1, 4]
