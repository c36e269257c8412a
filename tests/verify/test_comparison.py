"""`same`: equal formulas, formulas equal but for rounding, and different ones, are told apart."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minirec import functional as F
from minirec.verify.comparison import judgement, same

Domain = Callable[[np.random.Generator], tuple[Any, ...]]
ROUNDING = "same in exact arithmetic, not in floating point"


def matrix(rng: np.random.Generator) -> tuple[Any, ...]:
    return (rng.standard_normal((3, 5)),)


def square(rng: np.random.Generator) -> tuple[Any, ...]:
    return (rng.standard_normal((5, 5)),)


def masked(rng: np.random.Generator) -> tuple[Any, ...]:
    mask = rng.random((3, 5)) < 0.7
    mask[:, 0] = True
    return rng.standard_normal((3, 5)), mask


def all_visible(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((3, 5)), np.ones((3, 5), dtype=bool)


def two(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((3, 5)), rng.standard_normal((3, 5))


def norm(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((3, 5)), rng.standard_normal(5), rng.standard_normal(5)


def attention(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((3, 5)), rng.standard_normal((7, 5)), rng.standard_normal((7, 11))


def table(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.standard_normal((5, 3)), rng.integers(0, 5, (2, 7))


# ---- formulas


def naive_softmax(x: Any) -> Any:
    e = np.exp(x)
    return e / e.sum(axis=-1, keepdims=True)


def softmax_in_loops(x: Any, mask: Any = None) -> Any:
    p = np.zeros(x.shape)
    for i, row in enumerate(x):
        kept = [j for j in range(len(row)) if mask is None or mask[i, j]]
        peak = max((float(row[j]) for j in kept), default=0.0)
        total = sum(math.exp(float(row[j]) - peak) for j in kept)
        for j in kept:
            p[i, j] = math.exp(float(row[j]) - peak) / total
    return p


def softmax_of_python_numbers(x: Any) -> Any:
    return [[math.exp(v) / sum(math.exp(w) for w in row) for v in row] for row in x.tolist()]


def moments(x: Any) -> Any:
    return (x * x).mean(axis=-1) - x.mean(axis=-1) ** 2


def two_pass(x: Any) -> Any:
    centered = x - x.mean(axis=-1, keepdims=True)
    return (centered * centered).mean(axis=-1)


def two_pass_in_loops(x: Any) -> Any:
    out = []
    for row in x:
        mean = sum(row) / len(row)
        out.append(sum((v - mean) ** 2 for v in row) / len(row))
    return np.array(out)


def norm_in_loops(x: Any, gamma: Any, beta: Any) -> Any:
    rows = []
    for row in x:
        mean = sum(row) / len(row)
        var = sum((v - mean) ** 2 for v in row) / len(row)
        rows.append(
            [g * (v - mean) / (var + 1e-5) ** 0.5 + b for v, g, b in zip(row, gamma, beta, strict=True)]
        )
    return np.array(rows)


def unbiased_norm(x: Any, gamma: Any, beta: Any) -> Any:
    return gamma * (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, ddof=1, keepdims=True) + 1e-5) + beta


def attention_in_loops(q: Any, k: Any, v: Any, width: int | None = None) -> Any:
    y = []
    for a in q:
        s = np.array([sum(a * b) for b in k]) / math.sqrt(width or len(a))
        e = np.exp(s - s.max())
        y.append(sum(w * row for w, row in zip(e / e.sum(), v, strict=True)))
    return np.array(y)


def softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def first_of_ties(x: Any) -> Any:
    return (np.arange(x.shape[-1]) == x.argmax(axis=-1)[..., None]) * 1.0


def mean_of_ties(x: Any) -> Any:
    top = x == x.max(axis=-1, keepdims=True)
    return top / top.sum(axis=-1, keepdims=True)


def onehot_product(E: Any, ids: Any) -> Any:
    return (ids[..., None] == np.arange(len(E))) @ E


def fully_masked_uniform(x: Any, mask: Any) -> Any:
    """As our softmax, save that a row with nothing left is uniform."""
    return np.where(mask.any(-1, keepdims=True), F.softmax_forward(x, mask)[0], 1 / x.shape[-1])


SAME: list[tuple[str, Any, Any, Domain]] = [
    ("softmax and loops", F.softmax_forward, softmax_in_loops, matrix),
    ("masked softmax and loops", F.softmax_forward, softmax_in_loops, masked),
    ("embedding and one-hot product", F.embedding_forward, onehot_product, table),
    ("two-pass variance and loops", two_pass, two_pass_in_loops, matrix),
    ("layer norm and loops", F.layer_norm_forward, norm_in_loops, norm),
    ("attention and loops", F.attention_forward, attention_in_loops, attention),
    ("linear and einsum", F.linear_forward, lambda x, W, b: np.einsum("ni,io->no", x, W) + b,
     lambda rng: (rng.standard_normal((3, 5)), rng.standard_normal((5, 7)), rng.standard_normal(7))),
    ("log-softmax and its definition", F.log_softmax_forward,
     lambda x: x - x.max(-1, keepdims=True)
     - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)), matrix),
    ("x·x and x²", lambda x: x * x, lambda x: x**2, matrix),
    ("variance, added up in another order", two_pass, lambda x: two_pass(x[..., ::-1]), matrix),
    ("a number that the arguments hardly hold", lambda x: np.sin(x).sum(-1),
     lambda x: np.sin(x[..., ::-1]).sum(-1), matrix),
    ("three factors, which overflow", lambda x, y: (x @ y.T) @ x, lambda x, y: x @ (y.T @ x), two),
    ("both raise", lambda x: np.linalg.inv(x), lambda x: np.linalg.inv(x), square),
]  # fmt: skip

BY_ROUNDING: list[tuple[str, Any, Any, Domain, str | None]] = [
    ("naive softmax", naive_softmax, F.softmax_forward, matrix, "softmax"),
    ("softmax of Python's numbers", softmax_of_python_numbers, F.softmax_forward, matrix, "softmax"),
    ("E[x²] − E[x]²", two_pass, moments, matrix, "two_pass"),
    ("log of softmax", F.log_softmax_forward, lambda x: np.log(naive_softmax(x)), matrix, "the first"),
    ("log of a stable softmax", lambda x: np.log(F.softmax_forward(x)[0]), F.log_softmax_forward, matrix,
     "the second"),
    ("log(1 + e^x)", lambda x: np.log(1 + np.exp(x)), softplus, matrix, "the second"),
    ("(a + b)²", lambda a, b: (a + b) ** 2, lambda a, b: a * a + 2 * a * b + b * b, two, "the first"),
    ("a norm that overflows", lambda x: np.sqrt((x * x).sum(-1)),
     lambda x: np.abs(x).max(-1) * np.sqrt(((x / np.maximum(np.abs(x).max(-1, keepdims=True), 1e-300)) ** 2)
                                           .sum(-1)), lambda rng: (1e10 * rng.standard_normal((3, 5)),),
     "the second"),
    ("e^x − 1", np.expm1, lambda x: np.exp(x) - 1, matrix, "the first"),
    ("log(1 + x²)", lambda x: np.log1p(x * x), lambda x: np.log(1 + x * x), matrix, "the first"),
    ("tanh of exponentials", np.tanh, lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), matrix,
     "the first"),
    ("1 − cos x", lambda x: 1 - np.cos(x), lambda x: 2 * np.sin(x / 2) ** 2,
     lambda rng: (0.3 * rng.standard_normal((3, 5)),), "the second"),
]  # fmt: skip

DIFFERENT: list[tuple[str, Any, Any, Domain, str]] = [
    ("softmax over another axis", F.softmax_forward, lambda x: naive_softmax(x.T).T, square, "generic"),
    ("unbiased variance", F.layer_norm_forward, unbiased_norm, norm, "generic"),
    ("√D for √K", F.attention_forward, lambda q, k, v: attention_in_loops(q, k, v, v.shape[-1]), attention,
     "generic"),
    ("a fully masked row", F.softmax_forward, fully_masked_uniform, all_visible, "False"),
    ("the mask is ignored", F.softmax_forward, lambda x, mask: naive_softmax(x), all_visible, "mask"),
    ("ties", first_of_ties, mean_of_ties, matrix, "whole numbers|constant|equal|zeros"),
    ("> for >=", lambda x: (x > 1) * 1.0, lambda x: (x >= 1) * 1.0, matrix, "whole numbers"),
    ("at zero only", lambda x: np.sign(x), lambda x: np.where(x >= 0, 1.0, -1.0), matrix, "zeros|whole"),
    ("repeated ids only", lambda E, ids: E[ids].sum(0), lambda E, ids: E[np.unique(ids)].sum(0),
     lambda rng: (rng.standard_normal((5, 3)), rng.permutation(5)), "same id"),
    ("clipped at a million", lambda x: x, lambda x: np.clip(x, -1e6, 1e6), matrix, "times|shifted"),
    ("another limit where one overflows", lambda x: np.log(1 + np.exp(x)),
     lambda x: np.where(x < 600, np.log(1 + np.exp(x)), 1.1 * x), matrix, "times|shifted"),
    ("off by 1e-17, which small numbers see", lambda x: x, lambda x: x + 1e-17, matrix, "times 1e-08"),
    ("another sign below 1e-100", lambda x: x, lambda x: np.where(np.abs(x) > 1e-100, x, -x), matrix,
     "times 1e-150"),
    ("off by 1e-9", lambda x: np.exp(x), lambda x: np.exp(x) * (1 + 1e-9), matrix, "generic"),
    ("another shape", lambda x: x.sum(-1), lambda x: x.sum(-1, keepdims=True), matrix, "generic"),
    ("one raises", lambda x: np.linalg.pinv(x), lambda x: np.linalg.inv(x), square, "rows|equal|zeros"),
    ("NaN in one", lambda x: np.where(x > 0, x, 0), lambda x: np.where(x > 0, x, np.nan), matrix, "generic"),
]  # fmt: skip


@pytest.mark.parametrize(("f", "g", "domain"), [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_the_same_function(f: Any, g: Any, domain: Domain) -> None:
    agreement = same(f, g, domain)
    assert agreement.verdict == "same", str(agreement)
    assert agreement.ok
    assert agreement
    assert same(g, f, domain, rng=7).ok


@pytest.mark.parametrize(
    ("f", "g", "domain", "better"), [row[1:] for row in BY_ROUNDING], ids=[row[0] for row in BY_ROUNDING]
)
@pytest.mark.parametrize("longer", [True, False])
def test_the_same_but_for_rounding(
    f: Any, g: Any, domain: Domain, better: str | None, longer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if longer and not judgement.LONGER:
        pytest.skip("np.longdouble is no longer than float64 on this platform")
    monkeypatch.setattr(judgement, "LONGER", longer)
    agreement = same(f, g, domain)
    assert agreement.verdict == ROUNDING, str(agreement)
    assert not agreement
    if longer:
        assert agreement.better == better, str(agreement)
        assert "digits, the other" in str(agreement).splitlines()[-1]


@pytest.mark.parametrize(
    ("f", "g", "domain", "kind"), [row[1:] for row in DIFFERENT], ids=[row[0] for row in DIFFERENT]
)
def test_different_functions(f: Any, g: Any, domain: Domain, kind: str) -> None:
    agreement = same(f, g, domain)
    assert agreement.verdict == "different", str(agreement)
    assert any(word in agreement.worst.kind for word in kind.split("|")), str(agreement)
    assert agreement.kept is None


def single(x: Any) -> Any:
    """x rounded to single precision, as a number of double precision."""
    return x.astype(np.float32).astype(x.dtype)


SINGLE: list[tuple[str, Any, Any, Domain, str]] = [
    ("x rounded", lambda x: x, single, matrix, "The second computes"),
    ("the sine of x rounded", lambda x: np.sin(single(x)), np.sin, matrix, "The first computes"),
    ("a result of float32", np.sin, lambda x: np.sin(x.astype(np.float32)), matrix, "The second computes"),
    ("a result rounded", np.exp, lambda x: single(np.exp(x)), matrix, "The second computes"),
    ("one factor rounded", lambda a, b: a @ b.T, lambda a, b: a @ single(b).T, two, "The second computes"),
    ("both", lambda x: np.sin(single(x)), lambda x: single(np.sin(x)), matrix, "Both compute"),
]


@pytest.mark.parametrize(
    ("f", "g", "domain", "who"), [row[1:] for row in SINGLE], ids=[row[0] for row in SINGLE]
)
def test_a_formula_in_single_precision_is_recognized(f: Any, g: Any, domain: Domain, who: str) -> None:
    agreement = same(f, g, domain)
    assert agreement.verdict == ROUNDING, str(agreement)
    assert agreement.as_far_as_seen
    assert f"{who} in single precision (float32)" in str(agreement)
    assert 6 < next(row.digits for row in agreement.rows if row.kind == "generic") < 9


@pytest.mark.parametrize(
    ("f", "g"),
    [
        (np.sin, lambda x: np.sin(single(x)) * 1.001),
        (np.sign, lambda x: np.sign(x) * (1 + 1e-6)),
        (lambda x: np.sign(x) / 2, lambda x: np.sign(x) / 2 * (1 + 1e-6)),
        (np.round, lambda x: np.round(x) * (1 + 1e-6)),
        (lambda x: x, lambda x: x * (1 + 1e-8)),
    ],
)
def test_single_precision_excuses_no_other_difference(f: Any, g: Any) -> None:
    assert same(f, g, matrix).verdict == "different"


def test_a_difference_as_small_as_single_precision_says_that_it_could_be() -> None:
    seventh = same(lambda x: x, lambda x: x * (1 + 5e-8), matrix)
    assert str(seventh).endswith("would look like this, too.")
    assert str(same(lambda x: x, lambda x: x * (1 + 1e-5), matrix)).endswith('points "generic".')
    assert str(same(lambda x: x, lambda x: x * (1 + 1e-9), matrix)).endswith('points "generic".')


def test_where_longer_numbers_end_a_difference_decides_nothing() -> None:
    if not judgement.LONGER:
        pytest.skip("np.longdouble is no longer than float64 on this platform")
    agreement = same(np.expm1, lambda x: np.exp(x) - 1, matrix)
    rows = {row.kind: row for row in agreement.rows}
    assert rows["times 1e-150"].note == "cannot be told from rounding"
    assert rows["times 1e-08"].note == ""
    assert "as far as can be seen" in str(agreement)
    late = same(lambda x: x, lambda x: (x + 1e-95) - 1e-95, matrix)  # rounding, from about 1e-101 down
    assert late.verdict == ROUNDING, str(late)
    # The same difference at 1e-150, and none on the way there: that is no rounding.
    jump = same(lambda x: x, lambda x: np.where(np.abs(x) < 1e-100, 0.0, x), matrix)
    assert jump.verdict == "different"
    assert jump.worst.kind == "times 1e-150"


def between(low: float, high: float) -> Callable[..., bool]:
    return lambda x, mask: bool(low < np.median(np.abs(x)) < high and x.min() < 0)


def shifted(low: float, high: float) -> Callable[..., bool]:
    return lambda x, mask: bool(low < x.min() and x.max() < high and np.ptp(x) > 0)


ONLY: list[tuple[str, Callable[..., bool]]] = [
    ("times 10", between(4, 50)),
    ("times 1000", between(1e2, 1e4)),
    ("times 1e+08", between(1e6, 1e9)),
    ("times 1e+150", between(1e140, 1e160)),
    ("times 1e-08", between(1e-10, 1e-6)),
    ("times 1e-150", between(1e-160, 1e-140)),
    ("shifted by 10", shifted(5, 15)),
    ("shifted by 10000", shifted(9e3, 1.1e4)),
    ("shifted by 1e+08", shifted(9e7, 1.1e8)),
    ("whole numbers", lambda x, mask: bool(np.all(x == np.round(x)) and np.ptp(x) > 0 and abs(x).max() < 9)),
    ("constant rows", lambda x, mask: bool(np.all(np.ptp(x, axis=1) == 0) and np.ptp(x) > 0)),
    ("all equal", lambda x, mask: bool(np.ptp(x) == 0 and x.any())),
    ("zeros", lambda x, mask: not x.any()),
    ("mask all True", lambda x, mask: bool(mask.all())),
    ("mask all False", lambda x, mask: not mask.any()),
    (
        "mask with its first row False",
        lambda x, mask: bool(not mask[0].any() and mask.any() and mask.sum() > 1),
    ),
    ("mask with a single True", lambda x, mask: bool(mask.sum() == 1)),
]


def some_hidden(rng: np.random.Generator) -> tuple[Any, ...]:
    mask = np.array([[True, True, False, True, True], [True] * 5, [False, True, True, True, False]])
    return rng.standard_normal((3, 5)), mask


@pytest.mark.parametrize(("kind", "there"), ONLY, ids=[row[0] for row in ONLY])
def test_a_difference_that_shows_only_there(kind: str, there: Callable[..., bool]) -> None:
    agreement = same(
        lambda x, mask: x, lambda x, mask: np.where(x == 0, 1.0, 2 * x) if there(x, mask) else x, some_hidden
    )
    assert [row.kind for row in agreement.rows if not row.ok] == [kind]
    assert agreement.verdict == "different"
    assert agreement.worst.kind == kind


@pytest.mark.parametrize(
    ("kind", "there"),
    [
        ("a alone times 1e+08", lambda a, b: np.abs(a).max() > 1e6 > np.abs(b).max() and a.min() < 0),
        ("b alone shifted by 1e+08", lambda a, b: b.min() > 1e7 and np.abs(a).max() < 1e3),
        ("a and b equal", lambda a, b: np.array_equal(a, b) and len(np.unique(a)) == a.size),
        ("a and b nearly opposite", lambda a, b: 0 < np.abs(a + b).max() < 1e-4 and np.abs(a).max() > 0.1),
    ],
)
def test_a_difference_that_shows_only_for_two_arguments(kind: str, there: Any) -> None:
    agreement = same(lambda a, b: a + 2 * b, lambda a, b: (a + 2 * b) * (1 + there(a, b)), two)
    assert [row.kind for row in agreement.rows if not row.ok] == [kind]
    assert agreement.verdict == "different"


def test_the_report_can_be_read() -> None:
    agreement = same(naive_softmax, F.softmax_forward, matrix)
    lines = str(agreement).splitlines()
    assert lines[0] == f"naive_softmax against softmax: {ROUNDING}"
    table = {row.kind: row for row in agreement.rows}
    assert table["generic"].ok
    assert table["generic"].points == 20
    assert table["generic"].digits > 14
    assert not table["times 1000"].ok
    assert table["times 1000"].digits == 0
    assert agreement.digits == 0
    assert any(line.split()[:3] == ["DIFFER", "times", "1000"] for line in lines)
    assert "sample 0" in lines[-2]
    assert "nan against" in lines[-2]
    assert lines[-1].startswith("The two are the same in exact arithmetic")


def test_the_worst_point_can_be_repeated() -> None:
    agreement = same(first_of_ties, mean_of_ties, matrix)
    worst = agreement.worst
    f, g = first_of_ties(*worst.arguments), mean_of_ties(*worst.arguments)
    assert (f[worst.entry], g[worst.entry]) == (worst.first, worst.second)
    assert worst.first != worst.second
    again = same(first_of_ties, mean_of_ties, matrix)
    assert str(again) == str(agreement)
    other = same(first_of_ties, mean_of_ties, matrix, rng=1)
    assert not np.array_equal(other.worst.arguments[0], worst.arguments[0])


def test_points_outside_the_domain_of_both_are_printed_and_count_as_equal() -> None:
    agreement = same(np.sqrt, lambda x: x**0.5, matrix)
    assert agreement.ok, str(agreement)
    assert "both undefined at" in str(agreement)


def test_the_same_exception_counts_as_equal_and_is_printed() -> None:
    agreement = same(np.linalg.inv, lambda x: np.linalg.solve(x, np.eye(5)), square)
    zeros = next(row for row in agreement.rows if row.kind == "zeros")
    assert zeros.ok
    assert zeros.note == "both raise LinAlgError"


def test_a_comparison_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="both formulas raise"):
        same(np.linalg.inv, np.linalg.inv, matrix)
    with pytest.raises(ValueError, match="undefined"):
        same(lambda x: x * np.nan, lambda x: x * np.nan, matrix)
    with pytest.raises(ValueError, match="samples"):
        same(np.sin, np.sin, matrix, samples=0)
    with pytest.raises(TypeError, match="real array or a number, got dtype complex128"):
        same(lambda x: 1j * x, lambda x: 1j * x, matrix)


def test_a_generator_starts_anew_in_every_call() -> None:
    def domain(rng: np.random.Generator) -> tuple[Any, ...]:
        return rng.standard_normal((3, 5)), 0.5, np.random.default_rng(3)

    assert same(F.dropout_forward, lambda x, rate, rng: F.dropout_forward(x, rate, rng)[0], domain).ok


def test_arguments_are_not_written_into() -> None:
    def writing(x: np.ndarray) -> np.ndarray:
        x *= 2
        return x

    assert same(writing, lambda x: 2 * x, matrix).ok


def test_without_longer_numbers_the_verdict_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgement, "LONGER", False)
    agreement = same(two_pass, moments, matrix)
    assert agreement.verdict == ROUNDING
    assert "as far as can be seen" in str(agreement)
    assert same(F.layer_norm_forward, unbiased_norm, norm).verdict == "different"
    assert same(first_of_ties, mean_of_ties, matrix).verdict == "different"


if __name__ == "__main__":
    for f, g, domain in [row[1:4] for row in [*SAME, *BY_ROUNDING, *DIFFERENT]]:
        print(same(f, g, domain), "\n")
