"""What a renderer needs of a behaviour: coefficients of every frame, and which frames are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError, MissingChannel

if TYPE_CHECKING:
    from visavis.behaviour import Behaviour


@dataclass(frozen=True)
class Motion:
    """Coefficients of one clip, without gaps.

    Attributes:
        blendshapes: [T, 52]; rotation, translation: [T, 3]. A frame that was not observed repeats
            the last one that was (rest before the first).
        known: [T] whether the frame's coefficients were observed.
    """

    blendshapes: NDArray[np.float32]
    rotation: NDArray[np.float32]
    translation: NDArray[np.float32]
    known: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.known)


def motions(behaviour: Behaviour) -> list[Motion]:
    """The motion of each clip of a behaviour with leading axes () or (K,): one, or K.

    `rotation` and `translation` may be missing: the head then does not move. Padding counts as
    unknown.

    Raises:
        MissingChannel: there are no blendshapes.
        InputError: more leading axes, or coefficients of another convention.
    """
    if not behaviour.has("blendshapes"):
        raise MissingChannel(
            f"drawing a head needs the channel 'blendshapes', but there are only "
            f"{', '.join(behaviour.layout.names)}. Complete them first: "
            "visavis.features.attributes.complete(behaviour)."
        )
    if behaviour.layout.convention != "arkit":
        raise InputError(
            f"the coefficients follow the convention {behaviour.layout.convention!r}; "
            "convert them to 'arkit' before drawing."
        )
    if len(behaviour.lead) > 1:
        raise InputError(
            f"the behaviour has leading axes {list(behaviour.lead)}; give one clip, or K reactions "
            "to one speaker: behaviour[0] takes the first of a batch."
        )
    names = [n for n in ("blendshapes", "rotation", "translation") if behaviour.has(n)]
    inside = behaviour.inside()
    values = {n: behaviour.filled(n, 0.0).detach().float().cpu().numpy() for n in names}
    known = {n: (behaviour.mask(n) & inside).cpu().numpy() for n in names}
    if not behaviour.lead:
        values = {n: v[None] for n, v in values.items()}
        known = {n: k[None] for n, k in known.items()}
    return [
        _motion({n: v[i] for n, v in values.items()}, {n: k[i] for n, k in known.items()})
        for i in range(len(values["blendshapes"]))
    ]


def _motion(values: dict[str, NDArray[np.float32]], known: dict[str, NDArray[np.bool_]]) -> Motion:
    frames = len(known["blendshapes"])
    held = {
        n: _hold(values[n], known[n]) if n in values else np.zeros((frames, 3), np.float32)
        for n in ("blendshapes", "rotation", "translation")
    }
    return Motion(**held, known=np.logical_and.reduce(list(known.values())))


def _hold(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Values [T, C] in which an unknown frame repeats the last known one, zero before the first."""
    last = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    return np.where(last[:, None] >= 0, values[np.maximum(last, 0)], 0.0).astype(np.float32)
