"""The same wrong backward passes for the gradient checkers of PyTorch, JAX and HIPS autograd, and for ours.

    pip install torch jax autograd              (a column is left out where its package is missing)
    python tests/verify/other_checkers.py [--write]

Each checker runs with its default tolerances in double precision. All get the same function at the same
points: softmax of a (3, 5) array, whose backward is spoiled, and for the last rows the functions that they
name. A cell says in how many of 20 runs the checker objected. --write stores tests/results/checkers.json.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

RUNS = 20


class Fault(NamedTuple):
    """y = forward(x), dx = backward(dy, x, y): the same text for every library, xp being its NumPy."""

    name: str
    x: Callable[[np.random.Generator], np.ndarray]
    forward: Callable[[Any, Any], Any]
    backward: Callable[[Any, Any, Any, Any], Any]


def softmax(xp: Any, x: Any) -> Any:
    e = xp.exp(x)
    return e / e.sum(-1)[..., None]


def right(xp: Any, dy: Any, x: Any, p: Any) -> Any:
    return p * (dy - (p * dy).sum(-1)[..., None])


def normal(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((3, 5))


def spoiled(name: str, up: Any = None, down: Any = None) -> Fault:
    """Softmax with its upstream gradient or its result changed."""

    def backward(xp: Any, dy: Any, x: Any, p: Any) -> Any:
        dx = right(xp, up(xp, dy) if up else dy, x, p)
        return down(xp, dx) if down else dx

    return Fault(name, normal, softmax, backward)


def flipped(size: float) -> Fault:
    def backward(xp: Any, dy: Any, x: Any, p: Any) -> Any:
        return xp.where(p < 3 * size, -1.0, 1.0) * right(xp, dy, x, p)

    def x(rng: np.random.Generator) -> np.ndarray:
        return np.array([0.0, -0.3, 0.2, np.log(size)]) + 0.1 * rng.standard_normal(4)

    return Fault(f"sign flipped where p is about {size:.0e}".replace("e-0", "e-"), x, softmax, backward)


def single(xp: Any, a: Any) -> Any:
    """Rounded to float32, as a result of float32 arithmetic is."""
    return a.float().double() if hasattr(a, "float") else a.astype("float32").astype("float64")


MATRIX = np.random.default_rng(32).standard_normal((32, 32))
WRONG = MATRIX.copy()
WRONG[17, 5] *= 1.01


def _like(xp: Any, a: np.ndarray) -> Any:
    return xp.asarray(a)


FAULTS = [
    spoiled("none: the right backward"),
    spoiled("off by 0.1 %", down=lambda xp, d: d * 1.001),
    spoiled("off by 0.001 %", down=lambda xp, d: d * 1.00001),
    spoiled("off by 1e-9", down=lambda xp, d: d * (1 + 1e-9)),
    spoiled("absolute upstream gradient", up=lambda xp, g: xp.abs(g)),
    spoiled("upstream clipped to [-1, 1]", up=lambda xp, g: xp.where(xp.abs(g) > 1, xp.sign(g), g)),
    spoiled("ReLU of the upstream", up=lambda xp, g: xp.where(g > 0, g, 0 * g)),
    flipped(1e-6),
    flipped(1e-7),
    spoiled("float32 arithmetic inside", up=single, down=single),
    Fault("NaN forward and backward", normal, lambda xp, x: x * np.nan, lambda xp, dy, x, y: dy * np.nan),
    Fault("identically zero", normal, lambda xp, x: x * 0.0, lambda xp, dy, x, y: dy * 0.0),
    Fault(
        "one entry of a 32 x 32 Jacobian 1 % off",
        lambda rng: rng.standard_normal(32) / 8,
        lambda xp, x: xp.tanh(_like(xp, MATRIX) @ x),
        lambda xp, dy, x, y: _like(xp, WRONG).T @ (dy * (1 - y * y)),
    ),
]  # fmt: skip


def minirec_objects(fault: Fault, x: np.ndarray, seed: int) -> bool:
    from minirec.verify import check_gradient

    def forward(x: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        y = fault.forward(np, x)
        return y, (x, y)

    return not check_gradient(forward, lambda dy, c: fault.backward(np, dy, *c), x, rng=seed).ok


def torch_objects(fault: Fault, x: np.ndarray, seed: int, fast: bool = False) -> bool:
    import torch

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = fault.forward(torch, x)
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            return fault.backward(torch, dy, *ctx.saved_tensors)

    torch.manual_seed(seed)
    at = torch.tensor(x, requires_grad=True)
    return not torch.autograd.gradcheck(Function.apply, (at,), fast_mode=fast, raise_exception=False)


def torch_fast_objects(fault: Fault, x: np.ndarray, seed: int) -> bool:
    return torch_objects(fault, x, seed, fast=True)


def jax_objects(fault: Fault, x: np.ndarray, seed: int) -> bool:
    import jax
    from jax.test_util import check_vjp

    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy

    @jax.custom_vjp
    def function(x: Any) -> Any:
        return fault.forward(jnp, x)

    def forward(x: Any) -> Any:
        y = fault.forward(jnp, x)
        return y, (x, y)

    function.defvjp(forward, lambda kept, dy: (fault.backward(jnp, dy, *kept),))
    np.random.seed(seed)  # noqa: NPY002
    try:
        check_vjp(function, lambda *args: jax.vjp(function, *args), (jnp.asarray(x),))
    except AssertionError:
        return True
    return False


def autograd_objects(fault: Fault, x: np.ndarray, seed: int) -> bool:
    import autograd.numpy as anp
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    function = primitive(lambda x: fault.forward(np, x))
    defvjp(function, lambda y, x: lambda dy: fault.backward(np, dy, x, y))
    np.random.seed(seed)  # noqa: NPY002
    try:
        check_grads(function, modes=["rev"], order=1)(anp.array(x))
    except AssertionError:
        return True
    return False


CHECKERS: dict[str, tuple[str, Callable[[Fault, np.ndarray, int], bool]]] = {
    "minirec check_gradient": ("minirec", minirec_objects),
    "torch gradcheck": ("torch", torch_objects),
    "torch gradcheck, fast_mode": ("torch", torch_fast_objects),
    "jax check_vjp": ("jax", jax_objects),
    "autograd check_grads": ("autograd", autograd_objects),
}


def count(objects: Callable[[Fault, np.ndarray, int], bool], fault: Fault) -> int:
    """In how many runs the checker objects."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sum(objects(fault, fault.x(np.random.default_rng(seed)), seed) for seed in range(RUNS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="store tests/results/checkers.json")
    options = parser.parse_args()
    found: dict[str, dict[str, int]] = {}
    versions: dict[str, str] = {}
    for label, (package, objects) in CHECKERS.items():
        try:
            versions[package] = version(package)
        except ModuleNotFoundError:
            print(f"({package} is not installed: no column for {label})")
            continue
        found[label] = {fault.name: count(objects, fault) for fault in FAULTS}
    print(f"{'objections in ' + str(RUNS) + ' runs':<42}" + "".join(f"{label:>28}" for label in found))
    for fault in FAULTS:
        print(f"{fault.name:<42}" + "".join(f"{row[fault.name]:>28}" for row in found.values()))
    if options.write:
        content = {
            "command": "python tests/verify/other_checkers.py --write",
            "runs": RUNS, "versions": versions, "objections": found,
        }  # fmt: skip
        path = Path(__file__).parents[1] / "results" / "checkers.json"
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
