"""REGNN against its published layout, its counts, its round trip, and what its losses ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.peers.regnn import PublishedREGNN
from tests.people import batch, person
from visavis.behaviour import Behaviour
from visavis.channels import Channel, Layout
from visavis.errors import InputError, OfflineOnly
from visavis.models._outputs import attributes_in_range
from visavis.models._regnn_cognitive import as_codes, as_tokens
from visavis.models._regnn_losses import apart, point_terms, targets_of
from visavis.models._regnn_motor import Motor
from visavis.models.regnn import REGNN, REGNNConfig
from visavis.nn.graph import balance
from visavis.nn.invertible import every_direction
from visavis.nn.windows import unfold
from visavis.recipes import new_model

SMALL: dict[str, Any] = {
    "width": 16,
    "heads": 2,
    "layers": 1,
    "window": 10,
    "stride": 5,
    "edge_channels": 3,
    "dropout": 0.0,
    "components": 3,
}
CLOSE = {"atol": 1e-5, "rtol": 0.0}


def made(scale: float = 0.2, **settings: Any) -> REGNN:
    """A small model whose every parameter matters."""
    model = REGNN(REGNNConfig(**{**SMALL, **settings}))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=scale)
    return model.eval()


def count(module: nn.Module | None) -> int:
    return 0 if module is None else sum(p.numel() for p in module.parameters())


# ---------------------------------------------------------------------- counts

PUBLISHED = 2_233_171
NEVER_CALLED = {"voice projection": 128 * 128, "LU layers": 2 * 2_525}
UNUSED_MIXTURE = 30_600


def published(**more: Any) -> REGNN:
    sizes: dict[str, Any] = {
        "face": "swin_t",
        "face_size": 768,
        "speech": "vggish",
        "speech_size": 128,
        **more,
    }
    with torch.device("meta"):
        return REGNN(REGNNConfig(**sizes))


def test_it_has_the_published_parameters_less_those_never_called() -> None:
    model = published()
    assert count(model.perceptual) == 2_139_200 - NEVER_CALLED["voice projection"]
    assert count(model.cognitive) == 78_605 - UNUSED_MIXTURE
    assert count(model.motor) == 15_366 - NEVER_CALLED["LU layers"]
    assert count(model) == PUBLISHED - sum(NEVER_CALLED.values()) - UNUSED_MIXTURE == 2_181_137


def test_the_mixture_has_the_published_networks_and_puts_them_to_use() -> None:
    head = published(distribution="mixture", objective="likelihood").cognitive.mixture
    assert head is not None
    assert count(head.means) == UNUSED_MIXTURE
    assert count(head) == UNUSED_MIXTURE + 6 * 25 + 51 * 6  # widths and shares are ours


# ---------------------------------------------------------------------- the published layout


@pytest.mark.parametrize("frames", [10, 40])
def test_ours_equals_the_published_layout_which_reads_the_speaker_for_every_sample(
    frames: int,
) -> None:
    torch.manual_seed(0)
    model = made(neighbours=24, face="a", face_size=12, speech="b", speech_size=16)
    face, speech = torch.randn(1, frames, 12), torch.randn(1, frames, 16)
    seeds = torch.tensor([4])
    with torch.no_grad():
        fused = model.fuse(model.perceptual.face(face), speech)
        distribution = model.predict(fused)
        latent = model.sample(distribution, seeds, 2)
        windows = distribution.over.means.shape[1]
        eps = model._noise(seeds, 2, windows, 0)[:, 0] * model.config.noise
        peer = PublishedREGNN(model)
        cut = [unfold(x, 10, 5)[0] for x in (face, speech)]
        codes = as_codes(latent[0], 10).transpose(0, 1)  # [W, K, 25, D]
        raw = model.motor.inverse(codes, distribution.edges[0])
        for k in range(2):
            theirs = peer(*cut, eps[k]).transpose(1, 2)
            torch.testing.assert_close(raw[:, k], theirs, atol=2e-3, rtol=0)  # it stops at 1e-3


# ---------------------------------------------------------------------- motor


def edges(*lead: int) -> Tensor:
    return balance(torch.randn(*lead, 3, 25, 25).softmax(-1))


@pytest.mark.parametrize(("layers", "trained"), [(1, False), (2, False), (6, False), (2, True)])
@pytest.mark.parametrize("mapped", [False, True])
def test_reactions_come_back_from_their_codes(layers: int, mapped: bool, trained: bool) -> None:
    """With random weights, and after 200 steps that push the layers as far as they let themselves
    be pushed."""
    torch.manual_seed(layers)
    motor, e = Motor(10, 3, layers, mapped=mapped), edges(2)
    for name, parameter in motor.named_parameters():
        if "query_key" in name:
            nn.init.normal_(parameter, std=0.5)
    x = torch.rand(2, 3, 25, 10) * 2 - 1
    if trained:
        optimizer = torch.optim.Adam(motor.parameters(), 3e-3)
        for _ in range(200):
            loss = -((motor(x, e)[0] - x) ** 2).mean().clamp(max=25)
            optimizer.zero_grad(), loss.backward(), optimizer.step()
    with torch.no_grad():
        size = float(motor(x, e)[0].abs().max())
        torch.testing.assert_close(motor.inverse(motor(x, e)[0], e), x, atol=1e-4, rtol=0)
        back = motor(motor.inverse(x, e), e)[0]
        torch.testing.assert_close(back, x, atol=1e-4 * max(1.0, size), rtol=0)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("scale", [0.1, 1.0, 4.0])
def test_each_layer_s_slope_stays_below_what_is_certified(mapped: bool, scale: float) -> None:
    torch.manual_seed(0)
    motor, e = Motor(4, 3, 1, mapped=mapped), edges(1)
    branch = motor.layers[0].branch
    for parameter in branch.parameters():
        nn.init.normal_(parameter, std=scale)
    for _ in range(4):
        x = torch.randn(25, 4) * 2
        jacobian = torch.autograd.functional.jacobian(
            lambda z: branch.scale() * branch(z[None, None], e)[0, 0], x
        )
        assert float(torch.linalg.matrix_norm(jacobian.reshape(100, 100), ord=2)) < 0.9


def test_at_first_the_divisor_is_the_released_one_and_later_never_too_small() -> None:
    torch.manual_seed(0)
    branch = Motor(50, 8, 1, mapped=False).layers[0].branch
    torch.testing.assert_close(1 / branch.scale(), branch.released())
    assert 6.0 < float(branch.released()) < 6.4  # specification 2.2: 6.14
    nn.init.normal_(branch.attention.query_key.weight, std=1.0)
    assert float(1 / branch.scale()) > 2 * float(branch.released())


def test_the_motor_s_log_determinant_is_that_of_its_jacobian() -> None:
    torch.manual_seed(0)
    motor, e = Motor(2, 3, 2, mapped=True), edges(1)
    for norm in motor.norms:
        nn.init.normal_(norm.scale, std=0.3), nn.init.normal_(norm.shift)
    x = torch.randn(1, 1, 25, 2)
    got = motor(x, e, every_direction(x))[1]
    jacobian = torch.autograd.functional.jacobian(
        lambda z: motor(z[None, None], e)[0][0, 0], x[0, 0]
    )
    wanted = torch.linalg.slogdet(jacobian.reshape(50, 50)).logabsdet
    torch.testing.assert_close(got[0, 0], wanted, atol=1e-3, rtol=0)


# ---------------------------------------------------------------------- lengths and absence


def test_thirty_seconds_are_answered_whole_by_29_windows() -> None:
    model = REGNN(REGNNConfig(**{**SMALL, "window": 50, "stride": 25})).eval()
    assert model.predict(torch.zeros(1, 29 * 50, 8)).edges.shape[1] == 29
    assert model.generate(person(750), 2).frames == 750


def test_a_padded_frame_says_nothing_and_its_code_counts_for_nothing() -> None:
    model = made()
    face, speech = torch.randn(2, 1, 23, 16)
    mask = torch.arange(23)[None] < 17
    with torch.no_grad():
        fused = model.fuse(face, speech, mask)
        noise = torch.where(mask[..., None], 0.0, 9.0)
        worse = model.fuse(face + noise, speech + noise, mask)
        assert torch.equal(fused, worse)
        alone = model.fuse(face[:, :17], speech[:, :17])
        torch.testing.assert_close(fused[:, :30], alone, **CLOSE)  # three windows hold 17 frames


def test_it_streams_only_over_a_window() -> None:
    with pytest.raises(OfflineOnly, match="RollingSession"):
        made().session()


def test_channels_of_ones_own_are_read_where_files_give_them() -> None:
    own = Layout(
        (
            Channel("swin_t", tuple(f"s{i}" for i in range(6))),
            Channel("vggish", tuple(f"v{i}" for i in range(16))),
        )
    )
    speaker = Behaviour({"swin_t": torch.randn(31, 6), "vggish": torch.randn(31, 16)}, own)
    model = made(face="swin_t", face_size=6, speech="vggish", speech_size=16)
    reaction = model.generate(speaker, 2)
    assert reaction.lead == (2,) and reaction.frames == 31
    lost = speaker.drop("swin_t", start=3, stop=9)
    assert model.generate(lost, 1).pack().isfinite().all()


# ---------------------------------------------------------------------- draws


def test_tokens_are_codes_laid_side_by_side() -> None:
    codes = torch.randn(2, 3, 25, 10)
    tokens = as_tokens(codes)
    assert tokens.shape == (2, 30, 25)
    assert torch.equal(tokens[1, 14], codes[1, 1, :, 4])
    assert torch.equal(as_codes(tokens, 10), codes)


@pytest.mark.parametrize("smoothness", [0.0, 0.9, 1.0])
def test_noise_has_unit_deviation_and_the_stated_smoothness(smoothness: float) -> None:
    model = made(smoothness=smoothness)
    eps = model._noise(torch.arange(40), 5, 9, 0)  # [K, B, W, 25, D]
    assert eps.shape == (5, 40, 9, 25, 10)
    assert float(eps.std()) == pytest.approx(1, abs=0.03)
    apart_by_one = (eps[..., 1:] * eps[..., :-1]).mean() / (eps**2).mean()
    assert float(apart_by_one) == pytest.approx(smoothness, abs=0.03)
    shared = torch.equal(eps[:, :, 1:, :, :5], eps[:, :, :-1, :, 5:])
    assert shared == (smoothness > 0)  # windows that overlap have one noise


def test_a_sample_keeps_its_component_from_window_to_window() -> None:
    model = made(distribution="mixture", smoothness=1.0)
    head = model.cognitive.mixture
    assert head is not None
    with torch.no_grad():
        head.shares.weight.zero_()
        head.log_std.fill_(-9)
        for i, net in enumerate(head.means):
            net[2].weight.zero_()
            net[2].bias.fill_(100.0 * i)
        fused = torch.randn(3, 40, 8)
        latent = model.sample(model.predict(fused), torch.tensor([1, 2, 3]), 12)
    chosen = (latent.mean(-1) / 100).round().unflatten(-1, (4, 10))
    assert torch.equal(chosen, chosen[..., :1, :1].expand_as(chosen))
    assert set(chosen[..., 0, 0].flatten().tolist()) == {0.0, 1.0, 2.0}


def test_the_divergence_of_graphs_is_zero_only_for_alike_ones() -> None:
    for distribution in ("point", "mixture"):
        model = made(distribution=distribution)
        one, other = (model.predict(torch.randn(2, 30, 8)) for _ in range(2))
        assert one.kl(other).shape == one.mean.shape == (2, 30, 25)
        assert float(one.kl(one).detach().abs().max()) < 1e-5
        assert float(one.kl(other).detach().sum()) > 0


def test_attributes_end_in_their_ranges() -> None:
    made_ = attributes_in_range(torch.randn(50, 25) * 5)
    assert made_[:, :15].min() == 0 and made_[:, :15].max() == 1
    assert made_[:, 15:17].abs().max() == 1
    torch.testing.assert_close(made_[:, 17:].sum(-1), torch.ones(50))
    inside = torch.cat([torch.rand(3, 17), torch.randn(3, 8).softmax(-1)], -1)
    torch.testing.assert_close(attributes_in_range(inside), inside)


# ---------------------------------------------------------------------- objectives


def test_targets_are_cut_as_the_speaker_is_and_their_lost_frames_are_the_average() -> None:
    data = batch(2, 23, lengths=[23, 9])
    data = replace(data, targets=data.targets.drop("attributes", start=3, stop=5))
    average = torch.arange(25.0)
    targets = targets_of(data, average, 10, 5)
    assert targets.values.shape == (2, 4, 2, 25, 10)
    assert targets.there.any(-1).tolist() == [[True] * 4, [True, True, False, False]]
    real = torch.cat([data.targets.filled(n) for n in ("au", "va", "expression")], -1)
    torch.testing.assert_close(targets.values[0, 1, 1, :, 2], real[0, 1, 7])
    assert torch.equal(targets.values[0, 0, 0, :, 4], average)
    assert targets.known[0, 0, 0, 0].tolist() == [True] * 3 + [False] * 2 + [True] * 5


def test_the_released_objective_pulls_towards_the_nearest_reaction_alone() -> None:
    torch.manual_seed(0)
    targets = targets_of(batch(2, 20, targets=3), torch.zeros(25), 10, 5)
    code = (targets.values[:, :, 1] + 0.01).clone().requires_grad_(True)
    moved = targets.values.clone().requires_grad_(True)
    terms, distance = point_terms(code, targets, moved, torch.tensor(-1.0))
    assert float(distance) == pytest.approx(1e-4, rel=1e-3)
    each = apart(code[:, :, None], moved, targets)
    assert each.argmin(-1).eq(1).all()
    (gradient,) = torch.autograd.grad(terms["nearest"], moved, retain_graph=True)
    assert gradient[:, :, 1].abs().sum() > 0
    assert gradient[:, :, [0, 2]].abs().sum() == 0
    near, _ = point_terms(code, targets, moved, torch.tensor(1.0))
    assert float(near["nearest"]) == 0  # near enough asks for nothing
    same = targets.values[:, :, :1].expand_as(targets.values)
    assert float(point_terms(code, targets, same, torch.tensor(-1.0))[0]["middle"]) < 1e-10


def test_after_a_hundred_batches_a_third_of_the_usual_distance_is_enough() -> None:
    model = made().train()
    assert float(model._enough()) == -1
    for _ in range(100):
        model._remember(torch.tensor(0.6))
    assert float(model._enough()) == pytest.approx(0.2, rel=1e-4)
    model._remember(torch.tensor(0.0))
    assert float(model._enough()) < 0.2


def test_the_likelihood_is_that_of_the_change_of_variables() -> None:
    """One component, one window, every frame known: log p = log N(code) + log|det|."""
    torch.manual_seed(0)
    settings = {"distribution": "mixture", "objective": "likelihood", "components": 1}
    model = made(0.1, **settings, window=2, stride=2, edge_channels=3)
    data = batch(1, 2, targets=1)
    with torch.no_grad():
        distribution = model._read(data.speaker)
    real = torch.cat([data.targets.filled(n) for n in ("au", "va", "expression")], -1)[0, 0].T
    over = distribution.over

    def density(x: Tensor) -> Tensor:
        code = model.motor(x[None, None, None], distribution.edges)[0][0, 0, 0]
        std = over.log_std.exp().expand_as(over.means)[0, 0, 0]
        return torch.distributions.Normal(over.means[0, 0, 0], std).log_prob(code).sum()

    jacobian = torch.autograd.functional.jacobian(
        lambda x: model.motor(x[None, None, None], distribution.edges)[0][0, 0, 0], real
    )
    wanted = -(density(real) + torch.linalg.slogdet(jacobian.reshape(50, 50)).logabsdet) / 50
    got = [
        float(model.base_loss(distribution, None, data)["likelihood"].detach()) for _ in range(60)
    ]  # type: ignore[arg-type]
    mean = torch.tensor(got)
    error = 3 * float(mean.std()) / 60**0.5 + 1e-4  # of the random probes
    assert float(mean.mean()) == pytest.approx(float(wanted), abs=error)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"distribution": "mixture", "objective": "likelihood", "mapped": True},
        {"distribution": "mixture", "objective": "appropriate", "smoothness": 1.0},
    ],
)
def test_a_few_steps_on_one_batch_lower_the_loss(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model, data = REGNN(REGNNConfig(**{**SMALL, **settings})).train(), batch(2, 20, targets=2)
    model.fit([data])
    optimizer, seen = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(25):
        loss = torch.stack([x for n, x in model.loss(data).items() if "/" not in n]).sum()
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        seen.append(float(loss.detach()))
    assert sum(seen[-3:]) < sum(seen[:3])


@pytest.mark.parametrize("objective", ["published", "appropriate"])
def test_what_is_not_known_of_the_listener_is_not_learnt_from(objective: str) -> None:
    model = made(objective=objective)
    data = batch(2, 23, lengths=[23, 12])
    dropped = replace(data, targets=data.targets.drop("attributes", start=5, stop=9))
    values = []
    for behind in (0.0, 1e3):
        channels = {
            n: torch.where(x.isnan(), behind, x) for n, x in dropped.targets.channels.items()
        }
        hidden = replace(dropped.targets)
        object.__setattr__(hidden, "channels", channels)
        torch.manual_seed(0)
        terms = model.loss(replace(dropped, targets=hidden))
        values.append({n: float(x.detach()) for n, x in terms.items()})
    assert values[0] == pytest.approx(values[1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"face": "swin_t"}, "swin_t.*needs its size"),
        ({"speech": "mfcc78", "speech_size": 3}, "mfcc78.*78 numbers, not 3"),
        ({"width": 20, "heads": 4}, "twice the heads"),
        ({"stride": 60}, "stride"),
        ({"objective": "likelihood"}, "mixture"),
        ({"nosie": 0.1}, "'noise'"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        new_model("regnn", settings)
