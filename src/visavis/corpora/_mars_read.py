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
from visavis.corpora._mars_files import Recording

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
    convention: str
    coefficients: bool
    """Whether the split has them at all."""
    speech: tuple[str, ...]
    extra: tuple[str, ...]

    def read(self, who: Recording, *, speaking: bool) -> Behaviour:
        """A recording on the clock; acoustic channels where the person is the speaker.

        Raises:
            InputError: one of the files is damaged.
        """
        path = who.path(self.split, files.ATTRIBUTES, ".npy")
        raw = read_npy(path, width=files.WIDTHS[files.ATTRIBUTES])
        values = _parted(raw, GROUPS["attributes"])
        if self.coefficients:
            values |= _parted(self._face(who, len(raw)), GROUPS["coefficients"])
        if "audio_features" in self.extra:
            values["audio_features"] = self._rows(who, files.WAV2VEC, len(raw))
        behaviour = resample(self._behaviour(values, self.fps, self._source(who)), self.clock)
        if "eeg" in self.extra:
            eeg = self._eeg(who, behaviour.frames)
            behaviour = beside(behaviour, self._behaviour({"eeg": eeg}, self.clock, None))
        if speaking and self.speech:
            behaviour = beside(behaviour, self._sound(who, behaviour.frames))
        return behaviour

    def _behaviour(
        self, values: dict[str, NDArray[np.float32]], fps: float, source: Source | None
    ) -> Behaviour:
        channels = tuple(STANDARD.get(name) or EXTRA[name] for name in values)
        return Behaviour.of(
            values,
            layout=Layout(channels, self.convention),
            fps=fps,
            source=source,
            nan_is_absent=True,
        )

    def _rows(self, who: Recording, kind: str, frames: int) -> NDArray[np.float32]:
        """[frames, width] of an npy file beside the attributes: NaN past its end or without it."""
        found = np.full((frames, files.WIDTHS[kind]), np.nan, np.float32)
        path = who.path(self.split, kind, ".npy")
        if path.is_file():
            rows = read_npy(path, width=files.WIDTHS[kind])[:frames]
            found[: len(rows)] = rows
        return found

    def _face(self, who: Recording, frames: int) -> NDArray[np.float32]:
        return self._rows(who, files.COEFFICIENTS, frames)

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
        sound = Behaviour.of(
            channels,
            layout=Layout(tuple(STANDARD[name] for name in channels), self.convention),
            observed=observed,
        )
        return resample(sound, self.clock, frames=frames)

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
        return tuple(who.path(self.split, kind, suffix) for kind, suffix in kinds)


def _parted(raw: NDArray[np.float32], names: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    """Columns by channel, in the order of `names`."""
    stops = np.cumsum([STANDARD[name].size for name in names])[:-1]
    return dict(zip(names, np.split(raw, stops, axis=1), strict=True))
