"""The benchmarks run, at their smallest size and without a look at the clock; stored figures fit together."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"
RESULTS = Path(__file__).parent / "results"


def run(name: str, *options: str) -> str:
    ran = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *options], capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


COMMANDS = (
    "against_torch.py",
    "growth.py",
    "large_file.py",
    "parts.py",
    "roofline.py",
    "scoring.py",
    "start_up.py",
)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_benchmark_says_what_it_does(name: str) -> None:
    first = (BENCHMARKS / name).read_text(encoding="utf-8").splitlines()[0].removeprefix('"""')
    assert first in " ".join(run(name, "--help").split())


def test_parts_of_a_step() -> None:
    lines = run("parts.py", "--size", "0").splitlines()
    parts = {line[:36].strip(): float(line[36:].split()[0]) for line in lines[1:]}
    assert {"linear forward", "linear backward", "attention backward", "Adam", "rest"} <= parts.keys()
    assert sum(ms for name, ms in parts.items() if name != "step") == pytest.approx(parts["step"], abs=0.2)


def test_without_pytorch_minirec_is_timed_alone() -> None:
    printed = run("against_torch.py", "--size", "0", "--pairs", "1", "--dropout", "0.0", "--threads", "1")
    assert "minirec" in printed
    assert "1 shard threads, 1 BLAS thread each" in printed


def stored(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def test_every_row_of_the_stored_comparison_has_nine_pairs_or_more() -> None:
    rows = stored("speed")["rows"]
    sizes = {tuple(row["size"].values()) for row in rows}
    assert len(sizes) == 7
    assert all(row["pairs"] >= 9 for row in rows)
    for row in rows:
        low, high = row["ratios"]
        assert low <= row["ratio"] <= high


def test_a_step_does_not_cost_more_with_a_thousand_times_the_items() -> None:
    by_items = stored("growth")["sweeps"]["items"]
    assert [row["value"] for row in by_items] == [10**3, 10**4, 10**5, 10**6]
    assert by_items[-1]["ms"] <= 1.3 * by_items[0]["ms"]
