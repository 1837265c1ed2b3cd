"""What faces do about events: actions as blendshapes, and who answers what with which of them.

An action at 1 is a full conversational expression, about two thirds of what a face can do. Its
shapes follow the EMFACS prototypes (see `features/attributes.py`). The response table is chosen:
it gives every mode a face of its own and keeps appropriate reactions to one event different.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from visavis.corpora._face_motion import shape_row
from visavis.corpora._random import Array
from visavis.corpora._vocabulary import EVENT_KINDS, MODES

ACTIONS: Mapping[str, Mapping[str, float]] = {
    "smile": {"mouthSmile": 0.62, "cheekSquint": 0.46, "eyeSquint": 0.12},
    "laugh": {"jawOpen": 0.34, "mouthSmile": 0.2, "cheekSquint": 0.15, "mouthUpperUp": 0.3},
    "sadness": {"browInnerUp": 0.55, "mouthFrown": 0.5, "mouthShrugLower": 0.25},
    "surprise": {"browInnerUp": 0.5, "browOuterUp": 0.55, "eyeWide": 0.5},
    "gape": {"jawOpen": 0.36},
    "frown": {"browDown": 0.6, "eyeSquint": 0.42},
    "press": {"mouthPress": 0.55, "mouthRollLower": 0.45, "mouthRollUpper": 0.4},
    "dimple": {"mouthDimple": 0.58, "mouthLeft": 0.1},
    "sneer": {"noseSneer": 0.5, "mouthUpperUp": 0.42},
    "chin": {"mouthShrugLower": 0.55, "mouthShrugUpper": 0.25},
    "worry": {"mouthStretch": 0.5, "eyeWide": 0.3, "browInnerUp": 0.42, "browDown": 0.12},
}
ACTION_NAMES = tuple(ACTIONS)

ACTION_SHAPES: Array = np.stack([shape_row(ACTIONS[name]) for name in ACTION_NAMES])
"""[actions, 52]"""

SHOWN: Mapping[str, Mapping[str, float]] = {
    "joy": {"smile": 1.0, "laugh": 0.3},
    "sad": {"sadness": 1.0},
    "surprise": {"surprise": 1.0, "gape": 0.3},
    "dubious": {"frown": 0.7, "dimple": 0.7},
    "pause": {"press": 0.3},
}
"""What a speaker's face shows at an event."""

RESPONSES: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "mirroring": {
        "joy": {"smile": 1.0},
        "sad": {"sadness": 1.0},
        "surprise": {"surprise": 1.0, "gape": 0.7},
        "dubious": {"frown": 0.9, "dimple": 0.8},
        "pause": {"surprise": 0.4},
    },
    "attentive": {
        "joy": {"smile": 0.55, "press": 0.3},
        "sad": {"chin": 0.9},
        "surprise": {"surprise": 0.8},
        "dubious": {"press": 0.9},
        "pause": {"chin": 0.3},
    },
    "amused": {
        "joy": {"smile": 1.0, "laugh": 1.0},
        "sad": {"smile": 0.6, "dimple": 0.5},
        "surprise": {"smile": 0.9, "surprise": 0.7},
        "dubious": {"smile": 0.9, "laugh": 0.4},
        "pause": {"smile": 0.7},
    },
    "concerned": {
        "joy": {"smile": 0.5, "worry": 0.4},
        "sad": {"sadness": 0.9, "frown": 0.5},
        "surprise": {"worry": 1.0, "gape": 0.6},
        "dubious": {"frown": 0.9, "worry": 0.7},
        "pause": {"sadness": 0.5},
    },
    "sceptical": {
        "joy": {"dimple": 0.9},
        "sad": {"press": 0.9, "frown": 0.4},
        "surprise": {"frown": 0.8, "dimple": 0.8},
        "dubious": {"frown": 1.0, "sneer": 0.9},
        "pause": {"chin": 0.8, "dimple": 0.4},
    },
}
"""How a listener in a mode (outer) answers an event (inner)."""

PULL: Mapping[str, tuple[float, float, float, float, float]] = {
    "joy": (0.9, 0.0, 1.2, -1.0, -0.6),
    "sad": (0.6, 0.3, -1.0, 1.3, -0.4),
    "surprise": (1.1, 0.3, 0.5, 0.2, -0.3),
    "dubious": (-0.1, 0.4, 0.0, 0.0, 1.3),
    "pause": (0.0, 0.5, 0.0, 0.0, 0.0),
}
"""How an event draws a listener to each of MODES."""

NOD_CHANCE: Mapping[str, float] = {
    "joy": 0.5,
    "sad": 0.5,
    "surprise": 0.3,
    "dubious": 0.3,
    "pause": 1.0,
}
"""Where nods are due: most after pauses, as backchannels are (Ward and Tsukahara, 2000)."""


def _levels(table: Mapping[str, float]) -> Array:
    return np.array([table.get(name, 0.0) for name in ACTION_NAMES])


RESPONSE_LEVELS: Array = np.stack(
    [np.stack([_levels(RESPONSES[mode][kind]) for kind in EVENT_KINDS]) for mode in MODES]
)
"""[5 modes, 5 kinds, actions]"""
SHOWN_LEVELS: Array = np.stack([_levels(SHOWN[kind]) for kind in EVENT_KINDS])
"""[5 kinds, actions]"""
PULL_LOGITS: Array = np.array([PULL[kind] for kind in EVENT_KINDS])
"""[5 kinds, 5 modes]"""
NOD_CHANCES: Array = np.array([NOD_CHANCE[kind] for kind in EVENT_KINDS])
