"""check_dtype: notices every place where float32 turns into float64, and results that are nonsense."""

from typing import Any

import numpy as np
import pytest

from minirec import functional as F
from minirec.verify import check_dtype


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape)


def test_honest_functions_keep_the_precision() -> None:
    for dtype in (np.float32, np.float64):
        report = check_dtype(F.softmax_forward, F.softmax_backward, normal(3, 5), dtype=dtype)
        assert report.ok, str(report)


def test_a_forward_that_widens() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, None]:
        return x / np.sqrt(np.float64(7)), None

    report = check_dtype(forward, lambda dy, _: dy * 7**-0.5, normal(3))
    assert [row.name for row in report.failures] == ["float32 in, float32 out"]
    assert "y is float64" in str(report)


def test_a_backward_that_widens_names_the_argument() -> None:
    def backward(dy: Any, cache: Any) -> Any:
        dx, dW, db = F.linear_backward(dy, cache)
        return dx, dW * np.float64(1), db.astype(np.float64)

    report = check_dtype(F.linear_forward, backward, normal(5, 3), normal(3, 7), normal(7))
    assert "dW is float64; db is float64" in str(report)
    assert "dx" not in str(report)


def test_a_result_without_digits_in_float32() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (x * x).mean() - x.mean() ** 2 + 0 * x, x  # the variance in one pass

    def backward(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        return 2 * dy.sum() * (x - x.mean()) / x.size

    report = check_dtype(forward, backward, normal(7) + 1e3)
    assert "y as in float64" in [row.name for row in report.failures]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_result_that_is_not_finite_in_float32_only(wrong: float) -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x + x.dtype.type(wrong if x.dtype == np.float32 else 0), x

    assert not check_dtype(forward, lambda dy, _: dy, normal(3)).ok


def test_infinities_that_are_right_are_accepted() -> None:
    x = np.array([[0.5, -np.inf, 2.0], [1.0, 0.0, -np.inf]])
    report = check_dtype(F.log_softmax_forward, F.log_softmax_backward, x)
    assert report.ok, str(report)
