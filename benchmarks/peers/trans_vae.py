"""Trans-VAE in the published layout: stock layers, one sample a pass, the prefix encoded anew.

Written from the specification, for feature tokens [B, T, C] in place of the convolutions. Its
weights are copied from ours, so a test can hold both to the same numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visavis.models.trans_vae import TransVAE
from visavis.nn.attention import Attention
from visavis.nn.positions import sinusoid


class PublishedTransVAE(nn.Module):
    """One forward pass is one sample; `noise` stands for the draw inside the released head."""

    def __init__(self, ours: TransVAE) -> None:
        super().__init__()
        width, heads = ours.config.width, ours.config.heads
        self.width, self.window = width, ours.config.window
        self.tokens = ours.latent.tokens
        self.linear = ours.latent.linear
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        (mine,) = ours.latent.layers
        _copy_attention(self.encoder.layers[0].self_attn, mine.attention)
        _copy_rest(self.encoder.layers[0], mine, 2)
        self.decoders = nn.ModuleList(_decoder(width, heads, x) for x in ours.decoder)
        self.to_coefficients, self.to_attributes = ours.to_coefficients, ours.to_attributes
        self.table = torch.full((heads, 751, 751), float("-inf")).triu(1)
        self.online = ours.online
        if self.online is not None:
            self.own_decoder = _decoder(width, heads, self.online.decoder)
        self.eval()

    def head(self, features: Tensor, noise: Tensor) -> Tensor:
        """[B, T, C] and noise [B, C] to a latent [B, C]."""
        tokens = self.tokens.expand(len(features), -1, -1)
        x = torch.cat([tokens, self.linear(features)], 1).permute(1, 0, 2)
        seen = torch.zeros(len(features), x.shape[0], dtype=torch.bool)
        x = self.encoder(x, src_key_padding_mask=seen)
        return x[0] + (0.5 * x[1]).exp() * noise

    def causal(self, batch: int, frames: int) -> Tensor:
        """The released float mask, a copy a head, cut from a table: its period leaves no bias."""
        return self.table[:, :frames, :frames].clone().detach().repeat(batch, 1, 1)

    def unroll(self, latent: Tensor, frames: int) -> Tensor:
        queries = sinusoid(torch.arange(frames), self.width).expand(len(latent), -1, -1)
        mask = self.causal(len(latent), frames)
        x = self.decoders[0](queries, latent[:, None], tgt_mask=mask)
        return self.decoders[1](x, x, tgt_mask=mask)

    def outputs(self, coefficients: Tensor, hidden: Tensor) -> Tensor:
        raw = self.to_attributes(torch.cat([coefficients, hidden], -1))
        parts = raw.split([15, 2, 8], -1)
        attributes = [parts[0].sigmoid(), parts[1].tanh(), parts[2].softmax(-1)]
        return torch.cat([coefficients, *attributes], -1)

    def forward(self, features: Tensor, noise: Tensor) -> Tensor:
        """Offline: [B, T, C], noise [B, C] to [B, T, 83]."""
        hidden = self.unroll(self.head(features, noise), features.shape[1])
        return self.outputs(self.to_coefficients(hidden), hidden)

    def forward_online(self, features: Tensor, noise: Tensor) -> Tensor:
        """Online: noise [B, windows, C]; every window encodes the whole prefix again."""
        assert self.online is not None
        batch, frames, _ = features.shape
        past = features.new_zeros(batch, 0, 83)
        for window, start in enumerate(range(0, frames, self.window)):
            stop = min(start + self.window, frames)
            now = features.new_zeros(batch, stop - start, 83)
            fused = self.online.fusion(
                torch.cat([features[:, :stop], torch.cat([past, now], 1)], -1)
            )
            hidden = self.unroll(self.head(fused, noise[:, window]), stop - start)
            coefficients = self.to_coefficients(hidden)
            if window:
                own = self.online.past_token(past[..., :58])
                tokens = torch.cat([own, self.online.window_token(hidden)], 1)
                mask = self.causal(batch, stop)
                y = self.own_decoder(tokens, tokens, tgt_mask=mask)[:, start:]
                last = own[:, -1][None].contiguous()
                y, _ = self.online.lstm(y.contiguous(), (last, last))
                coefficients = self.to_coefficients(y)
            past = torch.cat([past, self.outputs(coefficients, hidden)], 1)
        return past


def _copy_attention(theirs: nn.MultiheadAttention, ours: Attention) -> None:
    with torch.no_grad():
        parts = (ours.query, ours.key, ours.value)
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in parts]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in parts]))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)


def _copy_rest(theirs: nn.Module, ours: nn.Module, norms: int) -> None:
    theirs.linear1.load_state_dict(ours.feed_forward[0].state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward[3].state_dict())
    for i in range(norms):
        getattr(theirs, f"norm{i + 1}").load_state_dict(ours.norms[i].state_dict())


def _decoder(width: int, heads: int, ours: nn.Module) -> nn.TransformerDecoder:
    layer = nn.TransformerDecoderLayer(width, heads, 2 * width, batch_first=True)
    made = nn.TransformerDecoder(layer, 1)
    _copy_attention(made.layers[0].self_attn, ours.self_attention)
    _copy_attention(made.layers[0].multihead_attn, ours.cross_attention)
    _copy_rest(made.layers[0], ours, 3)
    return made
