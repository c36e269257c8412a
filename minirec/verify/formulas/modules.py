"""The layers of nn/: functions of the sheet with parameters of their own, and the feed-forward network."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from minirec.verify.formula import Built, Formula, Place, Property, Rng, relative_gap
from minirec.verify.formulas import activations, layers, tables
from minirec.verify.formulas.drawing import normal, repeated, short
from minirec.verify.formulas.properties.calling import BATCH, counted, gradients, inputs, setting, value

Params = Mapping[str, Any]


def linear(p: Params, x: Any, *, d_in: int, d_out: int) -> Any:
    """The linear map with the module's W and b."""
    return layers.linear(x, p["W"], p["b"])


def embedding(
    p: Params, ids: Any, *, rows: int, width: int, padding: bool = False, sparse: bool = False
) -> Any:
    """The rows of the module's table; that row 0 is a constant concerns the gradient alone."""
    return tables.embedding(p["E"], ids)


def layer_norm(p: Params, x: Any, *, width: int, eps: float = 1e-5) -> Any:
    """Layer normalization with the module's gamma and beta."""
    return layers.layer_norm(x, p["gamma"], p["beta"], eps)


def dropout(p: Params, x: Any, *, rate: float, rng: Any = None) -> Any:
    """Dropout at the module's rate where a generator is given, else x."""
    return activations.dropout(x, rate, rng)


def feed_forward(p: Params, x: Any, *, width: int, hidden: int, activation: str = "relu") -> Any:
    """Two linear maps with the activation between them."""
    h = layers.linear(x, p["expand.W"], p["expand.b"])
    a = activations.relu(h) if activation == "relu" else activations.gelu(h)
    return layers.linear(a, p["project.W"], p["project.b"])


def places_do_not_meet(place: Place, rng: Rng) -> float | None:
    """Every place of x by itself gives its place of y."""
    (x,) = inputs(place).values()
    if x.ndim < 2:
        return None
    y = place(*place.args)
    alone = [value(place, {"x": x[where]}) for where in np.ndindex(*x.shape[:-1])]
    return relative_gap(np.reshape(alone, y.shape), y)


def affine(place: Place, rng: Rng) -> float:
    """The mean of two inputs gives the mean of their outputs."""
    (x,) = inputs(place).values()
    other = rng.standard_normal(x.shape)
    ends = (place(*place.args) + value(place, {"x": other})) / 2
    return relative_gap(value(place, {"x": (x + other) / 2}), ends)


def rows_that_are_not_read_get_no_gradient(place: Place, rng: Rng) -> float | None:
    ids, rows = inputs(place)["ids"], setting(place, "rows")
    idle = np.setdiff1d(np.arange(rows), ids)
    if not idle.size:
        return None
    return float(np.abs(gradients(place, place.upstream(rng))["E"][idle]).max())


def repeated_rows_add_up(place: Place, rng: Rng) -> float | None:
    """Row r gets the sum of the upstream over all places that read it; a padding row gets nothing."""
    ids, dy = inputs(place)["ids"], place.upstream(rng)
    expected = np.zeros(place.module.E.shape)
    for where in np.ndindex(*ids.shape):
        if ids[where] or not setting(place, "padding"):
            expected[ids[where]] += dy[where]
    return relative_gap(gradients(place, dy)["E"], expected)


def the_padding_row_gets_no_gradient(place: Place, rng: Rng) -> float | None:
    """Also where it is read."""
    if not setting(place, "padding"):
        return None
    read = {"ids": np.zeros(inputs(place)["ids"].shape, dtype=np.int64)}
    return float(np.abs(gradients(place, place.upstream(rng), read)["E"]).max())


def a_shift_of_a_row_changes_nothing(place: Place, rng: Rng) -> float:
    (x,) = inputs(place).values()
    return relative_gap(value(place, {"x": x + rng.standard_normal((*x.shape[:-1], 1))}), place(*place.args))


def normalized_rows_have_mean_zero_and_variance_below_one(place: Place, rng: Rng) -> float:
    """With gamma 1 and beta 0: var / (var + eps), not 1."""
    (x,), eps = inputs(place).values(), setting(place, "eps", 1e-5)
    D = setting(place, "width")
    y = value(place, {"gamma": np.ones(D), "beta": np.zeros(D)})
    var = x.var(axis=-1)
    gap = relative_gap(y.var(axis=-1), var / (var + eps))
    return max(gap, relative_gap(y.mean(axis=-1), np.zeros(var.shape), 1.0))


def gradient_rows_sum_to_zero(place: Place, rng: Rng) -> float:
    dx = gradients(place, place.upstream(rng))["x"]
    return relative_gap(dx.sum(axis=-1), np.zeros(dx.shape[:-1]), float(np.abs(dx).max()))


def evaluation_is_the_identity(place: Place, rng: Rng) -> float:
    """Both ways, bit by bit."""
    (x,), dy = place.args, place.upstream(rng)
    y, cache = place.module.forward(x)
    return max(relative_gap(y, x), relative_gap(place.module.backward(dy, cache)[0], dy))


def backward_drops_what_forward_dropped(place: Place, rng: Rng) -> float:
    """dx is dy where x is all ones and dy = y: 0, or 1 / (1 − rate) squared."""
    ones = np.ones(place.args[0].shape)
    y = place(ones)
    return relative_gap(place.gradients(y, ones)[0], y * y)


def no_activation_without_hidden_units(place: Place, rng: Rng) -> float:
    """Where the last weights are 0, y is the last bias everywhere."""
    p = place.module.params()
    y = value(place, {"project.W": np.zeros(p["project.W"].shape)})
    return relative_gap(y, np.broadcast_to(p["project.b"], y.shape))


def hidden_units_have_no_order(place: Place, rng: Rng) -> float:
    p = place.module.params()
    order = rng.permutation(setting(place, "hidden"))
    moved = {"expand.W": p["expand.W"][:, order], "expand.b": p["expand.b"][order]}
    return relative_gap(value(place, moved | {"project.W": p["project.W"][order]}), place(*place.args))


def own_rng(rng: Rng) -> Rng:
    """A generator for dropout, which starts anew in every call."""
    return np.random.default_rng(int(rng.integers(2**32)))


def _feed_forward(activation: str, width: int, hidden: int, x: Any) -> Built:
    return Built({"width": width, "hidden": hidden, "activation": activation}, (x,))


FORMULAS = (
    Formula(
        name="Linear",
        meaning="The linear map as a layer: W and b are its parameters.",
        latex=r"y = x W + b",
        source="the document, section 5.2, the last layer",
        ours="minirec.nn.Linear",
        definition=linear,
        places={
            "example": lambda rng: Built({"d_in": 3, "d_out": 2}, (short(rng, 2, 3),)),
            "three axes": lambda rng: Built({"d_in": 3, "d_out": 7}, (normal(rng, 2, 5, 3),)),
            "one axis": lambda rng: Built({"d_in": 5, "d_out": 3}, (normal(rng, 5),)),
        },
        properties=(
            Property("affine in x", affine, 1e-14),
            Property("places do not meet", places_do_not_meet, 1e-14),
            Property("I O + O parameters", counted(lambda d_in, d_out: d_in * d_out + d_out), 0.0),
            *BATCH,
        ),
    ),
    Formula(
        name="Embedding",
        meaning="A table as a layer, one row per id; a padding row 0 is a constant, which nothing trains.",
        latex=r"y = E_{\mathrm{ids}}",
        source="the document, sections 4.1 and 5.2",
        ours="minirec.nn.Embedding",
        definition=embedding,
        places={
            "example": lambda rng: Built({"rows": 3, "width": 2}, (np.array([2, 0, 2]),)),
            "repeated ids": lambda rng: Built({"rows": 5, "width": 3}, (repeated(rng, 5, 2, 3),)),
            "one id": lambda rng: Built({"rows": 5, "width": 3}, (np.array(2),)),
            # The padding row is constant by decision, so a difference quotient must not read it.
            "padding row not read": lambda rng: Built(
                {"rows": 5, "width": 3, "padding": True}, (repeated(rng, 4, 2, 3) + 1,)
            ),
            "gradient by rows": lambda rng: Built(
                {"rows": 7, "width": 3, "sparse": True}, (repeated(rng, 5, 2, 3),)
            ),
        },
        properties=(
            Property("a row gets the sum over the places that read it", repeated_rows_add_up, 1e-14),
            Property("rows that are not read get no gradient", rows_that_are_not_read_get_no_gradient, 0.0),
            Property("the padding row gets no gradient", the_padding_row_gets_no_gradient, 0.0),
            Property(
                "as many parameters as the table has entries",
                counted(lambda rows, width, padding=False, sparse=False: rows * width),
                0.0,
            ),
            *BATCH,
        ),
    ),
    Formula(
        name="LayerNorm",
        meaning="Layer normalization as a layer: scale and shift are its parameters.",
        latex=r"y = \gamma \odot \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \varepsilon}} + \beta, "
        r"\quad \mathrm{E}[x] = \frac{1}{D} \sum_i x_i, \quad "
        r"\mathrm{Var}[x] = \frac{1}{D} \sum_i (x_i - \mathrm{E}[x])^2",
        source="Ba, Kiros & Hinton 2016, section 3",
        ours="minirec.nn.LayerNorm",
        definition=layer_norm,
        places={
            "example": lambda rng: Built({"width": 3}, (short(rng, 2, 3),)),
            "three axes": lambda rng: Built({"width": 5}, (normal(rng, 2, 3, 5),)),
            "one axis, eps 10": lambda rng: Built({"width": 7, "eps": 10.0}, (normal(rng, 7),)),
        },
        properties=(
            Property("places do not meet", places_do_not_meet, 1e-14),
            Property("a shift of a row changes nothing", a_shift_of_a_row_changes_nothing, 1e-12),
            Property(
                "of mean 0 and variance var / (var + ε)",
                normalized_rows_have_mean_zero_and_variance_below_one,
                1e-13,
            ),
            Property("rows of dx sum to 0", gradient_rows_sum_to_zero, 1e-12),
            Property("2 D parameters", counted(lambda width, eps=0.0: 2 * width), 0.0),
            *BATCH,
        ),
    ),
    Formula(
        name="Dropout",
        meaning="Dropout as a layer without parameters: on where a generator is given, else the identity.",
        latex=r"y = \frac{x \odot m}{1 - r}, \quad m \sim \mathrm{Bernoulli}(1 - r)",
        source="Srivastava et al. 2014, section 4; Vaswani et al. 2017, section 5.4",
        ours="minirec.nn.Dropout",
        definition=dropout,
        places={
            "example": lambda rng: Built({"rate": 0.5}, (short(rng, 2, 3),), {"rng": own_rng(rng)}),
            "training": lambda rng: Built({"rate": 0.3}, (normal(rng, 5, 7),), {"rng": own_rng(rng)}),
            "evaluation": lambda rng: Built({"rate": 0.3}, (normal(rng, 5, 7),)),
            "rate 0": lambda rng: Built({"rate": 0.0}, (normal(rng, 5, 7),), {"rng": own_rng(rng)}),
        },
        properties=(
            Property("evaluation is the identity", evaluation_is_the_identity, 0.0),
            Property("backward drops what forward dropped", backward_drops_what_forward_dropped, 0.0),
            Property("without parameters", counted(lambda rate: 0), 0.0),
        ),
    ),
    Formula(
        name="FeedForward",
        meaning="One network of two layers, the same for every place.",
        latex=r"y = a(x W_1 + b_1)\, W_2 + b_2, \quad a = \mathrm{ReLU} \text{ or } \mathrm{GELU}",
        source="the document, section 3.1; Vaswani et al. 2017, equation 2",
        ours="minirec.nn.FeedForward",
        definition=feed_forward,
        places={
            "example": lambda rng: _feed_forward("relu", 2, 3, short(rng, 5, 2)),
            "relu": lambda rng: Built({"width": 3, "hidden": 7}, (normal(rng, 2, 5, 3),)),
            "gelu": lambda rng: _feed_forward("gelu", 3, 7, normal(rng, 2, 5, 3)),
            "one axis": lambda rng: _feed_forward("gelu", 5, 2, normal(rng, 5)),
        },
        properties=(
            Property("places do not meet", places_do_not_meet, 1e-13),
            Property("hidden units have no order", hidden_units_have_no_order, 1e-13),
            Property(
                "the last bias alone where the last weights are 0", no_activation_without_hidden_units, 0.0
            ),
            Property(
                "2 D F + F + D parameters",
                counted(lambda width, hidden, activation="relu": 2 * width * hidden + hidden + width),
                0.0,
            ),
            *BATCH,
        ),
    ),
)
