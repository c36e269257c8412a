"""Tables whose rows stand for something: the embedding of ids, which is learned, and that of positions."""

import math
from typing import Any

import numpy as np

from minirec.functional import Array
from minirec.verify.formula import Formula, Place, Property, Rng, largest, relative_gap
from minirec.verify.formulas.drawing import normal, short


def embedding(E: Any, ids: Any) -> Any:
    """The row of the table that each id names."""
    y = np.zeros((*ids.shape, E.shape[1]))
    for place in np.ndindex(*ids.shape):
        for d in range(E.shape[1]):
            y[(*place, d)] = E[int(ids[place]), d]
    return y


def sinusoidal_positions(length: int, width: int) -> Any:
    """Pair i of position t is the sine and the cosine of t / 10000^{2i / width}."""
    table = np.zeros((length, width))
    for t in range(length):
        for d in range(width):
            angle = t / 10000 ** (2 * (d // 2) / width)
            table[t, d] = math.sin(angle) if d % 2 == 0 else math.cos(angle)
    return table


# The embedding.


def _one_hot(ids: Array, rows: int) -> Array:
    table = np.zeros((ids.size, rows))
    for n, r in enumerate(ids.ravel()):
        table[n, int(r)] = 1.0
    return table


def a_product_with_one_hot_rows(place: Place, rng: Rng) -> float:
    E, ids = place.args
    return relative_gap(place(E, ids), (_one_hot(ids, len(E)) @ E).reshape(*ids.shape, -1))


def backward_is_the_transposed_product(place: Place, rng: Rng) -> float:
    E, ids = place.args
    dy = place.upstream(rng)
    expected = _one_hot(ids, len(E)).T @ dy.reshape(-1, E.shape[1])
    return relative_gap(place.gradients(dy)[0], expected, largest(dy) * max(ids.size, 1))


def rows_not_read_get_nothing(place: Place, rng: Rng) -> float | None:
    E, ids = place.args
    unread = np.setdiff1d(np.arange(len(E)), ids)
    return largest(place.gradients(place.upstream(rng))[0][unread]) if unread.size else None


# Positions.


def bounded_by_one(place: Place, rng: Rng) -> float:
    return max(largest(place(*place.args)) - 1, 0.0)


def distinct(place: Place, rng: Rng) -> float:
    """How many pairs of positions are nearer than 1e-5."""
    table = place(*place.args)
    near = np.sqrt(((table[:, None] - table[None]) ** 2).sum(axis=-1)) < 1e-5
    return float(np.triu(near, 1).sum())


def a_step_is_a_rotation(place: Place, rng: Rng) -> float | None:
    """Moving by k turns each pair of columns by the angle k / 10000^{2i / width}, wherever it starts."""
    length, width = place.args
    if length < 2:
        return None
    k = int(rng.integers(1, length))
    table = place(length, width)
    gap = 0.0
    for i in range(width // 2):
        angle = k / 10000 ** (2 * i / width)
        sine, cosine = table[:-k, 2 * i], table[:-k, 2 * i + 1]
        turned = math.cos(angle) * sine + math.sin(angle) * cosine
        gap = max(gap, relative_gap(table[k:, 2 * i], turned, float(length)))
        turned = math.cos(angle) * cosine - math.sin(angle) * sine
        gap = max(gap, relative_gap(table[k:, 2 * i + 1], turned, float(length)))
    return gap


def a_longer_table_begins_with_it(place: Place, rng: Rng) -> float:
    length, width = place.args
    return relative_gap(place(length + 5, width)[:length], place(length, width))


FORMULAS = (
    Formula(
        name="embedding",
        meaning="Each id reads its row of a table.",
        latex=r"y = E_{\mathrm{ids}} = \mathrm{onehot}(\mathrm{ids})\, E",
        source="the document, section 4.1, the embedding vectors",
        ours="minirec.functional.embedding",
        definition=embedding,
        places={
            "example": lambda rng: (short(rng, 4, 2), np.array([2, 0, 2])),
            "repeated ids": lambda rng: (normal(rng, 5, 7), np.array([[4, 0, 4], [4, 2, 0]])),
            "one id": lambda rng: (normal(rng, 5, 3), np.array(2)),
            "every id, three axes": lambda rng: (
                normal(rng, 7, 3), rng.permutation(np.arange(30) % 7).reshape(2, 3, 5),
            ),
        },
        tolerance=0.0,
        properties=(
            Property("a product with one-hot rows", a_product_with_one_hot_rows, 0.0),
            Property("backward is the transposed product", backward_is_the_transposed_product, 1e-15),
            Property("rows that are not read get no gradient", rows_not_read_get_nothing, 0.0),
        ),
    ),
    Formula(
        name="sinusoidal_positions",
        meaning="A table that tells attention where things stand.",
        latex=(
            r"\mathrm{PE}_{t, 2i} = \sin\frac{t}{10000^{2i/D}}, \quad "
            r"\mathrm{PE}_{t, 2i+1} = \cos\frac{t}{10000^{2i/D}}"
        ),
        source="Vaswani et al. 2017, section 3.5",
        ours="minirec.functional.sinusoidal_positions",
        definition=sinusoidal_positions,
        places={
            "example": lambda rng: (3, 4),
            "more positions than columns": lambda rng: (101, 6),
            "odd width": lambda rng: (7, 5),
            "one column": lambda rng: (3, 1),
            "no positions": lambda rng: (0, 4),
        },
        properties=(
            Property("bounded by 1", bounded_by_one, 0.0),
            Property("all positions are distinct", distinct, 0.0),
            Property("a step is a rotation", a_step_is_a_rotation, 1e-15),
            Property("a longer table begins with it", a_longer_table_begins_with_it, 0.0),
        ),
    ),
)  # fmt: skip
