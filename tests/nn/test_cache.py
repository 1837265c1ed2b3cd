"""Caches: what is held, and that a ring and a tape hold the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from visavis.nn.alignment import interaction_bias
from visavis.nn.attention import Attention
from visavis.nn.cache import Place, Tape


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
    ring, count = torch.zeros(1, 8, 1), 0
    for t in steps:
        place = Place([count], t, 8)
        held = place.write(ring, numbered(count, t))
        count += t
        assert place.queries[0].tolist() == list(range(count - t, count))
        for slot, number in enumerate(place.held[0].tolist()):
            if number >= 0:
                assert float(held[0, slot, 0]) == number
        assert sorted(place.held[0].tolist())[-1] == count - 1
        assert {n for n in place.held[0].tolist() if n >= 0} == set(range(max(0, count - 8), count))


@pytest.mark.parametrize("counts", [[6, 1], [6, 6], [2, 2]])
def test_some_rows_at_places_of_their_own_leave_the_others_alone(counts: list[int]) -> None:
    ring = torch.full((4, 8, 1), -1.0)
    new = torch.stack([numbered(count, 3)[0] for count in counts])
    place = Place(counts, 3, 8, rows=torch.tensor([2, 0]))
    held = place.write(ring, new)
    for row, kept, count in zip((2, 0), held, counts, strict=True):
        slots = [n % 8 for n in range(count, count + 3)]
        assert (
            ring[row, slots, 0].tolist() == kept[slots, 0].tolist() == [count, count + 1, count + 2]
        )
    assert ring[[1, 3]].eq(-1).all()
    assert int(ring.eq(-1).sum()) == 32 - 6


def test_attention_over_a_ring_is_attention_over_a_tape() -> None:
    torch.manual_seed(0)
    attention = Attention(8, 2, dropout=0.0)
    x = torch.randn(1, 40, 8)
    tape, ring = Tape(9), torch.zeros(1, 16, 16)
    done = 0
    for t in (4, 1, 7, 5, 7, 7, 2, 7):
        piece = x[:, done : done + t]
        new = attention.key(piece), attention.value(piece)
        keys, values = tape.put(*new)
        frames = torch.arange(done, done + t)
        ticks = torch.arange(done + t - keys.shape[1], done + t)
        bias = interaction_bias(frames, ticks, period=2, horizon=10)[None, None]
        plain = attention.biased(piece, keys, values, bias)
        place = Place([done], t, 16)
        held = place.write(ring, torch.cat(new, -1))
        around = interaction_bias(place.queries, place.held, period=2, horizon=10)[:, None]
        mixed = attention.biased(piece, held[..., :8], held[..., 8:], around)
        torch.testing.assert_close(mixed, plain)
        done += t


def test_spare_slots_hold_what_is_not_kept() -> None:
    ring = torch.zeros(2, 6, 1)
    place = Place([3], 2, 4, rows=torch.tensor([1]), spare=2)
    place.write(ring, numbered(3, 2))
    assert place.held.tolist() == [[4, 1, 2, 3, -1, -1]]
    beside = place.beside(ring, numbered(90, 2))
    assert beside.flatten().tolist() == [4, 0, 0, 3, 90, 91]
    assert ring[0].eq(0).all()
    assert Place([0], 0, 4).held.max() < 0
