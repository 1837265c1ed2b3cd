"""A media file -> what its person does: the whole of perception in one call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.behaviour import Behaviour, Source, Word
from visavis.channels import BLENDSHAPES, FPS, GROUPS, STANDARD
from visavis.errors import InputError
from visavis.features.attribute_maps import MAPS, with_attributes
from visavis.features.attributes import complete
from visavis.features.face import FaceObservation, FaceTracker, default_tracker
from visavis.features.face_geometry import blendshapes_of
from visavis.features.face_rest import rest_of
from visavis.features.text import text_channel
from visavis.features.trackers import FORMATS, is_table, read
from visavis.features.words import read_words
from visavis.media import MediaInfo, probe, video_frames

logger = logging.getLogger("visavis")

Progress = Callable[[int, int | None], None]

LONGEST_SIDE = 1280
"""Larger pictures are scaled down to this side, in pixels, before the face is looked for."""
MOST_PIXELS = 4 * 1024**3
"""Bytes of face pictures that `keep_pixels` may hold: nearly five minutes. A Behaviour stores a
channel with unobserved frames as float32, so four bytes a value are counted."""
SPEECH = ("mfcc78", "energy", "pitch", "voice")
ELSEWHERE = ("wav2vec2", "speech_emotion")
"""Made by other networks: `features.wav2vec2`, `features.speech_emotion`."""


def perceive(
    source: str | Path,
    *,
    tracker: FaceTracker | str | Path | None = None,
    speech: Sequence[str] = SPEECH,
    progress: Progress | None = None,
    keep_pixels: bool = False,
    fps: float | None = None,
    transcript: str | Path | None = None,
    attributes: str = "linear",
) -> Behaviour:
    """What the person in a video or sound file does, on the 25 fps clock.

    The result has `blendshapes` [T, 52], `rotation` [T, 3] (radians, facing the camera is 0),
    `translation` [T, 3] (metres from the clip's median place), `confidence` [T, 1] (0 without a
    face), the attributes `au`, `va` and `expression` derived from them, and the channels of
    `speech`. Everything about the face is a geometric estimate from a mesh of landmarks;
    blendshapes are read against the person's rest pose, found in the whole clip.

    A table (.csv, .tsv, .txt) that another tracker wrote is read instead of looked at: see
    `visavis.features.trackers`. It tells what it tells; the rest of the face is unobserved or
    derived, and so is all speech.

    What is not seen or heard is unobserved, never guessed: frames without a face; all frames of a
    file without picture, or of one in which no face is found (with a warning); all speech of a
    file without sound. With two people in view the larger is followed (with a warning).

    Memory grows by about 1 KB a frame, so an hour takes some 100 MB; pictures are not kept.

    Args:
        source: any file that PyAV reads, or another tracker's table.
        tracker: what looks for the face; mediapipe's mesh by default. One passed in is not closed.
            A path to a `face_landmarker.task` uses that model. For a table, the name of the
            tracker that wrote it; by default the header tells.
        speech: acoustic channels to measure.
        progress: called with (frames done, T or None) as the picture is read.
        keep_pixels: add `pixels` [T, 3, 224, 224] in 0 to 255, a square around the followed
            face; a square whose edge leaves the picture repeats the picture's edge.
        fps: frames a second of a table whose own times are missing or wrong.
        transcript: what is said, as .srt, .vtt or a recogniser's .json (`features.words`); becomes
            the behaviour's words and the channel `text`.
        attributes: the map from coefficients to attributes, "linear" (what corpora and scores use)
            or "learned" (`features.attribute_maps`).

    Raises:
        InputError: the file cannot be read, or has neither a face nor sound; `keep_pixels` of a
            film that is too long; an unknown channel in `speech`; a transcript that is none; an
            unknown map.
        MissingExtra: no tracker is installed: `pip install 'visavis[track]'`.
    """
    path = Path(source)
    wrong = [name for name in speech if name not in GROUPS["speech"] or name in ELSEWHERE]
    if wrong:
        raise InputError(
            f"speech channels {', '.join(wrong)} cannot be measured here; choose from "
            + ", ".join(name for name in GROUPS["speech"] if name not in ELSEWHERE)
            + "."
        )
    if attributes not in MAPS:
        raise InputError(
            f"there is no map {attributes!r} to attributes; choose {' or '.join(MAPS)}."
        )
    words = None if transcript is None else read_words(transcript)
    if is_table(path):
        seen = _from_table(path, tracker, fps, speech, keep_pixels)
    else:
        seen = _from_media(path, tracker, fps, speech, keep_pixels, progress)
    if attributes != "linear" and "blendshapes" in seen:
        seen = with_attributes(seen, map=attributes)
    return seen if words is None else with_transcript(seen, words, str(transcript))


def with_transcript(seen: Behaviour, words: tuple[Word, ...], where: str) -> Behaviour:
    """The behaviour [T, ...] with what is said in it, and the channel `text`; `where` the words are
    from is told if some begin after its end."""
    said = tuple(word for word in words if word.start_s < seen.duration_s)
    if len(said) < len(words):
        logger.warning(
            "%s: %d of %d words begin after the recording's end and are left out.",
            *(where, len(words) - len(said), len(words)),
        )
    spoken = seen.with_channels({"text": text_channel(said, seen.frames)})
    return replace(spoken, words=said)


def _from_media(
    path: Path,
    tracker: FaceTracker | str | Path | None,
    fps: float | None,
    speech: Sequence[str],
    keep_pixels: bool,
    progress: Progress | None,
) -> Behaviour:
    """What a film shows and sounds like."""
    if fps is not None:
        raise InputError(f"{path} tells its own times; fps is for tables of other trackers.")
    looker = None if tracker is None else _looking(tracker)
    info = probe(path)
    if not info.has_video and not info.has_audio:
        raise InputError(f"{path} has neither picture nor sound; give a video or sound file.")
    seen = _Seen(keep_pixels)
    cut_off = _CutOff()
    if info.has_video:
        with cut_off:
            _watch(path, info, looker, seen, progress)
    frames = seen.frames or max(1, round(info.duration_s * FPS))
    if info.has_video and not seen.at:
        if not info.has_audio:
            raise InputError(
                f"{path}: no face in any of {frames} frames, and there is no sound. "
                "Give a film in which a face fills at least a tenth of the picture's width."
            )
        logger.warning("%s: no face in any of %d frames; the face is unobserved.", path, frames)
    channels, observed = seen.channels(frames)
    heard = _listen(path, frames, speech) if info.has_audio and speech else None
    for name in speech:
        if heard is None:
            channels[name] = torch.full((frames, *STANDARD[name].width), torch.nan)
            observed[name] = torch.zeros(frames, dtype=torch.bool)
        else:
            channels[name] = heard[name]
    return complete(Behaviour.of(channels, observed=observed, source=Source(str(path.resolve()))))


class _CutOff(logging.Filter):
    """Lets one warning of a cut-off file through: picture and sound both end where it was cut."""

    def __init__(self) -> None:
        super().__init__()
        self._told = False

    def filter(self, record: logging.LogRecord) -> bool:
        if "damaged or cut off" not in str(record.msg):
            return True
        first, self._told = not self._told, True
        return first

    def __enter__(self) -> None:
        logger.addFilter(self)

    def __exit__(self, *_: object) -> None:
        logger.removeFilter(self)


def _from_table(
    path: Path,
    tracker: FaceTracker | str | Path | None,
    fps: float | None,
    speech: Sequence[str],
    keep_pixels: bool,
) -> Behaviour:
    """Another tracker's table, with every channel that a film would give."""
    if keep_pixels:
        raise InputError(
            f"{path} is a table: there are no pictures to keep. Leave keep_pixels out."
        )
    if isinstance(tracker, FaceTracker):
        raise InputError(f"{path} is a table, which needs no tracker to look at it.")
    told = read(path, tracker=None if tracker is None else str(tracker), fps=fps)
    face = (*GROUPS["coefficients"], *speech)
    lacking = {
        name: torch.full((told.frames, *STANDARD[name].width), torch.nan)
        for name in face
        if name not in told
    }
    nowhere = dict.fromkeys(lacking, torch.zeros(told.frames, dtype=torch.bool))
    return complete(told.with_channels(lacking, observed=nowhere))


def _looking(tracker: FaceTracker | str | Path) -> FaceTracker | Callable[[], FaceTracker]:
    """A tracker, or what makes one, from what the user named."""
    if isinstance(tracker, FaceTracker):
        return tracker
    name = str(tracker)
    if name == "mediapipe":
        return default_tracker
    if name.lower().endswith(".task"):
        from visavis.features.face_task import TaskTracker

        return lambda: TaskTracker(name)
    raise InputError(
        f"no tracker of films is called {name!r}. Known: mediapipe, or a path to a "
        f"face_landmarker.task. ({', '.join(FORMATS)} write tables: give the .csv as the source.)"
    )


def _watch(
    path: Path,
    info: MediaInfo,
    tracker: FaceTracker | Callable[[], FaceTracker] | None,
    seen: _Seen,
    progress: Progress | None,
) -> None:
    """Follow the face through the film into `seen`."""
    expected = max(1, round(info.duration_s * FPS))
    needed = 4 * expected * 3 * 224 * 224
    if seen.pixels is not None and needed > MOST_PIXELS:
        raise InputError(
            f"{path}: the face pictures of {info.duration_s:.0f} s would take "
            f"{needed / 1024**3:.1f} GiB. Cut the film, or leave keep_pixels out."
        )
    with ExitStack() as stack:
        if not isinstance(tracker, FaceTracker):
            tracker = stack.enter_context((tracker or default_tracker)())
        for t, frame in enumerate(video_frames(path, fps=FPS, size=_working_size(info))):
            seen.add(frame, tracker.track(frame, t / FPS))
            if progress is not None:
                progress(t + 1, expected)


def _listen(path: Path, frames: int, speech: Sequence[str]) -> dict[str, Tensor] | None:
    from visavis.features.speech import acoustics_of

    return acoustics_of(path, frames, names=speech)


def _working_size(info: MediaInfo) -> tuple[int, int] | None:
    if info.width is None or info.height is None:
        return None
    scale = LONGEST_SIDE / max(info.width, info.height)
    return None if scale >= 1 else (round(info.height * scale), round(info.width * scale))


class _Seen:
    """The compact record of a film: a few dozen numbers for each frame with a face."""

    def __init__(self, keep_pixels: bool) -> None:
        self.frames = 0
        self.at: list[int] = []  # frames with a face
        self.poses: list[NDArray[np.float32]] = []
        self.faces: list[NDArray[np.float32]] = []  # measures, or blendshapes
        self.measured: bool | None = None
        self.sure: list[float] = []
        self.pixels: list[NDArray[np.uint8]] | None = [] if keep_pixels else None

    def add(self, frame: NDArray[np.uint8], face: FaceObservation | None) -> None:
        if face is not None:
            self.at.append(self.frames)
            self.poses.append(np.concatenate([face.rotation, face.translation]))
            self.measured = face.measures is not None
            self.sure.append(face.confidence)
            self.faces.append(face.blendshapes if face.measures is None else face.measures)
            if self.pixels is not None:
                self.pixels.append(face_picture(frame, face.landmarks))
        self.frames += 1

    def channels(self, frames: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Channels [frames, ...] of the face and where each was observed."""
        there = torch.zeros(frames, dtype=torch.bool)
        there[self.at] = True
        values = {
            "blendshapes": torch.full((frames, len(BLENDSHAPES)), torch.nan),
            "rotation": torch.full((frames, 3), torch.nan),
            "translation": torch.full((frames, 3), torch.nan),
            "confidence": torch.zeros((frames, 1)),
        }
        if self.at:
            poses = np.stack(self.poses)
            faces = np.stack(self.faces)
            if self.measured:
                distances = faces.astype(np.float64)
                faces = blendshapes_of(distances, rest_of(distances))
            place = poses[:, 3:] - np.median(poses[:, 3:], axis=0)
            values["blendshapes"][there] = torch.from_numpy(faces)
            values["rotation"][there] = torch.from_numpy(poses[:, :3])
            values["translation"][there] = torch.from_numpy(place)
            values["confidence"][there, 0] = torch.tensor(self.sure, dtype=torch.float32)
        if self.pixels is not None:
            pictures = torch.zeros((frames, *STANDARD["pixels"].width), dtype=torch.uint8)
            for t, picture in zip(self.at, self.pixels, strict=True):
                pictures[t] = torch.from_numpy(picture)
            values["pixels"] = pictures
        looked = torch.full((frames,), self.frames > 0)  # no face in a picture is known, not absent
        return values, {n: looked if n == "confidence" else there.clone() for n in values}


def face_picture(frame: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The square around a face, half as large again as its mesh: uint8 [3, 224, 224].

    `landmarks` [478, 3] in pixels, y up. Beyond the picture's edge the edge is repeated.
    """
    height, width = frame.shape[:2]
    points = landmarks[:, :2] * np.array([1, -1], dtype=np.float32)
    low, high = points.min(axis=0), points.max(axis=0)
    half = max(1.0, 0.75 * float((high - low).max()))
    x, y = (low + high) / 2
    rows = np.clip(np.arange(int(y - half), int(y + half) + 1), 0, height - 1)
    columns = np.clip(np.arange(int(x - half), int(x + half) + 1), 0, width - 1)
    square = torch.from_numpy(frame[rows[:, None], columns[None, :]])
    scaled = torch.nn.functional.interpolate(
        square.permute(2, 0, 1)[None].float(), size=(224, 224), mode="bilinear", antialias=True
    )
    picture: NDArray[np.uint8] = scaled[0].round().clamp(0, 255).to(torch.uint8).numpy()
    return picture
