"""Pictures of one clip by a number for the person: what a corpus takes as its `renderer`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visavis.render.draw import draw
from visavis.render.looks import look

if TYPE_CHECKING:
    from visavis.behaviour import Behaviour


def pictures(
    behaviour: Behaviour, person: int = 0, *, size: int = 224
) -> Iterator[NDArray[np.uint8]]:
    """The clip frame by frame, [size, size, 3] uint8, drawn as person number `person`.

    Equal numbers give equal looks; there are eleven, so people may look alike.

    Raises:
        MissingChannel, InputError: as `visavis.render.draw.draw`.
    """
    return draw(behaviour, size=size, look=look(person))
