"""What ReactDiff reads of a person, as five named streams.

Published: AU, expression and valence-arousal embeddings of a film and wav2vec 2.0 and MFCC features
of its sound, from extractors that are not part of the release; they come as channels of their own
names, from files. By default: the 25 attributes, the 58 coefficients and our acoustics.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, STANDARD, Channel
from visavis.dyad import Batch
from visavis.errors import InputError, MissingChannel
from visavis.models._reactdiff_config import TransformerSpec
from visavis.nn.standardise import RunningMoments, Standardise

STREAMS = ("au", "expression", "va", "voice", "mfcc")
FACE_STREAMS = STREAMS[:3]


def _numbered(name: str, width: int) -> Channel:
    return Channel(name, tuple(f"{name}{i}" for i in range(width)))


PUBLISHED: Mapping[str, Channel] = {
    "au": _numbered("graphau", 25088),
    "expression": _numbered("resmask", 1408),
    "va": _numbered("elim", 64),
    "voice": STANDARD["wav2vec2"],
    "mfcc": _numbered("mfcc26", 26),
}
"""The paper's features by stream (section 3.2): AU of ME-GraphAU, 49 x 512; expression of
ResMaskNet; valence and arousal of ELIM; wav2vec 2.0, two vectors a frame; MFCC."""

ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "au": ("au", *GROUPS["coefficients"]),
    "expression": ("expression",),
    "va": ("va",),
    "voice": ("mfcc78",),
    "mfcc": ("energy", "pitch", "voice"),
}


def channels_of(spec: TransformerSpec) -> dict[str, tuple[Channel, ...]]:
    """Stream -> the channels that make it."""
    if spec.features == "published":
        return {stream: (channel,) for stream, channel in PUBLISHED.items()}
    return {s: tuple(STANDARD[n] for n in names) for s, names in ATTRIBUTES.items()}


class Inputs(nn.Module):
    """A person's channels to standardised streams; what was not observed is the average."""

    def __init__(self, spec: TransformerSpec) -> None:
        super().__init__()
        self.channels = channels_of(spec)
        self.widths = {s: sum(c.size * c.rate for c in cs) for s, cs in self.channels.items()}
        self.scales = nn.ModuleDict({s: Standardise(self.widths[s]) for s in STREAMS})
        self.read = {s: spec.video if s in FACE_STREAMS else spec.audio for s in STREAMS}

    @property
    def names(self) -> tuple[str, ...]:
        """The speaker's channels that are read."""
        return tuple(c.name for s in STREAMS if self.read[s] for c in self.channels[s])

    def forward(self, person: Behaviour, *, speaking: bool) -> dict[str, Tensor]:
        """A person [B, T] to streams [B, T, C]; `speaking`: only what is read of a speaker."""
        streams = {}
        for stream in STREAMS:
            scale = self._scale(stream)
            if speaking and not self.read[stream]:
                shape = (*person.lead, person.frames, self.widths[stream])
                streams[stream] = scale.mean.new_zeros(shape)
            else:
                values = self._values(person, stream, scale.mean)
                streams[stream] = scale(torch.where(values.isnan(), scale.mean, values))
        return streams

    def _values(self, person: Behaviour, stream: str, like: Tensor) -> Tensor:
        """One stream's values [B, T, C] in the dtype of `like`, NaN where there are none."""
        parts = []
        for channel in self.channels[stream]:
            width = channel.size * channel.rate
            if channel.name in person.layout:
                self._check(person, channel)
                filled = person.filled(channel.name, float("nan")).to(like.dtype)
                parts.append(filled.reshape(*person.lead, person.frames, width))
            else:
                shape = (*person.lead, person.frames, width)
                parts.append(like.new_full(shape, float("nan")))
        return torch.cat(parts, dim=-1)

    @staticmethod
    def _check(person: Behaviour, channel: Channel) -> None:
        came = person.layout[channel.name]
        if (came.size, came.rate) != (channel.size, channel.rate):
            raise InputError(
                f"channel {channel.name!r} came with {came.size} numbers at rate {came.rate}; "
                f"wanted {channel.size} at rate {channel.rate}."
            )

    def need_face(self, listener: Behaviour) -> None:
        """Raise `MissingChannel` for a listener whose face the latent space cannot hold."""
        missing = [
            c.name for s in FACE_STREAMS for c in self.channels[s] if c.name not in listener.layout
        ]
        if missing:
            raise MissingChannel(
                f"training reads the listener's {', '.join(missing)} too, which is not there (it "
                f"has {', '.join(listener.layout.names)})."
            )

    def face_seen(self, person: Behaviour) -> Tensor:
        """Frames at which all of a person's face was observed, bool [B, T]; no padding."""
        seen = person.inside()
        for stream in FACE_STREAMS:
            for channel in self.channels[stream]:
                seen = seen & person.mask(channel.name)
        return seen

    # ------------------------------------------------------------------ statistics

    def moments(self) -> dict[str, RunningMoments]:
        """Where `observe` collects, a stream each."""
        return {s: RunningMoments(w) for s, w in self.widths.items()}

    def observe(self, batch: Batch, moments: Mapping[str, RunningMoments]) -> None:
        """Collect what both partners do."""
        for person in (batch.speaker, batch.listener):
            for stream, found in moments.items():
                rows = self._values(person, stream, self._scale(stream).mean)[person.inside()]
                found.update(rows[~rows.isnan().any(-1)])

    def settle(self, moments: Mapping[str, RunningMoments]) -> None:
        """Take what was collected as the scales."""
        with torch.no_grad():
            for stream, found in moments.items():
                if found.count:
                    found.write_to(self._scale(stream))

    def _scale(self, stream: str) -> Standardise:
        scale = self.scales[stream]
        assert isinstance(scale, Standardise)
        return scale
