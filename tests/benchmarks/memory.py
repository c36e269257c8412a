"""Run a function in a process of its own, to learn the memory that it takes at its peak."""

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


def peak_megabytes() -> float:
    """The most memory that this process ever held, in MB; NaN where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _answer(function: Callable[..., Any], args: tuple[Any, ...], wire: Connection) -> None:
    wire.send((function(*args), peak_megabytes()))


def alone(function: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    """(what the function returns, the peak of its process in MB)."""
    context = multiprocessing.get_context("spawn")
    wire, other = context.Pipe()
    process = context.Process(target=_answer, args=(function, args, other))
    process.start()
    other.close()  # so that a process that fails is noticed
    answer = wire.recv()
    process.join()
    return answer
