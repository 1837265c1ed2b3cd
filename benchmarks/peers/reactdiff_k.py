"""ReactDiff-K in the published layout: every evaluation maps the speaker and the clock anew.

Written from the specification (2.2 to 2.4), for one sample a row; ten samples are ten rows with the
speaker repeated. Its weights are ours, so a test can hold both to the same numbers, and what the
released code does wrong is not repeated here, as it costs nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from visavis.models._reactdiff_k_network import ResidualBlock, SourceAttention, WindowUNet
from visavis.nn.diffusion import edm_denoiser
from visavis.nn.samplers import edm_dpm_solver
from visavis.nn.step_embedding import log_noise, step_embedding


class PublishedNetwork(nn.Module):
    def __init__(self, ours: WindowUNet) -> None:
        super().__init__()
        self.ours = ours

    def forward(
        self, x: Tensor, sigma: Tensor, past: Tensor, sound: Tensor, face: Tensor
    ) -> Tensor:
        """x [N, T, 58], sigma [N], past [N, 58], sound [N, T, E], face [N, T, 58]."""
        net = self.ours
        noise = net.mapping(net.level(log_noise(sigma)))
        numbers = torch.arange(x.shape[1]).expand(len(x), -1)
        clock = net.temporal_mapping(step_embedding(numbers, net.features))
        begin = net.stem(past)[None].contiguous()
        h, _ = net.stem_lstm(net.stem(x), (begin, torch.zeros_like(begin)))
        skips = []
        for i, stage in enumerate(net.stages):
            if i >= len(net.downs):
                below = skips.pop()
                h = torch.cat([h, below], -1) if i > len(net.downs) else h
            attentions = iter(stage.attentions)
            for block in stage.blocks:
                h = self.block(block, h, noise, clock)
                h = self.attend(next(attentions), h, noise, sound)
                h = self.attend(next(attentions), h, noise, face)
            if i < len(net.downs):
                skips.append(h)
        h, _ = net.last_lstm(h, (begin, torch.zeros_like(begin)))
        out: Tensor = net.last(h)
        return out

    def norm(self, norm: nn.Module, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = norm.mapper(condition).chunk(2, -1)
        flat = functional.group_norm(x.flatten(0, 1), norm.groups).view_as(x)
        if condition.dim() == 2:
            scale, shift = scale[:, None], shift[:, None]
        out: Tensor = flat * (1 + scale) + shift
        return out

    def block(self, block: ResidualBlock, x: Tensor, noise: Tensor, clock: Tensor) -> Tensor:
        h = block.up(functional.gelu(self.norm(block.first, x, noise)))
        h = functional.gelu(self.norm(block.second, h, noise))
        h = block.down(self.norm_of_clock(block, h, clock))
        if block.lstm is not None:
            h, _ = block.lstm(h)
            x = block.skip(x)
        return x + h

    def norm_of_clock(self, block: ResidualBlock, h: Tensor, clock: Tensor) -> Tensor:
        return self.norm(block.temporal, h, clock)

    def attend(self, layer: SourceAttention, x: Tensor, noise: Tensor, source: Tensor) -> Tensor:
        def heads(y: Tensor) -> Tensor:
            return y.unflatten(-1, (-1, layer.head)).transpose(1, 2)

        queries = heads(layer.query(self.norm(layer.norm, x, noise)))
        keys, values = layer.key_value(layer.source_norm(source)).chunk(2, -1)
        mixed = functional.scaled_dot_product_attention(queries, heads(keys), heads(values))
        out: Tensor = x + layer.out(mixed.transpose(1, 2).flatten(2))
        return out


def published_window(
    network: PublishedNetwork,
    noise: Tensor,
    past: Tensor,
    heard: tuple[Tensor, Tensor],
    sigmas: Tensor,
    steps: Tensor,
) -> Tensor:
    """One window by the published sampler: noise [N, T, 58] to [N, T, 58]; noise on the way
    `steps` [S, N, T, 58]."""
    denoise = edm_denoiser(lambda x, sigma: network(x, sigma, past, *heard), 0.5)
    return edm_dpm_solver(denoise, noise, sigmas, noise=lambda i: steps[i])
