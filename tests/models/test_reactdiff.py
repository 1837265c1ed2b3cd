"""ReactDiff: published counts, windows, scales, seams, and what each of its options does."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.peers.reactdiff import PublishedReactDiff
from tests.people import batch, person
from visavis import pretrained, recipes
from visavis.behaviour import Behaviour
from visavis.channels import Layout
from visavis.errors import InputError, MissingChannel, OfflineOnly
from visavis.models._reactdiff_config import DiffusionSpec
from visavis.models._reactdiff_distil import followed
from visavis.models._reactdiff_inputs import PUBLISHED
from visavis.models._reactdiff_latent import (
    LatentScale,
    LatentStatistics,
    blend_weights,
    blended,
    windows,
)
from visavis.models._reactdiff_losses import Windows, cut_windows
from visavis.models._reactdiff_mmt import as_channels
from visavis.models._reactdiff_online import advance, begin
from visavis.models._reactdiff_sampling import FLOW_SCALE, levels, sample
from visavis.models.reactdiff import ReactDiff

CLOSE = {"atol": 1e-5, "rtol": 0.0}
TINY: dict[str, dict[str, Any]] = {
    "transformer": {"width": 16, "latent": 8},
    "denoiser": {"width": 8, "multipliers": (1, 2), "blocks": 1, "condition": 16},
    "diffusion": {},
}
LIVELY = {"zero_start": False}


def made(**settings: Any) -> ReactDiff:
    """A tiny model; settings of a part are laid over its own."""
    parts = {part: {**TINY[part], **settings.pop(part, {})} for part in TINY}
    torch.manual_seed(0)
    return recipes.new_model("reactdiff", {**parts, **settings}).eval()


def count(module: nn.Module | None) -> int:
    return 0 if module is None else sum(p.numel() for p in module.parameters())


def on_meta(preset: str) -> ReactDiff:
    with torch.device("meta"):
        model: ReactDiff = recipes.build(recipes.read("reactdiff", preset=preset))
    return model


# ---------------------------------------------------------------------- counts

PUBLISHED_MMT, DEAD_MMT = 124_986_707, 280_320
"""Of the release; second norms of 8 cross-attentions (16,384) and a perceptron (263,936)."""


def test_the_released_preset_has_the_published_parameters_less_the_dead_ones() -> None:
    model = on_meta("released")
    assert model.denoiser is not None
    assert count(model.encoder) + count(model.decoder) == 124_706_387 == PUBLISHED_MMT - DEAD_MMT
    assert count(model.denoiser.unet) == 404_312_626
    assert count(model.denoiser) - count(model.denoiser.unet) == 13_110_272
    assert model.turn is None
    assert count(model) == 542_129_285


def test_the_paper_s_preset_has_latents_of_128() -> None:
    model = on_meta("paper")
    assert model.denoiser is not None
    assert model.config.transformer.latent == 128
    transformer = count(model.encoder) + count(model.decoder)
    assert (transformer, count(model.denoiser.unet)) == (PAPER_MMT, 404_312_626)
    assert count(model.denoiser) - count(model.denoiser.unet) == 6_556_672


PAPER_MMT = 121_659_219


def test_the_compact_recipe_drops_no_module_and_the_laptop_s_weight_fits() -> None:
    compact = recipes.build(recipes.read("reactdiff"))
    assert count(compact) <= 40_000_000
    laptop = recipes.build(recipes.read("reactdiff", preset="laptop"))
    for model in (compact, laptop):
        assert model.denoiser is not None
        assert {type(m).__name__ for m in model.modules()} >= {
            *("CrossBlock", "DecoderLayer", "UNet1d", "ResidualBlock", "SelfAttention"),
        }
    assert sum(x.numel() for x in laptop.state_dict().values()) * 2 <= 4_000_000


# ---------------------------------------------------------------------- the published layout


def test_offline_equals_the_published_layout() -> None:
    """Stock layers, a sample a pass, the speaker encoded anew; normalised correctly. (To 1e-4: the
    first step multiplies rounding by 406, specification 1.5.)"""
    model = made(
        transformer={"positions": "off", "activations": False},
        denoiser={**LIVELY, "multipliers": (1, 2, 2)},
        diffusion={"overlap": 0, "prediction": "epsilon"},
    )
    model.prepare("diffusion", [batch(2, 60)])
    speaker, seeds = person(100, lead=(2,)), torch.tensor([3, 4])
    drawn = [model.draw(seeds, 2, "reactdiff/start", i, (50, 8)) for i in range(2)]
    noise = torch.stack(drawn, dim=2)  # [B, K, windows, 50, d]
    published = PublishedReactDiff(model)
    ours = model.generate(speaker, 2, seeds=seeds)
    with torch.no_grad():
        for k in range(2):
            theirs = published(speaker, noise[:, k].flatten(0, 1))
            raw = {"coefficients": theirs[..., :58], "attributes": theirs[..., 58:]}
            for name, values in as_channels(raw).items():
                torch.testing.assert_close(ours[name][:, k], values, atol=1e-4, rtol=0)


# ---------------------------------------------------------------------- windows and scales


def test_window_w_of_clip_b_is_row_15_b_plus_w() -> None:
    x = torch.arange(2 * 750 * 3, dtype=torch.float32).reshape(2, 750, 3)
    rows = windows(x, 50, 50).flatten(0, 1)
    assert rows.shape == (30, 50, 3)
    for clip, window in ((0, 0), (0, 14), (1, 3)):
        assert torch.equal(rows[15 * clip + window], x[clip, 50 * window : 50 * window + 50])
    weights = blend_weights(torch.tensor([750, 750]), 15, 50, 50)
    assert torch.equal(blended(rows.unflatten(0, (2, 15)), weights, 50), x)


@pytest.mark.parametrize("hop", [7, 25, 40, 50])
def test_overlapping_windows_of_a_clip_blend_back_into_it(hop: int) -> None:
    x = torch.randn(2, 3 * hop + 50, 4)
    weights = blend_weights(torch.tensor([3 * hop + 50, hop]), 4, 50, hop)
    back = blended(windows(x, 50, hop), weights, hop)
    torch.testing.assert_close(back[0], x[0], **CLOSE)
    torch.testing.assert_close(back[1, :hop], x[1, :hop], **CLOSE)


def test_where_windows_overlap_no_seam_is_left() -> None:
    """Windows that disagree by 1 meet in steps of 1 / 11, not of 1."""
    parts = torch.tensor([0.0, 1.0, 0.0])[None, :, None, None].expand(1, 3, 50, 1)
    for hop, step in ((50, 1.0), (40, 1 / 11)):
        clip = blended(parts, blend_weights(torch.tensor([150]), 3, 50, hop), hop)
        assert float(clip.diff(dim=1).abs().max()) == pytest.approx(step, abs=1e-5)


def test_normalising_maps_what_was_fitted_into_one_and_back() -> None:
    scale, seen = LatentScale(2, "range"), LatentStatistics(2)
    rows = torch.tensor([[-2.0, 5.0], [0.0, 5.0], [3.0, 5.0]])
    seen.update(rows)
    seen.write_to(scale)
    # the released map, without its brackets, gives -1, 3, 9 here
    torch.testing.assert_close(scale(rows)[:, 0], torch.tensor([-1.0, -0.2, 1.0]))
    assert torch.equal(scale(rows)[:, 1], torch.zeros(3))  # what does not vary is only centred
    for kind in ("range", "moments", "shared"):
        other, x = LatentScale(8, kind), torch.randn(500, 8) * 3 + 1  # type: ignore[arg-type]
        statistics = LatentStatistics(8)
        for piece in x.split(70):
            statistics.update(piece)
        statistics.write_to(other)
        torch.testing.assert_close(other.back(other(x)), x, atol=1e-5, rtol=1e-6)
        ends = other(x).abs().amax(0)
        if kind == "range":
            torch.testing.assert_close(ends, torch.ones(8), **CLOSE)
        elif kind == "moments":
            torch.testing.assert_close(other(x).std(0, correction=0), torch.ones(8), **CLOSE)
        else:
            assert len(set(other.spread.tolist())) == 1
            assert float(other(x).var(0, correction=0).mean()) == pytest.approx(1.0, abs=1e-4)


def test_the_statistics_are_learnt_before_the_second_stage_and_saved(tmp_path: Path) -> None:
    model = made(diffusion={"scale": "range"})
    data = [batch(2, 60, seed=i) for i in range(2)]
    model.fit(data)
    model.prepare("transformer", data)
    assert torch.equal(model.scale.spread, torch.ones(8))
    model.prepare("diffusion", data)
    with torch.no_grad():
        latents = torch.cat([model.encode(b.listener, None, speaking=False) for b in data])
    assert float(model.scale(latents).abs().max()) == pytest.approx(1.0, abs=1e-4)
    back = pretrained.load(pretrained.save(model, tmp_path / "saved"))
    assert torch.equal(back.scale.centre, model.scale.centre)
    assert torch.equal(back.speaker_scale.spread, model.speaker_scale.spread)


# ---------------------------------------------------------------------- the transformer


def shuffled(positions: str) -> tuple[Tensor, Tensor]:
    """Latents of a clip with its frames shuffled, and its latents shuffled."""
    model = made(transformer={"positions": positions})
    clip, order = person(60, lead=(1,)), torch.randperm(60)
    turned = Behaviour({n: x[:, order] for n, x in clip.channels.items()}, clip.layout)
    with torch.no_grad():
        first = model.encode(turned, None, speaking=True)
        second = model.encode(clip, None, speaking=True)[:, order]
        return model.decode(first, None)["attributes"], model.decode(second, None)["attributes"]


def test_without_positions_a_shuffled_clip_gives_shuffled_reactions() -> None:
    torch.testing.assert_close(*shuffled("off"), **CLOSE)


def test_with_positions_it_does_not() -> None:
    first, second = shuffled("decay")
    assert float((first - second).abs().max()) > 1e-3


def test_the_speaker_is_encoded_once_for_ten_samples() -> None:
    model, calls = made(), []
    model.encoder.register_forward_hook(lambda *_: calls.append(1))
    assert model.generate(person(60), 10).lead == (10,)
    assert len(calls) == 1


def test_nothing_drops_out_while_sampling() -> None:
    model = made(transformer={"dropout": 0.5}, denoiser=LIVELY).train()
    speaker = person(60)
    assert torch.equal(model.generate(speaker, 2).pack(), model.generate(speaker, 2).pack())


# ---------------------------------------------------------------------- the denoiser


def test_the_noise_levels_are_the_specification_s() -> None:
    bars = levels(made().config.diffusion)
    told = [0.992007, 0.972093, 0.940739, 0.0240917, 0.00605964, 6.05964e-6]
    found = bars[[0, 1, 2, 17, 18, 19]].tolist()
    assert found == pytest.approx(told, rel=1e-5)


@pytest.mark.parametrize("layout", ["frames_as_channels", "time"])
def test_before_it_has_learnt_the_denoiser_predicts_no_noise(layout: str) -> None:
    model = made(denoiser={"layout": layout})
    shown = torch.randn(3, 50, 8)
    with torch.no_grad():
        given = model.predict(torch.randn(3, 50, 8), torch.arange(3), shown, None)
    assert torch.equal(given, torch.zeros(3, 50, 8))


def test_the_speaker_s_vector_changes_what_is_drawn() -> None:
    model = made(denoiser=LIVELY)
    x, steps = torch.randn(2, 50, 8), torch.tensor([3, 3])
    with torch.no_grad():
        one = model.predict(x, steps, torch.randn(2, 50, 8), None)
        other = model.predict(x, steps, torch.randn(2, 50, 8), None)
    assert float((one - other).abs().max()) > 1e-4


SAMPLERS = [
    ("ddim", "epsilon", 20),
    ("ddim", "x0", 20),
    ("dpm_solver", "v", 5),
    ("dpm_solver_sde", "x0", 8),
    ("flow_euler", "flow", 4),
    ("flow_heun", "flow", 2),
]


@pytest.mark.parametrize(("sampler", "prediction", "taken"), SAMPLERS)
def test_a_denoiser_that_knows_the_answer_gives_it_under_every_sampler(
    sampler: str, prediction: str, taken: int
) -> None:
    spec = replace(made().config.diffusion, sampler=sampler, prediction=prediction, taken=taken)
    clean = torch.rand(2, 50, 8, dtype=torch.float64) * 2 - 1
    bars = levels(spec)

    def oracle(x: Tensor, t: Tensor) -> Tensor:
        if prediction == "flow":
            return (x - clean) / (t[:, None, None] / FLOW_SCALE)
        level = bars[t].reshape(-1, 1, 1)
        noise = (x - level.sqrt() * clean) / (1 - level).sqrt()
        if prediction == "v":
            return level.sqrt() * noise - (1 - level).sqrt() * clean
        return noise if prediction == "epsilon" else clean

    drawn = sample(spec, oracle, lambda stream: torch.randn(2, 50, 8, dtype=torch.float64))
    torch.testing.assert_close(drawn, clean, atol=1e-8, rtol=0)


@pytest.mark.parametrize(("sampler", "prediction", "taken"), SAMPLERS)
def test_sampling_begins_at_the_step_that_training_calls_pure_noise(
    sampler: str, prediction: str, taken: int
) -> None:
    spec = replace(made().config.diffusion, sampler=sampler, prediction=prediction, taken=taken)
    asked = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        asked.append(float(t[0]))
        return x

    sample(spec, network, lambda stream: torch.randn(2, 50, 8))
    assert asked[0] == (FLOW_SCALE if prediction == "flow" else spec.steps - 1)
    assert all(a > b for a, b in itertools.pairwise(asked[:2]))


@pytest.mark.parametrize(("sampler", "prediction", "taken"), SAMPLERS)
def test_every_sampler_reacts_and_k_reactions_begin_with_the_same_ones(
    sampler: str, prediction: str, taken: int
) -> None:
    model = made(
        denoiser=LIVELY,
        diffusion={"sampler": sampler, "prediction": prediction, "taken": taken, "overlap": 10},
    )
    three = model.generate(person(60), 3, seeds=4).pack()
    two = model.generate(person(60), 2, seeds=4).pack()
    torch.testing.assert_close(three[:2], two, **CLOSE)
    assert float((three[0] - three[2]).abs().max()) > 1e-4


def test_fewer_steps_or_another_sampler_take_the_same_weights() -> None:
    model = made(denoiser=LIVELY, diffusion={"prediction": "x0"})
    quick = model.sampled(sampler="dpm_solver", taken=4)
    assert quick.config.diffusion.taken == 4
    assert model.config.diffusion.taken == 20
    assert quick.state_dict().keys() == model.state_dict().keys()
    speaker = person(60)
    assert not torch.equal(quick.generate(speaker, 1).pack(), model.generate(speaker, 1).pack())
    for sampler, taken, message in (
        ("flow_euler", 4, "is sampled by ddim"),
        ("ddim", 0, "greater than 0"),
        ("ddim", 40, "at most the 20 steps"),
        ("heun", 4, "'ddim'"),
    ):
        with pytest.raises(InputError, match=message):
            model.sampled(sampler=sampler, taken=taken)


def test_guidance_of_nothing_and_of_one_are_the_two_models() -> None:
    settings = {"condition_dropout": 0.1, "prediction": "x0", "taken": 2}
    model = made(denoiser=LIVELY, diffusion=settings)
    none = made(denoiser=LIVELY, diffusion={**settings, "guidance": 0.0})
    one, other = person(60, seed=1), person(60, seed=2)
    assert not torch.equal(model.generate(one, 1).pack(), model.generate(other, 1).pack())
    torch.testing.assert_close(none.generate(one, 1).pack(), none.generate(other, 1).pack())


# ---------------------------------------------------------------------- windows in turn, online


ONLINE = {"overlap": 40, "seams": "past", "prediction": "x0", "taken": 2}


def test_windows_in_turn_go_on_from_the_one_before() -> None:
    """A change of the noise of the first hop is felt in the second; blended or not, a clip of any
    length is answered."""
    model = made(denoiser=LIVELY, diffusion={**ONLINE, "overlap": 25})
    shown = torch.zeros(1, 60, 8)
    with torch.no_grad():
        scaled = model.latents_in_turn(shown, None, torch.tensor([1]), 2)
        noise = model.noise(torch.tensor([1]), 2, 1)
        fresh = model.latents_next(torch.zeros(2, 25, 8), torch.zeros(1, 50, 8), None, 2, noise)
    assert scaled.shape == (2, 60, 8)
    assert float((scaled[:, 25:50] - fresh).abs().max()) > 1e-4


def test_streamed_latents_are_those_of_the_whole_clip() -> None:
    """What training sees in one pass, and what a session computes hop by hop."""
    model = made(online=True, memory=30, guess=True, diffusion=ONLINE, denoiser=LIVELY)
    clip = person(73, lead=(2,))
    with torch.no_grad():
        whole = model.encode(clip, None, speaking=True)
        streams = model.inputs_of(clip, speaking=True)
        state, last = begin(model, 2, 3), []
        for start in range(0, 73, 10):
            piece = {n: x[:, start : start + 10] for n, x in streams.items()}
            state, _ = advance(model, piece, state, torch.tensor([0, 1]), 3)
            last.append(state.shown[:, -10:])
    scaled = torch.cat(last, dim=1)[:, :73]
    torch.testing.assert_close(scaled, model.speaker_scale(whole), **CLOSE)


def test_online_latency_is_the_hop_and_offline_refuses_to_stream() -> None:
    session = made(online=True, diffusion=ONLINE).session(2)
    assert (session.hop, session.latency) == (10, 9)
    with pytest.raises(OfflineOnly):
        made().session()


# ---------------------------------------------------------------------- inputs and ablations


def test_the_published_features_are_read_from_a_file(tmp_path: Path) -> None:
    layout = Layout(tuple(PUBLISHED.values()))
    values = {c.name: torch.randn(5 * c.rate, c.size) for c in layout}
    path = Behaviour(values, layout).save(tmp_path / "speaker.safetensors")
    model = made(transformer={"features": "published"})
    assert model.inputs == ("graphau", "resmask", "elim", "wav2vec2", "mfcc26")
    assert model.generate(Behaviour.load(path), 2).frames == 5


def test_published_features_of_another_width_are_refused() -> None:
    narrow = replace(PUBLISHED["va"], labels=("a", "b"))
    layout = Layout(tuple({**PUBLISHED, "va": narrow}.values()))
    values = {c.name: torch.randn(2 * c.rate, c.size) for c in layout}
    with pytest.raises(InputError, match=r"'elim' came with 2 numbers.*wanted 64"):
        made(transformer={"features": "published"}).generate(Behaviour(values, layout))


def test_training_names_the_features_that_the_listener_lacks() -> None:
    model = made(transformer={"features": "published"})
    with pytest.raises(MissingChannel, match="listener's graphau"):
        model.loss(batch(1, 20))


@pytest.mark.parametrize(("left_out", "kept"), [("video", "mfcc78"), ("audio", "au")])
def test_without_a_modality_it_is_neither_asked_for_nor_read(left_out: str, kept: str) -> None:
    model = made(transformer={left_out: False}, denoiser=LIVELY)
    assert kept in model.inputs
    group = "face" if left_out == "video" else "speech"
    speaker = person(30)
    assert not set(model.inputs) & set(speaker.layout.resolve([group]))
    alone = speaker.without(group)
    assert torch.equal(model.generate(speaker, 1).pack(), model.generate(alone, 1).pack())


def test_without_diffusion_all_reactions_are_one() -> None:
    model = made(diffusion={"enabled": False}, guess=True)
    reactions = model.generate(person(30), 3).pack()
    assert torch.equal(reactions[0], reactions[2])
    assert [o.name for o in model.objectives()] == ["transformer"]


def test_without_the_transformer_a_frame_s_latent_is_its_own() -> None:
    model = made(transformer={"attention": False})
    clip, order = person(20, lead=(1,)), torch.randperm(20)
    turned = Behaviour({n: x[:, order] for n, x in clip.channels.items()}, clip.layout)
    with torch.no_grad():
        one = model.encode(clip, None, speaking=True)
        other = model.encode(turned, None, speaking=True)
    torch.testing.assert_close(one[:, order], other, **CLOSE)


# ---------------------------------------------------------------------- training


@pytest.mark.parametrize("objective", ["paper", "appropriate"])
def test_each_stage_trains_its_own_part(objective: str) -> None:
    model = made(guess=True, objective=objective, denoiser=LIVELY).train()
    data = batch(2, 60, lengths=[60, 33])
    first, second = (model.objectives(s)[0] for s in ("transformer", "diffusion"))
    mine, theirs = ({id(p) for p in o.parameters} for o in (first, second))
    assert not mine & theirs
    assert len(mine | theirs) == len(list(model.parameters()))
    sum(second.loss(data).values(), torch.zeros(())).backward()
    reached = {id(p) for p in model.parameters() if p.grad is not None}
    assert reached <= theirs


@pytest.mark.parametrize("seams", ["blend", "past"])
@pytest.mark.parametrize("prediction", ["x0", "flow"])
def test_what_sampling_begins_with_is_held_to_all_listeners(seams: str, prediction: str) -> None:
    diffusion = {"overlap": 10, "seams": seams, "prediction": prediction}
    diffusion |= {"sampler": "flow_euler"} if prediction == "flow" else {}
    settings = {"objective": "appropriate", "denoiser": LIVELY, "diffusion": diffusion}
    data = batch(2, 60, lengths=[60, 33])
    plain, held = made(**settings), made(begun_weight=0.5, **settings)
    begun = {f"begun/{n}" for n in ("agreement", "attributes", "coefficients")}
    assert set(plain.objectives("diffusion")[0].loss(data)) == {"diffusion"}
    terms = held.objectives("diffusion")[0].loss(data)
    assert set(terms) == {"diffusion"} | begun
    sum((terms[n] for n in begun), torch.zeros(())).backward()
    assert held.denoiser is not None
    assert all(float(p.grad.abs().sum()) > 0 for p in held.denoiser.flat.parameters())


def test_noisy_latents_cost_more_and_large_ones_are_held_small() -> None:
    data = batch(2, 60)
    clean, noisy, held = made(), made(latent_noise=3.0), made(kl_weight=2.0)
    terms, blurred, small = (
        m.objectives("transformer")[0].loss(data) for m in (clean, noisy, held)
    )
    assert not torch.equal(blurred["listener/attributes"], terms["listener/attributes"])
    both = [
        held.encode(person, None, speaking=speaking)
        for person, speaking in ((data.listener, False), (data.speaker, True))
    ]
    torch.testing.assert_close(small["kl"], torch.cat(both).square().mean())
    assert "kl" not in terms


def test_smooth_noise_goes_on_from_hop_to_hop() -> None:
    model = made(diffusion={"overlap": 10, "smooth_noise": 3.0})
    seeds = torch.arange(200)
    one, two = (model.noise(seeds, 1, i)("start") for i in (0, 1))
    across = float((one[:, -1] * two[:, 0]).mean())
    within = float((two[:, 0] * two[:, 1]).mean())
    assert within > 0.9
    assert across == pytest.approx(within, abs=0.05)
    torch.testing.assert_close(model.noise(seeds[5:6], 1, 1)("start")[0], two[5], **CLOSE)


def test_without_temperature_all_reactions_are_one() -> None:
    warm = made(denoiser=LIVELY, diffusion={"prediction": "x0"})
    cold = made(denoiser=LIVELY, diffusion={"prediction": "x0", "temperature": 0.0})
    spread = [float(m.generate(person(60), 3)["va"].std(0).max()) for m in (warm, cold)]
    assert spread[1] < 1e-6 < 1e-4 < spread[0]


def test_a_distilled_denoiser_samples_in_few_steps_and_the_first_one_in_many() -> None:
    model = made(denoiser=LIVELY, diffusion={"prediction": "x0", "distilled": True})
    assert model.student is not None

    def drawn(taken: int) -> Tensor:
        return model.sampled(sampler="ddim", taken=taken).generate(person(60), 2)["va"]

    few, many = drawn(4), (drawn(3), drawn(5))

    def changed() -> Tensor:
        with torch.no_grad():
            for parameter in model.student.parameters():
                parameter.add_(0.1)
        return drawn(4)

    assert torch.equal(changed(), few)  # it was not taught: not asked
    model.prepare("distil", [])
    torch.testing.assert_close(drawn(4), few, **CLOSE)
    assert float((changed() - few).abs().max()) > 1e-4
    assert torch.equal(drawn(3), many[0]) and torch.equal(drawn(5), many[1])


@pytest.mark.parametrize("seams", ["blend", "past"])
def test_the_student_alone_learns_where_the_teacher_ends(seams: str) -> None:
    diffusion = {"prediction": "x0", "error": "mse", "distilled": True, "seams": seams}
    model = made(denoiser=LIVELY, diffusion={**diffusion, "overlap": 10})
    (objective,) = model.objectives("distil")
    assert model.student is not None
    assert {id(p) for p in objective.parameters} == {id(p) for p in model.student.parameters()}
    optimizer, history = torch.optim.Adam(objective.parameters, lr=3e-3), []
    data = batch(2, 60, lengths=[60, 33])
    for _ in range(40):
        torch.manual_seed(1)
        (loss,) = objective.loss(data).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert history[-1] < 0.5 * history[0]
    others = (p for n, p in model.named_parameters() if not n.startswith("student"))
    assert all(p.grad is None for p in others)


def test_the_teacher_ends_where_sampling_ends() -> None:
    """A clip of one window: what is taught is what 20 steps of the model itself draw."""
    diffusion = {"prediction": "x0", "smooth_noise": 2.0, "distilled": True, "temperature": 0.6}
    model = made(denoiser=LIVELY, diffusion=diffusion)
    assert model.denoiser is not None
    spec, seeds = model.config.diffusion, torch.tensor([3])
    shown = torch.randn(1, 50, 8)
    nothing, seen = torch.zeros(1, 50, 8), torch.ones(1, 50, dtype=torch.bool)
    noise = spec.temperature * model.noise(seeds, 1, 0)("start")
    end = followed(model.denoiser, spec, Windows(nothing, seen, shown, None), noise)
    with torch.no_grad():
        drawn = model.sampled(sampler="ddim", taken=20).latents_blended(
            shown, None, seeds, 1, torch.tensor([50])
        )
    torch.testing.assert_close(end, drawn, **CLOSE)


def test_padding_costs_nothing() -> None:
    model = made(guess=True, objective="appropriate", transformer={"dropout": 0.0})
    data = batch(2, 60, lengths=[60, 33])
    terms = model.objectives("transformer")[0].loss(data)
    for who in (data.speaker, data.listener, data.targets):
        for values in who.channels.values():
            values[1, ..., 33:, :] = 7.0
    again = model.objectives("transformer")[0].loss(data)
    for name, value in terms.items():
        if "agreement" not in name:
            torch.testing.assert_close(again[name], value, **CLOSE)


@pytest.mark.slow
def test_the_autoencoder_learns_its_listener() -> None:
    model = made(transformer={"width": 32, "latent": 16, "dropout": 0.0}).train()
    data = [batch(2, 60, seed=i) for i in range(2)]
    model.fit(data)
    (objective,) = model.objectives("transformer")
    optimizer = torch.optim.AdamW(objective.parameters, lr=2e-3)
    history = []
    for i in range(80):
        loss = sum(objective.loss(data[i % 2]).values(), torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert history[-1] < 0.6 * history[0]


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.diffusion.steps=0", "steps"),
        ("model.diffusion.taken=0", "taken"),
        ("model.diffusion.taken=21", "at most the 20 steps"),
        ("model.diffusion.overlap=50", "overlap must be below"),
        ("model.diffusion.guidance=2.0", "condition_dropout"),
        ("model.diffusion.sampler=flow_heun", "sampled by"),
        ("model.diffusion.seam=past", "seam"),
        ("model.transformer.width=30", "multiple of heads"),
        ("model.online=true", "seams"),
        ("model.diffusion.smooth_noise=12", "reaches back 48 frames"),
        ("model.diffusion.prediction=epsilon", "begun_weight"),
    ],
)
def test_settings_that_do_not_fit_are_named(change: str, message: str) -> None:
    base = ["model.transformer.latent=8", "model.diffusion.overlap=10"]
    with pytest.raises(InputError, match=message):
        recipes.build(recipes.read("reactdiff", changes=[*base, change]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prediction": "epsilon"}, "distilled teaches"),
        ({"guidance": 2.0, "condition_dropout": 0.1}, "without guidance"),
        ({"sampler": "dpm_solver_sde"}, "without noise on the way"),
        ({"enabled": False}, "needs diffusion.enabled"),
    ],
)
def test_what_cannot_be_distilled_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiffusionSpec(**{"prediction": "x0", "distilled": True, **settings})


def test_frames_of_a_listener_that_were_not_seen_are_not_learnt() -> None:
    model, data = made(diffusion={"overlap": 10}), batch(2, 60)
    whole = cut_windows(model, data).seen.sum()
    seen = torch.ones(2, 60, dtype=torch.bool)
    seen[:, 20:30] = False
    lost = replace(data, listener=replace(data.listener, observed={"au": seen}))
    assert int(whole - cut_windows(model, lost).seen.sum()) == 20


def test_steps_of_none_are_named() -> None:
    with pytest.raises(InputError, match=r"taken .*greater than 0, not 0"):
        made().sampled(sampler="ddim", taken=0)
