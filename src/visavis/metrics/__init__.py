"""Numbers of the field and beyond: one metric a file, one protocol a table.

The names below are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visavis.metrics.ccc import ccc_matrix
    from visavis.metrics.diversity import FRDiv, FRDvs, FRVar
    from visavis.metrics.dtw import dtw
    from visavis.metrics.evaluate import (
        ProtocolWarning,
        evaluate_arrays,
        evaluate_behaviours,
        evaluate_lists,
    )
    from visavis.metrics.frcorr import FRCorr
    from visavis.metrics.frdist import group_distances, nearest_distances
    from visavis.metrics.lagged import lagged_correlations
    from visavis.metrics.mae import MAE
    from visavis.metrics.protocol import METRICS, PROTOCOLS, Protocol
    from visavis.metrics.scores import Counts, Scores
    from visavis.metrics.synchrony import FRSyn

_HOME = {
    "ccc_matrix": "ccc",
    "FRDiv": "diversity",
    "FRDvs": "diversity",
    "FRVar": "diversity",
    "dtw": "dtw",
    "ProtocolWarning": "evaluate",
    "evaluate_arrays": "evaluate",
    "evaluate_behaviours": "evaluate",
    "evaluate_lists": "evaluate",
    "FRCorr": "frcorr",
    "group_distances": "frdist",
    "nearest_distances": "frdist",
    "lagged_correlations": "lagged",
    "MAE": "mae",
    "METRICS": "protocol",
    "PROTOCOLS": "protocol",
    "Protocol": "protocol",
    "Counts": "scores",
    "Scores": "scores",
    "FRSyn": "synchrony",
}

__all__ = [
    "MAE",
    "METRICS",
    "PROTOCOLS",
    "Counts",
    "FRCorr",
    "FRDiv",
    "FRDvs",
    "FRSyn",
    "FRVar",
    "Protocol",
    "ProtocolWarning",
    "Scores",
    "ccc_matrix",
    "dtw",
    "evaluate_arrays",
    "evaluate_behaviours",
    "evaluate_lists",
    "group_distances",
    "lagged_correlations",
    "nearest_distances",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'visavis.metrics' has no attribute {name!r}") from None
    return getattr(import_module(f"visavis.metrics.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
