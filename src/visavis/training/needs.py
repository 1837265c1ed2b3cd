"""Whether a corpus has what a model learns from, and what makes the channels that it lacks."""

from __future__ import annotations

from typing import Any

from visavis.channels import GROUPS
from visavis.dyad import Dyad
from visavis.errors import MissingChannel
from visavis.models._base import ReactionModel

_FACE = "`visavis perceive VIDEO` (features.face, pip install 'visavis[track]')"
_VOICE = "`visavis perceive VIDEO` (features.speech)"
_COMPLETE = "visavis.features.attributes.complete, from the other half of the face"
MAKERS = {
    **dict.fromkeys((*GROUPS["attributes"], *GROUPS["coefficients"]), f"{_FACE}, or {_COMPLETE}"),
    **dict.fromkeys(("mfcc78", "logmel", "energy", "pitch", "voice"), _VOICE),
    "pixels": "the video itself, cropped to the face and scaled to 224 x 224",
    "wav2vec2": "a wav2vec 2.0 network over the sound, two feature vectors a frame",
}
"""Channel -> what makes it."""


def check(model: ReactionModel[Any], dyad: Dyad, *, corpus: str) -> None:
    """Refuse a corpus that lacks a channel which the model reads or returns.

    Raises:
        MissingChannel: naming the channels, whose they would be, and what makes them.
    """
    inputs, outputs = (
        tuple(n for group in groups for n in GROUPS.get(group, (group,)))
        for groups in (model.inputs, model.outputs)
    )
    for person, behaviour, wanted in (
        ("speakers", dyad.speaker, inputs),
        ("listeners", dyad.listener, outputs if model.objectives() else ()),
    ):
        lacking = [n for n in wanted if n not in behaviour.layout.names]
        if lacking:
            made = "; ".join(f"{n}: {MAKERS.get(n, 'not known to visavis')}" for n in lacking)
            has = ", ".join(behaviour.layout.names) or "nothing"
            raise MissingChannel(
                f"{model.name} needs {', '.join(lacking)} of the {person}, which the corpus "
                f"{corpus!r} does not have (it has {has}). What makes them: {made}."
            )
