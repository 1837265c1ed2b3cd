"""A photograph from a file, and the face in it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError

if TYPE_CHECKING:
    from visavis.features.face import FaceTracker

logger = logging.getLogger("visavis")

Doubles = NDArray[np.float64]
U8 = NDArray[np.uint8]

MARGIN = 0.15
"""How much of the square's side is kept around it, so that what moves in is there."""
FACE_SHARE = 0.46
"""Height of the face in the square, where the photograph is large enough."""
SMALLEST = 32
"""Smallest side of a photograph, pixels."""
_LOOK, _FINE, _KEPT = 1024, 768, 1536  # sides in pixels: to look for faces, to place the mesh, kept


@dataclass(frozen=True)
class Photo:
    """A square around one face, and where the face's mesh lies in it."""

    plate: U8
    """[N, N, 3] sRGB: the square and `MARGIN` of it on every side (mirrored beyond the photo)."""
    landmarks: Doubles
    """[478, 3] in sides of the square: x right, y up (0 at its top, -1 at its bottom), z towards
    the camera."""

    @property
    def grey(self) -> bool:
        """Whether it has no colours."""
        spread = np.ptp(self.plate.astype(np.int16), axis=2)
        return bool(np.percentile(spread, 95) < 6)


def read_photo(photo: str | Path | NDArray[Any]) -> U8:
    """A photograph as uint8 [H, W, 3].

    A file is turned as its EXIF says; what is transparent is laid over white; grey, palette and
    16-bit pictures become RGB.

    Raises:
        InputError: no such file, no picture, smaller than 32 pixels, or an array that is not uint8
            [H, W], [H, W, 3] or [H, W, 4].
    """
    from PIL import Image

    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim not in (2, 3) or photo.shape[2:] not in (
            (), (3,), (4,),
        ):  # fmt: skip
            raise InputError(
                "a photograph as an array must be uint8 [H, W], [H, W, 3] or [H, W, 4], "
                f"not {photo.dtype} {list(photo.shape)}."
            )
        if 0 in photo.shape:
            raise InputError(f"the photograph is empty: {list(photo.shape)}.")
        name, picture = "the photograph", Image.fromarray(photo)
    else:
        name, picture = str(photo), _opened(Path(photo))
    if min(picture.size) < SMALLEST:
        raise InputError(
            f"{name} has {picture.width} x {picture.height} pixels; a portrait needs at least "
            f"{SMALLEST} on its shorter side."
        )
    if "A" in picture.getbands() or "transparency" in picture.info:
        over = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        over.alpha_composite(picture.convert("RGBA"))
        picture = over
    elif picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture, np.float64) / 257).clip(0, 255).astype("u1"))
    return np.asarray(picture.convert("RGB"))


def _opened(path: Path) -> Any:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not path.is_file():
        raise InputError(f"there is no file {path}.")
    try:
        with Image.open(path) as opened:
            return ImageOps.exif_transpose(opened)
    except UnidentifiedImageError:
        raise InputError(f"{path} is not a picture that Pillow can read.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as a picture: {error}.") from None


def find_face(picture: U8, tracker: FaceTracker | None = None, *, name: str = "it") -> Photo:
    """The largest face of a picture uint8 [H, W, 3]; a warning tells of others.

    The mesh is placed twice: in the whole picture, then in the square around the face.

    Args:
        tracker: finds the mesh; mediapipe's by default. It is not closed.
        name: of the picture, for messages.

    Raises:
        InputError: there is no face.
        MissingExtra: mediapipe is not installed.
    """
    if tracker is None:
        from visavis.features.face_mediapipe import MediapipeTracker

        with MediapipeTracker(faces=4, still=True) as own:
            return find_face(picture, own, name=name)
    small, zoom = _scaled(picture, _LOOK)
    found, count = _look(tracker, small, 0.0)
    if found is None:
        raise InputError(
            f"no face was found in {name} ({picture.shape[1]} x {picture.shape[0]} pixels). "
            "A portrait needs one face, seen from the front and not too small."
        )
    if count > 1:
        logger.warning("%s shows %d faces: the largest is animated.", name, count)
    first = found / zoom
    left, top, side = _square(first, picture.shape[0], picture.shape[1])
    plate = _plate(picture, left, top, side)
    fine, zoom = _scaled(plate, _FINE)
    again, _ = _look(tracker, fine, 10.0)
    whole = len(fine) / (1 + 2 * MARGIN)  # pixels of the square's side in `fine`
    if again is not None and _same(again / whole, first, left, top, side):
        landmarks = again / whole + [-MARGIN, MARGIN, 0.0]
    else:
        landmarks = (first + np.array([-left, top, 0.0])) / side
    return Photo(plate, landmarks)


def _look(tracker: FaceTracker, picture: U8, time_s: float) -> tuple[Doubles | None, int]:
    """Landmarks [478, 3] of the largest face in pixels of `picture`, and how many there are."""
    from visavis.features.face_mediapipe import MediapipeTracker

    if isinstance(tracker, MediapipeTracker):  # without its warning about a film's second face
        faces = tracker.faces(picture)
        if not faces:
            return None, 0
        return max(faces, key=lambda f: float(np.ptp(f[:, :2], axis=0).max())), len(faces)
    seen = tracker.track(picture, time_s)
    return (None, 0) if seen is None else (seen.landmarks.astype(np.float64), seen.faces)


def _same(again: Doubles, first: Doubles, left: float, top: float, side: float) -> bool:
    """Whether the mesh in the square is that of the same face."""
    there = (first[:, :2] + [-left, top]) / side + [MARGIN, -MARGIN]
    return bool(np.abs(again[:, :2] - there).mean() < 0.05)


def _square(landmarks: Doubles, height: int, width: int) -> tuple[float, float, float]:
    """Left, top and side in pixels of the square to show: head and some of the shoulders."""
    x, y = landmarks[:, 0], -landmarks[:, 1]
    face = max(float(np.ptp(x)), float(np.ptp(y)))
    side = max(min(face / FACE_SHARE, height, width), 1.3 * face)
    middle_x, middle_y = (x.min() + x.max()) / 2, (y.min() + y.max()) / 2 - 0.04 * side
    left = middle_x - side / 2
    top = middle_y - side / 2
    # inside the photograph, where it is large enough
    left = min(max(left, min(0.0, width - side)), max(width - side, 0.0))
    top = min(max(top, min(0.0, height - side)), max(height - side, 0.0))
    return float(left), float(top), float(side)


def _plate(picture: U8, left: float, top: float, side: float) -> U8:
    """The square with its margin, mirrored beyond the photograph, at most `_KEPT` pixels wide."""
    from PIL import Image

    margin = side * MARGIN
    x0, y0 = round(left - margin), round(top - margin)
    wide = max(round(side + 2 * margin), 8)
    height, width = picture.shape[:2]
    rows = _mirrored(np.arange(y0, y0 + wide), height)
    columns = _mirrored(np.arange(x0, x0 + wide), width)
    cut = picture[rows[:, None], columns[None, :]]
    kept = min(wide, _KEPT)
    if kept < wide:
        cut = np.asarray(Image.fromarray(cut).resize((kept, kept), Image.Resampling.LANCZOS))
    return np.ascontiguousarray(cut)


def _mirrored(index: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Indices beyond 0 to count - 1 folded back inside."""
    folded = np.mod(index, 2 * count)
    back: NDArray[np.int64] = np.where(folded < count, folded, 2 * count - 1 - folded)
    return back


def _scaled(picture: U8, longer: int) -> tuple[U8, float]:
    """The picture with its longer side brought to `longer` pixels, and the factor."""
    from PIL import Image

    zoom = longer / max(picture.shape[:2])
    width, height = (max(round(n * zoom), 1) for n in (picture.shape[1], picture.shape[0]))
    scaled = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(scaled), zoom
