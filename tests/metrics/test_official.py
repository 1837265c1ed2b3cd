"""Every published protocol against a plain text of the official code, on cases no golden file has.

What is damaged, and how, is drawn: channels that stand still for all or part of a clip, NaN and
infinities in any array, copies, clips that repeat themselves, one sample, clip, frame or target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.metrics import official
from visavis.metrics import evaluate_arrays

pytestmark = pytest.mark.filterwarnings("ignore::visavis.metrics.ProtocolWarning")

Array = np.ndarray[Any, Any]
PROTOCOLS = ("react2024", "react2024_serial", "reactface", "reactface_serial", "mars")
TOLERANCE = {"FRCorr": 1e-6, "FRDist": 1e-6, "FRDiv": 2e-5, "FRVar": 2e-5, "FRDvs": 2e-5}


def case(seed: int, *, clips: int, samples: int, frames: int, width: int) -> dict[str, Array]:
    """Smooth signals with binary and soft channels, any number of targets a clip."""
    rng = np.random.default_rng(seed)

    def signals(*lead: int) -> Array:
        walk = rng.normal(size=(*lead, frames, width)).cumsum(axis=-2)
        walk = np.tanh(walk / 4 + rng.normal(size=(*lead, 1, width)))
        binary = rng.random(width) < 0.3
        return np.where(binary, walk > 0.2, walk).astype(np.float32)

    near = (rng.random((clips, clips)) < rng.random()) | np.eye(clips, dtype=bool)
    return {
        "pred": signals(clips, samples),
        "gt": signals(clips),
        "speaker": signals(clips),
        "neighbour": near[rng.permutation(clips)] if rng.random() < 0.3 else near,
    }


def still_channels(data: dict[str, Array], rng: np.random.Generator) -> None:
    for name in ("pred", "gt", "speaker"):
        if rng.random() < 0.6:
            picked = data[name][rng.integers(len(data[name]))]
            picked = picked[rng.integers(len(picked))] if name == "pred" else picked
            picked[:, rng.integers(picked.shape[1])] = rng.choice([0.0, 1.0, 0.1, 1 / 3, 0.7])


def still_windows(data: dict[str, Array], rng: np.random.Generator) -> None:
    """A channel stands still but for its first or last frames."""
    for name in ("pred", "speaker"):
        some = data[name][rng.integers(len(data[name]))]
        some = some[rng.integers(len(some))] if name == "pred" else some
        channel, kept = rng.integers(some.shape[1]), rng.integers(1, 60)
        part = slice(kept, None) if rng.random() < 0.5 else slice(None, -int(kept))
        some[part, channel] = rng.choice([0.3, 1.0])


def holes(data: dict[str, Array], rng: np.random.Generator) -> None:
    """One value that is none, or the last frames of a sequence."""
    name = rng.choice(["pred", "gt", "speaker"])
    some = data[name][rng.integers(len(data[name]))]
    some = some[rng.integers(len(some))] if name == "pred" else some
    frames, width = some.shape
    if rng.random() < 0.5:
        some[rng.integers(frames), rng.integers(width)] = rng.choice([np.nan, np.inf, -np.inf])
    else:
        some[max(1, frames - 4) :, slice(None) if rng.random() < 0.5 else slice(0, 15)] = np.nan


def copies(data: dict[str, Array], rng: np.random.Generator) -> None:
    data["pred"][:, 0] = data["gt"]
    if data["pred"].shape[1] > 1:
        data["pred"][:, 1] = np.roll(data["speaker"], rng.integers(-55, 55), axis=1)


def periodic(data: dict[str, Array], rng: np.random.Generator) -> None:
    """Many lags have the same correlation but for rounding."""
    frames, width = data["speaker"].shape[1:]
    clock = np.arange(frames)[:, None] * 2 * np.pi / rng.integers(5, 30)
    data["speaker"][:] = np.sin(clock + np.arange(width)).astype(np.float32)
    data["pred"][:] = np.roll(data["speaker"], rng.integers(60), axis=1)[:, None]


def flat(data: dict[str, Array], rng: np.random.Generator) -> None:
    """A mean frame as the prediction."""
    data["pred"][:] = data["gt"].mean(axis=(0, 1)) if rng.random() < 0.5 else 0.5


def offsets_of_coefficients(data: dict[str, Array], rng: np.random.Generator) -> None:
    """Small movements about a large mean, as translations have them."""
    for name in ("pred", "gt", "speaker"):
        data[name][:] = data[name] * np.float32(0.05) + np.float32(3.19)


DAMAGE: dict[str, Callable[[dict[str, Array], np.random.Generator], None]] = {
    "none": lambda data, rng: None,
    "still": still_channels,
    "windows": still_windows,
    "holes": holes,
    "copies": copies,
    "periodic": periodic,
    "flat": flat,
    "offset": offsets_of_coefficients,
}


def check(data: dict[str, Array], protocol: str) -> None:
    real = [data["gt"][row == 1] for row in data["neighbour"]]
    wanted = official.scores(data["pred"], real, data["speaker"], protocol)
    found = evaluate_arrays(**data, protocol=protocol)
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        if name == "FRSyn":
            assert found[name] == value, name
            continue
        # a score near 0 that is a sum of both signs has the rounding of its parts
        assert found[name] == pytest.approx(value, rel=TOLERANCE[name], abs=1e-8, nan_ok=True), name


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))]
)
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_drawn_cases_equal_the_official_arithmetic(protocol: str, damage: str, seed: int) -> None:
    rng = np.random.default_rng([seed, *damage.encode(), *protocol.encode()])
    shape = {
        "clips": int(rng.integers(1, 3)),
        "samples": int(rng.integers(1, 3)),
        "frames": int(rng.choice([1, 2, 20, 50, 51, 52, 53, 75, 101])),
        "width": int(rng.choice([25, 25, 25, 58, 7])),
    }
    data = case(int(rng.integers(1 << 30)), **shape)
    DAMAGE[damage](data, rng)
    check(data, protocol)
