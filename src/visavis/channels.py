"""What a signal is: its name, labels, kind and range, and the standard vocabulary of signals.

Every order, unit and sign of the library is written here once (the project's conventions).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from visavis.errors import InputError, MissingChannel, nearest

Kind = Literal["binary", "bounded", "simplex", "real", "pixels"]
KINDS: tuple[str, ...] = ("binary", "bounded", "simplex", "real", "pixels")

FPS = 25.0
"""Frames a second; frame t covers [t/25, (t+1)/25) seconds."""


@dataclass(frozen=True)
class Channel:
    """One named signal.

    A channel's values have shape [..., T * rate, *width], float32 (uint8 for pixels).
    """

    name: str
    labels: tuple[str, ...]
    """Names of the columns; empty for pixels."""
    kind: Kind = "real"
    shape: tuple[int, ...] = ()
    """Axes beyond the labels: pixels are (3, 224, 224)."""
    low: float | None = None
    high: float | None = None
    rate: int = 1
    """Ticks a frame: wav2vec 2.0 features have 2."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"channel {self.name!r}: unknown kind {self.kind!r}. Known: {', '.join(KINDS)}."
            )
        if self.rate < 1:
            raise InputError(f"channel {self.name!r}: rate must be at least 1, not {self.rate}.")
        if not self.labels and not self.shape:
            raise InputError(f"channel {self.name!r} has neither labels nor a shape.")
        if len(set(self.labels)) != len(self.labels):
            raise InputError(f"channel {self.name!r} has a label twice.")

    @cached_property
    def width(self) -> tuple[int, ...]:
        """Shape of one tick: (52,) for blendshapes, (3, 224, 224) for pixels."""
        return ((len(self.labels),) if self.labels else ()) + self.shape

    @property
    def size(self) -> int:
        """Numbers in one tick."""
        return math.prod(self.width)

    def index(self, label: str) -> int:
        """Column of `label`.

        Raises:
            InputError: there is no such label; the nearest is suggested.
        """
        try:
            return self.labels.index(label)
        except ValueError:
            raise InputError(
                f"channel {self.name!r} has no label {label!r}. {nearest(label, self.labels)}"
            ) from None


AU_LABELS = tuple(f"AU{n}" for n in (1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 23, 24, 25, 26))
EXPRESSION_LABELS = (
    "Neutral",
    "Happy",
    "Sad",
    "Surprise",
    "Fear",
    "Disgust",
    "Anger",
    "Contempt",
)
_PAIRED = (
    *("browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn"),
    *("eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown"),
    *("mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer"),
)
_SINGLE = (
    *("browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose"),
    *("mouthFunnel", "mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower"),
    *("mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "tongueOut"),
)
BLENDSHAPES = tuple(
    sorted((*_SINGLE, *(f"{n}{side}" for n in _PAIRED for side in ("Left", "Right"))))
)
"""The 52 ARKit shapes in alphabetical camelCase order; Left is the subject's left."""

_WAV2VEC2_WIDTH = 768
_ROBERTA_WIDTH = 768
_TEXT_WIDTH = 64
SUBJECT_SLOTS, SUBJECT_LETTERS = 4, 16
"""Emotion priors that one frame holds, and numbers that spell a subject (`features/subjects`)."""

STANDARD: Mapping[str, Channel] = {
    channel.name: channel
    for channel in (
        # facial attributes: 25 numbers a frame, in the order of the REACT challenge's tables
        Channel("au", AU_LABELS, "binary", low=0.0, high=1.0),
        Channel("va", ("valence", "arousal"), "bounded", low=-1.0, high=1.0),
        Channel("expression", EXPRESSION_LABELS, "simplex", low=0.0, high=1.0),
        # coefficients: 58 numbers a frame
        Channel("blendshapes", BLENDSHAPES, "bounded", low=0.0, high=1.0),
        Channel("rotation", ("pitch", "yaw", "roll")),  # radians, R = Ry Rx Rz
        Channel("translation", ("x", "y", "z")),  # metres from rest
        Channel("pixels", (), "pixels", shape=(3, 224, 224)),
        # how far the face's numbers can be trusted: 0 is not at all, and what a source never told
        Channel("confidence", ("face",), "bounded", low=0.0, high=1.0),
        Channel(
            "measured", (*AU_LABELS, *EXPRESSION_LABELS, *BLENDSHAPES), "binary", low=0, high=1
        ),
        # acoustics
        Channel(
            "mfcc78",
            tuple(
                f"{kind}{coefficient}_{column}"
                for kind in ("c", "d", "dd")
                for coefficient in range(13)
                for column in range(2)
            ),
        ),
        Channel("logmel", tuple(f"mel{band}" for band in range(80))),
        Channel("energy", ("energy",)),
        Channel("pitch", ("hz",), low=0.0),  # 0 where unvoiced
        Channel("voice", ("activity",), "bounded", low=0.0, high=1.0),
        Channel("wav2vec2", tuple(f"w{i}" for i in range(_WAV2VEC2_WIDTH)), rate=2),
        # valence, arousal and expressions as the voice has them (features/speech_emotion.py)
        Channel(
            "speech_emotion",
            ("valence", "arousal", *EXPRESSION_LABELS),
            "bounded",
            low=-1.0,
            high=1.0,
        ),
        # what is being said (features/text.py)
        Channel("text", tuple(f"h{i}" for i in range(_TEXT_WIDTH))),
        Channel("roberta", tuple(f"r{i}" for i in range(_ROBERTA_WIDTH))),
        # what it may mean to whoever says it (features/subjects); intensity 0 is an empty slot
        Channel(
            "subjects",
            tuple(
                f"{part}{slot}"
                for slot in range(SUBJECT_SLOTS)
                for part in (
                    *("intensity", "polarity", "label"),
                    *(f"l{i}_" for i in range(SUBJECT_LETTERS)),
                )
            ),
        ),
    )
}

GROUPS: Mapping[str, tuple[str, ...]] = {
    "attributes": ("au", "va", "expression"),
    "coefficients": ("blendshapes", "rotation", "translation"),
    "face": (
        *("au", "va", "expression", "blendshapes", "rotation", "translation", "pixels"),
        *("confidence", "measured"),
    ),
    "speech": ("mfcc78", "logmel", "energy", "pitch", "voice", "wav2vec2", "speech_emotion"),
    "words": ("text", "roberta", "subjects"),
}
"""Names that stand for several channels in `select`, `without` and `drop`."""

WORDS = "words"
"""The third group for dropping: its channels, and `Behaviour.words` themselves."""

CONVENTIONS = ("arkit", "faceverse")
"""How coefficients are meant: ours (`arkit`, DESIGN's axes), or FaceVerse files as they come."""


def channel_named(name: str) -> Channel:
    """The standard channel `name`.

    Raises:
        MissingChannel: no standard channel has that name.
    """
    try:
        return STANDARD[name]
    except KeyError:
        raise MissingChannel(
            f"{name!r} is not a standard channel. {nearest(name, STANDARD)} "
            "A channel of your own needs a layout that holds its Channel."
        ) from None


@dataclass(frozen=True)
class Layout:
    """Which channels a behaviour has, in which order, under which coefficient convention."""

    channels: tuple[Channel, ...]
    convention: str = "arkit"

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            raise InputError(f"a layout names a channel twice: {', '.join(names)}.")
        if self.convention not in CONVENTIONS:
            raise InputError(
                f"unknown convention {self.convention!r}. {nearest(self.convention, CONVENTIONS)}"
            )

    @classmethod
    def of(cls, *names: str, convention: str = "arkit") -> Layout:
        """The layout of standard channels and groups, e.g. `Layout.of("coefficients", "au")`."""
        flat = [
            n for name in names for n in GROUPS.get(name, (name,)) if n in STANDARD or name == n
        ]
        return cls(tuple(channel_named(n) for n in dict.fromkeys(flat)), convention)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(channel.name for channel in self.channels)

    @cached_property
    def _by_name(self) -> dict[str, Channel]:
        return {channel.name: channel for channel in self.channels}

    @property
    def size(self) -> int:
        """Numbers in one frame, all channels together."""
        return sum(channel.size * channel.rate for channel in self.channels)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[Channel]:
        return iter(self.channels)

    def __len__(self) -> int:
        return len(self.channels)

    def __getitem__(self, name: str) -> Channel:
        channel = self._by_name.get(name)
        if channel is None:
            raise MissingChannel(f"there is no channel {name!r}. {nearest(name, self.names)}")
        return channel

    def resolve(self, names: Iterable[str], *, strict: bool = True) -> tuple[str, ...]:
        """Channel names behind `names` (channels or groups), in this layout's order.

        A group stands for those of its channels that are here. With `strict`, a name that stands
        for nothing here raises `MissingChannel`.
        """
        wanted: set[str] = set()
        for name in names:
            found = [n for n in GROUPS.get(name, (name,)) if n in self]
            if not found and strict:
                raise MissingChannel(
                    f"there is no channel or group {name!r} here. "
                    f"{nearest(name, (*self.names, *self._groups()))}"
                )
            wanted.update(found)
        return tuple(n for n in self.names if n in wanted)

    def _groups(self) -> tuple[str, ...]:
        return tuple(g for g, members in GROUPS.items() if any(m in self for m in members))

    def to_json(self) -> dict[str, Any]:
        """Plain data for a file's metadata; standard channels are stored by name alone."""
        return {
            "convention": self.convention,
            "channels": [
                channel.name if STANDARD.get(channel.name) == channel else _plain(channel)
                for channel in self.channels
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Layout:
        """The inverse of `to_json`."""
        channels = tuple(
            channel_named(item) if isinstance(item, str) else _channel(item)
            for item in data["channels"]
        )
        return cls(channels, data["convention"])


def _plain(channel: Channel) -> dict[str, Any]:
    return {
        "name": channel.name,
        "labels": list(channel.labels),
        "kind": channel.kind,
        "shape": list(channel.shape),
        "low": channel.low,
        "high": channel.high,
        "rate": channel.rate,
    }


def _channel(data: Mapping[str, Any]) -> Channel:
    return Channel(**{**data, "labels": tuple(data["labels"]), "shape": tuple(data["shape"])})
