"""ReactFace: its published size, its equations on worked numbers, its stream against the clip."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.people import EVERYTHING, batch, person
from visavis import recipes
from visavis.behaviour import Behaviour
from visavis.channels import GROUPS, STANDARD
from visavis.dyad import Batch
from visavis.errors import InputError
from visavis.features.attributes import attributes_from_coefficients
from visavis.models._reactface_layers import interpolated
from visavis.models._reactface_losses import appropriate_error, reaction_terms, unsteadiness
from visavis.models.reactface import ReactFace, ReactFaceConfig

CLOSE = {"atol": 1e-5, "rtol": 0.0}
SMALL = {"width": 16, "heads": 4, "latent_heads": 4, "latent_hidden": 32}
PUBLISHED, DEAD = 5_553_492, 397_568
"""Parameters of the released class at width 128 without wav2vec 2.0, and those never called."""


def made(**settings: Any) -> ReactFace:
    torch.manual_seed(0)
    model = ReactFace(ReactFaceConfig(**{**SMALL, **settings}))
    names = (*EVERYTHING, "wav2vec2") if settings.get("speech") == "wav2vec2" else EVERYTHING
    model.fit([with_speaker(batch(2, 60), names)])
    return model.eval()


def with_speaker(data: Batch, names: tuple[str, ...]) -> Batch:
    """The batch with a speaker of other channels."""
    channels = dict(data.speaker.channels)
    if "wav2vec2" in names:
        ticks = (len(data), data.speaker.frames * 2, STANDARD["wav2vec2"].size)
        channels["wav2vec2"] = torch.randn(ticks, generator=torch.Generator().manual_seed(0))
    return replace(data, speaker=Behaviour.of(channels, lengths=data.speaker.lengths))


def speaker_of(frames: int, speech: str = "mfcc78", seed: int = 0) -> Behaviour:
    one = person(frames, seed=seed)
    if speech != "wav2vec2":
        return one
    generator = torch.Generator().manual_seed(seed)
    ticks = torch.randn(frames * 2, STANDARD["wav2vec2"].size, generator=generator)
    return Behaviour.of({**one.channels, "wav2vec2": ticks})


# ---------------------------------------------------------------------- size


def test_the_published_configuration_has_the_published_size_less_its_dead_stack() -> None:
    with torch.device("meta"):
        model = ReactFace(ReactFaceConfig(face="pixels", speech="wav2vec2"))
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED - DEAD == 5_155_924


def test_its_modules_have_the_published_sizes() -> None:
    with torch.device("meta"):
        model = ReactFace(ReactFaceConfig(face="pixels", speech="wav2vec2"))

    def size(*modules: Any) -> int:
        return sum(p.numel() for m in modules for p in m.parameters())

    assert size(model.face) == 2_370_656
    assert size(model.speaker, model.speech) == 694_784
    assert size(model.interaction.latent) == 676_480
    assert size(model.interaction.fusion) == 2 * 198_784
    assert size(model.decoder, model.synchroniser) == 802_618
    assert size(model.speaker_head) == 206_266


# ---------------------------------------------------------------------- equations 10 and 11


@pytest.mark.parametrize(
    ("kind", "shares"),
    [
        ("paper", [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0]),
        ("half_pixel", [0.0, 0.0, 0.125, 0.375, 0.625, 0.875, 1.0, 1.0]),
    ],
)
def test_latents_between_two_windows_have_the_worked_shares(kind: str, shares: list[float]) -> None:
    before, after = torch.tensor([[2.0, -1.0]]), torch.tensor([[4.0, 3.0]])
    out = interpolated(before, after, 8, kind)
    assert out.shape == (1, 8, 2)
    wanted = torch.tensor([[2 + 2 * s, -1 + 4 * s] for s in shares])
    torch.testing.assert_close(out[0], wanted)


def test_momentum_blends_the_draw_with_the_last_latent() -> None:
    draw, before = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, -2.0]])
    latent, frames = made(momentum=0.75).next_latent(draw, before, 4)
    torch.testing.assert_close(latent, torch.tensor([[2.5, -1.5]]))
    torch.testing.assert_close(frames[:, -1], latent)
    torch.testing.assert_close(frames[:, 0], 0.75 * before + 0.25 * latent)
    for momentum, wanted in ((0.0, draw), (1.0, before)):
        latent, _ = made(momentum=momentum).next_latent(draw, before, 4)
        torch.testing.assert_close(latent, wanted)


def test_the_first_latent_is_the_draw_all_over_its_window() -> None:
    draw = torch.tensor([[1.0, 0.5]])
    latent, frames = made(momentum=0.9).next_latent(draw, None, 4)
    torch.testing.assert_close(latent, draw)
    torch.testing.assert_close(frames, draw[:, None].expand(-1, 4, -1))


def test_with_full_momentum_only_the_first_draw_counts() -> None:
    model = made(momentum=1.0)
    fused = model.encode(model.check_speaker(person(30, lead=(1,))))
    noise = {i: torch.randn(1, 2, 16) for i in range(4)}
    other = {0: noise[0]} | {i: torch.randn(1, 2, 16) for i in range(1, 4)}
    with torch.no_grad():
        one, _ = model.roll(fused, 2, noise.__getitem__)
        two, _ = model.roll(fused, 2, other.__getitem__)
    assert torch.equal(one, two)
    assert float((one[:, 0] - one[:, 1]).abs().max()) > 1e-3


def test_one_draw_for_the_conversation_or_a_fresh_one_every_so_many_windows() -> None:
    seeds = torch.tensor([3])
    for redraw, alike in ((0, [0, 0, 0, 0]), (1, [0, 1, 2, 3]), (2, [0, 0, 1, 1])):
        noise = made(redraw=redraw).noise_of(seeds, 2)
        drawn = [noise(i) for i in range(4)]
        for i in range(4):
            for j in range(4):
                assert torch.equal(drawn[i], drawn[j]) == (alike[i] == alike[j])


def test_temperature_scales_what_is_drawn_and_not_what_is_learned() -> None:
    seeds = torch.tensor([3])
    plain, warm = (made(temperature=t).noise_of(seeds, 2)(1) for t in (1.0, 2.5))
    torch.testing.assert_close(warm, 2.5 * plain)
    cold = made(temperature=0.0).generate(person(20), 3).pack()
    assert torch.equal(cold[0], cold[1])
    losses = []
    for t in (1.0, 2.5):
        model = made(temperature=t)
        torch.manual_seed(1)
        losses.append(float(model.loss(batch(2, 24))["reaction"].detach()))
    assert losses[0] == losses[1]


# ---------------------------------------------------------------------- the stream is the clip

VARIANTS: dict[str, dict[str, Any]] = {
    "window 4": {"window": 4},
    "window 16": {"window": 16},
    "a horizon shorter than a window": {"window": 16, "horizon": 5, "past": 3},
    "slopes": {"bias": "slopes", "horizon": 12},
    "wav2vec 2.0": {"speech": "wav2vec2", "horizon": 9, "past": 11},
    "wav2vec 2.0, point to point": {"speech": "wav2vec2", "modality": "point"},
    "speech only": {"face": "none"},
    "face only": {"speech": "none"},
    "without synchronisation": {"visual": False, "modality": "none"},
    "three encoder layers": {"latent_layers": 3, "past": 7},
    "in the space of training faces": {"subspace": 0.5},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_any_pieces_give_what_the_whole_clip_gives(name: str) -> None:
    settings = VARIANTS[name]
    model = made(**settings)
    speaker = speaker_of(45, settings.get("speech", "mfcc78"))
    whole = model.generate(speaker, 2, seeds=1)
    session = model.session(2)
    lane, parts, start = session.open(seed=1), [], 0
    for stop in (1, 2, 11, 11, 29, 45):
        parts.append(session.step({lane: speaker.window(start, stop)})[lane])
        assert parts[-1].frames == stop - start  # hop 1, latency 0
        start = stop
    streamed = Behaviour.cat(parts)
    for n in GROUPS["coefficients"]:
        torch.testing.assert_close(streamed[n], whole[n], **CLOSE)


def test_pictures_are_seen_as_they_come_and_what_is_lost_is_grey() -> None:
    model = made(face="pixels", width=8, latent_hidden=16)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (12, 3, 224, 224), dtype=torch.uint8, generator=generator)
    speaker = Behaviour.of({**person(12).channels, "pixels": pixels})
    whole = model.generate(speaker, 2, seeds=1)
    session = model.session(2)
    lane = session.open(seed=1)
    parts = [session.step({lane: speaker.window(*x)})[lane] for x in ((0, 1), (1, 5), (5, 12))]
    torch.testing.assert_close(Behaviour.cat(parts).pack(), whole.pack(), **CLOSE)
    lost = speaker.drop("face", start=3, stop=6)
    grey = pixels.clone()
    grey[3:6] = 128
    seen = Behaviour.of({**person(12).channels, "pixels": grey})
    a, b = (model.generate(x, 2, seeds=1).pack() for x in (lost, seen))
    torch.testing.assert_close(a, b, **CLOSE)
    assert float((a[:, 3] - whole.pack()[:, 3]).abs().max()) > 1e-6


def test_reactions_stay_in_the_space_in_which_the_training_listeners_move() -> None:
    model = made(subspace=0.5)
    assert model.listener_space is not None
    projection = model.listener_space.projection
    assert 0 < int(torch.linalg.matrix_rank(projection, atol=1e-4)) < 58
    out = model.listener_scale(model.coefficients(torch.randn(3, 7, 58)))
    torch.testing.assert_close(out @ projection, out, atol=1e-4, rtol=0.0)
    assert made().listener_space is None


@pytest.mark.parametrize("name", VARIANTS)
def test_frame_t_depends_on_frames_up_to_t_alone(name: str) -> None:
    settings = VARIANTS[name]
    model = made(**settings)
    one = speaker_of(40, settings.get("speech", "mfcc78"))
    two = speaker_of(40, settings.get("speech", "mfcc78"), seed=1)
    for t in (13, 16):
        changed = Behaviour.cat([one.window(0, t), two.window(t, 40)])
        a, b = (model.generate(x, 2, seeds=1).pack() for x in (one, changed))
        torch.testing.assert_close(a[:, :t], b[:, :t], **CLOSE)
        itself = float((a[:, t] - b[:, t]).abs().max()) > 1e-6
        assert itself == model.config.visual  # else it only knows what came before its window


def test_lanes_inside_windows_of_their_own_step_as_one_batch() -> None:
    model = made(window=8)
    people = [person(60, seed=i) for i in range(3)]
    alone = [model.generate(p, 2, seeds=i) for i, p in enumerate(people)]
    session = model.session(2)
    lanes = [session.open(seed=i) for i in range(3)]
    parts = [[session.step({lanes[i]: people[i].window(0, i * 3)})[lanes[i]]] for i in range(3)]
    for k in range(5):
        pieces = {
            lanes[i]: people[i].window(i * 3 + 10 * k, i * 3 + 10 * k + 10) for i in (2, 0, 1)
        }
        for i, lane in enumerate(lanes):
            parts[i].append(session.step({lane: pieces[lane]})[lane]) if k == 3 else None
        if k != 3:
            ready = session.step(pieces)
            for i, lane in enumerate(lanes):
                parts[i].append(ready[lane])
    for i in range(3):
        got = Behaviour.cat(parts[i])
        torch.testing.assert_close(got.pack(), alone[i].pack()[:, : got.frames], **CLOSE)


def test_conversations_that_come_and_go_leave_nothing_to_each_other() -> None:
    model = made()
    people = [person(60, seed=i) for i in range(5)]
    whole = [model.generate(p, 2, seeds=i).pack() for i, p in enumerate(people)]
    session = model.session(2)
    lanes = {i: session.open(seed=i) for i in range(3)}
    done = dict.fromkeys(range(5), 0)

    def step(*who: int) -> None:
        pieces = {lanes[i]: people[i].window(done[i], done[i] + 11) for i in who}
        for i, ready in zip(who, session.step(pieces).values(), strict=True):
            wanted = whole[i][:, done[i] : done[i] + 11]
            torch.testing.assert_close(ready.pack(), wanted, **CLOSE)
            done[i] += 11

    step(2, 0, 1)
    session.close(lanes[0])  # the last one takes its place
    step(1, 2)
    lanes[3] = session.open(seed=3)
    lanes[4] = session.open(seed=4)
    step(4, 1)
    session.close(lanes[4])
    snapshot = session.snapshot(lanes[1])
    session.close(lanes[1])
    step(3, 2)
    lanes[1] = session.resume(snapshot)
    step(1, 3, 2)


def test_memory_does_not_grow_with_the_conversation() -> None:
    model = made(horizon=12, past=20)
    session = model.session(1)
    lane = session.open(seed=1)
    sizes = []
    for _ in range(12):
        session.step({lane: person(25)})
        sizes.append(sum(x.numel() for x in session.snapshot(lane).values()))
    assert len(set(sizes[1:])) <= 2  # the text about it counts the frames
    assert max(sizes) - min(sizes) < 20


def test_what_a_horizon_drops_is_bounded_by_what_the_bias_left_of_it() -> None:
    """At scores within [-s, s] a horizon H takes at most e^(2 s) e^(-H / p) e / (e - 1)."""
    from visavis.nn.alignment import interaction_bias

    scores = torch.randn(400, 400, generator=torch.Generator().manual_seed(0)).clamp(-0.5, 0.5)
    frames = torch.arange(400)
    whole = (scores + interaction_bias(frames, frames, period=8)).softmax(-1)
    kept = interaction_bias(frames, frames, period=8, horizon=40).isfinite()
    dropped = float(whole.masked_fill(kept, 0.0).sum(-1).max())
    assert 0 < dropped < math.exp(1.0) * math.exp(-5.0) * math.e / (math.e - 1)


# ---------------------------------------------------------------------- losses


def rolled(data: Batch, targets: list[int]) -> Tensor:
    """Draws [B, M, T, 58] that are the real reactions with these numbers."""
    real = torch.cat([data.targets[n] for n in GROUPS["coefficients"]], -1)
    return torch.stack([real[:, i] for i in targets], dim=1)


def faces_that_fit(data: Batch) -> Batch:
    """The batch with its targets' attributes as their coefficients show them."""
    made = attributes_from_coefficients(data.targets["blendshapes"], data.targets["rotation"])
    return replace(data, targets=Behaviour.of({**data.targets.channels, **made}))


def smooth_l1(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 1, 0.5 * x**2, np.abs(x) - 0.5)


def test_eq_20_is_the_least_smooth_l1_by_brute_force() -> None:
    data = batch(3, 20, targets=4)
    data.target_mask[1, 2:] = False  # padded neighbours never win
    drawn = torch.rand(3, 20, 58)
    real = rolled(data, [0, 1, 2, 3]).numpy()
    error = smooth_l1(drawn.numpy()[:, None] - real)
    there = data.target_mask.numpy()

    def least(values: np.ndarray) -> np.ndarray:
        return np.where(there, values, 1e5).min(1)

    joint = least(error.mean((2, 3))).mean()
    apart = least(error[..., :52].mean((2, 3))) + 10 * least(error[..., 52:].mean((2, 3)))
    mask = data.target_mask
    got = appropriate_error(ReactFaceConfig(), drawn, data, mask)
    assert float(got) == pytest.approx(joint, rel=1e-5)
    got = appropriate_error(ReactFaceConfig(reconstruction="separate"), drawn, data, mask)
    assert float(got) == pytest.approx(apart.mean(), rel=1e-5)


@pytest.mark.parametrize("objective", ["paper", "appropriate"])
def test_any_appropriate_reaction_is_right_unless_the_paired_one_is_asked_for(
    objective: str,
) -> None:
    data = faces_that_fit(batch(2, 30, targets=3))
    name = "reaction" if objective == "paper" else "blendshapes"
    for target in range(3):
        draws = rolled(data, [target, target, target])
        config = ReactFaceConfig(objective=objective)  # type: ignore[arg-type]
        assert float(reaction_terms(config, draws, data)[name]) == pytest.approx(0, abs=1e-5)
        paired = ReactFaceConfig(objective=objective, reconstruction="paired")  # type: ignore[arg-type]
        error = float(reaction_terms(paired, draws, data)[name])
        assert (error < 1e-5) == (target == 0)


def test_eq_21_on_a_worked_example() -> None:
    """Three draws of two frames; squared distances 2, 8 and 10 over all 2 x 58 values."""
    draws = torch.zeros(1, 3, 2, 58)
    draws[0, 1, :, 0] = 1.0
    draws[0, 2, :, 1] = 2.0
    wanted = sum(math.exp(-d / 100) for d in (2, 8, 10)) / 3
    data = batch(1, 2)
    terms = reaction_terms(ReactFaceConfig(diversity_weight=1.0), draws, data)
    assert float(terms["diversity"]) == pytest.approx(wanted, rel=1e-6)
    alike = reaction_terms(
        ReactFaceConfig(diversity_weight=1.0), draws[:, :1].expand(-1, 3, -1, -1), data
    )
    assert float(alike["diversity"]) == pytest.approx(1.0)


def test_eq_23_leaves_a_steady_movement_alone() -> None:
    steady = torch.arange(10.0)[None, :, None].expand(2, -1, 58) * 0.1
    inside = torch.ones(2, 10, dtype=torch.bool)
    assert float(unsteadiness(steady, inside)) == pytest.approx(0.0, abs=1e-10)
    jerk = steady.clone()
    jerk[:, 5] += 0.2  # velocities change by 0.2, -0.4 and 0.2
    wanted = 0.5 * (0.2**2 + 0.4**2 + 0.2**2) / 8
    assert float(unsteadiness(jerk, inside)) == pytest.approx(wanted, rel=1e-4)
    inside[:, 5] = False
    assert float(unsteadiness(jerk, inside)) == pytest.approx(0.0, abs=1e-10)


def test_the_speaker_head_says_the_average_face_at_first() -> None:
    model = made()
    data = batch(2, 24)
    terms = model.loss(data)
    mean = model.face_scale.mean.numpy()
    real = torch.cat([data.speaker[n] for n in GROUPS["coefficients"]], -1).numpy()
    assert float(terms["speaker"].detach()) == pytest.approx(
        smooth_l1(mean - real).mean(), rel=1e-4
    )


def test_the_divergence_is_the_mean_over_windows_and_dimensions() -> None:
    model = made(kl_weight=0.5)
    terms = model.loss(batch(2, 24))
    with torch.no_grad():
        for layer in model.interaction.latent.layers:
            for norm in layer.norms:  # the tokens come out as 0: N(0, I)
                norm.weight.zero_()
                norm.bias.zero_()
    assert float(terms["kl"].detach()) == pytest.approx(0.5 * float(terms["log/kl"]))
    assert float(terms["log/kl"]) > 0.01
    assert float(model.loss(batch(2, 24))["log/kl"]) == pytest.approx(0.0, abs=1e-6)


def test_training_takes_its_own_windows_and_validation_those_of_inference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = made(window=8, training_windows=(16,))
    asked = []
    roll = model.roll
    monkeypatch.setattr(model, "roll", lambda *a, **k: asked.append(k["window"]) or roll(*a, **k))
    model.loss(batch(2, 24))
    model.train()
    model.loss(batch(2, 24))
    assert asked == [8, 16]


def test_gradients_go_back_through_the_own_past() -> None:
    """The second window's reaction moves the first window's latents: nothing is detached."""
    model = made()
    fused = model.encode(model.check_speaker(person(16, lead=(1,)))).detach()
    noise = torch.randn(1, 1, 16, requires_grad=True)
    raw, _ = model.roll(fused, 1, lambda i: noise if i == 0 else torch.zeros(1, 1, 16))
    model.interaction.own.weight.grad = None
    raw[:, :, 8:].sum().backward()
    assert model.interaction.own.weight.grad is not None
    assert float(model.interaction.own.weight.grad.abs().sum()) > 0
    assert noise.grad is not None


# ---------------------------------------------------------------------- absence


def test_an_unobserved_frame_is_the_average_one() -> None:
    model = made()
    gone = person(30).drop("face", start=10, stop=14)
    average = {n: x.clone() for n, x in person(30).channels.items()}
    widths = zip(GROUPS["coefficients"], model.face_scale.mean.split([52, 3, 3]), strict=True)
    for n, mean in widths:
        average[n][10:14] = mean
    a, b = (model.generate(x, 2).pack() for x in (gone, Behaviour.of(average)))
    torch.testing.assert_close(a, b, **CLOSE)


# ---------------------------------------------------------------------- attention maps


@pytest.mark.parametrize("speech", ["mfcc78", "wav2vec2"])
def test_attention_maps_look_back_over_the_horizon_and_never_ahead(speech: str) -> None:
    model = made(speech=speech, horizon=10)
    maps = model.attention_maps(speaker_of(30, speech), window=16)
    rate = model.rate
    assert {n: tuple(x.shape) for n, x in maps.items()} == {
        "visual": (4, 30, 30),
        "modality": (4, 30, 30 * rate),
    }
    for name, weights in maps.items():
        k = rate if name == "modality" else 1
        torch.testing.assert_close(weights.sum(-1), torch.ones(4, 30))
        behind = torch.arange(30)[:, None] - torch.arange(30 * k) // k
        assert weights[:, behind < 0].eq(0).all()
        assert weights[:, behind >= 10].eq(0).all()
        assert weights[:, (behind >= 0) & (behind < 10)].gt(0).all()


def test_attention_maps_are_of_one_clip_and_of_what_the_model_has() -> None:
    assert set(made(modality="point").attention_maps(person(12))) == {"visual"}
    with pytest.raises(InputError, match="one clip"):
        made().attention_maps(person(12, lead=(2,)))
    with pytest.raises(InputError, match="window"):
        made().attention_maps(person(12), window=0)


# ---------------------------------------------------------------------- settings


def test_a_decoder_without_a_distribution_is_refused() -> None:
    with pytest.raises(InputError, match="distribution"):
        made().decode(torch.zeros(1, 1, 2, 16), 16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 3}, "multiple of heads"),
        ({"latent_heads": 5}, "multiple of latent_heads"),
        ({"face": "none", "speech": "none"}, "nothing would be read"),
        ({"training_windows": ()}, "training_windows"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipes.new_model("reactface", settings)


ABLATIONS = {
    "speech_only": {"face": "none"},
    "face_only": {"speech": "none"},
    "neither": {"visual": False, "modality": "none"},
    "mim_only": {"visual": False},
    "vim_only": {"modality": "none"},
    "point_to_point": {"modality": "point"},
    "no_momentum": {"momentum": 0.0},
    "paired": {"reconstruction": "paired"},
    "no_speaker_loss": {"speaker_weight": 0.0},
    "no_kl_loss": {"kl_weight": 0.0},
    "no_diversity_loss": {"diversity_weight": 0.0, "coverage_weight": 0.0},
    "no_smooth_loss": {"smooth_weight": 0.0},
    "no_labels": {"reconstruction": "paired"},
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_each_ablation_of_the_paper_is_a_preset_that_can_be_laid_over_the_laptop_s(
    name: str,
) -> None:
    base = recipes.read("reactface", preset="laptop").settings
    changed = recipes.read("reactface", preset=f"laptop+{name}").settings
    different = {k: v for k, v in changed.items() if base.get(k) != v}
    assert ABLATIONS[name].items() <= different.items()
    config = ReactFaceConfig(**{**changed, **SMALL})
    assert ReactFace(config).eval().loss(batch(2, 24))
