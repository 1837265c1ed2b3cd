"""FaceAIS's predictor in the published layout: one sample a pass, the whole window every patch.

Written from the specification: nothing is kept between patches or samples, a window always has 256
frames (those before the start are masked), every position of it is worked out though the last 32
are used, masks are copied to every head and query, and the vocabulary is 2,050. It has the
published number of parameters, among them tables that nothing reads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, HEADS, LAYERS, WINDOW, PATCH = 360, 12, 8, 256, 32
WORDS, SOUND_WORDS, SPEECH = 2048 + 2, 320 + 2, 512


class _Attention(nn.Module):
    def __init__(self, *, cross: bool) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH) if cross else None
        self.inward = nn.Linear(WIDTH, (2 if cross else 3) * WIDTH)
        self.outward = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, y: Tensor, seen: Tensor) -> Tensor:
        parts = self.inward(y).split(WIDTH, 2)
        query, key, value = parts if self.query is None else (self.query(x), *parts)
        clips, frames, _ = x.shape
        shape = (clips, frames, HEADS, WIDTH // HEADS)
        query, key, value = (z.view(shape).transpose(1, 2) for z in (query, key, value))
        mask = seen[:, None, None].repeat(1, HEADS, frames, 1)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.outward(mixed.transpose(1, 2).contiguous().view(clips, frames, WIDTH))


class _Block(nn.Module):
    def __init__(self, *, cross: bool) -> None:
        super().__init__()
        self.attention = _Attention(cross=False)
        self.cross = _Attention(cross=True) if cross else None
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3 if cross else 2))
        self.feed_forward = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )
        if cross:
            self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, seen: Tensor, y: Tensor | None = None) -> Tensor:
        normal = self.norms[0](x)
        own = self.attention(normal, normal, seen)
        x = x + own
        if y is not None:
            assert self.cross is not None
            x = x + self.gate * self.cross(self.norms[0](own), self.norms[2](y), seen)
        return x + self.feed_forward(self.norms[1](x))


class PublishedPredictor(nn.Module):
    """Codes of the speaker [1, 256], its voice [1, 512, 512], own codes [1, 256] and which frames
    there are, bool [1, 256], to logits of the next patch [1, 32, 2050]."""

    def __init__(self) -> None:
        super().__init__()
        self.sound_words = nn.Embedding(SOUND_WORDS, WIDTH)  # never read with wav2vec features
        self.sound = nn.Linear(SPEECH, WIDTH)
        self.sound_place = nn.Embedding(2 * WINDOW, WIDTH)
        self.face, self.own = nn.Embedding(WORDS, WIDTH), nn.Embedding(WORDS, WIDTH)
        self.face_place, self.own_place = (nn.Embedding(WINDOW, WIDTH) for _ in range(2))
        stacks = {"sound": False, "face": False, "speaker_cross": True}
        stacks |= {"own": False, "speaker": False, "own_cross": True}
        self.stacks = nn.ModuleDict(
            {n: nn.ModuleList(_Block(cross=c) for _ in range(LAYERS)) for n, c in stacks.items()}
        )
        self.speaker_norm, self.norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, WORDS, bias=False)

    def _run(self, name: str, x: Tensor, seen: Tensor, y: Tensor | None = None) -> Tensor:
        for block in self.stacks[name]:
            x = block(x, seen, y)
            y = None if y is None else x  # from its second block on a stream hears itself
        return x

    def forward(self, face: Tensor, sound: Tensor, own: Tensor, seen: Tensor) -> Tensor:
        x = self.sound(sound) + self.sound_place.weight
        x = F.max_pool1d(x.transpose(1, 2), 2).transpose(1, 2)
        x = self._run("sound", x, seen)
        y = self._run("face", self.face(face) + self.face_place.weight, seen)
        speaker = self._run("speaker_cross", y, seen, x)
        self.speaker_norm(speaker)
        answer = self._run("own", self.own(own) + self.own_place.weight, seen)
        speaker = self._run("speaker", speaker, seen)
        answer = self._run("own_cross", answer, seen, speaker)
        return self.head(self.norm(answer)[:, -PATCH:])


def published_codes(logits: Tensor) -> Tensor:
    """Temperature 1, the 512 likeliest, each frame drawn on its own: [1, 32]."""
    least = logits.topk(512).values.amin()
    logits = torch.where(logits < least, float("-inf"), logits)
    return torch.multinomial(logits.softmax(-1)[0], 1).T
