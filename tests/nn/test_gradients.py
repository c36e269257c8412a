"""Every module of minirec.nn against its derivative and its precision, all inputs and parameters at once."""

import gradient_table
import pytest

from minirec import nn

ROWS = gradient_table.MODULES


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_backward_is_the_derivative_of_forward(row: gradient_table.Row) -> None:
    report = row.gradient()
    assert report.ok, str(report)
    assert report.error <= 1e-8


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_float32_stays_float32_both_ways(row: gradient_table.Row) -> None:
    assert row.dtype is not None
    report = row.dtype()
    assert report.ok, str(report)


def test_every_module_has_a_row() -> None:
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type) and name != "Module"}
    modules = {name for name in classes if issubclass(getattr(nn, name), nn.Module)}
    assert modules == {row.name for row in ROWS}
