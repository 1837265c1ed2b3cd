"""Models x corpus x protocols -> a table; and the trained test. Names are loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from visavis._lazy import lazily

if TYPE_CHECKING:
    from visavis.bench._bench import Bench, begin
    from visavis.bench._results import Results
    from visavis.bench._run import bench, rerun
    from visavis.bench._systems import System
    from visavis.bench._trained import Line, Trained, trained

_HOME = {
    "Bench": "_bench",
    "Line": "_trained",
    "Results": "_results",
    "System": "_systems",
    "Trained": "_trained",
    "begin": "_bench",
    "bench": "_run",
    "rerun": "_run",
    "trained": "_trained",
}

__all__ = ["Bench", "Line", "Results", "System", "Trained", "begin", "bench", "rerun", "trained"]


__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
