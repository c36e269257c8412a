"""`agree`: the two sides of a formula."""

import numpy as np
import pytest

from minirec.verify import agree


def test_sides_that_agree(capsys):
    agree("sum", 0.1 + 0.2, 0.3)
    agree("large", np.array([1e9 + 1e-5]), np.array([1e9]))
    agree("mask", np.array([True, False]), np.array([True, False]))
    assert (
        capsys.readouterr().out
        == "sum: both sides agree.\nlarge: both sides agree.\nmask: both sides agree.\n"
    )


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ([1.0, 2.0, 3.0], [1.0, 2.5, 3.0], r"the sides differ at \[1\]: 2.0 and 2.5"),
        ([1.0, np.nan], [1.0, np.nan], r"the sides differ at \[1\]: nan and nan"),
        (1.0, 1.0 + 1e-11, "the sides differ: 1.0 and"),
        ([1.0, 2.0], [1.0], r"the left side has shape \(2,\), the right side \(1,\)"),
        ([True, False], [True, True], r"the sides differ at \[1\]: False and True"),
        (np.inf, np.inf, "the sides differ"),
    ],
)
def test_sides_that_do_not(left, right, message, capsys):
    with np.errstate(invalid="ignore"), pytest.raises(AssertionError, match=message):
        agree("f", left, right)
    assert capsys.readouterr().out == ""
