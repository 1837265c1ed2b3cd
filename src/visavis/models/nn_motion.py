"""NN-motion: the listener of the training speaker who is nearest in motion.

Compared is the speaker's face and head, 58 coefficients a frame. See `_nearest`.
"""

from __future__ import annotations

from visavis.models._nearest import Nearest


class NNMotion(Nearest):
    @classmethod
    def key_width(cls) -> int:
        return 58

    @property
    def inputs(self) -> tuple[str, ...]:
        return ("coefficients",)
