"""ReactFace's session: packed weights and rings against whole clips; and the peer beside it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.peers.reactface import PublishedReactFace, memory_mask, point_mask
from tests.people import batch, person
from visavis.behaviour import Behaviour
from visavis.errors import InputError
from visavis.models.reactface import ReactFace, ReactFaceConfig

CLOSE = {"atol": 1e-5, "rtol": 0.0}
SMALL: dict[str, Any] = {"width": 16, "heads": 4, "latent_hidden": 32, "horizon": 20, "past": 30}


def made(**settings: Any) -> ReactFace:
    torch.manual_seed(0)
    model = ReactFace(ReactFaceConfig(**{**SMALL, **settings}))
    model.fit([batch(2, 60)])
    return model.eval()


@pytest.mark.parametrize("settings", [{}, {"window": 5, "modality": "point"}, {"redraw": 0}])
def test_some_of_the_lanes_at_odd_steps_long_after_the_rings_are_full(
    settings: dict[str, Any],
) -> None:
    """Lanes are picked out of order, in step and out of it, over the rings' ends."""
    model, frames = made(**settings), 150
    people = [person(frames, seed=i) for i in range(4)]
    session = model.session(3)
    lanes = [session.open(seed=i) for i in range(4)]
    parts: list[list[Behaviour]] = [[] for _ in lanes]
    done = [0] * 4
    generator = torch.Generator().manual_seed(1)
    while min(done) < frames:
        size = int(torch.randint(1, 14, (), generator=generator))
        order = torch.randperm(4, generator=generator)[: int(size % 4) + 1].tolist()
        news = {
            lanes[i]: people[i].window(done[i], min(done[i] + size, frames))
            for i in order
            if done[i] < frames
        }
        ready = session.step(news)
        for i in order:
            if lanes[i] in ready:
                parts[i].append(ready[lanes[i]])
                done[i] = min(done[i] + size, frames)
    for i, one in enumerate(people):
        expected = model.generate(one, 3, seeds=i).pack()
        torch.testing.assert_close(Behaviour.cat(parts[i]).pack(), expected, **CLOSE)


def test_a_session_goes_on_with_the_weights_that_the_model_has_now() -> None:
    model, speaker = made(), person(24)
    session = model.session()
    lane = session.open(seed=0)
    session.step({lane: speaker})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05)
    other = session.open(seed=0)
    now = session.step({other: speaker})[other]
    torch.testing.assert_close(now.pack(), model.generate(speaker, 1, seeds=0).pack(), **CLOSE)
    model.load_state_dict(made().state_dict())
    third = session.open(seed=0)
    then = session.step({third: speaker})[third]
    torch.testing.assert_close(then.pack(), made().generate(speaker, 1, seeds=0).pack(), **CLOSE)


def test_a_damaged_snapshot_is_refused_and_leaves_the_session_as_it_was() -> None:
    session, speaker = made().session(), person(12)
    lane = session.open(seed=0)
    session.step({lane: speaker.window(0, 6)})
    snapshot = dict(session.snapshot(lane))
    lost = {n: x for n, x in snapshot.items() if n != "state/latent"}
    with pytest.raises(InputError, match="lacks state/latent"):
        session.resume(lost)
    cut = snapshot | {"state/latent": snapshot["state/latent"][..., :3]}
    with pytest.raises(InputError, match=r"state/latent is \[1, 3\] and was \[1, 16\]"):
        session.resume(cut)
    assert len(session._store.count) == 1
    again = session.resume(snapshot)
    both = session.step({n: speaker.window(6, 12) for n in (lane, again)})
    torch.testing.assert_close(both[lane].pack(), both[again].pack(), **CLOSE)


def test_what_a_session_keeps_besides_its_lanes_is_bounded() -> None:
    model = made()
    session = model.session()
    lane = session.open(seed=0)
    for start in range(0, 600, 4):
        session.step({lane: person(4, seed=start)})
    store = session._store  # type: ignore[attr-defined]
    before = len(store.timings), len(store.backs)
    for start in range(0, 600, 4):
        session.step({lane: person(4, seed=start)})
    assert (len(store.timings), len(store.backs)) == before
    assert 0 < before[0] <= 512


# ---------------------------------------------------------------------- the peer

X = float("-inf")


def test_the_peer_s_masks_are_the_specification_s_worked_ones() -> None:
    """Section 1.2, period 2; the table is given for slope 1, and head 0 of 8 has 1/2."""
    own = [[0, X, X, X], [0, 0, X, X], [-1, 0, 0, X], [-1, -1, 0, 0]]
    audio = [
        [-2, -1, -1, 0, 0, X, X, X],
        [-2, -2, -1, -1, 0, 0, X, X],
        [-3, -2, -2, -1, -1, 0, 0, X],
        [-3, -3, -2, -2, -1, -1, 0, 0],
    ]
    assert torch.equal(memory_mask(4, 4, 2)[0] * 2, torch.tensor(own))
    assert torch.equal(memory_mask(4, 8, 2)[0] * 2, torch.tensor(audio, dtype=torch.float32))
    assert (~point_mask(3, 6)).nonzero().tolist() == [[i // 2, i] for i in range(6)]


def test_the_peer_answers_every_frame_and_has_the_published_parts() -> None:
    peer = PublishedReactFace(16)
    with torch.no_grad():
        made = peer(torch.randn(1, 20, 16), torch.randn(1, 40, 16), torch.randn(3, 1, 16))
    assert made.shape == (1, 20, 58)
    wide = PublishedReactFace(128)

    def count(*parts: nn.Module) -> int:
        return sum(p.numel() for part in parts for p in part.parameters())

    assert count(wide.past) == 2 * 198_784
    assert count(wide.latent, wide.interaction) + wide.tokens.numel() == 676_480
    assert count(wide.decoder, wide.modality, wide.visual, wide.head) == 802_618
