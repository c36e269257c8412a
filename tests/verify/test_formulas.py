"""The formula sheet: complete, its definitions independent of the package, and every entry holds."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st

from minirec import functional as F
from minirec import metrics, nn, optim
from minirec.evaluation import significance
from minirec.models import ease, implicit_als, item_knn, markov_chain, svd_plus_plus
from minirec.verify import formulas
from minirec.verify.formula import Built, Formula, Place, Property, examine, relative_gap, try_property
from minirec.verify.formulas import SHEET

ENTRIES = pytest.mark.parametrize("formula", SHEET.values(), ids=SHEET)


def public(module: Any) -> set[str]:
    """Names of the public functions (without _forward and _backward) and classes that a module defines."""
    found = {
        name.removesuffix("_forward").removesuffix("_backward")
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__.startswith(module.__name__)
        and not name.endswith("Cache")
    }
    return {name for name in found if not name.startswith("_")}


# Gradients by rows: tests/functional/test_row_gradient.py examines them, the entry of Embedding uses them.
ROWS = {"RowGradient", "add_row_gradients", "embedding_row_gradient", "sum_by_row"}


@pytest.mark.parametrize(
    ("module", "without"),
    [
        (F, ROWS),
        (nn, {"Module"}),
        (metrics, {"placement", "Placement"}),
        (optim, set()),
        (significance, {"interval", "defined"}),
        (ease, {"EASE"}),
        (item_knn, {"ItemKNN"}),
        (markov_chain, {"MarkovChain"}),
        (implicit_als, {"ImplicitALS"}),
        (svd_plus_plus, {"SVDPlusPlus"}),
    ],
    ids=lambda value: value.__name__ if inspect.ismodule(value) else "",
)
def test_every_public_function_has_an_entry(module: Any, without: set[str]) -> None:
    entered = {formula.ours.rpartition(".")[2] for formula in SHEET.values()}
    assert public(module) - without - entered == set()


def test_names_are_unique_and_each_entry_is_whole() -> None:
    assert sum(len(family) for family in formulas.FAMILIES.values()) == len(SHEET)
    for formula in SHEET.values():
        assert formula.meaning.endswith("."), formula.name
        assert formula.latex, formula.name
        assert "$" not in formula.latex, formula.name
        assert formula.source, formula.name
        assert formula.places, formula.name
        assert formula.properties, formula.name
        assert inspect.getdoc(formula.definition), formula.name


def test_definitions_import_nothing_that_they_judge() -> None:
    files = sorted(Path(formulas.__file__).parent.rglob("*.py"))
    assert {"softmax.py", "properties/softmax.py"} <= {
        path.relative_to(Path(formulas.__file__).parent).as_posix() for path in files
    }
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                first = name.split(".")[0]
                judge = name.startswith("minirec.verify.") or name == "minirec.functional.Array"
                assert (
                    first in ("numpy", "math", "fractions", "itertools", "collections", "typing", "functools")
                    or judge
                ), f"{path.name}: {name}"


@ENTRIES
def test_the_entry_holds(formula: Formula) -> None:
    verdict = examine(formula)
    assert verdict.ok, "\n".join(verdict.failures)
    assert verdict.forward <= formula.tolerance
    assert (verdict.gradient is None) == (not formula.has_gradient)


@ENTRIES
@given(seed=strategies.seeds, layout=st.sampled_from(strategies.LAYOUTS))
@settings(max_examples=10)
def test_it_holds_for_other_numbers_in_any_layout(formula: Formula, seed: int, layout: str) -> None:
    for name in formula.places:
        drawn = formula.draw(name, seed)
        if not isinstance(drawn, Built):
            drawn = tuple(_laid(value, layout) for value in drawn)
        place = formula.at(drawn, seed)
        gap = relative_gap(place(*place.args), formula.expected(place))
        assert gap <= formula.tolerance, f"{name}: forward is off by {gap}"
        for one in formula.properties:
            found = try_property(one, place, seed)
            assert found is None or found <= one.limit, f"{name}: {one.name}: {found}"


def _laid(value: Any, layout: str) -> Any:
    # A broadcast array has equal rows, which some places exclude.
    return (
        strategies.lay_out(value, layout if layout != "broadcast" else "C")
        if isinstance(value, np.ndarray)
        else value
    )


def _entry(**changes: Any) -> Formula:
    softmax = SHEET["softmax"]
    return Formula(**{**{name: getattr(softmax, name) for name in Formula.__dataclass_fields__}, **changes})


def test_a_wrong_definition_a_false_property_and_one_that_never_applies_are_noticed() -> None:
    wrong = examine(
        _entry(definition=lambda x, mask=None: SHEET["softmax"].definition(x, mask) * (1 + 1e-11))
    )
    assert any("differs from the definition" in failure for failure in wrong.failures)
    false = examine(_entry(properties=(Property("sums to 2", lambda place, rng: 1.0),)))
    assert any("not sums to 2" in failure for failure in false.failures)
    unknown = examine(_entry(properties=(Property("is a number", lambda place, rng: float("nan")),)))
    assert not unknown.ok
    never = examine(_entry(properties=(Property("idle", lambda place, rng: None),)))
    assert never.failures == ("never tried: idle",)


def test_the_sheet_judges_the_function_that_is_there_now(monkeypatch: pytest.MonkeyPatch) -> None:
    right = F.softmax_backward
    monkeypatch.setattr(F, "softmax_backward", lambda dp, cache: 1.001 * right(dp, cache))
    verdict = examine(SHEET["softmax"])
    assert not verdict.ok
    assert any("full Jacobian" in failure for failure in verdict.failures)


def test_an_entry_without_code_says_so() -> None:
    with pytest.raises(LookupError, match=r"no minirec\.functional\.nothing and no .*nothing_forward"):
        _entry(ours="minirec.functional.nothing").at((np.zeros(3),))


@pytest.mark.parametrize(
    ("found", "expected", "gap"),
    [
        (1.0, 1.0, 0.0),
        (1.5, 1.0, 0.5),
        (np.array([1.0, 3.0]), np.array([1.0, 2.0]), 0.5),
        (np.array([1.0, 2.0]), np.array([[1.0, 2.0]]), np.inf),
        (np.array([np.nan]), np.array([1.0]), np.inf),
        (np.array([np.nan, 1.0]), np.array([np.nan, 1.0]), 0.0),
        (np.array([-np.inf, 1.0]), np.array([-np.inf, 2.0]), 0.5),
        (np.array([np.inf]), np.array([-np.inf]), np.inf),
        ((1.0, 2.0), (1.0, 4.0), 0.5),
        ((1.0,), (1.0, 4.0), np.inf),
        (1e-9, 0.0, np.inf),
        (np.zeros(0), np.zeros(0), 0.0),
        (np.array([True]), np.array([False]), np.inf),
        ([3, 1], [3, 1], 0.0),
    ],
)  # fmt: skip
def test_relative_gap(found: Any, expected: Any, gap: float) -> None:
    assert relative_gap(found, expected) == gap
    assert relative_gap(np.float64(2.0), 1.0, scale=4.0) == 0.25


def test_a_place_gives_values_and_gradients() -> None:
    place: Place = SHEET["softmax"].at((np.array([0.0, np.log(3.0)]),))
    assert place(*place.args) == pytest.approx([0.25, 0.75])
    assert place.gradients(np.array([1.0, 0.0]))[0] == pytest.approx([0.1875, -0.1875])


COMMANDS = set(
    "Big Omega alpha arg bar begin beta bigcup cap cdot cos dots emptyset end epsilon eta frac gamma hat in "
    "infty lambda ldots le left leftarrow log mathbb mathrm max min mu ne neq notin odot omega partial pi "
    "qquad quad rho right sigma sim sin sqrt sum tanh text tfrac theta varepsilon".split()
)


def _drawn(formula: Formula, setting: str) -> set[Any]:
    """The values of a setting that the places of a module try."""
    builts = [b for place in formula.places if isinstance(b := formula.draw(place), Built)]
    return {built.settings[setting] for built in builts if setting in built.settings}


@ENTRIES
def test_the_mathematics_shows_whatever_the_places_try(formula: Formula) -> None:
    """Both orders of the norm, dropout, the mask of a softmax, each kind of loss, source and candidates."""
    for value in _drawn(formula, "norm") if formula.name != "Transformer" else ():  # of encoder and decoder
        assert rf"\text{{{value}: }}" in formula.latex
    if any(_drawn(formula, "dropout")) and formula in formulas.FAMILIES["blocks"]:
        assert r"\mathrm{drop}" in formula.latex
    for setting in ("source", "candidates"):
        for value in _drawn(formula, setting):
            assert value in formula.latex
    if formula.name in ("softmax", "log_softmax", "attention"):
        assert "mask" in formula.latex
    if formula.name in ("candidate_loss", "factorization_loss"):
        for loss in {formula.draw(place)[0] for place in formula.places}:
            assert rf"\text{{{loss}: }}" in formula.latex
    if formula.name == "l2_gradients":
        for table in ("p_u", "q_i", "b_u", "b_i"):
            assert rf"\partial {table}}}" in formula.latex


@ENTRIES
def test_the_mathematics_uses_commands_that_exist_and_closes_its_braces(formula: Formula) -> None:
    assert set(re.findall(r"\\([A-Za-z]+)", formula.latex)) <= COMMANDS
    plain = re.sub(r"\\[{}]", "", formula.latex)
    assert plain.count("{") == plain.count("}")
