"""BeLFusion against its published layout and counts, window by window, and by what it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.peers.belfusion import PublishedBelfusion
from tests.people import batch, person
from visavis import recipes
from visavis.behaviour import Behaviour
from visavis.models._belfusion_hearing import past_windows
from visavis.models._belfusion_losses import cut, listener_codes
from visavis.models.belfusion import Belfusion, BelfusionConfig

SMALL: dict[str, Any] = {"code": 8, "hidden": 16, "layers": 3, "window": 10, "draws": 2}
NAMES = ("au", "va", "expression")


def made(**settings: Any) -> Belfusion:
    """A small model with everything drawn, biases and ranges too."""
    torch.manual_seed(0)
    model = Belfusion(BelfusionConfig(**{**SMALL, **settings}))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    model.fit([batch(2, 60)])
    return model.eval()


def attributes(behaviour: Behaviour) -> Tensor:
    return torch.cat([behaviour[n] for n in NAMES], -1)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# ---------------------------------------------------------------------- the published one


@pytest.mark.parametrize("name", ["belfusion", "belfusion_online"])
def test_it_has_the_published_parameters(name: str) -> None:
    with torch.device("meta"):
        model = recipes.build(recipes.read(name))
    assert isinstance(model, Belfusion)
    assert count(model.denoiser) == 12_300_928
    assert count(model.autoencoder) == 242_579
    assert count(model) == 12_300_928 + 242_579


def test_its_numbers_are_those_of_the_published_layout() -> None:
    """Which encodes, denoises and decodes one sample at a time, and every step of it."""
    model = made(steps=10)
    with torch.no_grad():
        model.code_range.low.uniform_(-2, -1)
        model.code_range.high.uniform_(1, 2)
    speaker = person(30, lead=(2,))
    ours = model.generate(speaker, 3, seeds=torch.tensor([4, 5]))
    seeds = torch.tensor([4, 5]).repeat_interleave(3)
    noise = model.draw(seeds, 3, "belfusion/code", torch.arange(3).repeat(2), (8,))
    noise = noise.unflatten(0, (2, 3)).transpose(1, 2)  # [B, K, W, C]
    published = PublishedBelfusion(model)
    with torch.no_grad():
        for k in range(3):
            made_attributes, made_face = published(attributes(speaker), noise[:, k])
            torch.testing.assert_close(attributes(ours)[:, k], made_attributes, atol=1e-5, rtol=0)
            face = ours["blendshapes"][:, k]
            torch.testing.assert_close(face, made_face[..., :52].clamp(0, 1), atol=1e-5, rtol=0)


def test_a_window_answers_its_own_window_alone() -> None:
    model, one, two = made(), person(40, seed=1), person(40, seed=2)
    changed = Behaviour.cat([one.window(0, 10), two.window(10, 20), one.window(20, 40)])
    apart = (attributes(model.generate(one, 2)) - attributes(model.generate(changed, 2))).abs()
    moved = apart.unflatten(1, (4, 10)).amax((0, 2, 3))
    assert moved[[0, 2, 3]].max() < 1e-6 < 1e-4 < moved[1]


def test_online_a_window_answers_the_one_before_and_the_first_answers_nobody() -> None:
    model, one, two = made(online=True), person(40, seed=1), person(40, seed=2)
    changed = Behaviour.cat([two.window(0, 10), one.window(10, 40)])
    apart = (attributes(model.generate(one, 2)) - attributes(model.generate(changed, 2))).abs()
    moved = apart.unflatten(1, (4, 10)).amax((0, 2, 3))
    assert moved[[0, 2, 3]].max() < 1e-6 < 1e-4 < moved[1]
    assert model.session().latency == 0
    assert made().session().latency == 9


# ---------------------------------------------------------------------- what is ours


def test_with_context_the_windows_before_are_heard_too() -> None:
    model = made(listens="frames", context=1)
    assert model.inputs == ("attributes", "mfcc78")
    one, two = person(40, seed=1), person(40, seed=2)
    changed = Behaviour.cat([one.window(0, 10), two.window(10, 20), one.window(20, 40)])
    apart = (attributes(model.generate(one, 2)) - attributes(model.generate(changed, 2))).abs()
    moved = apart.unflatten(1, (4, 10)).amax((0, 2, 3))
    assert moved[[0, 3]].max() < 1e-6 < 1e-5 < moved[[1, 2]].min()


def test_windows_of_the_past_hold_the_frames_they_name() -> None:
    heard = torch.arange(1.0, 8.0)[None, :, None]
    own = past_windows(heard, 3, 0, late=False)[0, ..., 0]
    assert own.tolist() == [[1, 2, 3], [4, 5, 6], [7, 0, 0]]
    context = past_windows(heard, 3, 1, late=False)[0, ..., 0]
    assert context.tolist() == [[0, 0, 0, 1, 2, 3], [1, 2, 3, 4, 5, 6], [4, 5, 6, 7, 0, 0]]
    late = past_windows(heard, 3, 0, late=True)[0, ..., 0]
    assert late.tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]


def test_blended_windows_begin_where_the_one_before_would_have_gone() -> None:
    plain, blended = made(), made(blend=4)
    speaker = person(40)
    jumps = []
    for model in (plain, blended):
        moved = attributes(model.generate(speaker, 4)).diff(dim=1).abs().mean((0, 2))
        jumps.append(float(moved[9::10].mean() / moved.mean()))
    assert jumps[1] < 0.7 * jumps[0]
    inside = attributes(plain.generate(speaker, 2)) - attributes(blended.generate(speaker, 2))
    assert float(inside[:, 14:20].abs().max()) < 1e-6  # past the seam nothing changes


def test_a_shared_draw_makes_windows_of_a_conversation_alike() -> None:
    speaker = Behaviour.cat([person(10)] * 4)
    answers = []
    for share in (0.0, 1.0):
        made_attributes = attributes(made(share=share).generate(speaker, 3))
        windows = made_attributes.unflatten(1, (4, 10))
        answers.append(float((windows[:, 1:] - windows[:, :1]).abs().max()))
    assert answers[1] < 1e-6 < 1e-3 < answers[0]


@pytest.mark.parametrize("coder", ["recurrent", "convolutions"])
@pytest.mark.parametrize("online", [False, True])
def test_everything_of_ours_streams_as_the_whole_clip(online: bool, coder: str) -> None:
    settings = {"listens": "frames", "context": 2, "blend": 3, "share": 0.5}
    model = made(online=online, coder=coder, **settings)
    speaker = person(57)
    session = model.session(2)
    lane = session.open(seed=3)
    parts = [session.step({lane: w})[lane] for w in speaker.windows(7)]
    parts.append(session.flush(lane))
    whole = attributes(model.generate(speaker, 2, seeds=3))
    torch.testing.assert_close(attributes(Behaviour.cat(parts)), whole, atol=1e-5, rtol=1e-4)


def test_fewer_steps_are_another_answer_of_the_same_model() -> None:
    many, few = made(steps=10), made(steps=10, sampling_steps=2, solver="dpm")
    few.load_state_dict(many.state_dict())
    one, other = (attributes(m.generate(person(20), 2)) for m in (many, few))
    assert one.shape == other.shape
    assert float((one - other).abs().max()) > 1e-4


def test_without_temperature_all_reactions_are_one() -> None:
    cold = attributes(made(temperature=0.0).generate(person(20), 3))
    warm = attributes(made().generate(person(20), 3))
    assert float((cold - cold[:1]).abs().max()) < 1e-6 < 1e-3 < float((warm - warm[:1]).abs().max())


# ---------------------------------------------------------------------- training


def test_a_window_with_a_tail_goes_on_into_the_next() -> None:
    listener = batch(1, 24).listener
    plain, longer = cut(listener, NAMES, 10), cut(listener, NAMES, 10, 3)
    assert longer.values.shape == (3, 13, 25)
    assert torch.equal(longer.values[:, :10], plain.values)
    assert torch.equal(longer.values[0, 10:], plain.values[1, :3])
    assert torch.equal(longer.counts, plain.counts)
    assert longer.mask.sum(1).tolist() == [13, 13, 4]


def test_frames_behind_a_windows_end_are_not_read() -> None:
    coder = made(coder="convolutions").autoencoder
    window = torch.rand(2, 10, 25)
    window[1, :6] = window[0, :6]
    means = coder.encode(window, torch.tensor([6, 6])).mean
    torch.testing.assert_close(means[0], means[1])
    seven = coder.encode(window, torch.tensor([7, 7])).mean
    assert float((means[0] - seven[0]).abs().max().detach()) > 1e-3


def test_windows_of_a_batch_know_their_frames() -> None:
    windows = cut(batch(2, 24, lengths=[24, 7]).listener, NAMES, 10)
    assert windows.counts.tolist() == [10, 10, 4, 7, 0, 0]
    assert windows.mask.sum(1).tolist() == windows.counts.tolist()
    assert windows.values.shape == (6, 10, 25)


def test_the_codes_range_is_that_of_the_training_listeners() -> None:
    model = made()
    dyads = [batch(2, 30, seed=i) for i in range(3)]
    model.prepare("autoencoder", dyads)
    assert float(model.code_range.high.max()) == 1.0
    model.prepare("diffusion", dyads)
    codes = torch.cat([listener_codes(model, b.listener).seen for b in dyads])
    scaled = model.code_range(codes)
    assert float(scaled.min()) == pytest.approx(-1, abs=1e-5)
    assert float(scaled.max()) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(model.code_range.back(scaled), codes, atol=1e-5, rtol=0.0)


def trained(model: Belfusion, stage: str, steps: int, rate: float) -> tuple[float, float]:
    """The loss of one batch before and after."""
    (objective,) = model.objectives(stage)
    optimizer = torch.optim.Adam(objective.parameters, lr=rate)
    dyads, losses = batch(4, 40), []
    for _ in range(steps):
        torch.manual_seed(1)
        loss = sum(x for n, x in objective.loss(dyads).items() if not n.startswith("log/"))
        assert isinstance(loss, Tensor)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses[0], losses[-1]


@pytest.mark.parametrize("coder", ["recurrent", "convolutions"])
def test_each_stage_learns_and_leaves_the_other_alone(coder: str) -> None:
    model = made(coder=coder)
    before = {n: x.clone() for n, x in model.state_dict().items()}
    first, last = trained(model, "autoencoder", 40, 1e-2)
    assert last < 0.7 * first
    model.prepare("diffusion", [batch(4, 40)])
    middle = {n: x.clone() for n, x in model.state_dict().items()}
    first, last = trained(model, "diffusion", 60, 1e-2)
    assert last < 0.7 * first
    for name, x in model.state_dict().items():
        autoencoder = name.startswith("autoencoder")
        if name.startswith("denoiser"):
            assert torch.equal(before[name], middle[name])
        if autoencoder:
            assert torch.equal(x, middle[name])


def test_all_appropriate_listeners_may_be_learned_from() -> None:
    terms = made(objective="appropriate").objectives("diffusion")[0].loss(batch(2, 40))
    assert set(terms) == {"code", "begun/agreement", "begun/attributes", "begun/coefficients"}
    assert set(made().objectives("diffusion")[0].loss(batch(2, 40))) == {
        "code",
        "decoded",
        "log/code",
    }


def test_one_draw_is_the_plain_loss_and_more_draws_cost_less() -> None:
    costs = []
    for draws in (1, 10):
        torch.manual_seed(0)
        model = made(draws=draws)
        terms = model.objectives("diffusion")[0].loss(batch(8, 40))
        costs.append(float(terms["code"].detach() / terms["log/code"]))
    assert costs[0] == pytest.approx(model.config.code_weight)
    assert costs[1] < 0.95 * costs[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampling_steps": 11}, "sampling_steps"),
        ({"steps": 0}, "steps"),
        ({"blend": 51}, "blend"),
        ({"context": 1}, "context needs"),
        ({"share": 1.5}, "share"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BelfusionConfig(**settings)


@pytest.mark.parametrize("preset", ["laptop", "k1"])
@pytest.mark.parametrize("name", ["belfusion", "belfusion_online"])
def test_the_presets_build(name: str, preset: str) -> None:
    recipe = recipes.read(name, preset=preset)
    assert [s.name for s in recipe.plan] == ["autoencoder", "diffusion"]
    assert isinstance(recipes.build(recipe), Belfusion)
