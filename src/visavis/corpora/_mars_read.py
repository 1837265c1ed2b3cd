"""One person of a MARS recording as a behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.behaviour import Behaviour, Source
from visavis.channels import FPS, GROUPS, STANDARD, Channel, Layout
from visavis.corpora import _mars_files as files
from visavis.corpora._disk_clock import beside, resample
from visavis.corpora._disk_read import read_npy, read_numbers
from visavis.corpora._disk_sound import heard
from visavis.corpora._disk_words import spoken, transcript_of
from visavis.corpora._mars_files import Recording
from visavis.errors import InputError
from visavis.features.faceverse import from_faceverse

SAMPLED = 256
"""Files from which the mean place of heads is taken where no file tells it."""
BANDS = 5
EEG_LABELS = (
    *("TP9", "AF7", "AF8", "TP10"),
    *(f"{place}_band{band + 1}" for place in ("TP9", "TP10") for band in range(BANDS)),
)
"""The tables have 14 columns: four electrodes, then five bands at two of them; which bands in
which order is not documented, so they are numbered."""
EEG_RAW, EEG_SCALE = 4, 1000.0
"""The electrodes' columns are divided by 1000, as the challenge's loader does."""
EXTRA = {
    "eeg": Channel("eeg", EEG_LABELS),
    "audio_features": Channel("audio_features", tuple(f"w{i}" for i in range(768))),
}


@dataclass(frozen=True)
class Reader:
    """How recordings of one split become behaviours."""

    split: Path
    fps: float
    """Of the files."""
    clock: float
    """Of the behaviours."""
    coefficients: bool
    """Whether the split has them at all."""
    rest: tuple[float, float, float] | None
    """Translation at rest in FaceVerse units: coefficients are converted to ours. None leaves
    them as they are."""
    speech: tuple[str, ...]
    extra: tuple[str, ...]

    def read(self, who: Recording, *, speaking: bool) -> Behaviour:
        """A recording on the clock; acoustic channels and words where the person is the speaker.

        Raises:
            InputError: one of the files is damaged.
        """
        path = who.path(self.split, files.ATTRIBUTES, ".npy")
        raw = read_npy(path, width=files.WIDTHS[files.ATTRIBUTES])
        values = _parted(raw, GROUPS["attributes"])
        if self.coefficients:
            face = self._rows(who, files.COEFFICIENTS, len(raw))
            values |= _parted(face, GROUPS["coefficients"])
        if "audio_features" in self.extra:
            values["audio_features"] = self._rows(who, files.WAV2VEC, len(raw))
        channels = tuple(STANDARD.get(name) or EXTRA[name] for name in values)
        native = Behaviour.of(
            values,
            layout=Layout(channels, "faceverse" if self.coefficients else "arkit"),
            fps=self.fps,
            source=self._source(who),
            nan_is_absent=True,
        )
        if self.coefficients and self.rest is not None:
            native = from_faceverse(native, rest=self.rest)
        behaviour = resample(native, self.clock)
        if "eeg" in self.extra:
            eeg = self._eeg(who, behaviour.frames)
            layout = Layout((EXTRA["eeg"],))
            table = Behaviour.of({"eeg": eeg}, layout=layout, fps=self.clock, nan_is_absent=True)
            behaviour = beside(behaviour, table)
        if speaking and self.speech:
            behaviour = beside(behaviour, self._sound(who, behaviour.frames))
        return spoken(behaviour, self._transcript(who)) if speaking else behaviour

    def _rows(self, who: Recording, kind: str, frames: int) -> NDArray[np.float32]:
        """[frames, width] of an npy file beside the attributes: NaN past its end or without it."""
        found = np.full((frames, files.WIDTHS[kind]), np.nan, np.float32)
        path = who.path(self.split, kind, ".npy")
        if path.is_file():
            rows = read_npy(path, width=files.WIDTHS[kind])[:frames]
            found[: len(rows)] = rows
        return found

    def _eeg(self, who: Recording, frames: int) -> NDArray[np.float32]:
        """[frames, 14]: a row of the table lasts a second; NaN past its end or without it."""
        found = np.full((frames, len(EEG_LABELS)), np.nan, np.float32)
        path = who.path(self.split, files.EEG, ".csv")
        if path.is_file():
            _, rows = read_numbers(path, width=len(EEG_LABELS))
            rows[:, :EEG_RAW] /= EEG_SCALE
            second = (np.arange(frames) / self.clock).astype(np.int64)
            there = second < len(rows)
            found[there] = rows[second[there]]
        return found

    def _sound(self, who: Recording, frames: int) -> Behaviour:
        path = who.path(self.split, files.AUDIO, ".wav")
        ours = max(1, round(frames * FPS / self.clock))
        channels, observed = heard(path if path.is_file() else None, ours, self.speech)
        return resample(Behaviour.of(channels, observed=observed), self.clock, frames=frames)

    def _transcript(self, who: Recording) -> Path | None:
        return transcript_of(self.split, f"{who.role}/{who.session}/{who.name}")

    def _source(self, who: Recording) -> Source | None:
        for kind in files.VIDEOS:
            path = who.path(self.split, kind, ".mp4")
            if path.is_file():
                return Source(str(path.resolve()))
        return None

    def sources(self, who: Recording, *, speaking: bool) -> tuple[Path, ...]:
        """The files that `read` reads."""
        kinds = [(files.ATTRIBUTES, ".npy")]
        kinds += [(files.COEFFICIENTS, ".npy")] * self.coefficients
        kinds += [(files.WAV2VEC, ".npy")] * ("audio_features" in self.extra)
        kinds += [(files.EEG, ".csv")] * ("eeg" in self.extra)
        kinds += [(files.AUDIO, ".wav")] * (speaking and bool(self.speech))
        said = self._transcript(who) if speaking else None
        found = tuple(who.path(self.split, kind, suffix) for kind, suffix in kinds)
        return (*found, *(() if said is None else (said,)))


def _parted(raw: NDArray[np.float32], names: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    """Columns by channel, in the order of `names`."""
    stops = np.cumsum([STANDARD[name].size for name in names])[:-1]
    return dict(zip(names, np.split(raw, stops, axis=1), strict=True))


def rest_of(root: Path, folder: Path) -> tuple[float, float, float]:
    """Where heads are at rest, in FaceVerse units.

    The last three numbers of `mean_face.npy` in the root; else the mean over the frames of at
    most 256 files of the training split's coefficients, or of this split's without one.

    Raises:
        InputError: a file is damaged, or none can be used.
    """
    means = root / "mean_face.npy"
    width = files.WIDTHS[files.COEFFICIENTS]
    if means.is_file():
        x, y, z = (float(v) for v in read_npy(means).reshape(-1)[-3:])
        return x, y, z
    train = root / "train" / files.COEFFICIENTS
    place = train if train.is_dir() else folder / files.COEFFICIENTS
    found = sorted(path for path in place.rglob("*.npy") if not path.name.startswith("."))
    if not found:
        raise InputError(f"{place} has no npy files to take the mean place of heads from.")
    total, count = np.zeros(3), 0
    for path in found[:: max(1, len(found) // SAMPLED)][:SAMPLED]:
        rows = read_npy(path, width=width)[:, -3:].astype(np.float64)
        rows = rows[np.isfinite(rows).all(axis=1)]
        total, count = total + rows.sum(axis=0), count + len(rows)
    if not count:
        raise InputError(f"no frame of {place} is finite, so that no mean can be taken.")
    x, y, z = (float(v) for v in total / count)
    return x, y, z
