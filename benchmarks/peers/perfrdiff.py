"""PerFRDiff's denoiser in the published layout: stock layers that read the whole memory each step.

Written from the specification; its weights are copied from ours, so a test can hold both to the
same numbers. One reaction a run, with and without the condition side by side, as released.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.peers.trans_vae import _copy_attention
from visavis.models.perfrdiff import PerFRDiff
from visavis.nn.schedules import alpha_bars, cosine_betas, leading_steps
from visavis.nn.step_embedding import step_embedding


class PublishedPerFRDiff(nn.Module):
    """The generic generator; windows are the batch."""

    def __init__(self, ours: PerFRDiff) -> None:
        super().__init__()
        config = ours.config
        layer = nn.TransformerDecoderLayer(
            config.width, config.heads, config.hidden, activation="gelu", batch_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, config.layers)
        for theirs, mine in zip(self.decoder.layers, ours.denoiser._layers(), strict=True):
            _copy_attention(theirs.self_attn, mine.own)
            _copy_attention(theirs.multihead_attn, mine.cross)
            theirs.linear1.load_state_dict(mine.feed_forward[0].state_dict())
            theirs.linear2.load_state_dict(mine.feed_forward[3].state_dict())
            for i in range(3):
                getattr(theirs, f"norm{i + 1}").load_state_dict(mine.norms[i].state_dict())
        self.ours, self.config = ours, config
        self.eval()

    def denoise(self, x: Tensor, step: int, seen: Tensor, *, known: bool) -> Tensor:
        """Noisy windows [R, L, 25] to clean ones; the condition is projected anew."""
        net = self.ours.denoiser
        tokens, _ = self.ours.tokens(seen)
        tokens = tokens if known else torch.zeros_like(tokens)
        steps = torch.full((len(x),), step)
        memory = torch.cat([net.step(step_embedding(steps, 64))[:, None], tokens], 1)
        memory = memory + net.memory_positions[: memory.shape[1]]
        x = net.into(x) + net.positions[: x.shape[1]]
        out: Tensor = net.out(net.norm(self.decoder(x, memory)))
        return out

    def sample(self, seen: Tensor, x: Tensor, taken: int | None = None) -> Tensor:
        """Windows [R, S, 161] and noise [R, L, 25] to clean windows; only `taken` of the steps."""
        config = self.config
        levels = alpha_bars(cosine_betas(config.steps))
        steps = leading_steps(config.steps, config.sampling_steps).tolist()
        for i, step in enumerate(steps[:taken]):
            level = float(levels[step])
            after = float(levels[steps[i + 1]]) if i + 1 < len(steps) else 1.0
            clean = self.denoise(x, step, seen, known=True)
            if config.guidance != 1.0:
                unknown = self.denoise(x, step, seen, known=False)
                clean = unknown + config.guidance * (clean - unknown)
            clean = clean.clamp(-1, 1)
            noise = (x - level**0.5 * clean) / (1 - level) ** 0.5
            x = after**0.5 * clean + (1 - after) ** 0.5 * noise
        return x
