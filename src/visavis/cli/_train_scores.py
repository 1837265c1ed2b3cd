"""The scores that go with bundled weights, and whether a retraining repeats them.

On simulated test dyads, one a script from 20 scripts, under `corrected`; intervals over scripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visavis import corpora
from visavis.bench._bench import SAMPLES, begin
from visavis.bench._rows import Wanted, per_clip
from visavis.cli.console import bar
from visavis.metrics.intervals import bootstrap
from visavis.models._base import ReactionModel

PROTOCOL = "corrected"
SCORES = ("FRCorr", "FRDist", "FRDiv", "FRVar")
SCRIPTS, DYADS = 20, 1
ROUNDING = 1e-6
"""Between machines; the interval of a score that is always 0 has no width."""


def scored(
    model: ReactionModel[Any],
    folder: Path,
    *,
    quiet: bool,
    scripts: int = SCRIPTS,
    samples: int = SAMPLES,
    frames: int = 750,
) -> dict[str, Any]:
    """The `scores` of a `config.json`: values with 95 % intervals, and how they were taken.

    Args:
        folder: where the bench keeps its clips and rows.
    """
    corpus = corpora.load("simulated", "test", frames=frames)
    bench = begin(
        corpus,
        folder,
        scripts=scripts,
        dyads=DYADS,
        samples=samples,
        bars=lambda label: bar(label, quiet=quiet),
    )
    row = bench.row(bench.model(model), Wanted({PROTOCOL: SCORES}))
    values = {}
    for name in SCORES:
        found = bootstrap(per_clip(row, name), list(bench.clips.groups))
        values[name] = {"mean": found.mean, "low": found.low, "high": found.high}
    return {
        "protocol": PROTOCOL,
        "corpus": f"simulated test dyads ({corpus.fingerprint})",
        "clips": len(bench.clips),
        "samples": bench.samples,
        "units": f"{bench.clips.units} scripts",
        "values": values,
    }


_SAME = ("protocol", "corpus", "clips", "samples", "units")


def outside(new: Mapping[str, Any], stored: Mapping[str, Any]) -> list[str]:
    """Sentences for the new means that lie outside the stored intervals; nothing is compared
    where the scores were taken in another way."""
    if any(new[key] != stored.get(key) for key in _SAME):
        return []
    found = []
    for name, told in stored["values"].items():
        mean = new["values"][name]["mean"]
        if not told["low"] - ROUNDING <= mean <= told["high"] + ROUNDING:
            found.append(f"{name} is {mean:.4g}, stored {told['low']:.4g} to {told['high']:.4g}")
    return found
