"""A 1-D U-Net with residual blocks and self-attention, conditioned on one vector.

The family of guided diffusion (Dhariwal and Nichol, 2021) as diffusion autoencoders configure it
(Preechakul et al., 2022), with one axis to convolve. Which axis that is, is the caller's business:
rows [N, L, C] convolve over L.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.nn.low_rank import Shift, shifted
from visavis.nn.step_embedding import step_embedding

GROUPS, LEAST = 32, 8


def groups_of(channels: int) -> int:
    """32 groups to normalise in; for narrow layers fewer, of 8 channels or more.

    A group of one channel would take away again what the embedding adds to that channel.
    """
    most = min(GROUPS, max(channels // LEAST, 1))
    return next(g for g in range(most, 0, -1) if channels % g == 0)


class GroupNorm(nn.GroupNorm):
    """Normalisation of each row of [N, L, C] over its positions and a group of its channels."""

    def __init__(self, channels: int) -> None:
        super().__init__(groups_of(channels), channels)

    def forward(self, x: Tensor) -> Tensor:
        # as a picture of width 1 whose channels lie innermost, which the kernel takes as it is
        return super().forward(x.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)


class Convolution(nn.Linear):
    """Three taps over positions [N, L, C] with zeros beyond the ends, as one matrix product.

    The weight is [out, 3 * into], tap by tap. Channels lie innermost, so that no kernel reorders
    weights at every call: with few positions that costs more than the arithmetic.
    """

    def __init__(self, into: int, out: int, *, stride: int = 1) -> None:
        super().__init__(3 * into, out)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        wide = F.pad(x, (0, 0, 1, 1))
        last = wide.shape[1] - 2
        taps = [wide[:, i : i + last : self.stride] for i in range(3)]
        return super().forward(torch.cat(taps, dim=-1))


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution; plus the embedding; norm, SiLU, convolution; plus the input."""

    def __init__(self, into: int, out: int, embedding: int) -> None:
        super().__init__()
        self.before = nn.Sequential(GroupNorm(into), nn.SiLU(), Convolution(into, out))
        self.embed = nn.Linear(embedding, out)
        self.after = nn.Sequential(GroupNorm(out), nn.SiLU(), Convolution(out, out))
        self.skip = nn.Identity() if into == out else nn.Linear(into, out)

    def forward(self, x: Tensor, embedding: Tensor, shift: Shift | None = None) -> Tensor:
        """x [N, L, C], embedding [N, E] past its SiLU; a shift of the embedding's map a row."""
        h = self.before(x) + shifted(self.embed, embedding[:, None], shift)
        out: Tensor = self.skip(x) + self.after(h)
        return out


class SelfAttention(nn.Module):
    """Positions [N, L, C] attend each other in one head, as a residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, embedding: Tensor, shift: Shift | None = None) -> Tensor:
        """The embedding is not read; both kinds of block are called alike."""
        queries, keys, values = self.qkv(self.norm(x)).chunk(3, dim=-1)
        out: Tensor = x + self.out(F.scaled_dot_product_attention(queries, keys, values))
        return out


class Up(nn.Module):
    """Nearest neighbours up to a given length, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = Convolution(channels, channels)

    def forward(self, x: Tensor, length: int) -> Tensor:
        source = torch.arange(length, device=x.device) * x.shape[1] // length
        out: Tensor = self.convolution(x[:, source])
        return out


class UNet1d(nn.Module):
    """See the module's text.

    With into = out = 50, width 256, embedding 1024 and the other defaults it has the 404,312,626
    parameters of ReactDiff's released denoiser.

    Args:
        into: channels of the input.
        out: channels of the output.
        width: channels of the first level.
        multipliers: of the width, a level each; each level below the first halves the length.
        blocks: residual blocks a level on the way down; one more on the way up.
        condition: width of the condition vector.
        attention: halvings of the length at which blocks are followed by attention: 1, 2, 4.
        zero_start: zero the last layer of every block and of the whole (Dhariwal and Nichol, 2021),
            so that the output is 0 at first; otherwise they begin as any other layer.
    """

    def __init__(
        self,
        into: int,
        out: int,
        *,
        width: int = 256,
        multipliers: Sequence[int] = (1, 2, 4, 8),
        blocks: int = 2,
        condition: int = 1024,
        attention: Sequence[int] = (1, 2, 4),
        zero_start: bool = True,
    ) -> None:
        super().__init__()
        self.width = width
        hidden = 4 * width
        self.time = nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        embedding = hidden + condition

        def level(index: int, count: int, sizes: list[int]) -> nn.ModuleList:
            """Blocks of one level; `sizes` are the channels that each residual block takes."""
            channels, made = width * multipliers[index], nn.ModuleList()
            for i in range(count):
                made.append(ResidualBlock(sizes[i], channels, embedding))
                if 2**index in attention:
                    made.append(SelfAttention(channels))
            return made

        self.stem = Convolution(into, width)
        kept, now = [width], width
        self.down, self.shorten = nn.ModuleList(), nn.ModuleList()
        for i, multiplier in enumerate(multipliers):
            channels = width * multiplier
            self.down.append(level(i, blocks, [now] + [channels] * (blocks - 1)))
            kept += [channels] * blocks
            now = channels
            if i < len(multipliers) - 1:
                self.shorten.append(Convolution(channels, channels, stride=2))
                kept.append(channels)
        self.middle = nn.ModuleList(
            (
                ResidualBlock(now, now, embedding),
                SelfAttention(now),
                ResidualBlock(now, now, embedding),
            )
        )
        self.up, self.lengthen = nn.ModuleList(), nn.ModuleList()
        for i in reversed(range(len(multipliers))):
            channels, sizes = width * multipliers[i], []
            for _ in range(blocks + 1):
                sizes.append(now + kept.pop())
                now = channels
            self.up.append(level(i, blocks + 1, sizes))
            if i:
                self.lengthen.append(Up(channels))
        self.head = nn.Sequential(GroupNorm(now), nn.SiLU(), Convolution(now, out))
        if zero_start:
            self._zero()

    def _zero(self) -> None:
        ends: list[nn.Module] = [self.head[-1]]
        for block in self.modules():
            if isinstance(block, ResidualBlock):
                ends.append(block.after[-1])
            elif isinstance(block, SelfAttention):
                ends.append(block.out)
        for end in ends:
            for parameter in end.parameters():
                nn.init.zeros_(parameter)

    def forward(
        self,
        x: Tensor,
        steps: Tensor,
        condition: Tensor,
        shifts: Mapping[str, Shift] | None = None,
    ) -> Tensor:
        """x [N, L, into] at steps [N] under a condition [N, C] to [N, L, out]; any length L.

        `shifts` are of the maps by which the embedding enters the blocks in the middle, a row each:
        "middle0" and "middle2".
        """
        time = self.time(step_embedding(steps, self.width).to(x.dtype))
        embedding = F.silu(torch.cat([time, condition], dim=-1))
        x = self.stem(x)
        kept = [x]
        for i, level in enumerate(self.down):
            for block in _pairs(level):
                for layer in block:
                    x = layer(x, embedding)
                kept.append(x)
            if i < len(self.shorten):
                x = self.shorten[i](x)
                kept.append(x)
        for i, layer in enumerate(self.middle):
            x = layer(x, embedding, (shifts or {}).get(f"middle{i}"))
        for i, level in enumerate(self.up):
            for block in _pairs(level):
                first, *rest = block
                x = first(torch.cat([x, kept.pop()], dim=-1), embedding)
                for layer in rest:
                    x = layer(x, embedding)
            if i < len(self.lengthen):
                x = self.lengthen[i](x, kept[-1].shape[1])
        out: Tensor = self.head(x)
        return out


def _pairs(level: nn.Module) -> list[list[nn.Module]]:
    """A level's residual blocks, each with the attention that follows it."""
    grouped: list[list[nn.Module]] = []
    for layer in level.children():
        if isinstance(layer, ResidualBlock):
            grouped.append([layer])
        else:
            grouped[-1].append(layer)
    return grouped
