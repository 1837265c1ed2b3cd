"""Emotion from the voice alone: a small head of ours, and what other models say, in one form.

Ten numbers a frame: valence and arousal in [-1, 1], then the chances of the eight expressions in
the order of `EXPRESSION_LABELS` (sum 1). The head was taught by the face of the same speaker
(distillation; EMC's paper takes a speech model that it does not name), on simulated speakers:
docs/emc.md says how far it got. `from_scores` takes another model's classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any

import torch
from torch import Tensor, nn

from visavis.behaviour import Behaviour
from visavis.channels import EXPRESSION_LABELS, STANDARD
from visavis.errors import InputError, nearest

SPEECH_EMOTION = "speech_emotion"
"""The channel that holds the ten numbers."""
FILE = "speech_emotion.safetensors"
SIZE = 2 + len(EXPRESSION_LABELS)
READS = "mfcc78"

ALIASES: Mapping[str, str] = {
    **{label.lower(): label for label in EXPRESSION_LABELS},
    **dict.fromkeys(("neu", "calm", "no emotion"), "Neutral"),
    **dict.fromkeys(("hap", "happiness", "joy", "joyful", "excited", "exc", "amusement"), "Happy"),
    **dict.fromkeys(("sadness", "grief"), "Sad"),
    **dict.fromkeys(("sur", "surprised", "surprise"), "Surprise"),
    **dict.fromkeys(("fea", "fearful", "anxiety"), "Fear"),
    **dict.fromkeys(("dis", "disgusted"), "Disgust"),
    **dict.fromkeys(("ang", "angry", "frustration", "fru"), "Anger"),
}
"""Names that public speech models give to the eight classes."""


class SpeechEmotionHead(nn.Module):
    """Two GRU layers over mfcc78, causal: a stream gives what the whole clip gives."""

    mean: Tensor
    std: Tensor

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(STANDARD[READS].size))
        self.register_buffer("std", torch.ones(STANDARD[READS].size))
        self.gru = nn.GRU(STANDARD[READS].size, width, num_layers=2, batch_first=True)
        self.out = nn.Linear(width, SIZE)

    def start(self, clips: int) -> Tensor:
        """What it remembers before the first frame, [B, 2, C]."""
        return self.out.weight.new_zeros(clips, 2, self.gru.hidden_size)

    def forward(
        self, mfcc: Tensor, there: Tensor, memory: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """mfcc [B, T, 78], which frames were observed bool [B, T] (the others are not read); the
        ten numbers [B, T, 10], and the memory [B, 2, C] after the last frame."""
        known = torch.where(there[..., None], (mfcc - self.mean) / self.std, 0.0)
        begun = self.start(len(mfcc)) if memory is None else memory
        hidden, last = self.gru(known, begun.transpose(0, 1).contiguous())
        raw = self.out(hidden)
        told = torch.cat([raw[..., :2].tanh(), raw[..., 2:].softmax(-1)], dim=-1)
        return told, last.transpose(0, 1)


@lru_cache(maxsize=1)
def shipped() -> dict[str, Tensor]:
    """The weights of the head that comes with the package."""
    from safetensors.torch import load_file

    with as_file(files("visavis.features") / FILE) as path:
        return {n: x.float() for n, x in load_file(path).items()}


def distilled() -> SpeechEmotionHead:
    """The head that comes with the package, frozen."""
    tensors = shipped()
    head = SpeechEmotionHead(len(tensors["out.weight"][0]))
    if not head.mean.is_meta:  # only its size is asked for
        head.load_state_dict(tensors)
    return head.requires_grad_(False).eval()


def from_scores(
    scores: Any,
    classes: Sequence[str],
    *,
    frames: int,
    affect: Any = None,
    remap: Mapping[str, str] | None = None,
) -> Tensor:
    """What another speech model says, as the ten numbers a frame, [T, 10].

    Args:
        scores: chances of its classes, [T, n], or [n] for a whole utterance, which all frames
            then have.
        classes: its n names; usual spellings of the eight are known (`ALIASES`).
        frames: T.
        affect: its valence and arousal in [-1, 1], [T, 2] or [2]; None leaves them at 0.
        remap: class -> one of the eight, for those that are not known or meant otherwise.

    Raises:
        InputError: a class that maps to none of the eight, shapes or values that do not fit.
    """
    chances = torch.as_tensor(scores, dtype=torch.float32)
    if chances.ndim not in (1, 2) or chances.shape[-1] != len(classes):
        raise InputError(
            f"scores are [T, n] or [n] for {len(classes)} classes, not {list(chances.shape)}."
        )
    chances = _each_frame(chances, frames, "scores")
    if not bool(chances.isfinite().all()) or float(chances.min()) < 0:
        raise InputError("scores are chances, at least 0; give a softmax's output, not its logits.")
    columns = [_column(name, remap or {}) for name in classes]
    eight = chances.new_zeros(frames, len(EXPRESSION_LABELS))
    eight.index_add_(1, torch.tensor(columns), chances)
    total = eight.sum(-1, keepdim=True)
    if frames and float(total.min()) <= 0:
        raise InputError("in some frame no class has a chance above 0.")
    told = torch.zeros(frames, 2)
    if affect is not None:
        told = _each_frame(torch.as_tensor(affect, dtype=torch.float32), frames, "affect")
        if told.shape[-1] != 2 or not bool(told.isfinite().all()) or float(told.abs().max()) > 1:
            raise InputError("affect is valence and arousal in [-1, 1], [T, 2] or [2].")
    return torch.cat([told, eight / total], dim=-1)


def _each_frame(values: Tensor, frames: int, what: str) -> Tensor:
    if values.ndim == 1:
        return values.expand(frames, -1)
    if values.ndim != 2 or len(values) != frames:
        raise InputError(
            f"{what} of {list(values.shape)} do not fit {frames} frames; resample them to 25 a "
            "second, or give one row for the whole utterance."
        )
    return values


def _column(name: str, remap: Mapping[str, str]) -> int:
    """Of the eight, the one that a class means."""
    meant = remap.get(name, name)
    label = ALIASES.get(meant.strip().lower())
    if label is None:
        known = nearest(meant, EXPRESSION_LABELS)
        if name in remap:
            raise InputError(f"remap says {meant!r} for {name!r}, which is no class here. {known}")
        raise InputError(
            f"the speech-emotion class {name!r} is none of {', '.join(EXPRESSION_LABELS)}. {known} "
            f"Say what it stands for: remap={{{name!r}: 'Neutral'}}."
        )
    return EXPRESSION_LABELS.index(label)


def with_speech_emotion(
    speaker: Behaviour,
    scores: Any,
    classes: Sequence[str],
    *,
    affect: Any = None,
    remap: Mapping[str, str] | None = None,
    observed: Tensor | None = None,
) -> Behaviour:
    """A speaker [T] with the channel `speech_emotion`, made of another model's scores.

    Args:
        observed: bool [T], the frames that it speaks of; by default all.

    Raises:
        InputError: as `from_scores`, or the speaker is a batch.
    """
    if speaker.lead:
        raise InputError(f"one clip [T] at a time, not leading axes {list(speaker.lead)}.")
    made = from_scores(scores, classes, frames=speaker.frames, affect=affect, remap=remap)
    masks = None if observed is None else {SPEECH_EMOTION: observed}
    return speaker.with_channels({SPEECH_EMOTION: made}, observed=masks)
