"""`exercise run`: a small recommender is trained twice, with the library's function and with the student's.

Both runs have the same data and seed. A right function gives the same curve; how often it was called is said.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minirec import evaluation, metrics, plots
from minirec.data import splits, synthetic
from minirec.data.interactions import Interactions
from minirec.exercises.examine import substituted
from minirec.exercises.exercise import Exercise
from minirec.models import (
    BERT4Rec,
    ImplicitALS,
    MarkovChain,
    MatrixFactorization,
    Recommender,
    SASRec,
    TransformerRecommender,
    TransformerXL,
)  # fmt: skip
from minirec.verify import differences, userfile

EPOCHS = 8
SMALL: dict[str, Any] = {"length": 20, "dropout": 0.2, "epochs": EPOCHS, "batch_size": 64, "lr": 3e-3}
Curve = list[tuple[float, float]]

# What is trained, by the word in Exercise.trains.
MODELS: dict[str, tuple[str, Callable[[], Recommender]]] = {
    "sequence": ("SASRec, softmax", lambda: SASRec(16, 1, 1, loss="softmax", residual="plain", **SMALL)),
    "bce": ("SASRec, one negative", lambda: SASRec(16, 1, 1, loss="bce", residual="plain", **SMALL)),
    "bert4rec": ("BERT4Rec", lambda: BERT4Rec(16, 2, 1, hidden=16, **SMALL)),
    "xl": ("TransformerXL", lambda: TransformerXL(16, 2, 1, segment=10, memory=10, **SMALL)),
    "transformer": (
        "TransformerRecommender",
        lambda: TransformerRecommender(16, 2, 1, hidden=16, length=10, epochs=2, batch_size=64, lr=3e-3),
    ),
    "factorization": (
        "MatrixFactorization, one rating at a time",
        lambda: MatrixFactorization(8, method="per-rating", epochs=EPOCHS),
    ),
    "bpr": ("MatrixFactorization, BPR", lambda: MatrixFactorization(8, loss="bpr", epochs=EPOCHS)),
}


def run(exercise: Exercise, file: Path, folder: Path, seed: int = 0) -> Iterator[str]:
    """Train with ours and with the functions in `file`; writes NAME-run.svg into `folder`.

    Yields what is to be printed. The functions run in this process: check the file first.
    """
    module = userfile.imported(file.name, file.resolve())
    calls = dict.fromkeys(exercise.functions, 0)

    def counted(name: str) -> Callable[..., Any]:
        function = getattr(module, name)

        def call(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            return function(*args, **options)

        return call

    title, xlabel, ylabel, curve = experiment(exercise, seed)
    yield f"{title}, with minirec's own code ..."
    ours = curve()
    yield f"  {ylabel}: {ours[0][1]:.4f} at {xlabel} {ours[0][0]:g}, {ours[-1][1]:.4f} at {ours[-1][0]:g}"
    yield f"and with yours ({', '.join(exercise.functions)}) ..."
    with substituted(exercise, {name: counted(name) for name in exercise.functions}):
        yours = curve()
    yield f"  {ylabel}: {yours[0][1]:.4f} at {xlabel} {yours[0][0]:g}, {yours[-1][1]:.4f} at {yours[-1][0]:g}"
    used = ", ".join(f"{name} {n} times" for name, n in calls.items() if n)
    idle = ", ".join(name for name, n in calls.items() if not n)
    yield f"Called: {used}{'; not called by it: ' if idle else ''}{idle}."
    gap = max(abs(a[1] - b[1]) for a, b in zip(ours, yours, strict=True))
    figure = plots.loss_curves(
        {"minirec": np.array(ours), "yours": np.array(yours)}, xlabel=xlabel, ylabel=ylabel
    )
    path = folder / f"{exercise.name}-run.svg"
    plots.save(figure, path)
    yield f"The two curves differ by at most {gap:.1g}: {path}"


def experiment(exercise: Exercise, seed: int) -> tuple[str, str, str, Callable[[], Curve]]:
    """(what is trained, label of x, label of y, the curve): the curve is made anew at each call."""
    data = synthetic(seed=seed).interactions
    if exercise.trains == "check":
        return "Central difference of sin at 1", "log10 h", "log10 of the error", _differences
    if exercise.trains == "metric":
        name = exercise.functions[0]
        return "MarkovChain", "k", name, lambda: _metric(name, data)
    if exercise.trains == "als":
        return "ImplicitALS", "epoch", "NDCG@10 on validation", lambda: _als(data, seed)
    title, model = MODELS["sequence" if exercise.trains == "split" else exercise.trains]
    return f"{title} on the shop", "epoch", "training loss", lambda: _losses(model(), data, seed)


def _losses(model: Any, data: Interactions, seed: int) -> Curve:
    train, _, _ = splits.leave_one_out(data)
    model.fit(train, rng=seed, progress=False)
    return list(enumerate(model.log.losses, 1))


def _als(data: Interactions, seed: int) -> Curve:
    train, valid, _ = splits.leave_one_out(data)
    return [
        (n, evaluation.evaluate(
            ImplicitALS(8, epochs=n).fit(train, rng=seed, progress=False), train, valid, metrics=("ndcg",)
        ).mean("ndcg"))
        for n in range(1, EPOCHS + 1)
    ]  # fmt: skip


def _metric(name: str, data: Interactions) -> Curve:
    train, valid, _ = splits.leave_one_out(data)
    model = MarkovChain().fit(train)
    scores = model.score(np.arange(train.n_users))
    scores[train.users, train.items] = -np.inf
    function = getattr(metrics, name)
    return [
        (
            k,
            float(
                np.mean([function(scores[u], [i], k) for u, i in zip(valid.users, valid.items, strict=True)])
            ),
        )
        for k in (1, 2, 5, 10, 20)
    ]


def _differences() -> Curve:
    def error(h: float) -> float:
        return abs(float(differences.central_difference(np.sin, 1.0, 1.0, h)) - float(np.cos(1.0)))

    return [(n, float(np.log10(error(10.0**n) + 1e-17))) for n in range(-12, 0)]
