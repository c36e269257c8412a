"""The linear map: against four loops, and its linearity."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import frozen, normal

from minirec import functional as F

I, O = 5, 7


def reference(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
    y = np.zeros((*x.shape[:-1], W.shape[1]))
    for place in np.ndindex(*y.shape):
        y[place] = b[place[-1]] + sum(x[(*place[:-1], i)] * W[i, place[-1]] for i in range(W.shape[0]))
    return y


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (2, 3, 11), (0,), (2, 0)])
def test_equals_the_definition(lead: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, W, b = (frozen(rng.standard_normal(shape)) for shape in ((*lead, I), (I, O), (O,)))
    y, cache = F.linear_forward(x, W, b)
    assert y.shape == (*lead, O)
    np.testing.assert_allclose(y, reference(x, W, b), rtol=0, atol=1e-13, equal_nan=False)

    dy = frozen(rng.standard_normal(y.shape))
    dx, dW, db = F.linear_backward(dy, cache)
    dx2, dW2, db2 = np.zeros_like(x), np.zeros_like(W), np.zeros_like(b)
    for place, o in product(np.ndindex(*lead), range(O)):
        db2[o] += dy[(*place, o)]
        for i in range(I):
            dx2[(*place, i)] += dy[(*place, o)] * W[i, o]
            dW2[i, o] += dy[(*place, o)] * x[(*place, i)]
    for a, b_ in ((dx, dx2), (dW, dW2), (db, db2)):
        np.testing.assert_allclose(a, b_, rtol=0, atol=1e-12, equal_nan=False)


@given(normal(3, I), normal(3, I), normal(I, O), normal(O), st.floats(-10, 10))
def test_affine(x: np.ndarray, z: np.ndarray, W: np.ndarray, b: np.ndarray, a: float) -> None:
    nothing = np.zeros(O)
    together = F.linear_forward(x + a * z, W, b)[0]
    apart = F.linear_forward(x, W, b)[0] + a * F.linear_forward(z, W, nothing)[0]
    np.testing.assert_allclose(together, apart, rtol=0, atol=1e-12, equal_nan=False)


@given(normal(2, 3, I), normal(I, O), normal(O), normal(2, 3, O))
def test_a_batch_is_its_rows_one_by_one(x: np.ndarray, W: np.ndarray, b: np.ndarray, dy: np.ndarray) -> None:
    dx, dW, db = F.linear_backward(dy, F.linear_forward(x, W, b)[1])
    parts = [F.linear_backward(dy[n], F.linear_forward(x[n], W, b)[1]) for n in range(2)]
    np.testing.assert_allclose(dx, np.stack([p[0] for p in parts]), rtol=0, atol=1e-13, equal_nan=False)
    np.testing.assert_allclose(dW, sum(p[1] for p in parts), rtol=0, atol=1e-12, equal_nan=False)
    np.testing.assert_allclose(db, sum(p[2] for p in parts), rtol=0, atol=1e-13, equal_nan=False)


@pytest.mark.parametrize(
    ("x", "W", "b"), [((3, 4), (I, O), (O,)), ((3, I), (I, O), (O + 1,)), ((2, 3, I + 1), (I, O), (O,))]
)
def test_shapes_that_do_not_fit(x: tuple[int, ...], W: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"mismatch|broadcast"):
        F.linear_forward(np.zeros(x), np.zeros(W), np.zeros(b))
