"""Modalities that are lost: what a recording itself tells of it, and stretches named by hand.

All of it ends in the same masks (`Behaviour.observed`): a frame without a face, which the tracker
leaves unobserved by itself; a picture that stands still because no packets come; a covered face;
a microphone that is mute, or whose packets are lost (`media.audio` fills such gaps with zeros).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, WORDS
from visavis.errors import InputError, nearest

MODALITIES = ("face", "speech", WORDS)
MUTE_S = 1.0
"""Digital silence (energy 0, -80 dBFS or less) of at least this is a lost microphone: rooms, and
people who say nothing, are louder."""
FROZEN_S = 0.5
"""A face whose numbers do not change at all for this long is a picture that stands still."""
LEAST_CONFIDENCE = 0.3
"""Of the tracker; below it a face is taken as covered."""
_STRETCH = re.compile(r"(?P<what>[a-z]+)(@(?P<start>\d+(\.\d+)?)-(?P<stop>\d+(\.\d+)?)?)?")


def lose(speaker: Behaviour, what: str, lost: Tensor) -> Behaviour:
    """A clip [T] with frames of a modality unobserved, bool [T], True = lost.

    Raises:
        InputError: the mask is of another length or type, or the speaker is a batch; an unknown
            modality. One that the speaker does not have changes nothing.
    """
    if what not in MODALITIES:
        raise InputError(f"there is no modality {what!r} to lose. {nearest(what, MODALITIES)}")
    if speaker.lead or tuple(lost.shape) != (speaker.frames,) or lost.dtype != torch.bool:
        raise InputError(
            f"the mask of lost frames must be bool [{speaker.frames}], one a frame of one clip, "
            f"but came as {lost.dtype} {list(lost.shape)} for leading axes {list(speaker.lead)}."
        )
    if what != WORDS and not any(n in speaker.layout for n in GROUPS[what]):
        return speaker
    for start, stop in stretches(lost):
        speaker = speaker.drop(what, start=start, stop=stop)
    return speaker


def stretches(mask: Tensor) -> list[tuple[int, int]]:
    """Runs of True in bool [T], as (start, stop)."""
    padded = torch.nn.functional.pad(mask.to(torch.int8), (1, 1))
    edges = padded.diff().nonzero()[:, 0].tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def parsed(text: str) -> tuple[str, float, float]:
    """`speech@3.0-7.5` to ("speech", 3.0, 7.5); `face@20-` to the end, `words` throughout.

    Raises:
        InputError: it is none of these.
    """
    found = _STRETCH.fullmatch(text.strip())
    if found is None or found["what"] not in MODALITIES:
        known = ", ".join(MODALITIES)
        raise InputError(
            f"cannot read {text!r}; wanted what is lost and when, in seconds: speech@3.0-7.5, "
            f"face@20- (to the end), or a name alone ({known})."
        )
    start = float(found["start"] or 0.0)
    stop = float(found["stop"]) if found["stop"] else math.inf
    if stop <= start:
        raise InputError(f"{text!r} ends at {stop:g} s, before it begins at {start:g} s.")
    return found["what"], start, stop


def dropped(speaker: Behaviour, texts: Sequence[str]) -> Behaviour:
    """A clip [T] without the stretches that `parsed` reads; a frame is lost where it overlaps one.

    Raises:
        InputError: as `parsed`, or a stretch begins behind the clip's end.
    """
    for text in texts:
        what, start_s, stop_s = parsed(text)
        if start_s >= speaker.duration_s:
            raise InputError(
                f"{text!r} begins behind the end of the speaker, {speaker.duration_s:.2f} s."
            )
        first = math.floor(start_s * speaker.fps + 1e-6)
        last = speaker.frames
        if math.isfinite(stop_s):
            last = min(last, math.ceil(stop_s * speaker.fps - 1e-6))
        lost = torch.zeros(speaker.frames, dtype=torch.bool)
        lost[first:last] = True
        speaker = lose(speaker, what, lost)
    return speaker


def muted(energy: Tensor, fps: float, least_s: float = MUTE_S) -> Tensor:
    """Frames [T] in a digital silence of at least `least_s`; energy [T, 1] in [0, 1], NaN where it
    is not known (and not counted)."""
    return _long(energy[..., 0] == 0.0, fps, least_s)


def frozen(values: Tensor, fps: float, least_s: float = FROZEN_S) -> Tensor:
    """Frames [T] that repeat the one before, in runs of at least `least_s`; values [T, C]."""
    same = torch.zeros(len(values), dtype=torch.bool)
    same[1:] = (values.diff(dim=0) == 0).all(-1)
    return _long(same, fps, least_s)


def _long(mask: Tensor, fps: float, least_s: float) -> Tensor:
    kept = torch.zeros_like(mask)
    for start, stop in stretches(mask):
        if stop - start >= least_s * fps:
            kept[start:stop] = True
    return kept


def found_lost(speaker: Behaviour, *, least_confidence: float = LEAST_CONFIDENCE) -> Behaviour:
    """A perceived clip [T] without what was mute, stood still or was covered."""
    layout, fps = speaker.layout, speaker.fps
    if "confidence" in layout:
        sure = speaker.filled("confidence", 0.0)[..., 0]
        speaker = lose(speaker, "face", (sure < least_confidence) & speaker.mask("confidence"))
    if "blendshapes" in layout:
        speaker = lose(speaker, "face", frozen(speaker.filled("blendshapes", float("nan")), fps))
    if "energy" in layout:
        speaker = lose(speaker, "speech", muted(speaker.filled("energy", float("nan")), fps))
    return speaker
