"""ReactDiff-K against its published counts and layout, window by window, and by what it learns."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.peers.reactdiff_k import PublishedNetwork
from tests.people import COEFFICIENTS, batch, person
from visavis import recipes
from visavis.behaviour import Behaviour
from visavis.channels import STANDARD
from visavis.models._reactdiff_k_losses import (
    EXCLUSIVE,
    LABELS,
    SYMMETRIC,
    TOGETHER,
    kinematic_rows,
    velocity_rows,
)
from visavis.models.reactdiff_k import ReactdiffK, ReactdiffKConfig

SMALL: dict[str, Any] = {
    "widths": (16, 32),
    "depths": (1, 2),
    "features": 16,
    "head": 8,
    "group": 8,
    "window": 6,
    "sampling_steps": 3,
}


def made(**settings: Any) -> ReactdiffK:
    """A small model with everything drawn, so that nothing is small."""
    torch.manual_seed(0)
    model = ReactdiffK(ReactdiffKConfig(**{**SMALL, **settings}))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    model.fit([batch(2, 60)])
    return model.eval()


def packed(behaviour: Behaviour) -> Tensor:
    return torch.cat([behaviour[n] for n in COEFFICIENTS], -1)


def test_it_has_the_published_parameters() -> None:
    """47.04 M (specification 2.2): 20 residual blocks, 40 cross-attentions, 8 LSTMs."""
    with torch.device("meta"):
        model = recipes.build(recipes.read("reactdiff_k"))
    assert isinstance(model, ReactdiffK)
    count = sum(p.numel() for p in model.parameters())
    assert count == 47_040_074
    assert round(count / 1e4) == 4704
    kinds = [type(m).__name__ for m in model.network.modules()]
    assert [kinds.count(n) for n in ("ResidualBlock", "SourceAttention", "LSTM")] == [20, 40, 8]


def test_its_network_gives_what_the_published_layout_gives() -> None:
    """Which evaluates everything anew, for each sample and noise level."""
    model = made()
    speaker = person(6, lead=(2,))
    sound, face, inside = model.heard(speaker)
    x, past = torch.randn(2, 3, 6, 58), torch.randn(2, 3, 58)
    prepared = model.network.prepare(sound, face, inside)
    published = PublishedNetwork(model.network)
    with torch.no_grad():
        ours = model.network(x, torch.tensor([0.7]), past, prepared)
        for k in range(3):
            theirs = published(x[:, k], torch.tensor([0.7, 0.7]), past[:, k], sound, face)
            torch.testing.assert_close(ours[:, k], theirs, atol=1e-5, rtol=1e-5)


def test_a_window_hears_its_own_window_and_goes_on_from_the_last_frame() -> None:
    model, one, two = made(), person(24, seed=1), person(24, seed=2)
    changed = Behaviour.cat([one.window(0, 12), two.window(12, 18), one.window(18, 24)])
    apart = (packed(model.generate(one, 2)) - packed(model.generate(changed, 2))).abs()
    moved = apart.unflatten(1, (4, 6)).amax((0, 2, 3))
    assert moved[:2].max() < 1e-6
    assert moved[2:].min() > 1e-5  # the fourth only through the third's last frame


def test_every_noise_level_is_another_condition() -> None:
    """The released embedding knows two: below 1, and above."""
    model = made()
    prepared = model.network.prepare(*model.heard(person(6, lead=(1,))))
    x, past = torch.randn(1, 1, 6, 58), torch.zeros(1, 1, 58)
    levels = torch.tensor([[0.1], [0.2], [0.4], [2.0], [20.0]])
    with torch.no_grad():
        answers = [model.network(x, level, past, prepared) for level in levels]
    for one, other in itertools.pairwise(answers):
        assert float((one - other).abs().max()) > 1e-4


OURS = {"memory": 12, "smooth_noise": 1.5, "blend": 4, "temperature": 0.7}


@pytest.mark.parametrize("settings", [{}, OURS], ids=["published", "ours"])
@pytest.mark.parametrize("solver", ["sde", "ode", "heun"])
def test_every_solver_streams_as_the_whole_clip(solver: str, settings: dict[str, Any]) -> None:
    model = made(solver=solver, **settings)
    speaker = person(20)
    session = model.session(2)
    lane = session.open(seed=3)
    parts = [session.step({lane: w})[lane] for w in speaker.windows(7)]
    parts.append(session.flush(lane))
    whole = packed(model.generate(speaker, 2, seeds=3))
    torch.testing.assert_close(packed(Behaviour.cat(parts)), whole, atol=1e-5, rtol=1e-4)
    assert session.latency == 5


def test_with_a_memory_a_window_knows_what_was_heard_before_it() -> None:
    model, one, two = made(memory=12), person(24, seed=1), person(24, seed=2)
    changed = Behaviour.cat([two.window(0, 6), one.window(6, 24)])
    own = torch.zeros(1, 2, 58)
    beside = []
    for speaker in (one, changed):
        sound, face, _ = model.heard(speaker.unsqueeze())
        beside.append(model.remembered(sound, face, model.nothing_heard(1))[0])
    assert beside[0] is not None and beside[1] is not None
    later = (beside[0] - beside[1])[:, 6:].abs()
    assert float(later[:, 0].max().detach()) > 1e-4
    assert model.nothing_heard(1).shape == (1, 12)
    assert made().remembered(own, own, made().nothing_heard(1))[0] is None


def test_a_window_begins_in_the_last_frame_before_it() -> None:
    speaker = person(18)
    jumps = []
    for blend in (0, 5):
        moved = packed(made(blend=blend).generate(speaker, 3)).diff(dim=1).abs().mean((0, 2))
        jumps.append(float(moved[5::6].mean()))
    assert jumps[1] < 0.5 * jumps[0]


def test_all_appropriate_listeners_may_be_learned_from() -> None:
    terms = made(objective="appropriate", agreement_weight=3.0).loss(batch(2, 24))
    assert {"begun/agreement", "begun/attributes", "begun/coefficients"} <= set(terms)
    assert not any(n.startswith("begun") for n in made().loss(batch(2, 24)))


def test_data_have_the_deviation_that_edm_is_told() -> None:
    model, dyads = made(), batch(2, 60)
    values = packed(dyads.listener)
    data = model.to_data(values)
    flat = data.flatten(0, 1)
    torch.testing.assert_close(flat.mean(0), torch.zeros(58), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(flat.std(0, False), torch.full((58,), 0.5), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(model.from_data(data), values, atol=1e-5, rtol=0.0)


def test_two_ticks_of_wav2vec2_are_pooled() -> None:
    model = ReactdiffK(ReactdiffKConfig(**SMALL, speech="wav2vec2"))
    ticks = torch.randn(1, 12, STANDARD["wav2vec2"].size)
    speaker = Behaviour.of({**person(6, lead=(1,), names=COEFFICIENTS).channels, "wav2vec2": ticks})
    sound, _, _ = model.heard(speaker)
    assert torch.equal(sound[0, 1], torch.maximum(ticks[0, 2], ticks[0, 3]))
    model.fit([])
    assert model.generate(speaker, 2).frames == 6


def test_it_learns() -> None:
    model = made(past_noise=0.1)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    dyads, losses = batch(4, 24), []
    for _ in range(40):
        torch.manual_seed(1)
        terms = model.loss(dyads)
        loss = sum(terms.values(), torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert set(terms) == {"denoising", "velocity", "kinematics"}


# ---------------------------------------------------------------------- movement


def test_the_pairs_are_of_the_shapes_they_name() -> None:
    assert (len(SYMMETRIC), len(TOGETHER), len(EXCLUSIVE)) == (16, 10, 14)
    for one, other in SYMMETRIC:
        assert LABELS[one].removesuffix("Left") == LABELS[other].removesuffix("Right")
    pair = (LABELS.index("mouthSmileLeft"), LABELS.index("mouthFrownLeft"))
    assert pair in EXCLUSIVE


def face(**shapes: float) -> Tensor:
    x = torch.zeros(1, 3, 58)
    for name, value in shapes.items():
        x[..., LABELS.index(name)] = value
    return x


def test_kinematics_cost_what_a_face_does_not_do() -> None:
    whole, rest = torch.ones(1, 3, dtype=torch.bool), face()

    def cost(given: Tensor, wanted: Tensor = rest) -> float:
        return float(kinematic_rows(given, wanted, whole))

    assert cost(rest) == 0
    crooked = cost(face(eyeBlinkLeft=0.6))
    assert crooked == pytest.approx(0.6 / 16)
    assert cost(face(eyeBlinkLeft=0.6, eyeBlinkRight=0.6)) == 0
    both = face(jawLeft=0.5, jawRight=0.4)
    assert cost(both) == pytest.approx(0.2 / 14)
    smile = face(mouthSmileLeft=0.5, mouthSmileRight=0.5)
    assert cost(smile, smile) == 0
    assert cost(smile) == pytest.approx(2 * 0.125 / 10)  # without the cheeks that should go along
    nothing = kinematic_rows(both, rest, ~whole)
    assert float(nothing) == 0


def test_velocity_costs_pose_that_moves_otherwise() -> None:
    still, moving = torch.zeros(1, 5, 58), torch.zeros(1, 5, 58)
    moving[..., 52] = torch.arange(5.0) * 0.1
    mask = torch.ones(1, 5, dtype=torch.bool)
    assert float(velocity_rows(still, still, mask)) == 0
    lag_1, lag_4 = 0.1**2 / 2 / 6, 0.4**2 / 2 / 6 / 4
    assert float(velocity_rows(moving, still, mask)) == pytest.approx(10 * (lag_1 + lag_4))
    shapes = torch.zeros(1, 5, 58)
    shapes[..., 3] = torch.rand(5)
    assert float(velocity_rows(shapes, still, mask)) == 0
    assert float(velocity_rows(moving[:, :1], still[:, :1], mask[:, :1])) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampling_steps": 0}, "sampling_steps"),
        ({"window": 0}, "window"),
        ({"depths": (1,)}, "as many"),
        ({"widths": (10, 32)}, "multiples of head"),
        ({"sigma_min": 80.0}, "sigma_min"),
        ({"blend": 7}, "blend"),
        ({"smooth_noise": float("inf")}, "smooth_noise"),
        ({"smooth_noise": 2.0}, "reaches back 8"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReactdiffKConfig(**{**SMALL, **settings})


@pytest.mark.parametrize("preset", ["laptop", "compact"])
def test_the_presets_build(preset: str) -> None:
    model = recipes.build(recipes.read("reactdiff_k", preset=preset))
    assert isinstance(model, ReactdiffK)
    assert 500_000 < sum(p.numel() for p in model.parameters()) < 3_000_000
