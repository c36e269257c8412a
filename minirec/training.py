"""The training loop of all gradient models: batches, shards, steps, validation, early stopping, checkpoints.

It knows no model: it is given live parameters, a function that draws a batch, and one that computes loss and
gradients of a shard. All randomness comes from one seed by named streams, so that what one part draws does
not depend on what another part drew.
"""

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from minirec import checkpoint as checkpoints
from minirec import functional as F
from minirec import optim
from minirec.functional import Array, RowGradient

Batch = tuple[Array, ...]  # arrays that share their first axis, one entry per example
Grads = dict[str, Any]  # {name: array or RowGradient}

# The streams of one seed.
INITIALIZATION, ORDER, NEGATIVES, DROPOUT = range(4)


def as_seed(rng: np.random.Generator | int | None, checkpoint: str | Path | None = None) -> int:
    """One integer from a Generator, a seed, or nothing: then that of the checkpoint, or a fresh one."""
    if rng is None and checkpoint is not None and Path(checkpoint).is_file():
        return checkpoints.seed_of(checkpoint)
    return int(np.random.default_rng(rng).integers(2**63))


def stream(seed: int, *key: int) -> np.random.Generator:
    """An independent generator for each key, for example (DROPOUT, step, shard)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


class Optimizer(Protocol):
    def step(
        self, params: dict[str, Array], grads: Grads, lr: float | None = None, each: Any = map
    ) -> None: ...

    def state(self) -> dict[str, Any]: ...

    def load_state(self, state: dict[str, Any]) -> None: ...


@dataclass
class TrainingLog:
    """What happened: loss and validation per epoch, whose parameters were kept, and why it ended."""

    losses: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)  # (epoch, value), epochs from 1
    best_epoch: int = 0
    ended: str = "all epochs"
    steps: int = 0
    seconds: float = 0.0

    def waited(self) -> int:
        """How many epochs validation has not become better."""
        return self.validation[-1][0] - self.best_epoch if self.validation else 0


def describe(optimizer: Any) -> dict[str, Any]:
    """The kind and the settings of an optimizer: its public attributes, without what it remembers."""
    public = {name: value for name, value in vars(optimizer).items() if not name.startswith("_")}
    kept = {name: describe(v) if hasattr(v, "step") else v for name, v in public.items()}
    return {"kind": type(optimizer).__name__, **kept}


def shard_slices(n: int, size: int) -> list[slice]:
    """A batch of n examples cut into shards of `size`, in order."""
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def batch_gradients(
    batch: Batch,
    loss_and_grads: Callable[[Batch, float, np.random.Generator], tuple[Any, Grads]],
    shard_size: int,
    generator: Callable[[int], np.random.Generator],
    each: Callable[..., Iterator[Any]] = map,
    weigh: Callable[[Batch], float] = lambda batch: len(batch[0]),
) -> tuple[float, Grads]:
    """Loss and gradients of a batch from its shards: shard s of weight w_s gets the upstream w_s / W.

    The weight is what its loss is a mean over: examples, or what `weigh(shard)` says.
    `loss_and_grads(shard, upstream, rng)` returns the mean loss of the shard and upstream · its gradients.
    Shards are added in order, so the result is the same bits when `each` is the map of a thread pool.
    """
    shards = [tuple(part[rows] for part in batch) for rows in shard_slices(len(batch[0]), shard_size)]
    weights = [weigh(shard) for shard in shards]
    share = [weight / sum(weights) for weight in weights]

    def gradients(s: int) -> tuple[Any, Grads]:
        return loss_and_grads(shards[s], share[s], generator(s))

    if len(shards) == 1:  # no other thread is needed
        shard_loss, grads = gradients(0)
        return float(shard_loss), grads
    loss, total, rows = 0.0, Grads(), dict[str, list[RowGradient]]()
    for s, (shard_loss, grads) in enumerate(each(gradients, range(len(shards)))):
        loss += share[s] * float(shard_loss)
        for name, g in grads.items():
            if isinstance(g, RowGradient):
                rows.setdefault(name, []).append(g)
            elif name in total:
                total[name] += g
            else:
                total[name] = g.copy()
    for name, of_rows in rows.items():
        by_row = F.add_row_gradients(of_rows)
        total[name] = total[name] + by_row if name in total else by_row
    return loss, {name: total[name] for name in grads}


def train(
    params: dict[str, Array],
    draw: Callable[[Array, np.random.Generator], Batch],
    loss_and_grads: Callable[[Batch, float, np.random.Generator], tuple[Any, Grads]],
    n_examples: int,
    optimizer: Optimizer,
    *,
    seed: int,
    epochs: int,
    batch_size: int,
    shard_size: int | None = None,
    schedule: Callable[[int, int], float] | None = None,
    clip: float = math.inf,
    weigh: Callable[[Batch], float] = lambda batch: len(batch[0]),
    validate: Callable[[], float] | None = None,
    patience: int = 3,
    progress: bool = True,
    name: str = "training",
    checkpoint: str | Path | None = None,
    identity: Mapping[str, Any] | None = None,
) -> TrainingLog:
    """Change `params` in place until the loss is low or validation stops improving; the best ones are kept.

    draw(rows, rng)      the batch of the examples `rows`, negatives included
    schedule(step, n)    the learning rate at step 1 .. n of n; None: the optimizer's own
    clip                 limit of the global gradient norm
    weigh(batch)         what the loss of a batch is a mean over: its examples, or something else in it
    validate()           larger is better; called after each epoch. Training ends after `patience` epochs
                         without a new best, and the parameters of the best epoch are put back.
    checkpoint           a file, written after each epoch. If it is there already, training goes on from it,
                         to the same bits as if it had never ended. More epochs or patience may be asked for
                         then; not other epochs under a schedule, whose rates depend on their number.
    identity             what else must be equal for that, such as settings and a hash of the data

    Ctrl-C ends training after the current step and keeps a usable model. Raises FloatingPointError that names
    the step and the parameter when a loss or gradient is not finite; ValueError for the checkpoint of another
    training, ModelFileError for a damaged one, OSError for one that cannot be written.
    """
    if n_examples < 1:
        raise ValueError(f"{name}: there is no example to train on (who has met every item gives none)")
    log, best, facts = TrainingLog(), dict[str, Array](), dict[str, Any]()
    if checkpoint is not None:
        facts = checkpoints.facts_of(
            identity, params, seed=seed, examples=n_examples, batch_size=batch_size, shard_size=shard_size,
            clip=clip, optimizer=describe(optimizer), validation=validate is not None,
            **{"epochs (the rates of a schedule depend on them)": epochs if schedule else None},
        )  # fmt: skip
        if found := checkpoints.find_checkpoint(checkpoint, facts, epochs, patience):
            log, best = TrainingLog(**found.log), found.best
            optimizer.load_state(found.optimizer)
            for key, array in found.params.items():
                params[key][...] = array
    whole = len(log.losses)  # epochs
    best_value = dict(log.validation).get(log.best_epoch, -math.inf)
    started = time.perf_counter() - log.seconds
    steps_per_epoch = math.ceil(n_examples / batch_size)
    total_steps = epochs * steps_per_epoch
    with (
        shard_threads() as each,
        stop_on_interrupt() as interrupted,
        tqdm(
            total=total_steps,
            initial=log.steps,
            desc=name,
            disable=not progress,
            unit="step",
            mininterval=0.5,
        ) as bar,
    ):
        for epoch in range(whole + 1, epochs + 1):
            if log.waited() >= patience:
                break
            order = stream(seed, ORDER, epoch).permutation(n_examples)
            losses, counts = [], []
            for start in range(0, n_examples, batch_size):
                rows = order[start : start + batch_size]
                log.steps += 1
                step = log.steps
                batch = draw(rows, stream(seed, NEGATIVES, step))
                loss, grads = batch_gradients(
                    batch,
                    loss_and_grads,
                    shard_size or len(rows),
                    lambda s, step=step: stream(seed, DROPOUT, step, s),  # type: ignore[misc]
                    each,
                    weigh,
                )
                _require_finite(loss, params, step)
                grads = _clip(grads, clip, step)
                optimizer.step(params, grads, schedule(step, total_steps) if schedule else None, each)
                losses.append(loss)
                counts.append(weigh(batch))
                bar.update()
                if step % 10 == 0:
                    bar.set_postfix(_postfix(losses[-100:], log), refresh=False)
                if interrupted.is_set():
                    break
            if losses:
                log.losses.append(float(np.average(losses, weights=counts)))
            require_finite_parameters(params, log.steps)
            if interrupted.is_set():
                log.ended = f"interrupted in epoch {epoch} after {log.steps} steps"
                break
            if validate is not None:
                value = validate()
                log.validation.append((epoch, value))
                bar.set_postfix(_postfix(losses, log))
                if value > best_value:
                    best_value, log.best_epoch = value, epoch
                    best = {key: array.copy() for key, array in params.items()}
            whole, log.seconds = epoch, time.perf_counter() - started
            if checkpoint is not None:
                state = checkpoints.Checkpoint(facts, params, optimizer.state(), best, asdict(log))
                checkpoints.write_checkpoint(checkpoint, state)
            if interrupted.is_set():
                log.ended = f"interrupted after epoch {epoch}"
                break
    if log.ended == "all epochs" and log.waited() >= patience:
        log.ended = f"early stopping: no better validation for {patience} epochs"
    for key, array in best.items():
        params[key][...] = array
    if best:
        log.ended += f"; kept the parameters of epoch {log.best_epoch}"
    log.seconds = time.perf_counter() - started
    if "interrupted" in log.ended:
        if checkpoint is not None:
            begins = f"goes on after epoch {whole}" if whole else "begins anew, since no epoch was whole"
            log.ended += f"; with the checkpoint {checkpoint} training {begins}"
        if progress:
            tqdm.write(f"{name}: {log.ended}; the model can be used as it is")
    return log


def _clip(grads: Grads, limit: float, step: int) -> Grads:
    try:
        return optim.clip_by_global_norm(grads, limit)[0]
    except FloatingPointError as error:
        raise FloatingPointError(f"step {step}: {error}. A smaller learning rate may help") from None


def require_finite_parameters(params: dict[str, Array], step: int) -> None:
    """The last step of an epoch may spoil them when no loss is left to show it."""
    bad = [name for name, array in params.items() if not np.isfinite(array).all()]
    if bad:
        raise FloatingPointError(
            f"step {step}: parameter {bad[0]} is not finite. A smaller learning rate may help"
        )


def _require_finite(loss: float, params: dict[str, Array], step: int) -> None:
    if math.isfinite(loss):
        return
    bad = [name for name, array in params.items() if not np.isfinite(array).all()]
    where = f"parameter {bad[0]} is not finite" if bad else "all parameters are still finite"
    raise FloatingPointError(f"step {step}: the loss is {loss}; {where}. A smaller learning rate may help")


def _postfix(losses: list[float], log: TrainingLog) -> dict[str, str]:
    shown = {"loss": f"{float(np.mean(losses)):.4f}"}
    if log.validation:
        shown["valid"] = f"{log.validation[-1][1]:.4f}"
    return shown


class _BlasLimit:
    """How many trainings run at once, and what restores BLAS when the last of them ends."""

    lock = threading.Lock()
    users = 0
    limits: Any = None


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """The limit is one of the whole process: the first training sets it, the last one takes it back."""
    with _BlasLimit.lock:
        if _BlasLimit.users == 0:
            _BlasLimit.limits = threadpool_limits(1, user_api="blas")
        _BlasLimit.users += 1
    try:
        yield
    finally:
        with _BlasLimit.lock:
            _BlasLimit.users -= 1
            if _BlasLimit.users == 0:
                _BlasLimit.limits.restore_original_limits()


def _can_start_threads() -> bool:
    thread = threading.Thread(target=lambda: None)
    try:
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    return True


@contextmanager
def shard_threads(threads: int | None = None) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map` over shards in threads (None: one per core), BLAS limited to one thread each meanwhile.

    NumPy lets go of the interpreter lock inside its loops and products, so the threads really run at once;
    and BLAS threads of their own would only get in the way of small products. Where no thread can be started
    (Python in a browser) it is the built-in `map`.
    """
    threads = threads or os.cpu_count() or 1
    if threads > 1 and not _can_start_threads():
        threads = 1
    # The C library of Linux gives freed memory back to the system, and asks for it anew, above a threshold
    # that follows the largest block ever freed. Without this line a third of a step went into that.
    np.empty(2**25 - 2**14, dtype=np.uint8)
    with _one_blas_thread():
        if threads == 1:
            yield map
            return
        with ThreadPoolExecutor(threads) as pool:
            yield pool.map


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """The first Ctrl-C only sets the event, so no step is left half done; the second one stops at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # only the main thread may handle signals
        return

    def handler(signum: int, frame: Any) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
