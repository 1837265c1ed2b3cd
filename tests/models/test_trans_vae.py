"""Trans-VAE against its published layout, counts and causality, and by what it learns."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.peers.trans_vae import PublishedTransVAE
from tests.people import COEFFICIENTS, batch, person
from visavis.behaviour import Behaviour
from visavis.errors import InputError, OfflineOnly
from visavis.models._clip_decoder import HeardGaussian
from visavis.models._trans_vae_online import RECENT_S
from visavis.models.trans_vae import TransVAE, TransVAEConfig
from visavis.recipes import new_model

CLOSE = {"atol": 1e-5, "rtol": 0.0}
SMALL: dict[str, Any] = {"width": 16, "heads": 4}


def made(scale: float = 0.25, **settings: Any) -> TransVAE:
    """A small model whose every parameter matters: biases and norms are drawn too."""
    model = TransVAE(TransVAEConfig(**{**SMALL, **settings}))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=scale)
    return model.eval()


def packed(raw: dict[str, Tensor]) -> Tensor:
    names = ("blendshapes", "rotation", "translation", "au", "va", "expression")
    return torch.cat([raw[n] for n in names], -1)


def clamped(published: Tensor) -> Tensor:
    return torch.cat([published[..., :52].clamp(0, 1), published[..., 52:]], -1)


def features(frames: int, clips: int = 2, width: int = 16) -> Tensor:
    return torch.randn(clips, frames, width)


# ---------------------------------------------------------------------- counts


def count(module: nn.Module | None) -> int:
    return 0 if module is None else sum(p.numel() for p in module.parameters())


def published(**settings: Any) -> TransVAE:
    with torch.device("meta"):
        return TransVAE(TransVAEConfig(face="pixels", **settings))


PUBLISHED_OFFLINE, PUBLISHED_ONLINE, DEAD = 1_315_891, 1_670_835, 27_136


def test_offline_has_the_published_parameters_less_the_dead_fusion_layer() -> None:
    model = published()
    encoder = count(model.face) + count(model.speech) + count(model.fusion)
    decoder = sum(
        map(count, (model.latent, model.decoder, model.to_coefficients, model.to_attributes))
    )
    assert encoder == 707_296
    assert decoder == 581_459
    assert count(model) == 1_288_755 == PUBLISHED_OFFLINE - DEAD


def test_online_has_all_published_parameters_the_fusion_layer_among_them() -> None:
    model = published(online=True)
    assert model.online is not None
    assert count(model) == PUBLISHED_ONLINE
    assert count(model.online.fusion) == DEAD
    assert count(model.online) - DEAD == 354_944 == PUBLISHED_ONLINE - PUBLISHED_OFFLINE


# ---------------------------------------------------------------------- the published layout


@pytest.mark.parametrize("frames", [1, 7, 51, 131])
def test_offline_equals_the_published_layout(frames: int) -> None:
    model = made()
    x, seeds = features(frames), torch.tensor([3, 4])
    with torch.no_grad():
        ours = packed(model.react_to_features(x, seeds, 2))
        eps = model.draw(seeds, 2, "trans_vae/latent", 0, (16,))
        for k in range(2):
            theirs = clamped(PublishedTransVAE(model)(x, eps[:, k]))
            torch.testing.assert_close(ours[:, k], theirs, **CLOSE)


@pytest.mark.parametrize("redraw", [0, 1, 3])
@pytest.mark.parametrize(("frames", "window"), [(5, 8), (24, 8), (43, 8), (50, 7)])
def test_online_equals_the_published_layout_which_encodes_each_prefix_anew(
    frames: int, window: int, redraw: int
) -> None:
    """The last, partial window too; `redraw` says which windows share their noise."""
    model = made(online=True, window=window, redraw=redraw)
    x, seeds = features(frames), torch.tensor([3, 4])
    numbers = range((frames + window - 1) // window)
    index = [w // redraw if redraw else 0 for w in numbers]
    with torch.no_grad():
        ours = packed(model.react_to_features(x, seeds, 2))
        eps = [model.draw(seeds, 2, "trans_vae/latent", i, (16,)) for i in index]
        for k in range(2):
            noise = torch.stack([e[:, k] for e in eps], 1)
            theirs = clamped(PublishedTransVAE(model).forward_online(x, noise))
            torch.testing.assert_close(ours[:, k], theirs, **CLOSE)


def test_redrawn_noise_is_new() -> None:
    """Without this the comparison above would hold for a model that ignores its noise."""
    x, seeds = features(40), torch.tensor([3, 4])
    once, often = made(online=True, redraw=0), made(online=True, redraw=1)
    often.load_state_dict(once.state_dict())
    with torch.no_grad():
        a, b = (packed(m.react_to_features(x, seeds, 1)) for m in (once, often))
    torch.testing.assert_close(a[:, :, :8], b[:, :, :8], **CLOSE)
    assert float((a - b)[:, :, 8:16].abs().max()) > 1e-3


def test_a_window_as_long_as_the_clip_is_the_offline_path_with_zeros_fused() -> None:
    online, x, seeds = made(online=True, window=33), features(33), torch.tensor([1, 2])
    offline = made()
    shared = {n: p for n, p in online.state_dict().items() if not n.startswith("online.")}
    offline.load_state_dict(shared)
    assert online.online is not None
    with torch.no_grad():
        fused = online.online.fusion(torch.cat([x, torch.zeros(2, 33, 83)], -1))
        expected = packed(offline.react_to_features(fused, seeds, 2))
        torch.testing.assert_close(packed(online.react_to_features(x, seeds, 2)), expected, **CLOSE)


@pytest.mark.parametrize("n", [0, 2])
def test_online_a_changed_future_leaves_earlier_windows_alone(n: int) -> None:
    model, seeds = made(online=True, window=8), torch.tensor([1, 2])
    x = features(40)
    changed = x.clone()
    changed[:, (n + 1) * 8 :] += 5
    with torch.no_grad():
        a, b = (packed(model.react_to_features(f, seeds, 2)) for f in (x, changed))
    assert torch.equal(a[:, :, : (n + 1) * 8], b[:, :, : (n + 1) * 8])
    assert not torch.allclose(a[:, :, (n + 1) * 8 :], b[:, :, (n + 1) * 8 :], atol=1e-3)


def test_offline_every_frame_hears_the_whole_clip() -> None:
    model, seeds, x = made(), torch.tensor([1, 2]), features(20)
    changed = x.clone()
    changed[:, -1] += 5
    with torch.no_grad():
        a, b = (packed(model.react_to_features(f, seeds, 1)) for f in (x, changed))
    assert bool(((a - b).abs().amax(-1) > 1e-6).all())


def test_training_and_generating_compute_the_same() -> None:
    """Shortcuts of inference (merged linear maps, shared queries) change nothing."""
    model = made(dropout=0.0)
    latent = torch.randn(2, 3, 1, 16)
    with torch.no_grad():
        quick = model.decode(latent, 30)
    model.train()
    full = model.decode(latent, 30)
    for name in quick:
        torch.testing.assert_close(quick[name], full[name].detach(), **CLOSE)


# ---------------------------------------------------------------------- pixels


def test_pixels_give_one_feature_vector_a_frame_that_no_other_frame_touches() -> None:
    model = made(face="pixels")
    pixels = torch.randint(0, 256, (1, 3, 3, 224, 224), dtype=torch.uint8)
    other = pixels.clone()
    other[:, 1] = torch.randint(0, 256, (3, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        a, b = model.face(pixels), model.face(other)
    assert a.shape == (1, 3, 16)
    torch.testing.assert_close(a[:, [0, 2]], b[:, [0, 2]], **CLOSE)
    assert float((a - b)[:, 1].abs().max()) > 1e-3


def test_a_long_film_is_encoded_frame_by_frame_all_the_same() -> None:
    model = made(face="pixels")
    pixels = torch.randint(0, 256, (2, 35, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        whole = model.face(pixels)
        for clip, frame in ((0, 0), (0, 34), (1, 0), (1, 33)):
            alone = model.face(pixels[clip, frame][None, None])[0, 0]
            torch.testing.assert_close(whole[clip, frame], alone, **CLOSE)


def test_a_model_of_pixels_answers_frames_and_lost_frames() -> None:
    model = made(face="pixels")
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    speaker = person(2, names=("mfcc78",)).with_channels({"pixels": pixels})
    lost = speaker.drop("pixels", start=1, stop=2)
    whole, less = model.generate(speaker, 2), model.generate(lost, 2)
    assert whole.lead == (2,) and whole.frames == 2
    assert less.pack().isfinite().all()
    assert not torch.equal(whole.pack(), less.pack())


# ---------------------------------------------------------------------- horizon


def test_a_horizon_longer_than_the_clip_changes_nothing() -> None:
    x, seeds = features(50), torch.tensor([1, 2])
    forgetful, short, long = (made(online=True, past=p) for p in (9, 50, 5000))
    for model in (forgetful, short):
        model.load_state_dict(long.state_dict())
    with torch.no_grad():
        a, b, c = (packed(m.react_to_features(x, seeds, 1)) for m in (long, short, forgetful))
    assert torch.equal(a, b)
    assert c.isfinite().all()
    torch.testing.assert_close(a[:, :, :16], c[:, :, :16], **CLOSE)  # nothing forgotten yet
    assert not torch.allclose(a, c, atol=1e-4)


def test_a_long_conversation_holds_no_more_state_than_its_horizon() -> None:
    session = made(online=True, window=8, past=24).session(2)
    lane, sizes = session.open(seed=0), []
    for i in range(12):
        session.step({lane: person(8, seed=i)})
        sizes.append(sum(x.numel() for n, x in session.snapshot(lane).items() if n != "about"))
    assert sizes[0] < sizes[1] < sizes[2]
    assert set(sizes[3:]) == {sizes[2]}


def test_a_batch_holds_no_more_state_than_its_horizon_either() -> None:
    model, seeds = made(online=True, past=10), torch.tensor([1, 2])
    assert model.online is not None
    with torch.no_grad():
        state = model.online.start(model, 2, 3)
        for _ in range(3):
            state, _, _ = model.step(features(8), state, seeds, 3)
    assert {x.shape[2] for x in state.past.tensors().values()} == {10}
    assert state.filled.tolist() == [10, 10]


def test_the_offline_model_names_what_streams_it() -> None:
    with pytest.raises(OfflineOnly, match="RollingSession"):
        made().session()


# ---------------------------------------------------------------------- objectives


def draws_of(data: Any, target: int = 0) -> dict[str, Tensor]:
    """Two equal draws that are the `target`-th real reaction itself."""
    own = data.targets
    attributes = torch.cat([own.filled(n) for n in ("au", "va", "expression")], -1)[:, target]
    coefficients = torch.cat([own.filled(n) for n in COEFFICIENTS], -1)[:, target]
    return {
        "attributes": torch.stack([attributes, attributes], 1),
        "coefficients": torch.stack([coefficients, coefficients], 1),
    }


def terms(objective: str, draws: dict[str, Tensor], data: Any, **more: Any) -> dict[str, float]:
    from visavis.models._trans_vae_losses import objective_terms

    config = TransVAEConfig(objective=objective, **more)  # type: ignore[arg-type]
    out = objective_terms(config, draws, torch.tensor(2.0), data)
    return {n: float(x) for n, x in out.items()}


def test_the_paper_s_objective_is_its_formula() -> None:
    data = batch(3, 20)
    draws = {
        "attributes": torch.rand(3, 2, 20, 25) * 0.1,
        "coefficients": torch.rand(3, 2, 20, 58) * 0.1,
    }
    got = terms("paper", draws, data, kl_weight=0.5)
    real_c = torch.cat([data.listener[n] for n in COEFFICIENTS], -1).numpy()
    real_a = torch.cat([data.listener[n] for n in ("au", "va", "expression")], -1).numpy()
    attributes, coefficients = draws["attributes"].numpy(), draws["coefficients"].numpy()
    diversity = 0.0
    for values in (attributes, coefficients):
        squared = ((values[:, 0] - values[:, 1]) ** 2).reshape(3, -1).sum(1)
        diversity += np.exp(-squared / 100).mean()
    expected = {
        "attributes": ((attributes[:, 0] - real_a) ** 2).mean(),
        "blendshapes": ((coefficients[:, 0, :, :52] - real_c[..., :52]) ** 2).mean(),
        "pose": 10 * ((coefficients[:, 0, :, 52:] - real_c[..., 52:]) ** 2).mean(),
        "diversity": 10 * diversity,
        "kl": 0.5 * 2.0,
        "log/kl": 2.0,
    }
    assert got == pytest.approx(expected, rel=1e-4)


def test_the_paper_s_diversity_does_not_count_padding() -> None:
    """Draws differ in padded frames too; a short clip would look varied by its padding alone."""
    padded, alone = batch(2, 30, lengths=[30, 12]), batch(1, 12)
    generator = torch.Generator().manual_seed(0)
    draws = {
        n: torch.rand(2, 2, 30, width, generator=generator)
        for n, width in (("attributes", 25), ("coefficients", 58))
    }
    short = {n: x[1:, :, :12] for n, x in draws.items()}
    long = {n: x[:1] for n, x in draws.items()}
    each = [terms("paper", short, alone), terms("paper", long, batch(1, 30))]
    mean = sum(t["diversity"] for t in each) / 2
    assert terms("paper", draws, padded)["diversity"] == pytest.approx(mean, rel=1e-5)


RECONSTRUCTION = ("attributes", "blendshapes", "pose")


@pytest.mark.parametrize("target", [0, 1, 2])
def test_any_appropriate_reaction_is_a_right_answer(target: int) -> None:
    data = batch(2, 30, targets=3)
    right = terms("appropriate", draws_of(data, target), data)
    wrong = {n: x.flip(2) for n, x in draws_of(data, target).items()}
    worse = terms("appropriate", wrong, data)
    for name in RECONSTRUCTION:
        assert right[name] == pytest.approx(0, abs=1e-4)
        assert worse[name] > 0.01


def test_the_paper_knows_only_the_paired_listener() -> None:
    data = batch(2, 30, targets=3)
    assert terms("paper", draws_of(data, 0), data)["attributes"] == pytest.approx(0, abs=1e-9)
    assert terms("paper", draws_of(data, 1), data)["attributes"] > 0.01


def test_a_target_that_is_not_there_is_no_right_answer() -> None:
    data = batch(2, 30, targets=3)
    data.target_mask[:, 2] = False
    assert terms("appropriate", draws_of(data, 2), data)["attributes"] > 0.1


def test_equal_draws_lack_the_variety_of_the_real_listeners() -> None:
    data = batch(2, 30, targets=3)
    equal = terms("appropriate", draws_of(data, 0), data)
    apart = {
        n: torch.stack([draws_of(data, 0)[n][:, 0], draws_of(data, 1)[n][:, 0]], 1)
        for n in ("attributes", "coefficients")
    }
    assert terms("appropriate", apart, data)["variety"] < 0.5 * equal["variety"]


@pytest.mark.parametrize("objective", ["paper", "appropriate"])
def test_unobserved_and_padded_listener_frames_are_not_learnt_from(objective: str) -> None:
    data = batch(2, 30, lengths=[30, 20])
    draws = draws_of(data)
    lost = replace(
        data,
        listener=data.listener.drop("attributes", "coefficients", start=5, stop=12),
        targets=data.targets.drop("attributes", "coefficients", start=5, stop=12),
    )
    for name in draws:  # what is drawn where nothing is known costs nothing
        draws[name][:, :, 5:12] = 9.0
        draws[name][1, :, 20:] = 9.0
    got = terms(objective, draws, lost)
    assert all(np.isfinite(x) for x in got.values())
    for name in RECONSTRUCTION:
        assert got[name] == pytest.approx(0, abs=1e-4)
        assert terms(objective, draws, data)[name] > 0.01  # but it does where it is known


# ---------------------------------------------------------------------- learning


def test_fit_keeps_statistics_of_what_was_seen_and_starts_from_the_average_face() -> None:
    model = made()
    one, two = batch(2, 30, lengths=[30, 11], seed=1), batch(1, 25, seed=5)
    one = replace(one, speaker=one.speaker.drop("face", start=3, stop=9))
    model.fit([one, two])

    def rows(people: list[Behaviour], *names: str) -> np.ndarray:
        found = []
        for b in people:
            for clip in b:
                keep = torch.stack([clip.mask(n) for n in names]).all(0)
                found.append(torch.cat([clip.filled(n) for n in names], -1)[keep])
        return torch.cat(found).double().numpy()

    speakers, listeners = [one.speaker, two.speaker], [one.listener, two.listener]
    face, speech = rows(speakers, *COEFFICIENTS), rows(speakers, "mfcc78")
    assert len(face) == 30 + 11 + 25 - 6 - 6
    np.testing.assert_allclose(model.face.scale.mean, face.mean(0), atol=1e-5)
    np.testing.assert_allclose(model.face.scale.std, face.std(0), atol=1e-5)
    np.testing.assert_allclose(model.speech_scale.mean, speech.mean(0), atol=1e-5)
    np.testing.assert_allclose(model.speech_scale.std, speech.std(0), atol=1e-5)
    average = rows(listeners, *COEFFICIENTS).mean(0)
    np.testing.assert_allclose(model.to_coefficients.bias.detach(), average, atol=1e-5)


@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("objective", ["paper", "appropriate"])
def test_a_few_steps_on_one_batch_lower_the_loss(objective: Any, online: bool) -> None:
    config = TransVAEConfig(
        **SMALL, objective=objective, online=online, dropout=0.0, diversity_weight=0.0
    )
    model, data = TransVAE(config), batch(2, 24, targets=2)
    model.fit([data])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    seen = []
    for _ in range(30):
        loss = torch.stack([x for n, x in model.loss(data).items() if "/" not in n]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(float(loss.detach()))
    assert np.mean(seen[-3:]) < 0.8 * np.mean(seen[:3])


# ---------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widht": 16}, "widht.*no such key.*'width'"),
        ({"kl_wieght": 1.0}, "'kl_weight'"),
        ({"width": 10, "heads": 4}, "width must be a multiple of heads"),
        ({"window": 0}, "window"),
        ({"dropout": 1.0}, "dropout"),
        ({"objective": "papr"}, "objective.*'paper'"),
        ({"face": "audio"}, "face.*'pixels'"),
        ({"steady": 4}, "steady must be odd"),
        ({"online": True, "timed": True}, "timed and steady see the future"),
        ({"online": True, "steady": 3}, "timed and steady see the future"),
        ({"vividness": 1.1}, "vividness asks for timed"),
        ({"draws": 3}, "draws is of the offline objective"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        new_model("trans_vae", settings)


# ------------------------------------------------------------------ what was heard lately (ours)


def test_without_recency_there_is_nothing_of_it() -> None:
    state = made(online=True).online.start(made(online=True), 2, 3)  # type: ignore[union-attr]
    assert state.recent.shape == (2, 0, 16)
    assert not any("recent" in n for n, _ in made(online=True).named_parameters())


def test_recent_averages_are_those_of_a_plain_loop_whatever_the_windows() -> None:
    model = made(online=True, recency=True)
    branch = model.online
    assert branch is not None and branch.recent is not None
    x = features(20)
    slow = torch.zeros(2, len(RECENT_S), 16)
    wanted = []
    for t in range(20):
        for k, seconds in enumerate(RECENT_S):
            keep = math.exp(-1 / (25 * seconds))
            slow[:, k] = keep * slow[:, k] + (1 - keep) * x[:, t]
        wanted.append(x[:, t] + branch.recent(slow.flatten(1)))
    state, got = torch.zeros(2, len(RECENT_S), 16), []
    for start, stop in ((0, 7), (7, 8), (8, 20)):
        out, state = branch._lately(x[:, start:stop], state, None)
        got.append(out)
    torch.testing.assert_close(torch.cat(got, 1), torch.stack(wanted, 1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state, slow, atol=1e-5, rtol=1e-5)


def test_a_stream_with_recency_equals_the_clip_and_a_snapshot_goes_on() -> None:
    model = made(online=True, recency=True).eval()
    speaker = person(40, seed=3)
    whole = model.generate(speaker, 2, seeds=5)
    session = model.session(2)
    lane = session.open(seed=5)
    first = session.step({lane: speaker.window(0, 19)})[lane]
    lane = session.resume(session.snapshot(lane))
    later = [session.step({lane: speaker.window(19, 40)})[lane], session.flush(lane)]
    streamed = torch.cat([first["va"], *(p["va"] for p in later)], 1)
    torch.testing.assert_close(streamed, whole["va"], atol=1e-5, rtol=1e-5)


def test_recency_is_learnt() -> None:
    model = made(online=True, recency=True, objective="appropriate")
    data = batch(2, 16)
    sum(v for n, v in model.loss(data).items() if not n.startswith("log/")).backward()  # type: ignore[union-attr]
    branch = model.online
    assert (
        branch is not None and branch.recent is not None and branch.recent.weight.grad is not None
    )
    assert branch.recent.weight.grad.abs().sum() > 0


# ------------------------------------------------------------------ what was heard when (ours)


def test_without_timed_there_is_nothing_of_it() -> None:
    model = made()
    assert model.hearing is None
    assert not isinstance(model.predict(features(9)), HeardGaussian)


def shifted(model: TransVAE, by: int) -> tuple[Tensor, Tensor]:
    """Reactions to something that happens at frame 100 and `by` frames later, as attributes."""
    seeds = torch.tensor([1])
    found = []
    for start in (100, 100 + by):
        x = torch.zeros(1, 300, 16)
        x[:, start : start + 20] = 3.0
        with torch.no_grad():
            raw = model.react_to_features(x, seeds, 1)
        found.append(torch.cat([raw[n] for n in ("au", "va", "expression")], -1)[0, 0])
    return found[0], found[1]


def test_the_timed_decoder_moves_when_something_happens() -> None:
    torch.manual_seed(3)
    early, late = shifted(made(timed=True), 40)
    assert float((early - late).abs().max()) > 1e-3
    # the published one knows that it happened, and not when
    early, late = shifted(made(), 40)
    torch.testing.assert_close(early, late, **CLOSE)


def test_padding_changes_nothing_of_a_timed_clip() -> None:
    model, seeds, x = made(timed=True, steady=5), torch.tensor([1, 2]), features(60)
    lengths = torch.tensor([60, 37])
    with torch.no_grad():
        both = packed(model.react_to_features(x, seeds, 2, lengths=lengths))
        alone = packed(model.react_to_features(x[1:, :37], seeds[1:], 2))
    torch.testing.assert_close(both[1:, :, :37], alone, **CLOSE)


def test_timed_training_and_generating_compute_the_same() -> None:
    model, x = made(timed=True, dropout=0.0), features(30)
    with torch.no_grad():
        distribution = model.predict(x)
        latent = model.sample(distribution, torch.tensor([1, 2]), 3)
        quick = model.decode(latent, 30, distribution=distribution)
    model.train()
    full = model.decode(latent, 30, distribution=distribution)
    for name in quick:
        torch.testing.assert_close(quick[name], full[name].detach(), **CLOSE)


def test_dropout_differs_from_sample_to_sample_of_a_timed_clip() -> None:
    model, x = made(timed=True, dropout=0.5).train(), features(30)
    with torch.no_grad():
        distribution = model.predict(x)
        latent = distribution.mean[:, None, None].expand(-1, 2, -1, -1)
        raw = model.decode(latent, 30, distribution=distribution)["coefficients"]
    assert float((raw[:, 0] - raw[:, 1]).abs().max()) > 1e-3


def test_timing_is_learnt() -> None:
    model = made(timed=True, objective="appropriate", draws=3, by_group=True, coverage_weight=1.0)
    found = model.loss(batch(2, 16, targets=2))
    assert "coverage" in found
    sum(v for n, v in found.items() if not n.startswith("log/")).backward()  # type: ignore[union-attr]
    assert model.hearing is not None
    for parameter in model.hearing.parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0


def test_the_stage_mean_asks_for_no_variety() -> None:
    model = made(timed=True, objective="appropriate", coverage_weight=1.0)
    (mean,), (main,) = model.objectives("mean"), model.objectives("main")
    data = batch(2, 16, targets=2)
    assert {"variety", "coverage"} & set(mean.loss(data)) == set()
    assert {"variety", "coverage"} <= set(main.loss(data))


def test_weights_of_terms_are_those_of_the_configuration() -> None:
    data = batch(2, 30, targets=3)
    plain = terms("appropriate", draws_of(data, 0), data, coverage_weight=1.0)
    weights = {"variety_weight": 3.0, "coverage_weight": 2.0, "motion_weight": 0.5}
    got = terms("appropriate", draws_of(data, 0), data, **weights)
    for name, weight in (("variety", 3.0), ("coverage", 2.0), ("motion", 0.5)):
        assert got[name] == pytest.approx(weight * plain[name], rel=1e-5)
    assert got["pose"] == plain["pose"]


def test_vivid_reactions_are_further_from_the_average_listener_s_face() -> None:
    model, lively = made(timed=True), made(timed=True, vividness=1.5)
    data = batch(2, 20)
    model.fit([data])
    lively.load_state_dict(model.state_dict())
    rest = torch.cat([data.listener[n] for n in ("au", "va")], -1).flatten(0, 1).mean(0)
    x, seeds = features(20), torch.tensor([1, 2])
    with torch.no_grad():
        plain, more = (m.react_to_features(x, seeds, 2) for m in (model, lively))
    wanted = rest[15:] + 1.5 * (plain["va"] - rest[15:])
    torch.testing.assert_close(more["va"], wanted.clamp(-1, 1), **CLOSE)
    torch.testing.assert_close(more["expression"].sum(-1), torch.ones(2, 2, 20), **CLOSE)


def test_temperature_and_steady_change_what_is_drawn_and_nothing_else() -> None:
    model = made(timed=True)
    x, seeds = features(40), torch.tensor([1, 2])
    assert set(model.sampled_with) == {"temperature", "steady", "vividness"}

    def drawn(**settings: Any) -> dict[str, Tensor]:
        other = made(timed=True, **settings)
        other.load_state_dict(model.state_dict())
        with torch.no_grad():
            return other.react_to_features(x, seeds, 2)

    plain, cold, calm = drawn(), drawn(temperature=0.0), drawn(steady=5)
    torch.testing.assert_close(cold["va"][:, 0], cold["va"][:, 1])
    assert not torch.equal(plain["va"][:, 0], plain["va"][:, 1])
    assert torch.equal(plain["va"], calm["va"])
    torch.testing.assert_close(calm["au"][:, :, 9], plain["au"][:, :, 7:12].mean(2), **CLOSE)
