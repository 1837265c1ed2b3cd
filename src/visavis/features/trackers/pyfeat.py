"""py-feat's Fex tables (`fex.to_csv()`), versions 0.3 to 0.7.

Columns as in the sample tables of its repository. Angles are radians (its maintainer, issue 248);
AUs and emotions 0 to 1; version 0.7 adds valence, arousal, gaze and, from its mesh detectors, 52
blendshapes in camelCase. Its signs are stated nowhere; they were told from the landmarks beside the
angles in two of its sample tables of 0.7 (news_sample 003 and 016: an eye line that rises by 0.060
and 0.114 rad towards the subject's left has Roll 0.039 and 0.112; a nose turned 0.1 rad to the
subject's left has Yaw -0.129): down, to the subject's right, left ear up. Older versions are read
alike, unverified.
"""

from __future__ import annotations

import logging

import numpy as np

from visavis.channels import AU_LABELS, BLENDSHAPES, EXPRESSION_LABELS
from visavis.errors import InputError
from visavis.features.trackers._reading import Reading
from visavis.features.trackers._table import Table
from visavis.features.trackers._units import shapes_of_units, turned_from_camera

logger = logging.getLogger("visavis")

UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)
EMOTIONS = {
    "Neutral": ("neutral",),
    "Happy": ("happiness", "happy"),
    "Sad": ("sadness", "sad"),
    "Surprise": ("surprise",),
    "Fear": ("fear",),
    "Disgust": ("disgust",),
    "Anger": ("anger",),
}
"""Our label -> what versions of py-feat call it; contempt is not among its seven."""
RATES = (23.976, 24.0, 25.0, 29.97, 30.0, 48.0, 50.0, 59.94, 60.0)
_HEAD = ("frame", "FaceScore", "Pitch", "Roll", "Yaw", "valence", "arousal")


def recognises(table: Table) -> bool:
    """Whether the header is py-feat's."""
    return (table.has("FaceScore") and table.has("AU01")) or table.has("FaceRectX", "AU01")


def read(table: Table, fps: float | None) -> Reading:
    """One face of the table in our units.

    A table tells frames and whole seconds (`approx_time`), not a rate: with two whole seconds in
    it the nearest common rate is taken; a shorter one needs `fps`.

    Raises:
        InputError: the rate cannot be told, or no row holds a face.
    """
    emotions = {
        label: next((name for name in names if table.has(name)), names[0])
        for label, names in EMOTIONS.items()
    }
    units = [f"AU{n:02d}" for n in UNITS]
    asked = (*_HEAD, *units, *emotions.values(), *BLENDSHAPES)
    extra = [name for name in ("approx_time", "Identity") if table.has(name)]
    read = table.columns(asked, extra)
    at = {name: column for column, name in enumerate(asked)}
    texts = dict(zip(extra, read.texts, strict=True))
    rows = _one_face(table, read.numbers, texts.get("Identity"), at)
    numbers = read.numbers[rows]
    frame = numbers[:, at["frame"]]
    if not np.isfinite(frame).all():
        frame = np.arange(len(numbers), dtype=float)
    if fps is None:
        seconds = [texts["approx_time"][row] for row in rows] if "approx_time" in texts else []
        fps = _rate(table, frame, seconds)
    score = numbers[:, at["FaceScore"]]
    face = np.where((np.nan_to_num(score, nan=1.0) > 0.0)[:, None], numbers, np.nan)
    told = {n: np.clip(face[:, at[f"AU{n:02d}"]], 0.0, 1.0) for n in UNITS}
    own = face[:, [at[name] for name in BLENDSHAPES]]
    derived = not np.isfinite(own).any()
    expression = np.full((len(face), len(EXPRESSION_LABELS)), np.nan)
    for label, name in emotions.items():
        expression[:, EXPRESSION_LABELS.index(label)] = face[:, at[name]]
    return Reading(
        frame / fps,
        {
            "au": np.stack([told[int(label[2:])] for label in AU_LABELS], axis=1),
            "va": face[:, [at["valence"], at["arousal"]]],
            "expression": expression,
            "blendshapes": shapes_of_units(told) if derived else own,
            # as OpenFace's, but for the sign of roll
            "rotation": turned_from_camera(
                face[:, [at["Pitch"], at["Yaw"], at["Roll"]]] * np.array([1.0, 1.0, -1.0])
            ),
            "confidence": np.clip(np.nan_to_num(score), 0.0, 1.0)[:, None],
        },
        frozenset({"blendshapes"}) if derived else frozenset(),
    )


def _one_face(
    table: Table, numbers: np.ndarray, identity: tuple[str, ...] | None, at: dict[str, int]
) -> np.ndarray:
    """Rows of one face: the commonest identity, or else the surest face of each frame."""
    rows = np.arange(len(numbers))
    frame = numbers[:, at["frame"]]
    if not np.isfinite(frame).all() or len(np.unique(frame)) == len(frame):
        return rows
    score = np.nan_to_num(numbers[:, at["FaceScore"]])
    if identity is not None and len(set(identity)) > 1:
        names, counts = np.unique(np.array(identity), return_counts=True)
        commonest = np.array(identity) == names[int(np.argmax(counts))]
        score = score + 10.0 * commonest
    best = np.array([max(rows[frame == f], key=lambda row: score[row]) for f in np.unique(frame)])
    logger.warning("%s: %d rows for %d frames; one face is read.", table.path, len(rows), len(best))
    return best


def _rate(table: Table, frame: np.ndarray, stamps: list[str]) -> float:
    """Frames a second from where the whole seconds of `approx_time` (MM:SS) change."""
    seconds = np.array([_seconds(stamp) for stamp in stamps])
    if len(seconds) and np.isfinite(seconds).all():
        changes = np.flatnonzero(np.diff(seconds) > 0) + 1
        if len(changes) > 1:
            first, last = changes[0], changes[-1]
            rate = (frame[last] - frame[first]) / (seconds[last] - seconds[first])
            near = min(RATES, key=lambda known: abs(known - rate))
            if abs(near - rate) < 0.04 * near:
                return near
    raise InputError(
        f"{table.path} does not tell its frames a second (py-feat writes whole seconds only); "
        "give the film's rate as fps= (--fps)."
    )


def _seconds(stamp: str) -> float:
    minutes, _, seconds = stamp.rpartition(":")
    try:
        return 60.0 * float(minutes or 0) + float(seconds)
    except ValueError:
        return float("nan")
