"""REGNN in the published layout: every sample of every window encodes the speaker anew.

Written from the specification on stock layers, one window and one sample a pass as the released
loop has it (29 windows of a 30 s clip as one batch, ten passes). Its weights are copied from ours,
so a test can hold both to the same numbers; noise is given.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from visavis.models._regnn_perceptual import PreNormStack
from visavis.models.regnn import REGNN
from visavis.nn.positions import sinusoid


class PublishedREGNN(nn.Module):
    """Speaker features of windows to reactions [W, 50, 25], one sample a call."""

    def __init__(self, ours: REGNN) -> None:
        super().__init__()
        self.ours, self.window = ours, ours.config.window
        perceptual = ours.perceptual
        self.face = nn.Conv1d(perceptual.face.in_features, ours.config.width, 1, bias=False)
        self.face.weight.data.copy_(perceptual.face.weight[..., None])
        self.cross = [_Layer(x) for x in perceptual.cross.layers]
        self.own = [_Layer(x) for x in perceptual.own.layers]
        self.eval()

    def perceive(self, face: Tensor, speech: Tensor) -> Tensor:
        """[W, 50, 768] and [W, 50, 128] to [W, 50, 64]."""
        x = self.face(face.transpose(1, 2)).transpose(1, 2)
        x = _stack(self.cross, self.ours.perceptual.cross, x, speech)
        x = _stack(self.own, self.ours.perceptual.own, x, x)
        return self.ours.perceptual.out(x + self.ours.perceptual.hidden(x))

    def think(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """[W, 50, 64] to nodes [W, 25, 50] and edges [W, 8, 25, 25]; the graph stays whole."""
        cognitive, channels = self.ours.cognitive, self.ours.config.edge_channels
        nodes = cognitive.direct(fused).transpose(1, 2)
        both = cognitive.query_key(cognitive.relate(nodes))
        query, key = both.view(len(nodes), 25, 2, channels, -1).permute(2, 0, 3, 1, 4)
        edges = (query @ key.transpose(-1, -2) / math.sqrt(self.window)).softmax(-1)
        rows = edges / edges.sum(-1, keepdim=True)
        columns = rows / rows.sum(-2, keepdim=True)
        return nodes, rows @ columns.transpose(-1, -2)

    def branch(self, x: Tensor, edges: Tensor, branch: nn.Module) -> Tensor:
        attention = branch.attention
        h = torch.sigmoid(torch.nn.functional.elu(x))
        query, key = attention.query_key(h).chunk(2, -1)
        weights = (query @ key.transpose(-1, -2) / math.sqrt(self.window)).softmax(-1)
        each = weights[:, None] * edges
        each = each / each.sum(-1, keepdim=True)
        shares = attention.mixture.softmax(0)[:, None, None]
        # the divisor is worked out at every forward, under no_grad
        return (each * shares).sum(1) @ h / branch.released()

    def undo(self, codes: Tensor, edges: Tensor) -> Tensor:
        """Five iterations at most, over when none moves by more than 1e-3."""
        motor = self.ours.motor
        for norm, layer in zip(reversed(motor.norms), reversed(motor.layers), strict=True):
            x = codes
            for _ in range(5):
                new = codes - self.branch(x, edges, layer.branch)
                moved, x = (new - x).abs().max(), new
                if moved <= 1e-3:
                    break
            rest = (x + self.branch(x, edges, layer.branch) - codes).abs().max()
            assert rest <= 1e-3
            codes = norm.inverse(x)
        return codes

    def forward(self, face: Tensor, speech: Tensor, noise: Tensor) -> Tensor:
        """Windows of features and scaled noise [W, 25, 50] to raw reactions [W, 50, 25]."""
        nodes, edges = self.think(self.perceive(face, speech))
        return self.undo(nodes + noise, edges).transpose(1, 2)


class _Layer:
    """Stock attention over [T, W, C], as fairseq lays sequences out."""

    def __init__(self, ours: nn.Module) -> None:
        own = ours.attention
        width = own.query.in_features
        self.attention = nn.MultiheadAttention(width, own.heads).eval()
        with torch.no_grad():
            parts = (own.query, own.key, own.value)
            self.attention.in_proj_weight.copy_(torch.cat([p.weight for p in parts]))
            self.attention.in_proj_bias.copy_(torch.cat([p.bias for p in parts]))
            self.attention.out_proj.load_state_dict(own.out.state_dict())
        self.ours = ours

    def __call__(self, x: Tensor, memory: Tensor | None) -> Tensor:
        first, second = self.ours.norms
        asked = first(x)
        told = asked if memory is None else first(memory)
        x = x + self.attention(asked, told, told)[0]
        return x + self.ours.feed_forward(second(x))


def _stack(layers: list[_Layer], ours: PreNormStack, x: Tensor, memory: Tensor) -> Tensor:
    alone = memory is x
    positions = sinusoid(torch.arange(x.shape[1]), x.shape[2])
    x, memory = ((math.sqrt(y.shape[2]) * y + positions).transpose(0, 1) for y in (x, memory))
    for layer in layers:
        x = layer(x, None if alone else memory)
    return ours.norm(x).transpose(0, 1)
