"""Tables as other people's trackers write them, made from their public column lists.

The lists were read in: OpenFace's own writer (RecorderCSV) and the sample table in py-feat's
repository; py-feat's sample table of version 0.7; importers of Live Link Face's CSV (alike in
several); importers and exporters of Audio2Face's `animation_frames.csv`. Landmark columns are
written for OpenFace too, since their names differ from others only in capitals (x_0, X_0).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.channels import BLENDSHAPES
from visavis.export.live_link import COLUMNS as LIVE_LINK


@dataclass(frozen=True)
class Table:
    """Column names and rows of cells, changed by copy."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def write(
        self, path: Path, *, encoding: str = "utf-8", comma: str = ",", end: str = "\n"
    ) -> Path:
        lines = [comma.join(self.names), *(comma.join(row) for row in self.rows)]
        path.write_bytes((end.join(lines) + end).encode(encoding))
        return path

    def column(self, name: str) -> list[float]:
        place = self.names.index(name)
        return [float(row[place]) for row in self.rows]

    def head(self, count: int) -> Table:
        return replace(self, rows=self.rows[:count])

    def only(self, rows: Sequence[int]) -> Table:
        return replace(self, rows=tuple(self.rows[row] for row in rows))

    def plus(self, other: Table) -> Table:
        return replace(self, rows=(*self.rows, *other.rows))

    def without(self, *names: str) -> Table:
        kept = [i for i, name in enumerate(self.names) if name not in names]
        return self._placed(kept)

    def shuffled(self, *, seed: int) -> Table:
        return self._placed(np.random.default_rng(seed).permutation(len(self.names)).tolist())

    def swapped(self, one: str, other: str) -> Table:
        order = list(range(len(self.names)))
        a, b = self.names.index(one), self.names.index(other)
        order[a], order[b] = b, a
        return self._placed(order)

    def _placed(self, order: Sequence[int]) -> Table:
        return Table(
            tuple(self.names[i] for i in order),
            tuple(tuple(row[i] for i in order) for row in self.rows),
        )

    def renamed(self, change: Callable[[str], str]) -> Table:
        return replace(self, names=tuple(change(name) for name in self.names))

    def with_column(self, name: str, cell: str, *, unique: bool = True) -> Table:
        table = self.without(name) if unique else self
        return Table((*table.names, name), tuple((*row, cell) for row in table.rows))

    def with_cell(self, column: str, row: int, cell: str) -> Table:
        place = self.names.index(column)
        changed = list(self.rows)
        changed[row] = (*changed[row][:place], cell, *changed[row][place + 1 :])
        return replace(self, rows=tuple(changed))

    def filled(self, column: str, value: float) -> Table:
        table = self
        for row in range(len(self.rows)):
            table = table.with_cell(column, row, f"{value:g}")
        return table

    def with_decimal_commas(self) -> Table:
        return replace(
            self, rows=tuple(tuple(cell.replace(".", ",") for cell in row) for row in self.rows)
        )


def jaw(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the jaw of every made-up file is open at `times`, in [0, 1]."""
    opened: NDArray[np.float64] = 0.4 - 0.35 * np.cos(2 * np.pi * times / 1.6)
    return opened


def _clock(seconds: float, rate: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times of the rows, and the jaw while each is on screen."""
    times = np.arange(round(seconds * rate)) / rate
    return times, jaw(times + 0.5 / rate)


def _table(names: Iterable[str], columns: dict[str, Iterable[str]], count: int) -> Table:
    """Rows of cells; a column that is not given is zero."""
    names = tuple(names)
    cells = [list(columns.get(name, ["0"] * count)) for name in names]
    return Table(names, tuple(zip(*cells, strict=True)))


def _text(values: Iterable[float]) -> list[str]:
    return [f"{value:.6f}" for value in values]


INTENSITIES = tuple(f"AU{n:02d}_r" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25,
                                             26, 45))  # fmt: skip
PRESENCES = tuple(f"AU{n:02d}_c" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26,
                                           28, 45))  # fmt: skip
OPENFACE = (
    *("frame", "face_id", "timestamp", "confidence", "success"),
    *(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"),
    *("gaze_angle_x", "gaze_angle_y"),
    *("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz"),
    *(f"{axis}_{point}" for axis in ("x", "y", "X", "Y", "Z") for point in range(68)),
    *INTENSITIES,
    *PRESENCES,
)


def openface(*, seconds: float = 2.0, rate: float = 25.0) -> Table:
    """`FeatureExtraction`'s table of one face, its names with a blank before each, as it has."""
    count = round(seconds * min(rate, 60.0))
    times = np.arange(count) / rate
    opened = jaw(times + 0.5 / rate)
    columns = {
        "frame": [str(row + 1) for row in range(count)],
        "timestamp": _text(times),
        "confidence": ["0.98"] * count,
        "success": ["1"] * count,
        "pose_Tz": ["600.0"] * count,
        "pose_Ry": _text(0.2 * np.sin(times)),
        "AU12_r": _text(2.0 + np.sin(times)),
        "AU12_c": ["1"] * count,
        "AU26_r": _text(5.0 * opened),
        "AU26_c": [str(int(value > 0.3)) for value in opened],
    }
    return _table(OPENFACE, columns, count)


PYFEAT_UNITS = tuple(f"AU{n:02d}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24,
                                            25, 26, 28, 43))  # fmt: skip
PYFEAT_EMOTIONS = ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger")
PYFEAT_OLD = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")


def pyfeat(
    *, seconds: float = 4.0, rate: float = 25.0, old: bool = False, blendshapes: bool = False
) -> Table:
    """A Fex table of version 0.7, or with the names of older ones."""
    times, opened = _clock(seconds, rate)
    count = len(times)
    emotions = PYFEAT_OLD if old else PYFEAT_EMOTIONS
    names = (
        *("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"),
        *(f"{axis}_{point}" for axis in "xy" for point in range(68)),
        *("Pitch", "Roll", "Yaw"),
        *(() if old else ("X", "Y", "Z")),
        *PYFEAT_UNITS,
        *emotions,
        *(() if old else ("valence", "arousal", "gaze_pitch", "gaze_yaw", "gaze_angle")),
        *(n for n in ("_neutral", *BLENDSHAPES) if blendshapes and n != "tongueOut"),
        *("FrameHeight", "FrameWidth", "input", "frame", "approx_time", "Identity"),
    )
    columns = {
        "FaceScore": ["0.9999"] * count,
        "AU26": _text(opened),
        "jawOpen": _text(opened),
        emotions[0]: ["0.7"] * count,
        emotions[1]: ["0.2"] * count,
        "valence": ["0.25"] * count,
        "input": ["001.mp4"] * count,
        "frame": [str(row) for row in range(count)],
        "approx_time": [f"{int(t) // 60:02d}:{int(t) % 60:02d}" for t in times],
        "Identity": ["Person_0"] * count,
    }
    return _table(names, columns, count)


def livelink(*, seconds: float = 2.0, rate: int = 60, start_s: float = 51132.0) -> Table:
    """The app's table, `rate` frames a second, from `start_s` of the day on."""
    times, opened = _clock(seconds, rate)
    codes = []
    for row in range(len(times)):
        second = (int(start_s) + row // rate) % 86400
        codes.append(
            f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}:{row % rate:02d}.000"
        )
    columns = {
        "Timecode": codes,
        "BlendShapeCount": ["61"] * len(times),
        "JawOpen": _text(opened),
        "JawLeft": ["0.5"] * len(times),
        "HeadYaw": _text(0.2 * np.sin(times)),
    }
    return _table(LIVE_LINK, columns, len(times))


def audio2face(*, seconds: float = 2.0, rate: float = 30.0) -> Table:
    """`animation_frames.csv`: 52 shapes, times in seconds."""
    times, opened = _clock(seconds, rate)
    names = ("timeCode", *(f"blendShapes.{n[0].upper()}{n[1:]}" for n in BLENDSHAPES))
    columns = {"timeCode": _text(times), "blendShapes.JawOpen": _text(opened)}
    return _table(names, columns, len(times))
