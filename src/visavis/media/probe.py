"""What a media file holds, without decoding it through."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

from visavis.media._source import Media, Reader, open_media

LOOKED_AT = 250
"""Packets whose timestamps decide whether a film has a variable rate."""
CLOCK_S = 0.0025
"""Differences that a container's clock of 1 ms can make."""


@dataclass(frozen=True)
class MediaInfo:
    """Facts of one media file.

    Attributes:
        path: the file.
        duration_s: seconds from the common zero to the later end of picture and sound, as the
            file declares it.
        fps: average pictures a second, None without picture.
        variable_rate: whether the first pictures are unevenly spaced (a hint: only the first
            250 are looked at).
        width: of the picture as shown, pixels (after rotation, square pixels).
        height: likewise.
        rotation: degrees, counter-clockwise, by which stored pictures are turned to be shown;
            `video_frames` does it (multiples of 90).
        sample_rate: of the sound, Hz, None without sound.
        channels: of the sound.
    """

    path: Path
    duration_s: float
    has_video: bool
    has_audio: bool
    fps: float | None = None
    variable_rate: bool = False
    width: int | None = None
    height: int | None = None
    rotation: int = 0
    sample_rate: int | None = None
    channels: int | None = None


def probe(path: str | Path) -> MediaInfo:
    """Read the facts of a media file: some packets and one picture are looked at.

    Raises:
        InputError: as `open_media`.
    """
    from visavis.media.video import shown_size

    with open_media(path) as media:
        rotation = 0
        variable = False
        fps: float | None = None
        size: tuple[int | None, int | None] = (None, None)
        duration = max(
            (
                end
                for stream in (media.video, media.audio)
                if stream is not None and (end := media.declared_end_s(stream)) is not None
            ),
            default=(media.container.duration or 0) / 1e6,
        )
        if media.video is not None:
            rate = media.video.average_rate or media.video.guessed_rate
            fps = float(rate) if rate else None
            first = next(iter(Reader(media, media.video)), None)
            if first is not None:
                rotation = first[1].rotation
                size = shown_size(first[1], media.video)
                duration = duration or 1.0 / (fps or 25.0)
        sound = media.audio
        info = MediaInfo(
            path=media.path,
            duration_s=duration,
            has_video=media.video is not None,
            has_audio=sound is not None,
            fps=fps,
            width=size[1],
            height=size[0],
            rotation=rotation,
            sample_rate=None if sound is None else sound.codec_context.sample_rate,
            channels=None if sound is None else sound.codec_context.channels,
        )
    if info.has_video:
        with open_media(path) as media:
            variable = _variable(media, media.video)
    return MediaInfo(**{**info.__dict__, "variable_rate": variable})


def _variable(media: Media, stream: Any) -> bool:
    """Whether the first pictures are unevenly spaced more than once."""
    from av.error import FFmpegError

    shown: list[float] = []
    stored: list[float] = []
    try:
        for packet in islice(media.container.demux(stream), LOOKED_AT):
            for instant, known in ((packet.pts, shown), (packet.dts, stored)):
                if instant is not None:
                    known.append(float(instant * packet.time_base))
    except FFmpegError:
        # A cut-off file: what was read so far decides.
        pass
    # Avi knows only when pictures are decoded.
    stamps = shown if len(shown) >= len(stored) else stored
    # The last ones are left out: pictures that are stored later may be shown before them.
    ordered = sorted(stamps)[: -16 if len(stamps) == LOOKED_AT else None]
    gaps = [later - earlier for earlier, later in pairwise(ordered)]
    # One odd gap is a dropped picture, not a rate.
    usual = median(gaps) if gaps else 0.0
    return sum(abs(gap - usual) > CLOCK_S for gap in gaps) > 1
