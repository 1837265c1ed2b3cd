"""The golden files: inputs made with numpy, numbers from the official code run unmodified.

A missing file is an error, never a skip.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent.parent / "golden"
CASES = ("small_n4_m3_t64", "edge_constant_n6_m4_t130", "main_n12_m10_t750", "coeff58_n6_m3_t160")


@cache
def arrays(case: str) -> dict[str, np.ndarray]:
    """pred [N, K, T, D], gt and speaker [N, T, D], neighbour [N, N]."""
    with np.load(FOLDER / f"{case}.npz") as held:
        return {name: held[name] for name in ("pred", "gt", "speaker", "neighbour")}


@cache
def numbers(name: str) -> dict[str, Any]:
    """A JSON of expected values; the text 'nan' becomes NaN at every depth."""
    return _numeric(json.loads((FOLDER / f"{name}.json").read_text()))


def _numeric(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numeric(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_numeric(part) for part in value]
    return math.nan if value == "nan" else value


def targets_of(case: str, clip: int) -> np.ndarray:
    """The appropriate real reactions of a clip, [G, T, D]."""
    held = arrays(case)
    return held["gt"][held["neighbour"][clip] == 1]
