"""Numbers of the field and beyond: one metric a file, one protocol a table.

The names below are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from visavis._lazy import lazily

if TYPE_CHECKING:
    from visavis.metrics.ccc import ccc_matrix
    from visavis.metrics.coverage import AppropriateCoverage
    from visavis.metrics.distance import CRPS, EnergyDistance, crps, energy_distance
    from visavis.metrics.diversity import FRDiv, FRDvs, FRVar
    from visavis.metrics.evaluate import (
        ProtocolWarning,
        evaluate_arrays,
        evaluate_behaviours,
        evaluate_lists,
    )
    from visavis.metrics.events import EventStatistics, blinks, nods
    from visavis.metrics.frame_realism import FrameRealism, frechet_over_frames
    from visavis.metrics.frcorr import FRCorr
    from visavis.metrics.frdist import (
        FRDist,
        appropriate_distances,
        group_distances,
        nearest_distances,
    )
    from visavis.metrics.intervals import Comparison, Interval, bootstrap, compare
    from visavis.metrics.lagged import lagged_correlations
    from visavis.metrics.latency import ReactionLatency, reaction_latency
    from visavis.metrics.mae import MAE
    from visavis.metrics.mimicry import MimicryScore
    from visavis.metrics.persona import (
        Retrieval,
        persona_consistency,
        persona_retrieval,
        personal_scores,
    )
    from visavis.metrics.protocol import METRICS, PROTOCOLS, Protocol
    from visavis.metrics.realism import FRRea, frrea
    from visavis.metrics.report import Report, report_arrays, report_lists
    from visavis.metrics.scores import Counts, Scores
    from visavis.metrics.smoothness import Jerk, jerk
    from visavis.metrics.synchrony import FRSyn

_HOME = {
    "ccc_matrix": "ccc",
    "AppropriateCoverage": "coverage",
    "CRPS": "distance",
    "EnergyDistance": "distance",
    "crps": "distance",
    "energy_distance": "distance",
    "FRDiv": "diversity",
    "FRDvs": "diversity",
    "FRVar": "diversity",
    "ProtocolWarning": "evaluate",
    "evaluate_arrays": "evaluate",
    "evaluate_behaviours": "evaluate",
    "evaluate_lists": "evaluate",
    "EventStatistics": "events",
    "blinks": "events",
    "nods": "events",
    "FrameRealism": "frame_realism",
    "frechet_over_frames": "frame_realism",
    "FRCorr": "frcorr",
    "FRDist": "frdist",
    "appropriate_distances": "frdist",
    "group_distances": "frdist",
    "nearest_distances": "frdist",
    "Comparison": "intervals",
    "Interval": "intervals",
    "bootstrap": "intervals",
    "compare": "intervals",
    "lagged_correlations": "lagged",
    "ReactionLatency": "latency",
    "reaction_latency": "latency",
    "MAE": "mae",
    "MimicryScore": "mimicry",
    "Retrieval": "persona",
    "persona_consistency": "persona",
    "persona_retrieval": "persona",
    "personal_scores": "persona",
    "METRICS": "protocol",
    "PROTOCOLS": "protocol",
    "Protocol": "protocol",
    "FRRea": "realism",
    "frrea": "realism",
    "Report": "report",
    "report_arrays": "report",
    "report_lists": "report",
    "Counts": "scores",
    "Scores": "scores",
    "Jerk": "smoothness",
    "jerk": "smoothness",
    "FRSyn": "synchrony",
}

__all__ = [
    "CRPS",
    "MAE",
    "METRICS",
    "PROTOCOLS",
    "AppropriateCoverage",
    "Comparison",
    "Counts",
    "EnergyDistance",
    "EventStatistics",
    "FRCorr",
    "FRDist",
    "FRDiv",
    "FRDvs",
    "FRRea",
    "FRSyn",
    "FRVar",
    "FrameRealism",
    "Interval",
    "Jerk",
    "MimicryScore",
    "Protocol",
    "ProtocolWarning",
    "ReactionLatency",
    "Report",
    "Retrieval",
    "Scores",
    "appropriate_distances",
    "blinks",
    "bootstrap",
    "ccc_matrix",
    "compare",
    "crps",
    "energy_distance",
    "evaluate_arrays",
    "evaluate_behaviours",
    "evaluate_lists",
    "frechet_over_frames",
    "frrea",
    "group_distances",
    "jerk",
    "lagged_correlations",
    "nearest_distances",
    "nods",
    "persona_consistency",
    "persona_retrieval",
    "personal_scores",
    "reaction_latency",
    "report_arrays",
    "report_lists",
]


__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
