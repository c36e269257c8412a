"""check_gradient on honest pairs: they pass, with errors far below the tolerance; and wrong uses of it."""

from typing import Any

import numpy as np
import pytest

from minirec import functional as F
from minirec.verify import check_gradient
from minirec.verify.report import Report


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


HONEST = {
    "linear": lambda: (normal(2, 5, 3), normal(3, 7), normal(7)),
    "softmax": lambda: (normal(3, 5),),
    "attention": lambda: (normal(2, 3, 5), normal(2, 7, 5), normal(2, 7, 2)),
    "layer_norm": lambda: (normal(3, 5), normal(5), normal(5)),
    "cross_entropy": lambda: (normal(3, 5), np.array([1, 4, 1])),
    "embedding": lambda: (normal(5, 3), np.array([4, 0, 4, 2])),
    "dropout": lambda: (normal(5, 7), 0.3, np.random.default_rng(3)),
}


def check(name: str, *args: Any, **options: Any) -> Report:
    return check_gradient(getattr(F, f"{name}_forward"), getattr(F, f"{name}_backward"), *args, **options)


@pytest.mark.parametrize("jacobian", [True, False])
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_pair_passes_with_a_small_error(name: str, jacobian: bool) -> None:
    report = check(name, *HONEST[name](), jacobian=jacobian)
    assert report.ok, str(report)
    assert report.error <= 1e-11


@pytest.mark.parametrize("seed", range(10))
def test_an_honest_pair_passes_in_every_direction(seed: int) -> None:
    args = normal(2, 3, 5, seed=seed), normal(2, 7, 5, seed=seed), normal(2, 7, 2, seed=seed)
    report = check("attention", *args, rng=seed)
    assert report.ok, str(report)
    order = next(row.value for row in report.checks if row.name == "Taylor remainder")
    assert order == pytest.approx(2.0, abs=0.1)


def test_the_same_seed_gives_the_same_report() -> None:
    args = HONEST["attention"]()
    assert check("attention", *args) == check("attention", *args)
    assert check("attention", *args, rng=7) == check("attention", *args, rng=np.random.default_rng(7))


def test_arguments_may_be_read_only_and_are_left_alone() -> None:
    rng = np.random.default_rng(3)
    state = rng.bit_generator.state
    x = normal(5, 7)
    kept = x.copy()
    x.flags.writeable = False
    assert check("dropout", x, 0.3, rng).ok
    assert np.array_equal(x, kept)
    assert rng.bit_generator.state == state


def test_data_arguments_get_no_gradient_without_being_told() -> None:
    prediction, target, weight = normal(3, 5), normal(3, 5, seed=1), np.abs(normal(3, 5, seed=2))
    assert check("squared_error", prediction, target, weight).ok


def test_an_argument_with_the_name_of_data_is_checked_when_it_gets_a_gradient() -> None:
    def forward(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, F.LinearCache]:
        return F.linear_forward(x, weight, np.zeros(7))

    def wrong(dy: np.ndarray, cache: F.LinearCache) -> tuple[np.ndarray, ...]:
        dx, dW, _ = F.linear_backward(dy, cache)
        return dx, 2 * dW

    args = normal(5, 3), normal(3, 7)
    assert check_gradient(forward, lambda dy, cache: F.linear_backward(dy, cache)[:2], *args).ok
    report = check_gradient(forward, wrong, *args)
    assert report.worst is not None
    assert report.worst.argument == "weight"


def test_wrt_says_which_arguments_have_a_gradient() -> None:
    def forward(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        return a * b, (a, b)

    def backward(dy: np.ndarray, cache: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return dy * cache[0]  # of b alone

    assert check_gradient(forward, backward, normal(3), normal(3, seed=1), wrt=[1]).ok
    report = check_gradient(forward, backward, normal(3), normal(3, seed=1))
    assert [row.name for row in report.failures] == ["one gradient each"]
    assert "1 returned for 2 (a, b)" in str(report)
    assert report.error == float("inf")


def test_a_zero_that_is_declared_passes_and_one_that_is_not_fails() -> None:
    args = normal(2, 3, 5), normal(2, 1, 5), normal(2, 1, 7)  # one key: its weight is 1 whatever q and k are
    silent = check("attention", *args)
    assert [row.name for row in silent.failures] == ["every argument matters"]
    assert "no gradient for q, k" in str(silent)
    for zero in (["q", "k"], [0, 1]):
        report = check("attention", *args, zero=zero)
        assert report.ok, str(report)
        assert report.zero == ("q", "k")
        assert check("attention", *args, zero=zero, jacobian=False).ok


@pytest.mark.parametrize("jacobian", [True, False])
def test_a_wrong_declaration_fails(jacobian: bool) -> None:
    report = check("attention", *HONEST["attention"](), zero=["q"], jacobian=jacobian)
    assert [row.name for row in report.failures] == ["declared zeros are zero"]
    assert "not zero: q" in str(report)


@pytest.mark.parametrize("jacobian", [True, False])
def test_everything_zero_fails_unless_all_of_it_is_declared(jacobian: bool) -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
        return F.softmax_forward(x)[0].sum(axis=-1), x.shape  # 1 up to rounding

    def backward(dy: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)

    x = normal(3, 5)
    silent = check_gradient(forward, backward, x, jacobian=jacobian)
    assert "every argument matters" in [row.name for row in silent.failures]
    declared = check_gradient(forward, backward, x, zero=["x"], jacobian=jacobian)
    assert declared.ok, str(declared)


def test_a_function_that_refuses_complex_numbers_is_checked_by_differences() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x * np.abs(x), x

    report = check_gradient(forward, lambda dy, x: 2 * np.abs(x) * dy, np.array([0.7, -1.2, 2.5]))
    assert report.ok, str(report)
    assert "by differences" in str(report)
    wrong = check_gradient(forward, lambda dy, x: 2 * x * dy, np.array([0.7, -1.2, 2.5]))
    assert not wrong.ok


def test_complex_step_gives_the_jacobian_where_differences_are_too_coarse() -> None:
    x, one, zero = 3e-4 * normal(3, 2), normal(2), normal(2, seed=1)  # rows as narrow as √eps allows
    report = check("layer_norm", x, one, zero, 1e-12, method="complex")
    assert report.ok, str(report)
    assert report.error <= 1e-11


def test_the_complex_jacobian_is_refused_where_it_would_be_wrong() -> None:
    report = check_gradient(
        lambda x: (x * np.abs(x), x),
        lambda dy, x: 2 * np.abs(x) * dy,
        np.array([0.7, -1.2]),
        method="complex",
    )
    assert "full Jacobian" in [row.name for row in report.failures]
    assert "complex step" in str(report)


def power(x: Any) -> Any:
    return x * np.abs(x)  # legal for no complex x: |x| takes the imaginary part away


def one_legal_argument(x: Any, w: Any) -> Any:
    return x * x + np.linalg.norm(w)


def casts_silently(x: Any) -> Any:
    y = np.zeros(x.shape)
    y[...] = x.real**2
    return y


# (f, its derivatives for upstream dy, arguments, what the adjoint row says)
X = np.array([0.7, -1.2, 2.5])
ILLEGAL: dict[str, tuple[Any, Any, tuple[np.ndarray, ...], str]] = {
    "abs": (power, lambda dy, x: 2 * np.abs(x) * dy, (X,), "complex step and differences differ by"),
    "var": (np.var, lambda dy, x: dy * 2 * (x - x.mean()) / 3, (X,), "drops the imaginary part"),
    "norm": (np.linalg.norm, lambda dy, x: dy * x / np.linalg.norm(x), (X,),
             "drops the imaginary part"),
    "conj": (lambda x: x * x.conj(), lambda dy, x: 2 * x * dy, (X,), "differ by"),
    "conj of a part": (lambda x: x[1:].conj() * x[0], lambda dy, x: np.array([x[1:] @ dy, *(dy * x[0])]),
                       (X,), "differ by"),
    "where on the wrong part": (lambda x: np.where(x.imag == 0, x, 2 * x), lambda dy, x: dy,
                                (X,), "another value"),
    "cast": (casts_silently, lambda dy, x: 2 * x * dy, (X,), "drops the imaginary part"),
    "one argument": (one_legal_argument, lambda dy, x, w: (2 * x * dy, dy.sum() * w / np.linalg.norm(w)),
                     (X, normal(5)), "differ by"),
    "float()": (lambda x: np.array([float(v) ** 2 for v in x]), lambda dy, x: 2 * x * dy, (X,),
                "does not take complex input (ComplexWarning"),
    "an order": (lambda x: np.sort(x) if x.dtype == float else np.sort(x.conj()),
                 lambda dy, x: dy[np.argsort(np.argsort(x))], (X,), "differ by"),
}  # fmt: skip


@pytest.mark.parametrize("name", ILLEGAL)
def test_a_complex_step_that_is_not_legal_is_not_used(name: str) -> None:
    f, derivative, args, words = ILLEGAL[name]

    def forward(*args: Any) -> tuple[Any, Any]:
        return f(*args), args

    report = check_gradient(forward, lambda dy, args: derivative(dy, *args), *args)
    assert report.ok, str(report)
    adjoint = next(row for row in report.checks if row.name == "adjoint")
    assert adjoint.detail.startswith("by differences: ")
    assert words in adjoint.detail
    refused = check_gradient(forward, lambda dy, args: derivative(dy, *args), *args, method="complex")
    assert "full Jacobian" in [row.name for row in refused.failures]


# Comparisons of complex numbers go by the real part first, so these are legal away from ties.
@pytest.mark.parametrize(
    ("f", "derivative"),
    [
        (lambda x: np.maximum(x, 1.0), lambda dy, x: dy * (x > 1)),
        (lambda x: np.where(x.real > 1, x * x, x), lambda dy, x: dy * np.where(x > 1, 2 * x, 1)),
        (lambda x: x.max(keepdims=True), lambda dy, x: dy * (x == x.max())),
    ],
)
def test_a_complex_step_that_is_legal_is_used(f: Any, derivative: Any) -> None:
    report = check_gradient(lambda x: (f(x), x), derivative, X)
    assert report.ok, str(report)
    adjoint = next(row for row in report.checks if row.name == "adjoint")
    assert adjoint.detail == "by complex step"


def test_what_bends_more_sharply_than_any_step_is_not_measurable() -> None:
    def forward(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.sin(1e13 * x.real), x

    report = check_gradient(forward, lambda dy, x: dy * 1e13 * np.cos(1e13 * x), X)
    assert not report.ok
    assert "not measurable for x[0]" in str(report)
    assert "a jump, a sharp bend, or digits lost?" in str(report)


def test_the_worst_entry_is_where_the_mistake_is() -> None:
    def backward(dy: np.ndarray, cache: Any) -> tuple[np.ndarray, ...]:
        dx, dW, db = F.linear_backward(dy, cache)
        dW[1, 4] *= 1.5
        return dx, dW, db

    report = check_gradient(F.linear_forward, backward, *HONEST["linear"]())
    assert report.worst is not None
    assert (report.worst.argument, report.worst.entry) == ("W", (1, 4))
    assert report.worst.backward == pytest.approx(1.5 * report.worst.reference)
    assert report.worst.output is not None
    assert report.worst.output[-1] == 4


def test_the_tolerance_is_the_largest_error_allowed() -> None:
    def backward(dy: np.ndarray, cache: Any) -> np.ndarray:
        return F.softmax_backward(dy, cache) * (1 + 1e-6)

    x = normal(3, 5)
    assert not check_gradient(F.softmax_forward, backward, x).ok
    assert check_gradient(F.softmax_forward, backward, x, tolerance=1e-5).ok


@pytest.mark.parametrize(
    ("args", "options", "error", "words"),
    [
        ((np.ones(3, dtype=np.float32),), {}, TypeError, "x (argument 0) must be a float64 array"),
        ((np.arange(3),), {}, ValueError, "no argument to differentiate"),
        ((np.arange(3),), {"wrt": [0]}, TypeError, "got int64"),
        ((np.ones(3),), {"wrt": [1]}, ValueError, "wrt holds 1, but there are 1 arguments"),
        ((np.ones(3),), {"zero": ["y"]}, ValueError, "zero names 'y', which is not checked: allowed are x"),
        ((np.ones(3),), {"zero": [2]}, ValueError, "zero names 2"),
        ((np.ones(3),), {"method": "forward"}, ValueError, "method must be"),
        ((np.ones((0, 3)),), {}, ValueError, "not empty"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be_checked(
    args: Any, options: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        check("softmax", *args, **options)
    assert words in str(caught.value)


def test_forward_must_return_a_pair() -> None:
    with pytest.raises(TypeError, match=r"must return the pair \(y, cache\), got ndarray"):
        check_gradient(lambda x: x, lambda dy, cache: dy, np.ones(3))


def test_an_integer_output_cannot_be_checked() -> None:
    with pytest.raises(ValueError, match="real floating y that is not empty, got int64"):
        check_gradient(lambda x: (np.array([1, 2]), x), lambda dy, x: dy, np.ones(2))


def test_an_argument_with_the_name_of_data_is_not_left_out_in_silence() -> None:
    x, W, b = normal(5, 3), normal(3, 7), normal(7)

    def without_bias(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, F.LinearCache]:
        return F.linear_forward(x, weight, np.zeros(7))

    report = check_gradient(without_bias, lambda dy, cache: F.linear_backward(dy, cache)[0], x, W)
    assert "not checked: weight; wrt= takes in what has a gradient" in str(report)

    def forward(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, F.LinearCache]:
        return F.linear_forward(x, weight, bias)

    # Data come last: a weight before a bias is a parameter, and its gradient is missing.
    forgets = check_gradient(forward, lambda dy, cache: F.linear_backward(dy, cache)[::2], x, W, b)
    assert [row.name for row in forgets.failures] == ["one gradient each"]
    assert "2 returned for 3 (x, weight, bias)" in str(forgets)
    assert "not checked" not in str(check_gradient(forward, F.linear_backward, x, W, b))


@pytest.mark.parametrize(
    ("other", "name"),
    [(np.ma.masked_array, "MaskedArray"), (np.asmatrix, "matrix"), (np.ndarray.tolist, "list")],
)
@pytest.mark.filterwarnings("ignore:.*matrix:PendingDeprecationWarning")
def test_a_gradient_that_is_no_plain_array_is_refused(other: Any, name: str) -> None:
    x = normal(3, 5)
    report = check_gradient(F.softmax_forward, lambda dp, cache: (other(F.softmax_backward(dp, cache)),), x)
    assert [row.name for row in report.failures] == ["shapes and dtypes"]
    assert f"dx is a {name}, not a plain array" in str(report)


def test_a_backward_that_fails_for_a_constant_dy_or_for_another_layout_is_noticed() -> None:
    def zero_if_constant(dp: np.ndarray, cache: F.SoftmaxCache) -> np.ndarray:
        return F.softmax_backward(dp, cache) * 0 + (0 if np.ptp(dp) else 1) + F.softmax_backward(dp, cache)

    def in_memory_order(dp: np.ndarray, cache: F.SoftmaxCache) -> np.ndarray:
        return F.softmax_backward(dp.ravel("K").reshape(dp.shape), cache)

    for backward, words in ((zero_if_constant, "a constant dy"), (in_memory_order, "dy in Fortran's order")):
        report = check_gradient(F.softmax_forward, backward, normal(3, 5))
        row = next(row for row in report.checks if row.name == "linear in dy")
        assert not row.ok
        assert row.detail == f"not for {words}"


def small(b: Any, by_step: bool) -> Any:
    return b**2 if by_step else b.real**2


@pytest.mark.parametrize("by_step", [True, False])
@pytest.mark.parametrize("jacobian", [True, False])
def test_a_small_argument_is_judged_by_its_own_weight(jacobian: bool, by_step: bool) -> None:
    big = 1e10 if by_step else 1e8  # beside which differences still see b

    def forward(x: Any, b: Any) -> tuple[Any, Any]:
        return (big * x if by_step else big * x.real) + small(b, by_step), b

    def backward(dy: Any, b: Any) -> Any:
        return big * dy, 2 * b * dy

    args = normal(5), normal(5, seed=1)
    report = check_gradient(forward, backward, *args, jacobian=jacobian)
    assert report.ok, str(report)
    for wrong in (lambda dy, b: (big * dy, -2 * b * dy), lambda dy, b: (big * dy, 3 * b * dy)):
        assert not check_gradient(forward, wrong, *args, jacobian=jacobian).ok


def test_a_small_output_is_judged_by_its_own_weight_where_complex_step_is_legal() -> None:
    for size in (1e-6, 1e-9, 1e-12):

        def forward(x: Any, size: float = size) -> tuple[Any, Any]:
            return np.stack([x**3, size * np.sin(x)]), x

        def backward(dy: Any, x: Any, off: float, size: float = size) -> Any:
            return 3 * x**2 * dy[0] + off * size * np.cos(x) * dy[1]

        x = normal(5)
        assert check_gradient(forward, lambda dy, c: backward(dy, c, 1.0), x).ok
        assert not check_gradient(forward, lambda dy, c: backward(dy, c, 1.5), x).ok


def test_a_formula_that_rounds_like_y_is_no_mistake() -> None:
    def forward(x: Any) -> tuple[Any, Any]:
        y = 1 / (1 + np.exp(-x))
        return y, y

    for seed in range(20):  # y (1 − y) of a y near 1 keeps few digits
        report = check_gradient(forward, lambda dy, y: dy * y * (1 - y), 12 * normal(5, seed=seed))
        assert report.ok, str(report)


def test_a_forward_that_writes_into_its_argument_fails_in_that_row_alone() -> None:
    def forward(x: Any) -> tuple[Any, Any]:
        x *= 2
        return x**2, x.copy()

    report = check_gradient(forward, lambda dy, doubled: 4 * doubled * dy, normal(5))
    assert [row.name for row in report.failures] == ["nothing written in place"]


def test_at_a_kink_without_the_jacobian_no_other_row_fails() -> None:
    W = normal(5, 3)
    report = check_gradient(
        lambda x: (np.maximum(x @ W, 0), x @ W), lambda dy, s: (dy * (s > 0)) @ W.T, np.zeros((2, 5)),
        jacobian=False, zero=["x"],
    )  # fmt: skip
    assert [row.name for row in report.failures] == ["kinks"]


@pytest.mark.parametrize("k", [1e3, 1e4, 1e5])
def test_a_narrow_even_feature_is_not_passed_over(k: float) -> None:
    x = np.array([3e-7, 1e-4, 2.0])

    def forward(x: Any) -> tuple[Any, Any]:
        return np.exp(-((k * x) ** 2)) + x, x

    def right(dy: Any, x: Any) -> Any:
        return dy * (1 - 2 * k * k * x * np.exp(-((k * x) ** 2)))

    assert check_gradient(forward, right, x).ok
    wrong = check_gradient(forward, lambda dy, x: dy, x)
    assert {"full Jacobian", "adjoint"} <= {row.name for row in wrong.failures}
    assert not check_gradient(forward, lambda dy, x: dy, x, jacobian=False).ok


@pytest.mark.parametrize("s", [1e-8, 1e-6, 1e4, 1e6, 1e8])
def test_arguments_of_any_scale(s: float) -> None:
    x = s * np.array([0.4, -1.2, 2.2])
    for f, derivative in (
        (lambda x: np.sin(x / s), lambda x: np.cos(x / s) / s),
        (lambda x: np.abs(x / s) ** 3, lambda x: 3 * (x / s) ** 2 * np.sign(x) / s),
        (lambda x: (x - s) ** 2, lambda x: 2 * (x - s)),
    ):
        assert check_gradient(lambda x, f=f: (f(x), x), lambda dy, x, d=derivative: dy * d(x), x).ok
        assert not check_gradient(
            lambda x, f=f: (f(x), x), lambda dy, x, d=derivative: dy * d(x) * (1 + 1e-6), x
        ).ok


def test_a_stationary_point_has_no_gradient_and_nothing_else_is_wrong() -> None:
    for check_it in (
        lambda: check("squared_error", normal(3), normal(3)),
        lambda: check_gradient(lambda x: (x**3, x), lambda dy, x: 3 * x**2 * dy, np.zeros(3)),
    ):
        report = check_it()
        assert [row.name for row in report.failures] == ["every argument matters"]


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_our_own_softmax_is_not_refused_where_it_is_saturated(scale: float) -> None:
    for seed in range(15):
        report = check("softmax", scale * normal(1, 5, seed=seed))
        assert report.ok, str(report)


@pytest.mark.parametrize("size", [1e-5, 1e-9])
def test_a_small_term_that_complex_step_does_not_see_is_judged_by_differences(size: float) -> None:
    def forward(x: Any, w: Any) -> tuple[Any, Any]:
        return (x * x).sum() + size * np.abs(w).sum(), (x, w)

    args = normal(3), normal(5)
    right = check_gradient(forward, lambda dy, c: (2 * dy * c[0], size * dy * np.sign(c[1])), *args)
    assert right.ok, str(right)
    assert not check_gradient(
        forward, lambda dy, c: (2 * dy * c[0], 0.9 * size * dy * np.sign(c[1])), *args
    ).ok


def test_arrays_that_a_later_call_overwrites_are_noticed() -> None:
    kept = np.empty(5)

    def buffered(dy: Any, x: Any) -> Any:
        return np.multiply(2 * x, dy, out=kept)

    report = check_gradient(lambda x: (x**2, x), buffered, normal(5))
    assert [row.name for row in report.failures] == ["second call, same bits"]
    assert "the gradients of the first call, which a later call has overwritten" in str(report)


def test_a_forward_in_single_precision_inside_is_never_taken_for_a_reference() -> None:
    def forward(x: Any) -> tuple[Any, Any]:
        y = np.tanh(x.real)
        y[1] = np.tanh(np.float32(x.real[1]))
        return y, y

    for seed in range(30):
        report = check_gradient(
            forward, lambda dy, y: dy * (1 - y * y) * (np.arange(5) != 1), normal(5, seed=seed)
        )
        assert not report.ok


def test_a_sum_of_two_dy_and_a_y_that_backward_changes_are_noticed() -> None:
    def forward(x: Any) -> tuple[Any, Any]:
        y = x**2
        return y, (x, y)

    def writes(dy: Any, cache: Any) -> Any:
        cache[1][...] *= 2
        return 2 * cache[0] * dy

    report = check_gradient(forward, writes, normal(5))
    assert "backward changes y" in str(report)

    def couples(dy: Any, cache: Any) -> Any:  # homogeneous, and right for every dy with one entry
        return 2 * cache[0] * dy + 1e-3 * np.cbrt(dy[0] ** 2 * dy[1])

    assert "linear in dy" in [row.name for row in check_gradient(forward, couples, normal(5)).failures]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"tolerance": 0.0}, ValueError, "tolerance must be above 0 and finite, got 0.0"),
        ({"tolerance": float("nan")}, ValueError, "tolerance must be above 0"),
        ({"directions": 0}, ValueError, "directions must be at least 1, got 0"),
        ({"wrt": ["x"]}, TypeError, "wrt holds positions of arguments, got 'x'"),
        ({"names": ["a", "b"]}, ValueError, "names must be 1 different names"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        check("softmax", normal(3), **options)


def test_one_position_may_stand_alone() -> None:
    assert check_gradient(F.softmax_forward, F.softmax_backward, normal(3), wrt=0).ok
