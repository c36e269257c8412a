"""Every function of minirec.functional against its derivative, its precision and its memory layout."""

import copy
from typing import Any

import gradient_table
import numpy as np
import pytest
import strategies

from minirec import functional as F
from minirec.verify.pair import as_list

ROWS = gradient_table.FUNCTIONS


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_backward_is_the_derivative_of_forward(row: gradient_table.Row) -> None:
    report = row.gradient()
    assert report.ok, str(report)
    assert report.error <= 1e-8


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_forward_takes_complex_numbers_as_complex_step_needs_them(row: gradient_table.Row) -> None:
    adjoint = next(check for check in row.gradient().checks if check.name == "adjoint")
    assert adjoint.detail == "by complex step"
    assert adjoint.value is not None
    assert adjoint.value <= 1e-13


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_float32_stays_float32_both_ways(row: gradient_table.Row) -> None:
    assert row.dtype is not None
    report = row.dtype()
    assert report.ok, str(report)


def test_every_function_has_a_row() -> None:
    forwards = {name.removesuffix("_forward") for name in dir(F) if name.endswith("_forward")}
    backwards = {name.removesuffix("_backward") for name in dir(F) if name.endswith("_backward")}
    assert forwards == backwards
    assert forwards == {row.name for row in ROWS}


@pytest.mark.parametrize("layout", strategies.LAYOUTS)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_memory_layout_changes_nothing(row: gradient_table.Row, layout: str) -> None:
    assert row.args is not None
    laid = [strategies.lay_out(a, layout) if isinstance(a, np.ndarray) else a for a in row.args()]
    plain = [np.array(a, order="C") if isinstance(a, np.ndarray) else a for a in laid]
    for a, b in zip(_run(row, plain), _run(row, laid), strict=True):
        assert np.shape(a) == np.shape(b)
        # The order of a sum may change with the layout; sums have at most a few hundred terms of size 10.
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-12, equal_nan=False)


def _run(row: gradient_table.Row, args: list[Any]) -> list[Any]:
    """y and all gradients, each Generator started anew."""
    fresh = [copy.deepcopy(a) if isinstance(a, np.random.Generator) else a for a in args]
    y, cache = getattr(F, f"{row.name}_forward")(*fresh)
    dy = np.random.default_rng(5).standard_normal(np.shape(y))
    gradients = getattr(F, f"{row.name}_backward")(dy if isinstance(y, np.ndarray) else np.float64(dy), cache)
    return [y, *as_list(gradients)]
