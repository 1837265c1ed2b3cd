"""What EMC reads of a speaker: which modalities there are, their features, their emotions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, STANDARD
from visavis.features.attributes import attributes_from_coefficients
from visavis.features.speech_emotion import READS, SPEECH_EMOTION

if TYPE_CHECKING:
    from visavis.models.emc import EMC

OPTIONAL = (READS, SPEECH_EMOTION)
"""Read where they are there."""


@dataclass(frozen=True)
class Told:
    """Speakers, R rows of T frames."""

    face: Tensor | None
    """The base's features [R, T, C]; None where no row has a face, and nothing was encoded."""
    speech: Tensor | None
    face_there: Tensor
    """bool [R, T]"""
    speech_there: Tensor
    shown: Tensor
    """The face's emotion, 25 numbers."""
    shown_there: Tensor
    spoken: Tensor
    """The voice's emotion, 10 numbers."""
    spoken_there: Tensor
    inside: Tensor | None
    """bool [R, T], None where nothing is padded."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Told:
        """The same change made to each."""
        kept: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{n: change(x) for n, x in kept.items() if x is not None})

    def repeat(self, times: int) -> Told:
        """Each row `times` times, one after the other."""
        return self if times == 1 else self.map(lambda x: x.repeat_interleave(times, dim=0))

    def window(self, start: int, stop: int) -> Told:
        """Frames start to stop."""
        return self.map(lambda x: x[:, start:stop])

    def without(self, face: Tensor, speech: Tensor) -> Told:
        """Only the frames of each modality that are kept, bool [R, T]."""
        return replace(
            self,
            face_there=self.face_there & face,
            shown_there=self.shown_there & face,
            speech_there=self.speech_there & speech,
            spoken_there=self.spoken_there & speech,
        )

    @staticmethod
    def cat(parts: list[Told]) -> Told:
        """Rows of all."""

        def joined(name: str) -> Tensor | None:
            values = [getattr(p, name) for p in parts]
            return None if values[0] is None else torch.cat(values)

        return Told(**{f.name: joined(f.name) for f in fields(Told)})  # type: ignore[arg-type]

    @property
    def lossy(self) -> bool:
        """Whether anything of a modality is lost, beside padding."""
        both = self.face_there & self.speech_there
        if self.inside is not None:
            both = both | ~self.inside
        return not bool(both.all())


def completed(speaker: Behaviour, model: EMC) -> Behaviour:
    """The speaker with every channel that EMC reads: those of a modality that is not there at all,
    and those that may be left out, unobserved.

    A modality may be left out as a whole only: where some of its channels are there and those that
    the base reads are not, they stay missing, and `check_speaker` says so. Attributes are made of
    coefficients where they are not given.
    """
    if "au" not in speaker.layout and all(n in speaker.layout for n in GROUPS["coefficients"]):
        seen = speaker.mask("blendshapes") & speaker.mask("rotation")
        made = attributes_from_coefficients(
            speaker.filled("blendshapes"), speaker.filled("rotation")
        )
        values = {n: made[n] for n in GROUPS["attributes"]}
        speaker = speaker.with_channels(values, observed=dict.fromkeys(values, seen))
    lacking = [n for n in OPTIONAL if n not in speaker.layout and n not in model.reads]
    face = (*model.face_channels, *GROUPS["attributes"])
    parts = (("face", face), ("speech", model.speech_channels))
    there = [any(n in speaker.layout for n in GROUPS[group]) for group, _ in parts]
    if any(there):
        for (_, names), known in zip(parts, there, strict=True):
            if not known:
                lacking += [n for n in names if n not in speaker.layout and n in STANDARD]
    return absent(speaker, tuple(dict.fromkeys(lacking)))


def absent(speaker: Behaviour, names: tuple[str, ...]) -> Behaviour:
    """With these standard channels added, unobserved throughout."""
    if not names:
        return speaker
    like = next(x for x in speaker.channels.values() if x.is_floating_point())
    lead = (*speaker.lead, speaker.frames)
    never = torch.zeros(lead, dtype=torch.bool, device=like.device)
    values = {
        n: like.new_zeros(*speaker.lead, speaker.frames * STANDARD[n].rate, *STANDARD[n].width)
        for n in names
    }
    return speaker.with_channels(values, observed=dict.fromkeys(names, never))


def observed(speaker: Behaviour, names: tuple[str, ...]) -> Tensor:
    """Frames inside the clips in which all channels were observed, bool [B, T]."""
    there = speaker.inside()
    for name in names:
        there = there & speaker.mask(name)
    return there


def read(model: EMC, speaker: Behaviour, memory: Tensor | None = None) -> tuple[Told, Tensor]:
    """A speaker [B, T] that `check_speaker` returned. A modality that no row has is not encoded.

    `memory` is the speech-emotion head's, for a stretch that goes on; it comes back moved on.
    """
    told, memory = read_emotions(model, speaker, memory)
    face = model.base.encode_face(speaker) if bool(told.face_there.any()) else None
    speech = model.base.encode_speech(speaker) if bool(told.speech_there.any()) else None
    return replace(told, face=face, speech=speech), memory


def read_emotions(
    model: EMC, speaker: Behaviour, memory: Tensor | None = None
) -> tuple[Told, Tensor]:
    """The same without features."""
    face_there = observed(speaker, model.face_channels)
    speech_there = observed(speaker, model.speech_channels)
    shown = torch.cat([speaker.filled(n) for n in GROUPS["attributes"]], dim=-1)
    shown_there = face_there & observed(speaker, GROUPS["attributes"])
    spoken, spoken_there, memory = _spoken(model, speaker, memory)
    told = Told(
        None,
        None,
        face_there,
        speech_there,
        shown,
        shown_there,
        spoken,
        spoken_there & speech_there,
        None if speaker.lengths is None else speaker.inside(),
    )
    return told, memory


def _spoken(model: EMC, speaker: Behaviour, memory: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The voice's emotion: another model's where it is given, else our head's."""
    heard = observed(speaker, (READS,))
    mine, memory = model.head(speaker.filled(READS), heard, memory)
    given = observed(speaker, (SPEECH_EMOTION,))
    values = torch.where(given[..., None], speaker.filled(SPEECH_EMOTION), mine)
    return values, heard | given, memory


def imputed(speaker: Behaviour, names: tuple[str, ...], how: str) -> Behaviour:
    """A speaker [B, T] whose lost frames of the channels are filled in.

    "zero": zeros. "mean": left to the base, which reads the training data's mean there. "last":
    the last frame that was observed; "nearest": the nearest, of equals the earlier; both "mean" in
    a clip where none is.
    """
    if how == "mean" or not any(n in speaker.observed for n in names):
        return speaker
    values, masks = dict(speaker.channels), dict(speaker.observed)
    for name in names:
        if name not in masks:
            continue
        there = masks.pop(name)
        rate = speaker.layout[name].rate
        if how == "zero":
            values[name] = speaker.filled(name, 0)
            continue
        chosen, known = _source(there & speaker.inside(), ahead=how == "nearest")
        ticks = chosen.repeat_interleave(rate, -1) * rate
        ticks = ticks + torch.arange(ticks.shape[-1], device=ticks.device) % rate
        x = speaker.filled(name, 0)
        index = ticks.reshape(*ticks.shape, *([1] * (x.ndim - ticks.ndim))).expand_as(x)
        values[name] = x.gather(ticks.ndim - 1, index)
        masks[name] = known
    return replace(speaker, channels=values, observed=masks)


def _source(there: Tensor, *, ahead: bool) -> tuple[Tensor, Tensor]:
    """For each frame of bool [B, T] the frame that stands for it, and whether there is one."""
    frames = there.shape[-1]
    clock = torch.arange(frames, device=there.device).expand_as(there)
    last = torch.where(there, clock, -1).cummax(-1).values
    if not ahead:
        return last.clamp(min=0), last >= 0
    following = torch.where(there, clock, 2 * frames).flip(-1).cummin(-1).values.flip(-1)
    behind = torch.where(last >= 0, clock - last, 2 * frames)
    chosen = torch.where(behind <= following - clock, last, following)
    known = (last >= 0) | (following < frames)
    return torch.where(known, chosen, 0), known
