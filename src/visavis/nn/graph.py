"""Graphs whose edges have several numbers each, and an attention over them of bounded slope.

Letters: N nodes, D numbers a node, P channels an edge; edges [..., P, N, N], row i weighs what node
i takes from the others.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LOW = 1 / (1 + math.e)
"""sigmoid(ELU(x)) lies between this and 1."""


def keep_strongest(edges: Tensor, neighbours: int) -> Tensor:
    """Edges [..., P, N, N] of each node to its strongest neighbours and itself; others are 0.

    Strength is the sum over channels. A row keeps exactly min(neighbours, N - 1) + 1 columns.
    (REGNN's paper keeps five; its released code keeps the union of all nodes' lists, which is the
    whole graph.)
    """
    nodes = edges.shape[-1]
    itself = torch.eye(nodes, dtype=torch.bool, device=edges.device)
    if neighbours >= nodes - 1:
        return edges
    strength = edges.detach().sum(-3).masked_fill(itself, float("-inf"))
    chosen = strength.topk(neighbours, dim=-1).indices
    kept = torch.zeros_like(strength, dtype=torch.bool).scatter(-1, chosen, True) | itself
    return edges * kept[..., None, :, :]


def balance(edges: Tensor) -> Tensor:
    """R C^T, where R has rows that sum to 1 and C is R with columns that sum to 1.

    Two steps over the graph, there and back; its rows sum to 1 (Gong and Cheng, 2019, Eq. 5-6).
    Each row and column of edges [..., N, N] needs a positive entry.
    """
    rows = edges / edges.sum(-1, keepdim=True)
    columns = rows / rows.sum(-2, keepdim=True).clamp(min=1e-12)
    return rows @ columns.transpose(-1, -2)


class EdgeAttention(nn.Module):
    """Each node becomes an average of all nodes' squashed numbers: M(h) h, h = sigmoid(ELU(x)).

    The weights are softmax attention times the edges, a channel at a time with rows that sum to 1,
    and a convex mixture of the channels (REGNN's motor processor). 2 (D^2 + D) + P parameters.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.width = width
        self.query_key = nn.Linear(width, 2 * width)
        self.mixture = nn.Parameter(torch.zeros(channels))
        """Logarithms of the channels' shares, up to a constant."""

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """x [..., K, N, D] with edges [..., P, N, N] that its K rows share, to [..., K, N, D]."""
        h = torch.sigmoid(torch.nn.functional.elu(x))
        query, key = self.query_key(h).split(self.width, dim=-1)
        weights = (query @ key.transpose(-1, -2) / math.sqrt(self.width)).softmax(-1)
        # node by node, so that samples share an edge's numbers: [..., N, K, N] and [..., N, P, N]
        mine, apart = weights.transpose(-2, -3), edges.transpose(-2, -3)
        total = mine @ apart.transpose(-1, -2)  # of each channel's row, [..., N, K, P]
        shares = self.mixture.softmax(0) / total.clamp(min=1e-20)
        mixed = (mine * (shares @ apart)).transpose(-2, -3)
        out: Tensor = mixed @ h
        return out

    @torch.no_grad()
    def norm(self) -> Tensor:
        """Spectral norm of W_k^T W_q, through which a node's number moves a score."""
        query, key = self.query_key.weight.split(self.width)
        out: Tensor = torch.linalg.matrix_norm(key.T @ query, ord=2)
        return out

    @torch.no_grad()
    def lipschitz(self, nodes: int) -> Tensor:
        """An upper bound of the slope of x -> M(h) h on N nodes, in the Euclidean norm.

        dh = h' dx with h' at most 1/4. d(M h) = M dh + dM h. M has rows that sum to 1, so
        |M| <= sqrt(N). With B = W_k^T W_q, node i's scores s_ij = q_i . k_j / sqrt(D) and rows a of
        its weights, dM h is the covariance under a of (ds_i, h). Numbers of h lie within r = 1 -
        sigmoid(-1) of each other, so their variances add up to at most D r^2 / 4. Then
        - what moves q_i gives at most |Cov(h)| |B| / sqrt(D) <= sqrt(D) r^2 / 4 |B|;
        - what moves k_j gives at most sqrt(N D) r / 2 max|W_k^T q| / sqrt(D), where
          |W_k^T q| <= |B| sqrt(D) + |W_k^T b_q| (Cauchy and Schwarz over j, then over i).
        The mixture over channels is convex and changes nothing.
        """
        spread = 1.0 - LOW
        root, norm = math.sqrt(self.width), self.norm()
        key = self.query_key.weight[self.width :]
        pull = norm * root + (key.T @ self.query_key.bias[: self.width]).norm()
        averaged = math.sqrt(nodes)
        by_query = root * spread**2 / 4 * norm
        by_key = math.sqrt(nodes) * spread / 2 * pull
        out: Tensor = (averaged + by_query + by_key) / 4
        return out
