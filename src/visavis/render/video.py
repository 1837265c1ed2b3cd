"""Reactions as a film: the speaker large at the left, K drawn listeners, the speaker's sound."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.render import panels
from visavis.render.draw import SMALLEST, draw_motion, rasterisers
from visavis.render.looks import LOOKS, Look
from visavis.render.motion import Motion, motions
from visavis.render.speaker import Panel, panel
from visavis.render.text import greyed

if TYPE_CHECKING:
    from visavis.behaviour import Behaviour
    from visavis.render.portrait_renderer import FrameSource

U8 = NDArray[np.uint8]

SLACK = 2
"""Frames by which speaker and reactions may differ in length before the shorter one is dimmed."""
AHEAD = 3
"""Pictures in work while one is encoded."""


def render_video(
    reactions: Behaviour,
    path: str | Path,
    *,
    beside: str | Path | Behaviour | None = None,
    size: int = 256,
    progress: Callable[[int, int | None], None] | None = None,
    labels: Sequence[str] | None = None,
    rasteriser: str = "numba",
    portrait: FrameSource | None = None,
) -> Path:
    """Draw reactions, beside the speaker if given, into an mp4 (H.264, AAC).

    The film is as long as the longer of speaker and reactions; whoever ends first holds the last
    picture, dimmed. A file's pictures are cropped to their central square. A speaker without
    pictures is shown as a waveform, "audio only". If the reactions came from that same file, it
    begins where they begin.

    Args:
        reactions: one clip, or K of them (leading axis K), with `blendshapes`.
        path: the film to write; it appears when it is whole.
        beside: a media file (pictures and sound) or a behaviour (drawn, silent).
        size: pixels along a side of a listener's panel, 16 to 1024.
        progress: called with (pictures done, pictures in all or None).
        labels: K captions; "listener 1" and so on by default.
        rasteriser: "numba", or "moderngl" for OpenGL.
        portrait: draws the listeners instead of the drawn heads: `Portrait.from_photo(...)`.

    Returns:
        The path.

    Raises:
        MissingChannel: reactions or a speaker behaviour have no blendshapes.
        InputError: sizes, labels or leading axes do not fit, or the file cannot be read or written.
        MissingExtra: moderngl is not installed.
    """
    from visavis.media import VideoWriter

    rasterisers(rasteriser)
    clips = motions(reactions)
    if not SMALLEST <= size <= 1024:
        raise InputError(f"size must lie in {SMALLEST} to 1024 pixels, not {size}.")
    if not clips:
        raise InputError("there are no reactions to draw: the leading axis has length 0.")
    if labels is not None and len(labels) != len(clips):
        raise InputError(f"{len(labels)} labels were given for {len(clips)} reactions.")
    shown = None
    if beside is not None:
        shown = panel(beside, fps=reactions.fps, start_s=_start(reactions, beside))
    layout = panels.arrange(len(clips), size, speaker=shown is not None)
    total = max([len(clips[0]), *([shown.frames] if shown and shown.frames else [])])
    film = VideoWriter(
        path,
        width=layout.width,
        height=layout.height,
        fps=reactions.fps,
        audio=shown.audio if shown else None,
    )
    with film:
        for done, picture in enumerate(
            _pictures(
                clips, shown, layout, panels.captions(len(clips), labels), rasteriser, portrait
            ),
            start=1,
        ):
            film.write(picture)
            if progress is not None:
                progress(done, max(total, done))
    return Path(path)


def _start(reactions: Behaviour, beside: str | Path | Behaviour) -> float:
    """Where in the file beside them the reactions begin, seconds."""
    from visavis.behaviour import Source

    source = reactions.source
    if isinstance(source, tuple):
        source = source[0] if source else None
    if not isinstance(source, Source) or not isinstance(beside, (str, Path)):
        return 0.0
    same = os.path.abspath(source.path) == os.path.abspath(beside)
    return source.start_s if same else 0.0


def look_of(listener: int) -> Look:
    """The look of listener number `listener`; the speaker's look is left out."""
    return LOOKS[listener % (len(LOOKS) - 1)]


class _Here(Executor):
    """Does everything at once, on the thread that asks."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def _pictures(
    clips: list[Motion],
    shown: Panel | None,
    layout: panels.Layout,
    captions: Sequence[str],
    rasteriser: str,
    portrait: FrameSource | None,
) -> Iterator[U8]:
    """Whole pictures, one a frame. Heads are drawn ahead on a few threads; numba lets them run.

    OpenGL belongs to one thread: its heads are drawn on this one.
    """
    frames = len(clips[0])
    size = layout.listeners[0].size
    workers = max(
        1, min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    )
    with ThreadPoolExecutor(workers) as pool:

        def start(frame: int) -> list[Future[U8]]:
            heads = _Here() if rasteriser == "moderngl" else pool
            return [
                heads.submit(
                    draw_motion,
                    clip,
                    frame,
                    size=size,
                    look=look_of(i),
                    rasteriser=rasteriser,
                    portrait=portrait,
                )
                for i, clip in enumerate(clips)
            ]

        work = [start(frame) for frame in range(min(AHEAD, frames))]
        source: Iterator[U8] = iter(())
        if shown is not None and layout.speaker is not None:
            source = shown.pictures(layout.speaker.size)
        coming = pool.submit(next, source, None)
        canvas = panels.blank(layout)
        letters = panels.caption_height(size)
        last: U8 | None = None
        ended, frame = 0, 0
        while True:
            picture = coming.result()
            if picture is not None:
                coming = pool.submit(next, source, None)
                last = picture
            else:
                ended += 1
                if frame >= frames:
                    return
                if ended == SLACK + 1 and last is not None:
                    last = greyed(last, None)
            if layout.speaker is not None and last is not None:
                panels.paste(canvas, last, layout.speaker, "speaker", letters=letters)
            if frame < frames:
                heads = [head.result() for head in work.pop(0)]
                if frame + AHEAD < frames:
                    work.append(start(frame + AHEAD))
            elif frame == frames + SLACK:
                heads = [greyed(head, None) for head in heads]
            for box, head, caption in zip(layout.listeners, heads, captions, strict=True):
                panels.paste(canvas, head, box, caption, letters=letters)
            yield canvas
            frame += 1
