"""The memory that a function takes: in a process of its own at its peak, or while it runs."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


def peak_megabytes() -> float:
    """The most memory that this process ever held, in MB; NaN where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def held_megabytes() -> float:
    """What this process holds now, in MB; NaN where the system does not tell (all but Linux)."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return float("nan")
    return int(status.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def watched() -> Iterator[list[float]]:
    """A list of what the process holds at the start, every 20 ms, and at the end, in MB."""
    seen, ended = [held_megabytes()], threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            seen.append(held_megabytes())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()
        seen.append(held_megabytes())


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
