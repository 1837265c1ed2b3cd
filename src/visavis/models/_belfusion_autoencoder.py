"""BeLFusion's autoencoder: a window of attributes as one code, and back (specification 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visavis.nn.gaussian import Gaussian

ATTRIBUTES, COEFFICIENTS = 25, 58


def in_range(raw: Tensor) -> Tensor:
    """[..., 25] to AU probabilities, V/A in [-1, 1] and expressions that sum to 1."""
    au, va, expression = raw.split([15, 2, 8], dim=-1)
    return torch.cat([au.sigmoid(), va.tanh(), expression.softmax(-1)], dim=-1)


class WindowFaces(nn.Module):
    """The regression of coefficients from attributes, which every autoencoder has."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.face = nn.ModuleList((nn.Linear(ATTRIBUTES, width), nn.Linear(width, COEFFICIENTS)))

    def coefficients(self, attributes: Tensor) -> Tensor:
        """Attributes [..., 25] to coefficients [..., 58], each frame on its own."""
        one, two = self.face
        out: Tensor = two(one(attributes).tanh())
        return out


class WindowAutoencoder(WindowFaces):
    """A GRU reads a window, a GRU that hears its own last frame writes it.

    Attributes are in their ranges when they are written and when they are heard again (released:
    raw numbers).
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        half = width // 2
        self.reader = nn.GRU(ATTRIBUTES, width, batch_first=True)
        self.mean = nn.Linear(width, width)
        self.log_variance = nn.Linear(width, width)
        self.code = nn.Linear(width, width)
        self.writer = nn.GRUCell(width + ATTRIBUTES, width)
        self.hidden = nn.ModuleList((nn.Linear(width, half), nn.Linear(half, half)))
        self.frame = nn.Linear(half, ATTRIBUTES)

    def encode(self, attributes: Tensor, counts: Tensor) -> Gaussian:
        """Windows [N, w, 25], of which the first `counts` [N] frames are read, to [N, C]."""
        states, _ = self.reader(attributes)
        states = F.pad(states, (0, 0, 1, 0))  # the state before any frame
        last = states[torch.arange(len(states), device=states.device), counts]
        return Gaussian(self.mean(last), self.log_variance(last))

    def decode(self, codes: Tensor, frames: int) -> Tensor:
        """Codes [N, C] to attributes in their ranges, [N, frames, 25]."""
        width = self.code.out_features
        weight, bias = self.writer.weight_ih, self.writer.bias_ih
        # the code is the same at every frame: its share of the gates is computed once
        fixed = F.linear(self.code(codes), weight[:, :width], bias)
        own = weight[:, width:]
        one, two = self.hidden
        state, made = torch.zeros_like(codes), codes.new_zeros(len(codes), ATTRIBUTES)
        parts = []
        for _ in range(frames):
            state = self._gated(fixed + F.linear(made, own), state)
            made = in_range(self.frame(two(one(state).tanh()).tanh()))
            parts.append(made)
        return torch.stack(parts, dim=1)

    def _gated(self, given: Tensor, state: Tensor) -> Tensor:
        """The GRU's step (Cho et al., 2014) for its input's share of the gates [N, 3 C]."""
        kept = F.linear(state, self.writer.weight_hh, self.writer.bias_hh)
        reset_in, update_in, new_in = given.chunk(3, -1)
        reset_kept, update_kept, new_kept = kept.chunk(3, -1)
        update = (update_in + update_kept).sigmoid()
        new = (new_in + (reset_in + reset_kept).sigmoid() * new_kept).tanh()
        return torch.lerp(new, state, update)
