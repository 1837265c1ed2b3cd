"""Caches: what is held, and that a ring and a tape hold the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from visavis.nn.alignment import interaction_bias
from visavis.nn.attention import Attention
from visavis.nn.cache import Place, Ring, Tape


def numbered(start: int, count: int, rows: int = 1) -> Tensor:
    """[rows, count, 1]: each token is its own number."""
    return torch.arange(start, start + count, dtype=torch.float32)[None, :, None].repeat(rows, 1, 1)


def test_a_tape_gives_what_it_kept_and_the_new() -> None:
    tape = Tape(3)
    assert tape.beside(numbered(7, 1), numbered(7, 1))[0].flatten().tolist() == [7]
    assert tape.put(numbered(0, 2), numbered(0, 2))[0].flatten().tolist() == [0, 1]
    assert tape.put(numbered(2, 4), numbered(2, 4))[0].flatten().tolist() == [0, 1, 2, 3, 4, 5]
    for _ in range(2):  # what stands beside is not kept
        assert tape.beside(numbered(9, 2), numbered(9, 2))[1].flatten().tolist() == [3, 4, 5, 9, 10]


@pytest.mark.parametrize("steps", [[1] * 20, [5, 3, 8, 1, 2], [7, 7, 7]])
def test_a_ring_holds_the_latest_tokens_where_it_says(steps: list[int]) -> None:
    keys, values = torch.zeros(1, 8, 1), torch.zeros(1, 8, 1)
    count = 0
    for t in steps:
        place = Place(None, torch.tensor([count]), t, 8)
        held, _ = Ring(keys, values, place).put(numbered(count, t), numbered(count, t))
        count += t
        assert place.queries[0].tolist() == list(range(count - t, count))
        for slot, number in enumerate(place.held[0].tolist()):
            if number >= 0:
                assert float(held[0, slot, 0]) == number
        assert sorted(place.held[0].tolist())[-1] == count - 1
        assert {n for n in place.held[0].tolist() if n >= 0} == set(range(max(0, count - 8), count))


def test_some_rows_at_places_of_their_own_leave_the_others_alone() -> None:
    keys, values = torch.full((4, 8, 1), -1.0), torch.full((4, 8, 1), -1.0)
    rows, counts = torch.tensor([2, 0]), torch.tensor([6, 1])
    new = torch.stack([numbered(6, 3)[0], numbered(1, 3)[0]])
    place = Place(rows, counts, 3, 8)
    held, _ = Ring(keys, values, place).put(new, new)
    assert held[0, [6, 7, 0], 0].tolist() == [6, 7, 8]
    assert keys[0, 1:4, 0].tolist() == [1, 2, 3]
    assert keys[[1, 3]].eq(-1).all()
    assert int(keys.eq(-1).sum()) == 32 - 6


def test_attention_over_a_ring_is_attention_over_a_tape() -> None:
    torch.manual_seed(0)
    attention = Attention(8, 2, dropout=0.0)
    x = torch.randn(1, 40, 8)
    tape, stores = Tape(9), (torch.zeros(1, 16, 8), torch.zeros(1, 16, 8))
    done = 0
    for t in (4, 1, 7, 5, 7, 7, 2, 7):
        piece = x[:, done : done + t]
        new = attention.key(piece), attention.value(piece)
        keys, values = tape.put(*new)
        frames = torch.arange(done, done + t)
        ticks = torch.arange(done + t - keys.shape[1], done + t)
        bias = interaction_bias(frames, ticks, period=2, horizon=10)[None, None]
        plain = attention.biased(piece, keys, values, bias)
        place = Place(None, torch.tensor([done]), t, 16)
        ring = Ring(*stores, place)
        around = interaction_bias(place.queries, place.held, period=2, horizon=10)[:, None]
        torch.testing.assert_close(attention.biased(piece, *ring.put(*new), around), plain)
        done += t


def test_spare_slots_hold_what_is_not_kept() -> None:
    keys, values = torch.zeros(2, 6, 1), torch.zeros(2, 6, 1)
    place = Place(torch.tensor([1]), torch.tensor([3]), 2, 4, spare=2)
    ring = Ring(keys, values, place)
    ring.put(numbered(3, 2), numbered(3, 2))
    assert place.held.tolist() == [[4, 1, 2, 3, -1, -1]]
    beside, _ = ring.beside(numbered(90, 2), numbered(90, 2))
    assert beside.flatten().tolist() == [4, 0, 0, 3, 90, 91]
    assert keys[0].eq(0).all()
    assert Place(None, torch.tensor([0]), 0, 4).held.max() < 0
