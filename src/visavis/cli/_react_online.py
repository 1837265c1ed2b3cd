"""Reactions made as they would be live: one frame of the speaker at a time."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from visavis.behaviour import Behaviour
from visavis.cli.console import bar
from visavis.dyad import Persona
from visavis.models._base import ReactionModel, ReactionSession


def online(
    model: ReactionModel[Any],
    speaker: Behaviour,
    *,
    num: int,
    seed: int,
    persona: Persona | None = None,
    quiet: bool,
) -> tuple[Behaviour, dict[str, Any]]:
    """Reactions [K, T, ...] of the model's own session, and how quick it was once warm.

    Raises:
        OfflineOnly: the model has no session; it names RollingSession.
    """
    session = model.session(num)
    _warm(session, speaker)
    lane, parts, took = session.open(seed=seed, persona=persona), [], []
    with bar("reacting", quiet=quiet) as progress:
        for frame in speaker.windows(1):
            began = time.perf_counter()
            parts.append(session.step({lane: frame})[lane])
            took.append(time.perf_counter() - began)
            progress(len(took), speaker.frames)
    began = time.perf_counter()
    parts.append(session.flush(lane))
    whole = sum(took) + time.perf_counter() - began
    session.close(lane)
    steps = 1000 * np.array(took or [0.0])
    how = {
        "way": "online, frame by frame",
        "hop": session.hop,
        "latency": session.latency,
        "times_real_time": round(speaker.duration_s / whole, 2),
        "step_ms": {
            "median": round(float(np.median(steps)), 2),
            "p99": round(float(np.quantile(steps, 0.99)), 2),
            "worst": round(float(steps.max()), 2),
        },
    }
    return Behaviour.cat(parts), how


def _warm(session: ReactionSession, speaker: Behaviour) -> None:
    """A conversation beforehand: a process's first call of a kernel takes seconds, once."""
    lane = session.open(seed=0)
    session.step({lane: speaker.window(0, min(speaker.frames, 2 * session.hop))})
    session.close(lane)


def told(how: dict[str, Any], fps: float) -> str:
    """One line on what `online` measured."""
    wait = 1000 * how["latency"] / fps
    steps = how["step_ms"]
    return (
        f"hop {_frames(how['hop'])}, latency {_frames(how['latency'])} ({wait:.0f} ms); "
        f"{how['times_real_time']:.1f} times real time, a step {steps['median']:.1f} ms "
        f"(p99 {steps['p99']:.1f}, worst {steps['worst']:.1f})"
    )


def _frames(count: int) -> str:
    return f"{count} frame{'' if count == 1 else 's'}"
