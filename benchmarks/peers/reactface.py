"""ReactFace in the released layout: every window encodes the whole prefix of the speaker anew.

Written from the specification (sections 1.2 and 1.4), for feature tokens in place of the video and
wav2vec 2.0 encoders: stock post-norm layers, masks filled row by row in Python whenever they are
needed, one sample a pass, random weights. Of the released step, what an evaluation needs is here;
the auxiliary head and the dead stack are left out, so its cost is rather too low than too high.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

HEADS, PERIOD, TICKS = 8, 8, 2


class PublishedReactFace(nn.Module):
    """`forward` is one sample; `noise` stands for the draws inside the released head."""

    def __init__(self, width: int = 128, *, window: int = 8, momentum: float = 0.9) -> None:
        super().__init__()
        self.width, self.window, self.momentum = width, window, momentum
        self.places = sinusoid(PERIOD, width)
        self.positions = sinusoid(5000, width)
        self.encoder = nn.ModuleList(_decoder(width) for _ in range(3))
        self.own = nn.Linear(58, width)
        self.past = nn.ModuleList(_decoder(width) for _ in range(2))
        self.latent = nn.Linear(width, width)
        self.tokens = nn.Parameter(torch.randn(2, width))
        layer = nn.TransformerEncoderLayer(width, 4, 1024, batch_first=True)
        self.interaction = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.decoder = nn.ModuleList(_decoder(width) for _ in range(2))
        self.modality, self.visual = _decoder(width), _decoder(width)
        self.head = nn.Linear(width, 58)
        self.eval()

    def encode(self, face: Tensor, speech: Tensor) -> Tensor:
        """Face [1, T, C] and speech [1, 2 T, C] tokens of a prefix to the speaker's motion."""
        frames = face.shape[1]
        x = face + self.places.repeat(-(-frames // PERIOD), 1)[:frames]
        first, second, third = self.encoder
        x = first(x, x, tgt_mask=self_mask(frames))
        for layer in (second, third):
            x = layer(
                x,
                speech,
                tgt_mask=self_mask(frames),
                memory_mask=point_mask(frames, TICKS * frames),
            )
        return x

    def draw(self, past: Tensor, motion: Tensor, speech: Tensor, noise: Tensor) -> Tensor:
        """The last window's output [1, w, 58] and the window's tokens to a latent [1, C]."""
        x = self.own(past)
        x = 2 * x + self.places.repeat(-(-x.shape[1] // PERIOD), 1)[: x.shape[1]]
        for layer, memory in zip(self.past, (speech, motion), strict=True):
            x = self._biased(layer, x, memory)
        x = torch.cat([self.tokens[None], self.latent(x)], 1)
        seen = torch.zeros(1, x.shape[1], dtype=torch.bool)
        x = self.interaction(x, src_key_padding_mask=seen)
        return x[:, 0] + (0.5 * x[:, 1]).exp() * noise

    def forward(self, face: Tensor, speech: Tensor, noise: Tensor) -> Tensor:
        """[1, T, C], [1, 2 T, C], noise [windows, 1, C] to coefficients [1, T, 58]."""
        frames, window = face.shape[1], self.window
        past, latent, made = face.new_zeros(1, window, 58), None, []
        for number, start in enumerate(range(0, frames, window)):
            stop = min(start + window, frames)
            motion = self.encode(face[:, :stop], speech[:, : TICKS * stop])[:, -window:]
            heard = speech[:, TICKS * (stop - window) : TICKS * stop]
            drawn = self.draw(past, motion, heard, noise[number])
            if latent is None:
                latent, memory = drawn, drawn[:, None]
            else:
                before = latent
                latent = self.momentum * before + (1 - self.momentum) * drawn
                ends = torch.stack([before, latent], -1)
                memory = nn.functional.interpolate(ends, window, mode="linear").transpose(1, 2)
            x = self.positions[start : start + window][None]
            for layer in self.decoder:
                x = layer(x, memory)
            x = self._biased(self.modality, x, heard)
            x = self._biased(self.visual, x, motion)
            past = self.head(x)
            made.append(past)
        return torch.cat(made, 1)[:, :frames]

    def _biased(self, layer: nn.Module, x: Tensor, memory: Tensor) -> Tensor:
        out: Tensor = layer(
            x,
            memory,
            tgt_mask=self_mask(x.shape[1]),
            memory_mask=memory_mask(x.shape[1], memory.shape[1]),
        )
        return out


def self_mask(frames: int) -> Tensor:
    """-slope floor((i - j) / p) for j <= i, else -inf, a copy a head, [heads, T, T]."""
    return memory_mask(frames, frames)


def memory_mask(frames: int, keys: int, period: int = PERIOD) -> Tensor:
    """-slope floor((S - T + i - j) / p) for j <= S - T + i, else -inf, [heads, T, S]."""
    units = torch.arange(-(-keys // period))[:, None].repeat(1, period).view(-1)
    mask = torch.full((frames, keys), float("-inf"))
    for i in range(frames):
        reach = keys - frames + i + 1
        mask[i, :reach] = -units[:reach].flip(0).float()
    slopes = torch.tensor([2 ** (-8 * (h + 1) / HEADS) for h in range(HEADS)])
    return mask[None] * slopes[:, None, None]


def point_mask(frames: int, keys: int) -> Tensor:
    """Frame i sees ticks 2 i and 2 i + 1 alone; bool [T, S], True where it does not."""
    mask = torch.ones(frames, keys, dtype=torch.bool)
    for i in range(frames):
        mask[i, TICKS * i : TICKS * (i + 1)] = False
    return mask


def sinusoid(length: int, width: int) -> Tensor:
    """Sine and cosine positions (Vaswani et al., 2017), [length, width]."""
    table = torch.zeros(length, width)
    place = torch.arange(length)[:, None].float()
    rate = torch.exp(torch.arange(0, width, 2).float() * (-math.log(10000.0) / width))
    table[:, 0::2], table[:, 1::2] = torch.sin(place * rate), torch.cos(place * rate)
    return table


def _decoder(width: int) -> nn.TransformerDecoderLayer:
    return nn.TransformerDecoderLayer(width, HEADS, 2 * width, batch_first=True)
