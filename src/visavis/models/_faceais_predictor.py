"""FaceAIS's predictor: which codes the listener's next patch may have.

Six stacks of blocks. Of the speaker: the voice, the face, the face asking the voice, and one more
over the result. Of the listener: the own past codes, and these asking the speaker. Everything of
the speaker is worked out once for all samples.

What a patch is predicted from lies before it, in a window of whole patches; before the first patch
lies one of absent frames. The published form sees its window in both directions, so everything in
it changes as it moves on; the causal form sees patches back to the window's beginning and keeps
keys and values (`PatchRing`). A position predicts the code one patch later.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visavis.models._faceais_blocks import Block, CrossBlock, PatchRing, Turn, turn_of
from visavis.models._faceais_tokenizer import as_gpt

Told = list[tuple[Tensor, Tensor]]
"""Keys and values for each block that asks the speaker."""


@dataclass(frozen=True)
class PredictorSizes:
    codes: int
    speech: int
    """Numbers a tick of the voice."""
    rate: int
    """Ticks a frame."""
    width: int
    heads: int
    layers: int
    patch: int
    window: int
    causal: bool
    dropout: float
    gate: float
    embedding: float

    @property
    def slots(self) -> int:
        """Patches in a window."""
        return self.window // self.patch


class Predictor(nn.Module):
    """See the module's text. The code after the last stands for a frame that is not there."""

    def __init__(self, sizes: PredictorSizes) -> None:
        super().__init__()
        self.sizes = sizes
        width, heads, layers = sizes.width, sizes.heads, sizes.layers
        self.absent = sizes.codes

        def blocks() -> nn.ModuleList:
            return nn.ModuleList(Block(width, heads, dropout=sizes.dropout) for _ in range(layers))

        def crossing() -> nn.ModuleList:
            return nn.ModuleList(
                CrossBlock(width, heads, dropout=sizes.dropout) for _ in range(layers)
            )

        self.face = nn.Embedding(sizes.codes + 1, width)
        self.own = nn.Embedding(sizes.codes + 1, width)
        self.speech = nn.Linear(sizes.speech, width)
        self.places = nn.ParameterDict()
        if not sizes.causal:
            for name, rate in (("face", 1), ("speech", sizes.rate), ("own", 1)):
                self.places[name] = nn.Parameter(torch.empty(sizes.window * rate, width))
        self.sound_blocks, self.face_blocks = blocks(), blocks()
        self.speaker_cross, self.speaker_blocks = crossing(), blocks()
        self.own_blocks, self.own_cross = blocks(), crossing()
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, sizes.codes, bias=False)
        self.drop = nn.Dropout(sizes.dropout)
        as_gpt(self, 2 * layers)
        for table in (self.face, self.own):
            nn.init.normal_(table.weight, std=sizes.embedding)
        for block in (*self.speaker_cross, *self.own_cross):
            assert isinstance(block, CrossBlock)
            nn.init.constant_(block.gate, sizes.gate)

    # ------------------------------------------------------------------ frames

    @property
    def d_speech(self) -> int:
        """Width of `embed_speech`."""
        return self.sizes.width * (1 if self.sizes.causal else self.sizes.rate)

    def embed_speech(self, values: Tensor) -> Tensor:
        """Ticks [B, T * rate, A] to frames [B, T, d_speech].

        The causal form takes the larger of a frame's ticks at once; the published one adds
        positions to the ticks first, so they stay side by side here.
        """
        ticks = self.speech(values).unflatten(1, (-1, self.sizes.rate))
        out: Tensor = ticks.amax(2) if self.sizes.causal else ticks.flatten(2)
        return out

    def before(self, face: Tensor, speech: Tensor) -> tuple[Tensor, Tensor]:
        """Absent frames before the first patch: embeddings [B, n, C] and [B, n, d_speech]."""
        ones = torch.full((len(face), self.sizes.patch), self.absent, device=face.device)
        silence = face.new_zeros(len(face), self.sizes.patch * self.sizes.rate, self.sizes.speech)
        return self.face(ones), self.embed_speech(silence)

    def _placed(self, x: Tensor, name: str) -> Tensor:
        if name in self.places:
            x = x + self.places[name][-x.shape[1] :]
        out: Tensor = self.drop(x)
        return out

    # ------------------------------------------------------------------ the speaker

    def listen(
        self,
        face: Tensor,
        speech: Tensor,
        *,
        mask: Tensor | None = None,
        turn: Turn | None = None,
        rings: SpeakerRings | None = None,
    ) -> Tensor:
        """Embedded frames [R, T, C] and [R, T, d_speech] of the speaker to features [R, T, C]."""
        if not self.sizes.causal:
            ticks = speech.unflatten(-1, (self.sizes.rate, -1)).flatten(1, 2)
            placed = self._placed(ticks, "speech")
            sound = placed.unflatten(1, (-1, self.sizes.rate)).amax(2)
        else:
            sound = self.drop(speech)
        x = self._placed(face, "face")
        kept = rings or SpeakerRings.none(self.sizes.layers)
        for block, ring in zip(self.sound_blocks, kept.sound, strict=True):
            sound = block(sound, mask=mask, turn=turn, ring=ring)
        for block, ring in zip(self.face_blocks, kept.face, strict=True):
            x = block(x, mask=mask, turn=turn, ring=ring)
        asked = zip(self.speaker_cross, kept.cross, kept.told, strict=True)
        for block, ring, heard in asked:
            assert isinstance(block, CrossBlock)
            told = block.told(sound, turn)
            told = told if heard is None else heard.put(*told)
            x = block(x, told, mask=mask, told_mask=mask, turn=turn, ring=ring)
        for block, ring in zip(self.speaker_blocks, kept.speaker, strict=True):
            x = block(x, mask=mask, turn=turn, ring=ring)
        return x

    def tell(self, features: Tensor, turn: Turn | None = None) -> Told:
        """Features [B, T, C] as keys and values for the listener's blocks."""
        return [b.told(features, turn) for b in self.own_cross]  # type: ignore[operator]

    # ------------------------------------------------------------------ the listener

    def answer(
        self,
        codes: Tensor,
        told: Told,
        *,
        mask: Tensor | None = None,
        told_mask: Tensor | None = None,
        turn: Turn | None = None,
        rings: OwnRings | None = None,
        last: int | None = None,
    ) -> Tensor:
        """Own codes int64 [B * K, T] over what the speaker's frames tell, to logits of the codes
        one patch later, [B * K, T, codes]; with `last`, of the last frames only."""
        x = self._placed(self.own(codes), "own")
        kept = rings or OwnRings.none(self.sizes.layers)
        for block, ring in zip(self.own_blocks, kept.own, strict=True):
            x = block(x, mask=mask, turn=turn, ring=ring)
        final = self.own_cross[-1]
        for block, ring, heard in zip(self.own_cross, kept.cross, told, strict=True):
            only = last if block is final else None  # no later block asks the other frames
            x = block(x, heard, mask=mask, told_mask=told_mask, turn=turn, ring=ring, last=only)
        out: Tensor = self.head(self.norm(x))
        return out

    # ------------------------------------------------------------------ all patches at once

    def band(self, frames: int, device: torch.device) -> Tensor:
        """Which frames the causal form's frames see, bool [T, T]: their own patch and those
        before it, back to the window's beginning."""
        number = torch.arange(frames, device=device) // self.sizes.patch
        back = number[:, None] - number
        return (back >= 0) & (back < self.sizes.slots)

    def turn(self, positions: Tensor) -> Turn | None:
        """The rotation of frames at positions int64 [N, T]; the published form has none."""
        if not self.sizes.causal:
            return None
        return turn_of(positions, self.sizes.width // self.sizes.heads)


@dataclass
class SpeakerRings:
    """The causal form's memory of the speaker, a ring a block; B rows each."""

    sound: list[PatchRing | None]
    face: list[PatchRing | None]
    cross: list[PatchRing | None]
    told: list[PatchRing | None]
    """Keys and values of the voice, as the face asks for them."""
    speaker: list[PatchRing | None]

    @classmethod
    def none(cls, layers: int) -> SpeakerRings:
        nothing: list[PatchRing | None] = [None] * layers
        return cls(nothing, nothing, nothing, nothing, nothing)


@dataclass
class OwnRings:
    """The causal form's memory of the own past; B * K rows each."""

    own: list[PatchRing | None]
    cross: list[PatchRing | None]

    @classmethod
    def none(cls, layers: int) -> OwnRings:
        return cls([None] * layers, [None] * layers)
