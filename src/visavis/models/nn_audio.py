"""NN-audio: the listener of the training speaker who is nearest in audio.

Compared is the speaker's voice, 78 MFCC numbers a frame. See `_nearest`.
"""

from __future__ import annotations

from visavis.models._nearest import Nearest


class NNAudio(Nearest):
    @classmethod
    def key_width(cls) -> int:
        return 78

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("mfcc78",)
