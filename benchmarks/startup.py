"""`visavis --help` beside the usual way, a script that imports all it might need at its top.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import machine

EAGER = "import torch, scipy.signal, numba, av, soundfile, typer; typer.Typer()"
RUNS = 5


def wall(command: list[str]) -> float:
    """Median wall seconds of a whole process."""
    taken = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def main() -> None:
    print(machine())
    eager = wall([sys.executable, "-c", EAGER])
    ours = wall([sys.executable, "-m", "visavis", "--help"])
    print(
        f"imports at the top {eager:.2f} s, visavis --help {ours:.2f} s, {eager / ours:.1f} times"
    )


if __name__ == "__main__":
    main()
