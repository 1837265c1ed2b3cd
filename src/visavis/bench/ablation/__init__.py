"""Ablations of a paper on simulated dyads: rows trained alike but for one thing, compared clip by
clip with their base, beside the paper's numbers and claims. Names are loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from visavis._lazy import lazily

if TYPE_CHECKING:
    from visavis.bench.ablation._plan import Study, names, read
    from visavis.bench.ablation._result import StudyResult, result
    from visavis.bench.ablation._work import At, Made, make, opened
    from visavis.bench.ablation._write import tabulated, write_all

_HOME = {
    "At": "_work",
    "Made": "_work",
    "Study": "_plan",
    "StudyResult": "_result",
    "make": "_work",
    "names": "_plan",
    "opened": "_work",
    "read": "_plan",
    "result": "_result",
    "tabulated": "_write",
    "write_all": "_write",
}

__all__ = [
    "At", "Made", "Study", "StudyResult", "make", "names", "opened", "read", "result",
    "tabulated", "write_all",
]  # fmt: skip


__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
