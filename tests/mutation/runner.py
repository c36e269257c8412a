"""Runs the tests of a module on many changed sources of it: one session of pytest, one fork for each source.

    parent (NumPy, Hypothesis and pytest imported, the package not)
      server, one for a stage of tests: starts pytest, imports the package and collects the tests, once
        child, one for each source: puts the changed code in place and runs the collected tests

The code is put in place in memory: each function of the module gets the code and defaults of the changed
source, so every name that refers to it, anywhere, sees the change. Nothing on disk is ever written.
"""

import contextlib
import importlib
import inspect
import io
import json
import os
import select
import signal
import sys
import time
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PACKAGE = "minirec"
MEMORY = 6 << 30  # bytes of address space that a child may have: a mutant may ask NumPy for terabytes
LEAST, FACTOR = 15, 5  # a child gets FACTOR times what the unchanged source takes, and at least LEAST seconds
IDLE = 20  # how much longer it may take on the clock than on the processor: others use the machine too


class Outcome(NamedTuple):
    """What a run of the tests ended with."""

    state: str  # "passed", "failed", "timeout", or "broken": nothing can be concluded
    passed: int  # tests
    detail: str  # the first test that failed and its message, or why the run is broken
    seconds: float  # of the processor, so that a busy machine changes little


def prepare() -> None:
    """Import what every server needs, so that it inherits it."""
    os.environ |= {"HYPOTHESIS_PROFILE": "mutation", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for name in ("numpy", "hypothesis.extra.numpy"):
        importlib.import_module(name)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        pytest.main(["--version"])  # which imports its plugins


def run_stage(
    module: str,
    sources: Mapping[str, str],
    arguments: Sequence[str],
    root: Path,
    workers: int,
    least: int = LEAST,
) -> tuple[Outcome, dict[str, Outcome]]:
    """The outcome for the unchanged module, and for each of `sources` if that one passed.

    `module` is a path inside the package, `arguments` are those of pytest.
    """
    read, write = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _serve(module, sources, arguments, root, workers, least, write)
    os.close(write)
    outcomes = {}
    with os.fdopen(read) as lines:
        for line in lines:
            key, *outcome = json.loads(line)
            outcomes[key] = Outcome(*outcome)
    os.waitpid(pid, 0)
    nothing = Outcome("broken", 0, "the session of pytest ended without a result", 0.0)
    baseline = outcomes.pop("", nothing)
    complete = dict.fromkeys(sources if baseline.state == "passed" else [], nothing)
    return baseline, complete | outcomes


def _serve(
    module: str,
    sources: Mapping[str, str],
    arguments: Sequence[str],
    root: Path,
    workers: int,
    least: int,
    write: int,
) -> None:
    """Run pytest once. Its loop over the tests runs in children only. Never returns."""
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(quiet, descriptor)
        os.chdir(root)
        sys.path.insert(0, str(root))
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]
        dotted = ".".join([PACKAGE, *module.removesuffix(".py").split("/")])
        server = _Server(dotted, sources, workers, least, os.fdopen(write, "w"))
        # -s: the children would share the files that capture output. Hypothesis is imported already, and
        # pytest would warn that it cannot rewrite its assertions.
        options = [
            "-x",
            "-q",
            "-s",
            "-p",
            "no:cacheprovider",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
        ]
        options += ["--rootdir", str(root), "-c", str(root / "pyproject.toml")]
        code = int(pytest.main([*options, *arguments], plugins=[server]))
        if server.result is not None:  # this is a child
            # 0 all passed, 1 a test failed, 2 interrupted; the rest is pytest's own trouble.
            state = "passed" if code == 0 else "failed" if server.failure or code in (1, 2) else "broken"
            detail = server.failure or f"pytest's exit code {code}"
            os.write(server.result, json.dumps([state, server.passed, detail]).encode())
        else:
            server.report("", Outcome("broken", 0, server.failure or f"pytest's exit code {code}", 0.0))
    finally:
        os._exit(0)


class _Inside(Exception):
    """Raised in a child, to leave the server's loop and go on as a run of pytest."""


@dataclass
class _Running:
    key: str
    read: int
    began: float = field(default_factory=time.perf_counter)


class _Server:
    """A pytest plugin: forks a child for each source where pytest would run the tests."""

    def __init__(self, name: str, sources: Mapping[str, str], workers: int, least: int, out: Any) -> None:
        self.name, self.sources, self.workers, self.least, self.out = name, sources, workers, least, out
        self.result: int | None = None  # in a child, the pipe to its server
        self.passed, self.failure, self.reported = 0, "", False

    def report(self, key: str, outcome: Outcome) -> None:
        if key or not self.reported:
            self.out.write(json.dumps([key, *outcome]) + "\n")
            self.out.flush()
        self.reported |= not key

    def pytest_configure(
        self,
    ) -> None:  # after conftest.py: a slow machine must not look like a killed mutant
        from hypothesis import HealthCheck, settings

        settings.register_profile("here", settings(), suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("here")

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.passed += report.when == "call" and report.passed
        self._keep(report)

    def pytest_collectreport(self, report: Any) -> None:
        self._keep(report)

    def _keep(self, report: Any) -> None:
        if report.failed and not self.failure:
            crash = getattr(report.longrepr, "reprcrash", None)
            message = crash.message if crash else str(report.longrepr)
            self.failure = f"{report.nodeid}: {message.strip()[:300]}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool | None:
        if self.failure:
            return True
        if not session.items:  # -k may leave nothing
            for key in ("", *self.sources):
                self.report(key, Outcome("passed", 0, "no test", 0.0))
            return True
        target = importlib.import_module(self.name)
        _warm_up()
        done: dict[str, Outcome] = {}

        def keep(key: str, outcome: Outcome) -> None:
            done[key] = outcome
            self.report(key, outcome)

        original = Path(str(target.__file__)).read_text(encoding="utf-8")
        try:
            self._run({"": original}, target, 600, keep)
            if done[""].state == "passed":
                limit = max(self.least, round(FACTOR * done[""].seconds))
                self._run(self.sources, target, limit, keep)
        except _Inside:
            return None  # the usual loop follows
        return True

    def _run(
        self,
        sources: Mapping[str, str],
        target: types.ModuleType,
        limit: int,
        keep: Callable[[str, Outcome], None],
    ) -> None:
        waiting = list(sources)[::-1]
        running: dict[int, _Running] = {}
        while waiting or running:
            while waiting and len(running) < self.workers:
                key = waiting.pop()
                pid, read = self._fork(target, sources[key], limit)
                running[pid] = _Running(key, read)
            # The pipe of a process is readable when its result is there, or when it has died without one.
            ready, _, _ = select.select([task.read for task in running.values()], [], [], 0.5)
            for pid, task in list(running.items()):
                late = time.perf_counter() - task.began > IDLE * limit
                if late:
                    os.killpg(pid, signal.SIGKILL)
                if late or task.read in ready:
                    del running[pid]
                    keep(task.key, _outcome(task, pid, late, limit))

    def _fork(self, target: types.ModuleType, source: str, limit: int) -> tuple[int, int]:
        read, write = os.pipe()
        pid = os.fork()
        if pid:
            os.close(write)
            return pid, read
        os.setsid()  # so that a timeout ends what the tests start, too
        self.result, self.passed = write, 0
        _set_limits(limit)
        try:
            put_in_place(target, source)
        except Exception as error:
            detail = f"at import: {type(error).__name__}: {error}"
            os.write(write, json.dumps(["failed", 0, detail]).encode())
            os._exit(0)
        raise _Inside


def _outcome(task: _Running, pid: int, late: bool, limit: int) -> Outcome:
    text = b"" if late else os.read(task.read, 65536)
    os.close(task.read)
    _, status, usage = os.wait4(pid, 0)
    seconds = round(usage.ru_utime + usage.ru_stime, 3)
    if text:
        state, passed, detail = json.loads(text)
        return Outcome(state, passed, detail, seconds)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if late or number == signal.SIGXCPU:
        return Outcome("timeout", 0, f"no result after {limit} s", seconds)
    # A crash is a failure that is noticed; but SIGKILL came from outside, perhaps for want of memory.
    return Outcome("broken" if number == signal.SIGKILL else "failed", 0, f"died of signal {number}", seconds)


def _set_limits(seconds: int) -> None:
    import resource

    for kind, value in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, seconds)):
        with contextlib.suppress(OSError, ValueError):  # macOS does not limit memory
            resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def _warm_up() -> None:
    """Let Hypothesis do once, before the forks, what it does at its first test."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    @settings(max_examples=2, database=None, derandomize=True)
    @given(st.floats(), st.integers())
    def warm(x: float, n: int) -> None:
        pass

    warm()


def put_in_place(module: types.ModuleType, source: str) -> None:
    """Give the functions of a module, and its constants, what a changed source of it says.

    Everything that holds one of these functions sees the change. Raises what the source raises.
    """
    new: dict[str, Any] = {"__name__": module.__name__, "__file__": module.__file__}
    exec(compile(source, str(module.__file__), "exec"), new)
    _replace(vars(module), new, module.__name__, lambda name, value: setattr(module, name, value))


def _replace(
    old: Mapping[str, Any], new: Mapping[str, Any], owner: str, assign: Callable[[str, Any], None]
) -> None:
    for name, value in list(old.items()):
        changed = new.get(name)
        if name.startswith("__") and not isinstance(value, types.FunctionType):
            continue
        if isinstance(value, type):
            if value.__module__ == owner and isinstance(changed, type):
                _replace(vars(value), vars(changed), owner, lambda n, v, cls=value: setattr(cls, n, v))
            continue
        before, after = _function(value), _function(changed)
        if before and after:
            if before.__module__ == owner:
                before.__code__ = after.__code__
                before.__defaults__, before.__kwdefaults__ = after.__defaults__, after.__kwdefaults__
        elif (
            isinstance(value, int | float | str | tuple | list | dict | None)
            and name in new
            and value != changed
        ):
            assign(name, changed)


def _function(value: Any) -> types.FunctionType | None:
    """The plain function inside a function, static or class method, property or wrapper."""
    value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    value = inspect.unwrap(value) if callable(value) else value
    return value if isinstance(value, types.FunctionType) else None
