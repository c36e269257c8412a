"""What `import minirec` costs beyond NumPy, and what it does not import.

    python tests/benchmarks/start_up.py

The median of eleven fresh interpreters each.
"""

import argparse
import statistics
import subprocess
import sys

MODULES = ("minirec", "minirec.functional", "minirec.models", "minirec.verify")
CODE = """
import sys, time
import numpy
began = time.perf_counter()
import {module}
print(time.perf_counter() - began, "matplotlib" in sys.modules)
"""


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for module in MODULES:
        lines = [
            subprocess.run(
                [sys.executable, "-c", CODE.format(module=module)], capture_output=True, text=True, check=True
            ).stdout.split()
            for _ in range(11)
        ]
        seconds = statistics.median(float(line[0]) for line in lines)
        words = "matplotlib is imported" if lines[0][1] == "True" else "matplotlib is not imported"
        print(f"import {module:<20} {seconds:.3f} s beyond NumPy; {words}")


if __name__ == "__main__":
    main()
