"""ReactDiff in the published layout: stock layers, one sample a pass, the speaker encoded anew.

Written from the specification. Weights are those of ours, in stock modules or written out, so a
test can hold both to the same numbers: positions off, windows that do not overlap, DDIM over all
steps. What the release does wrong (specification 1.3) is not repeated.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.behaviour import Behaviour
from visavis.models._reactdiff_mmt import CrossBlock
from visavis.models.reactdiff import ReactDiff
from visavis.nn.attention import Attention, DecoderLayer
from visavis.nn.unet1d import ResidualBlock, SelfAttention, UNet1d


class PublishedReactDiff(nn.Module):
    """One forward pass is one sample; `noise` is its x_T, [B * 15, 50, d]."""

    def __init__(self, ours: ReactDiff) -> None:
        super().__init__()
        spec = ours.config.transformer
        assert ours.denoiser is not None and ours.turn is None
        assert spec.positions == "off" and ours.config.diffusion.overlap == 0
        self.ours = ours
        encoder = ours.encoder
        blocks = [
            encoder.faces,
            *encoder.expressions,
            *encoder.feelings,
            encoder.voices,
            *encoder.together,
        ]
        self.attentions = nn.ModuleDict(
            {str(id(b)): _attention(b.attention, spec.width, spec.heads) for b in blocks}
        )
        self.stacks = [
            [_decoder_layer(layer, spec.latent, spec.heads) for layer in stack]
            for stack in ours.decoder.stacks
        ]
        self.eval()

    def cross(self, block: CrossBlock, x: Tensor, memory: Tensor) -> Tensor:
        """Query, key and value mapped apart, stock attention, residual and norm."""
        query, key, value = block.query(x), block.key(memory), block.value(memory)
        mixed, _ = self.attentions[str(id(block))](query, key, value)
        return block.norm(mixed + query)

    def encode(self, speaker: Behaviour) -> Tensor:
        streams, encoder = self.ours.inputs_of(speaker, speaking=True), self.ours.encoder
        x = self.cross(encoder.faces, streams["au"], streams["au"])
        for expression, feeling in zip(encoder.expressions, encoder.feelings, strict=True):
            x = self.cross(expression, x, streams["expression"])
            x = self.cross(feeling, x, streams["va"])
        voice = self.cross(encoder.voices, streams["voice"], streams["mfcc"])
        for block in encoder.together:
            x = self.cross(block, x, voice)
        return encoder.to_reaction_space(encoder.map(x))

    def decode(self, z: Tensor) -> Tensor:
        """Latents [B, T, d] to [B, T, 58 + 25]."""
        for stack in self.stacks:
            memory = z
            for layer in stack:
                z = layer(z, memory)
        decoder = self.ours.decoder
        return torch.cat([decoder.to_coefficients(z), decoder.to_attributes(z)], -1)

    def forward(self, speaker: Behaviour, noise: Tensor) -> Tensor:
        ours = self.ours
        z = ours.speaker_scale(self.encode(speaker))
        clips, frames, width = z.shape
        flat = ours.denoiser.flat(z.reshape(clips * frames // 50, 50 * width))
        condition = F.silu(ours.denoiser.norm(flat))
        bars = _alpha_bars(20)
        x = noise
        for t in range(19, -1, -1):
            steps = torch.full((len(x),), t)
            given = unet(ours.denoiser.unet, x, steps, condition)
            clean = (x - math.sqrt(1 - bars[t]) * given) / math.sqrt(bars[t])
            clean = clean.clamp(-1, 1)
            given = (x - math.sqrt(bars[t]) * clean) / math.sqrt(1 - bars[t])
            before = bars[t - 1] if t else 1.0
            x = math.sqrt(before) * clean + math.sqrt(1 - before) * given
        return self.decode(ours.scale.back(x.reshape(clips, frames, width)))


def _alpha_bars(steps: int) -> list[float]:
    def level(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    product, bars = 1.0, []
    for i in range(steps):
        beta = min(1 - level((i + 1) / steps) / level(i / steps), 0.999)
        product *= 1 - beta
        bars.append(product)
    return bars


def unet(net: UNet1d, x: Tensor, steps: Tensor, condition: Tensor) -> Tensor:
    """The denoiser as released: frames as channels, attention with its scores written out."""
    half = net.width // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half) / half)
    angles = steps[:, None].float() * rates
    time = net.time(torch.cat([torch.cos(angles), torch.sin(angles)], -1))
    embedding = torch.cat([time, condition], -1)
    h = conv(net.stem, x)
    kept = [h]
    for i, level in enumerate(net.down):
        for layer in level:
            if isinstance(layer, SelfAttention):
                kept[-1] = h = attend(layer, h)
            else:
                h = residual(layer, h, embedding)
                kept.append(h)
        if i < len(net.shorten):
            h = conv(net.shorten[i], h)
            kept.append(h)
    for layer in net.middle:
        h = attend(layer, h) if isinstance(layer, SelfAttention) else residual(layer, h, embedding)
    for i, level in enumerate(net.up):
        for layer in level:
            if isinstance(layer, SelfAttention):
                h = attend(layer, h)
            else:
                h = residual(layer, torch.cat([h, kept.pop()], 1), embedding)
        if i < len(net.lengthen):
            wide = F.interpolate(h, scale_factor=2, mode="nearest")
            h = conv(net.lengthen[i].convolution, wide)
    norm, _, last = net.head
    return conv(last, F.silu(group_norm(norm, h)))


def conv(ours: nn.Linear, x: Tensor) -> Tensor:
    """Stock convolution of [N, C, L], of three taps or of one, with the weights of ours."""
    taps = ours.in_features // x.shape[1]
    weight = ours.weight.unflatten(1, (taps, -1)).transpose(1, 2).contiguous()
    return F.conv1d(x, weight, ours.bias, getattr(ours, "stride", 1), padding=taps // 2)


def group_norm(ours: nn.GroupNorm, x: Tensor) -> Tensor:
    return F.group_norm(x, ours.num_groups, ours.weight, ours.bias)


def residual(block: ResidualBlock, x: Tensor, embedding: Tensor) -> Tensor:
    norm, _, last = block.before
    h = conv(last, F.silu(group_norm(norm, x))) + block.embed(F.silu(embedding))[..., None]
    norm, _, last = block.after
    h = conv(last, F.silu(group_norm(norm, h)))
    return h + (x if isinstance(block.skip, nn.Identity) else conv(block.skip, x))


def attend(block: SelfAttention, x: Tensor) -> Tensor:
    queries, keys, values = conv(block.qkv, group_norm(block.norm, x)).chunk(3, 1)
    scale = 1 / math.sqrt(math.sqrt(x.shape[1]))
    weights = torch.softmax(torch.einsum("bct,bcs->bts", queries * scale, keys * scale), -1)
    return x + conv(block.out, torch.einsum("bts,bcs->bct", weights, values))


def _attention(ours: Attention, width: int, heads: int) -> nn.MultiheadAttention:
    stock = nn.MultiheadAttention(width, heads, batch_first=True)
    _copy(stock, ours)
    return stock


def _decoder_layer(ours: DecoderLayer, width: int, heads: int) -> nn.TransformerDecoderLayer:
    layer = nn.TransformerDecoderLayer(width, heads, 2 * width, batch_first=True)
    _copy(layer.self_attn, ours.self_attention)
    _copy(layer.multihead_attn, ours.cross_attention)
    first, _, _, second = ours.feed_forward
    layer.linear1.load_state_dict(first.state_dict())
    layer.linear2.load_state_dict(second.state_dict())
    for theirs, mine in zip((layer.norm1, layer.norm2, layer.norm3), ours.norms, strict=True):
        theirs.load_state_dict(mine.state_dict())
    return layer.eval()


def _copy(stock: nn.MultiheadAttention, ours: Attention) -> None:
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        stock.in_proj_weight.copy_(torch.cat([p.weight for p in parts]))
        stock.in_proj_bias.copy_(torch.cat([p.bias for p in parts]))
        stock.out_proj.load_state_dict(ours.out.state_dict())
