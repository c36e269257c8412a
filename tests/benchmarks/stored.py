"""Figures of a benchmark in tests/results/, beside the command, the versions and the machine."""

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

import minirec

RESULTS = Path(__file__).parent.parent / "results"


def store_figures(name: str, command: str, content: dict[str, Any]) -> None:
    """Write tests/results/NAME.json."""
    head = {
        "command": f"python tests/benchmarks/{command}",
        "versions": {
            "minirec": minirec.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "machine": machine(),
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(head | content, indent=2) + "\n", encoding="utf-8")
    print(f"wrote tests/results/{path.name}")


def machine() -> str:
    """The processor in words, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    cores = sum(line.startswith("processor") for line in lines)
    return f"{model or platform.processor() or platform.machine()}, {cores or '?'} cores"
