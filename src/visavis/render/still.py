"""Single pictures: a sheet of captioned frames, and a strip of a film."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.files import atomic_path
from visavis.render import panels
from visavis.render.draw import draw_motion
from visavis.render.motion import motions
from visavis.render.speaker import LOOK
from visavis.render.video import look_of

if TYPE_CHECKING:
    from visavis.behaviour import Behaviour
    from visavis.render.portrait_renderer import FrameSource

U8 = NDArray[np.uint8]


def contact_sheet(
    frames: Iterable[U8],
    path: str | Path,
    captions: Sequence[str] | None = None,
    columns: int | None = None,
) -> Path:
    """Square pictures of one size side by side in a PNG.

    Args:
        frames: [size, size, 3] uint8 each.
        path: the PNG to write.
        captions: one a picture, or None.
        columns: pictures in a row; about as many as rows by default.

    Raises:
        InputError: no pictures, pictures that differ, or captions that do not fit.
    """
    pictures = list(frames)
    if not pictures:
        raise InputError("there are no pictures to put on the sheet.")
    size = pictures[0].shape[0]
    if any(p.shape != (size, size, 3) or p.dtype != np.uint8 for p in pictures):
        raise InputError("pictures of a sheet must all be uint8 [size, size, 3] of one size.")
    if captions is not None and len(captions) != len(pictures):
        raise InputError(f"{len(captions)} captions were given for {len(pictures)} pictures.")
    across = min(columns or math.ceil(math.sqrt(len(pictures) * 1.6)), len(pictures))
    if across < 1:
        raise InputError(f"a sheet needs at least one column, not {columns}.")
    gap = max(2, size // 32)
    rows = math.ceil(len(pictures) / across)
    canvas = np.full(
        (rows * (size + gap) + gap, across * (size + gap) + gap, 3), panels.CANVAS, np.uint8
    )
    for i, picture in enumerate(pictures):
        x, y = gap + (i % across) * (size + gap), gap + (i // across) * (size + gap)
        panels.paste(canvas, picture, panels.Box(x, y, size), captions[i] if captions else None)
    return _save(canvas, path)


def film_strip(
    reactions: Behaviour,
    path: str | Path,
    speaker: Behaviour | str | Path | None = None,
    times: Sequence[float] | None = None,
    *,
    size: int = 256,
    labels: Sequence[str] | None = None,
    portrait: FrameSource | None = None,
) -> Path:
    """Reactions over time in a PNG: a row a person (the speaker first), a column a moment.

    Args:
        reactions: one clip or K, with blendshapes.
        path: the PNG to write.
        speaker: one clip with blendshapes, a film of them, or None.
        times: moments in seconds; six evenly spread by default.
        size: pixels along a side of each picture.
        labels: K names of rows.
        portrait: draws the listeners instead of the drawn heads: `Portrait.from_photo(...)`.

    Raises:
        MissingChannel: there are no blendshapes.
        InputError: a moment outside the clip, or labels that do not fit.
    """
    clips = motions(reactions)
    if labels is not None and len(labels) != len(clips):
        raise InputError(f"{len(labels)} labels were given for {len(clips)} reactions.")
    if times is None:
        times = [(i + 0.5) / 6 * reactions.duration_s for i in range(6)]
    if not times or any(not 0.0 <= t <= reactions.duration_s for t in times):
        raise InputError(
            f"moments must lie in 0 to {reactions.duration_s:.2f} s, but came as {list(times)}."
        )
    rows = [
        (name, clip, look_of(i))
        for i, (name, clip) in enumerate(
            zip(panels.captions(len(clips), labels), clips, strict=True)
        )
    ]
    pictures, captions = [], []
    if isinstance(speaker, (str, Path)):
        pictures += _moments(speaker, times, size)
        captions += [f"speaker  {t:.1f} s" for t in times]
    elif speaker is not None:
        if speaker.lead:
            raise InputError(f"the speaker has leading axes {list(speaker.lead)}; give one clip.")
        rows.insert(0, ("speaker", motions(speaker)[0], LOOK))
    for name, clip, look in rows:
        for t in times:
            frame = min(int(t * reactions.fps), len(clip) - 1)
            own = portrait if look is not LOOK else None
            pictures.append(draw_motion(clip, frame, size=size, look=look, portrait=own))
            captions.append(f"{name}  {t:.1f} s")
    return contact_sheet(pictures, path, captions, columns=len(times))


def _moments(film: str | Path, times: Sequence[float], size: int) -> list[U8]:
    """The film's pictures at some moments; after its end, its last one."""
    from visavis.media import video_frames

    wanted, found, last = [int(t * 25) for t in times], {}, None
    for number, frame in enumerate(video_frames(film, size=size)):
        last = frame
        if number in wanted:
            found[number] = frame
        if number >= max(wanted):
            break
    assert last is not None  # a film has at least one picture
    return [found.get(number, last) for number in wanted]


def _save(picture: U8, path: str | Path) -> Path:
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG", optimize=True)
    return Path(path)
