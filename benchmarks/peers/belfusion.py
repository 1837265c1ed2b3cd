"""BeLFusion in the published layout: stock layers, every step decoded, one sample a pass.

Written from the specification (3.2 to 3.4). Its weights are ours, so a test can hold both to the
same numbers; attributes are brought into their ranges as ours are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from visavis.models._belfusion_autoencoder import in_range
from visavis.models.belfusion import Belfusion
from visavis.nn.schedules import alpha_bars, cosine_betas
from visavis.nn.step_embedding import step_embedding


class PublishedBelfusion(nn.Module):
    """For clips that are whole windows."""

    def __init__(self, ours: Belfusion) -> None:
        super().__init__()
        self.coder, self.denoiser, self.scale = ours.autoencoder, ours.denoiser, ours.code_range
        self.window, self.steps = ours.config.window, ours.config.steps
        writer = self.coder.writer
        self.cell = nn.GRUCell(writer.input_size, writer.hidden_size)
        self.cell.load_state_dict(writer.state_dict())
        reader = self.coder.reader
        self.reader = nn.GRUCell(reader.input_size, reader.hidden_size)
        state = {n.removesuffix("_l0"): x for n, x in reader.state_dict().items()}
        self.reader.load_state_dict(state)
        self.eval()

    def encode(self, windows: Tensor) -> Tensor:
        """[N, w, 25] to [N, C], a frame at a time."""
        hidden = windows.new_zeros(len(windows), self.reader.hidden_size)
        for frame in windows.unbind(1):
            hidden = self.reader(frame, hidden)
        out: Tensor = self.coder.mean(hidden)
        return out

    def decode(self, codes: Tensor) -> Tensor:
        """[N, C] to [N, w, 25]: the cell sees [code, its last frame]."""
        context = self.coder.code(codes)
        hidden = torch.zeros_like(codes)
        made = codes.new_zeros(len(codes), 25)
        frames = []
        for _ in range(self.window):
            hidden = self.cell(torch.cat([context, made], -1), hidden)
            x = hidden
            for layer in self.coder.hidden:
                x = layer(x).tanh()
            made = in_range(self.coder.frame(x))
            frames.append(made)
        return torch.stack(frames, 1)

    def denoise(self, x: Tensor, step: int, condition: Tensor) -> Tensor:
        """Code [N, C] at a step, given the condition [N, C]: everything anew."""
        net = self.denoiser
        time = net.time(step_embedding(torch.full((len(x),), step), 64))
        known = torch.cat([time, net.condition(condition)], -1)
        h = x
        for layer, scale, norm in zip(net.layers, net.scales, net.norms, strict=False):
            h = layer(torch.cat([h, x], -1)) * (1 + scale(nn.functional.silu(known)))
            h = nn.functional.silu(norm(h))
        out: Tensor = net.layers[-1](torch.cat([h, x], -1))
        return out

    def forward(self, speaker: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Speakers' attributes [B, T, 25] and noise [B, W, C] to attributes [B, T, 25] and
        coefficients [B, T, 58]. The prediction of each step is decoded; the last is returned."""
        clips = len(speaker)
        condition = self.encode(speaker.unflatten(1, (-1, self.window)).flatten(0, 1))
        levels = [1.0, *alpha_bars(cosine_betas(self.steps)).tolist()]
        x = noise.flatten(0, 1)
        attributes = coefficients = torch.empty(0)
        for step in reversed(range(self.steps)):
            now, after = levels[step + 1], levels[step]
            clean = self.denoise(x, step, condition).clamp(-1, 1)
            direction = (x - now**0.5 * clean) / (1 - now) ** 0.5
            x = after**0.5 * clean + (1 - after) ** 0.5 * direction
            attributes = self.decode(self.scale.back(clean))
            coefficients = self.coder.coefficients(attributes)
        parts = (attributes, coefficients)
        whole = [p.unflatten(0, (clips, -1)).flatten(1, 2) for p in parts]
        return whole[0], whole[1]
