"""PerFRDiff: counts, what a window may see, and weights that are edited a listener."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from tests.people import batch, person
from visavis.dyad import Persona
from visavis.errors import InputError, MissingChannel
from visavis.models._perfrdiff_denoiser import edited_layers, targets
from visavis.models._perfrdiff_person import contrast, right
from visavis.models.perfrdiff import PerFRDiff, PerFRDiffConfig
from visavis.nn.low_rank import Dense, LowRank

CLOSE = {"atol": 1e-4, "rtol": 0.0}
SMALL: dict[str, Any] = {
    "width": 16,
    "heads": 2,
    "hidden": 16,
    "layers": 3,
    "window": 10,
    "steps": 20,
    "sampling_steps": 3,
    "style": 16,
    "style_hidden": 16,
    "style_layers": 1,
    "history": 40,
    "hypernetwork_hidden": 8,
    "rank": 2,
}


def made(*, awake: bool = True, **settings: Any) -> PerFRDiff:
    """A small model; `awake`, its shifts are not zero."""
    torch.manual_seed(0)
    model = PerFRDiff(PerFRDiffConfig(**{**SMALL, **settings}))
    model.name = "perfrdiff"
    model.fit([batch(2, 40)])
    if awake:
        for head in model.hypernetwork.ups:
            assert isinstance(head, nn.Linear)
            nn.init.normal_(head.weight, std=0.5)
    return model.eval()


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# ---------------------------------------------------------------------- counts

DENOISER, PRIOR, PERSON, HYPERNETWORK = 23_013_401, 15_630_608, 8_967_168, 1_626_880_512
"""Published (specification 9). The prior's output is dropped by the released configuration: it is
not built."""
DEAD = 2 * (25 * 512 + 512)
"""Maps of the speaker's attributes and of past listener frames, conditions that the released
configuration removes entirely."""
LATENT = 3 * 512 * (25 + 512) + 6 * 512
"""The recurrent encoder of the speaker's attributes: of the auto-encoder, what is read."""


def test_the_published_configuration_has_the_published_parameters() -> None:
    with torch.device("meta"):
        model = PerFRDiff(PerFRDiffConfig(hypernetwork="published"))
    generic = sum(map(count, (model.denoiser, model.audio, model.face)))
    assert generic == DENOISER - DEAD
    assert count(model.recurrent) == LATENT == 827_904
    assert count(model.person) == PERSON
    assert count(model.hypernetwork) == HYPERNETWORK
    assert edited_layers(7) == (4, 6)


def test_the_low_rank_hypernetwork_is_forty_times_smaller() -> None:
    with torch.device("meta"):
        low = count(PerFRDiff(PerFRDiffConfig()).hypernetwork)
    assert low == 525_312 + 1_049_600 + 1025 * 37_064
    assert HYPERNETWORK / low > 40


# ---------------------------------------------------------------------- edited weights


@pytest.mark.parametrize("kind", ["low_rank", "published"])
def test_zero_shifts_equal_the_generic_model_bit_for_bit(kind: Any) -> None:
    model, speaker = made(awake=False, hypernetwork=kind), person(25)
    who = model.persona(person(60, seed=3))
    generic = model.generate(speaker, 2).pack()
    assert torch.equal(model.generate(speaker, 2, persona=who).pack(), generic)
    awake = made(hypernetwork=kind)
    moved = awake.generate(speaker, 2, persona=awake.persona(person(60, seed=3))).pack()
    assert float((moved - generic).abs().max()) > 1e-3


@pytest.mark.parametrize("scope", ["all", "memory"])
@pytest.mark.parametrize("kind", ["low_rank", "published"])
def test_a_listener_s_shifts_are_those_weights_written_into_the_model(
    kind: Any, scope: Any
) -> None:
    model, speaker = made(hypernetwork=kind, scope=scope, guidance=2.0), person(25)
    who = model.persona(person(60, seed=3))
    edited = copy.deepcopy(model)
    with torch.no_grad():
        shifts = model.shifts(who.embedding[None])
        for number in edited_layers(3):
            cross = edited.denoiser._layers()[number].cross
            whole = shifts[f"layer{number}"].dense()[0]
            first = 0 if scope == "all" else 1
            parts = list(zip((cross.query, cross.key, cross.value), whole.split(16), strict=True))
            for layer, part in parts[first:]:
                layer.weight += part
        edited.denoiser.out.weight += shifts["out"].dense()[0]
    ours = model.generate(speaker, 2, persona=who).pack()
    torch.testing.assert_close(ours, edited.generate(speaker, 2).pack(), **CLOSE)


def test_listeners_share_a_batch_without_touching_each_other() -> None:
    model, clips = made(guidance=2.0), person(25, lead=(3,))
    people = [model.persona(person(60, seed=i)) for i in range(3)]
    many = Persona("perfrdiff", torch.stack([p.embedding for p in people]))
    seeds = torch.tensor([1, 2, 3])
    together = model.generate(clips, 2, seeds=seeds, persona=many)
    for i in range(3):
        alone = model.generate(clips[i], 2, seeds=i + 1, persona=people[i])
        torch.testing.assert_close(together[i].pack(), alone.pack(), **CLOSE)


STAGES = {"person": ("person",), "personal": ("hypernetwork",)}


@pytest.mark.parametrize("stage", ["person", "generic", "personal"])
def test_each_stage_moves_its_own_parts_alone(stage: str) -> None:
    model = made(timed=True)
    (objective,) = model.objectives(stage)
    terms = objective.loss(batch(3, 40, history=50))
    sum(x for n, x in terms.items() if not n.startswith("log/")).backward()  # type: ignore[union-attr]
    names = {id(p): n for n, p in model.named_parameters()}
    parts = {names[id(p)].partition(".")[0] for p in objective.parameters}
    generic = ("audio", "face", "recurrent", "hearing", "level", "denoiser")
    assert parts == set(STAGES.get(stage, generic))
    if stage == "personal":  # the styles are frozen, and no gradient reaches them
        assert all(p.grad is None for p in model.person.parameters())


OURS: dict[str, Any] = {
    "objective": "appropriate",
    "skip": 0.1,
    "persistence": 0.9,
    "coverage_weight": 1.0,
    "steady": 3,
}


@pytest.mark.parametrize("stage", ["mean", "generic", "personal"])
def test_our_objective_moves_each_stage_s_own_parts(stage: str) -> None:
    model = made(awake=False, timed=True, pool=5, **OURS).train()
    (objective,) = model.objectives(stage)
    torch.manual_seed(1)
    terms = objective.loss(batch(3, 35, targets=4, history=50))
    assert ("coverage" in terms) == (stage != "mean")
    assert ("au" in terms) == (stage != "mean")  # the denoiser's own error
    sum(x for n, x in terms.items() if not n.startswith("log/")).backward()  # type: ignore[union-attr]
    own = {id(p) for p in objective.parameters}
    rest = [p for p in model.parameters() if id(p) not in own and p.grad is not None]
    assert stage == "personal" or not rest
    assert any(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in objective.parameters)


def test_a_skip_leaves_the_signal_alone_and_the_noise_to_the_network() -> None:
    model = made(skip=0.1, steps=1000, sampling_steps=4)
    tokens, heard = model.tokens(torch.randn(2, 10, model.numbers))
    memory = model.denoiser.remember(tokens, {}, heard)
    x = torch.randn(2, 3, 10, 25)
    with torch.no_grad():
        for step, like in ((0, x), (999, model.denoiser(x, torch.full((2,), 999), memory))):
            got = model.denoised(x, torch.full((2,), step), memory)
            torch.testing.assert_close(got, like, atol=0.05, rtol=0.0)


def test_noise_that_persists_is_the_same_in_every_window() -> None:
    model = made(persistence=1.0, temperature=0.5)
    got: list[torch.Tensor] = []
    inner = model.denoiser.forward

    def seen(x: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
        got.append(x)
        return inner(x, *rest, **more)

    model.denoiser.forward = seen  # type: ignore[method-assign]
    model.generate(person(30), 2)
    first = got[0]  # [windows, K, L, 25]
    assert torch.equal(first, first[:1, :, :1].expand_as(first))
    assert not torch.equal(first[:, 0], first[:, 1])


def test_parts_of_a_shift_are_rows_of_the_joined_projection() -> None:
    from visavis.models._perfrdiff_denoiser import parts_of

    assert targets(8, 3) == {"layer0": (24, 8), "layer2": (24, 8), "out": (25, 8)}
    low = LowRank(torch.randn(2, 24, 3), torch.randn(2, 3, 8))
    for shift in (low, Dense(low.dense())):
        whole = torch.cat([p.dense() for p in parts_of(shift, 8, query=True) if p], 1)
        torch.testing.assert_close(whole, low.dense())
        assert parts_of(shift, 8, query=False)[0] is None


def test_sharpness_draws_away_from_the_middle_and_keeps_ranges_and_order() -> None:
    plain, sharp = made(), made(sharpness=2.0, au_sharpness=2.0)
    clean = torch.rand(2, 3, 5, 25) * 2.4 - 1.2  # beyond [-1, 1] too
    clean[..., 0] = 0.0
    one, two = (model.finished(clean, None) for model in (plain, sharp))
    torch.testing.assert_close(one["au"], ((clean[..., :15] + 1) / 2).clamp(0, 1))
    torch.testing.assert_close(two["au"][..., 0], torch.full((2, 3, 5), 0.5))
    away = (one["au"] - 0.5).abs()
    moved = (two["au"] - 0.5).abs()
    assert bool((moved >= away - 1e-6).all()) and float(moved.mean()) > float(away.mean()) + 0.05
    assert torch.equal(one["au"] > 0.5 + 1e-6, two["au"] > 0.5 + 1e-6)
    assert torch.equal(one["expression"].argmax(-1), two["expression"].argmax(-1))
    torch.testing.assert_close(two["expression"].sum(-1), torch.ones(2, 3, 5))
    assert torch.equal(one["va"], two["va"])


# ---------------------------------------------------------------------- windows


@pytest.mark.parametrize(
    ("sees", "changed"),
    [("previous", (False, False, True, False)), ("both", (False, True, True, False))],
)
def test_a_window_sees_the_windows_of_the_speaker_that_it_may(sees: Any, changed: Any) -> None:
    model = made(sees=sees, guidance=1.5)
    one, two = person(40, seed=1), person(40, seed=2)
    mixed = type(one).cat([one.window(0, 10), two.window(10, 20), one.window(20, 40)])
    apart = model.generate(one, 1).pack() - model.generate(mixed, 1).pack()
    moved = apart.abs().amax((0, 2)).unflatten(0, (4, 10)).amax(1) > 1e-6
    assert tuple(moved.tolist()) == changed


def test_before_the_first_window_nothing_was_seen() -> None:
    model = made(sees="previous")
    first = [model.generate(person(20, seed=i), 1).pack()[:, :10] for i in (1, 2)]
    assert torch.equal(*first)


def test_guidance_of_1_is_the_conditional_model_and_more_goes_beyond_it() -> None:
    speaker = person(20)
    plain, more = made(guidance=1.0), made(guidance=1.0)
    answers = [m.generate(speaker, 1)["va"] for m in (plain, more, made(guidance=4.0))]
    assert torch.equal(answers[0], answers[1])
    assert float((answers[0] - answers[2]).abs().max()) > 1e-4


def test_a_session_with_a_persona_goes_on_as_the_whole_clip_does() -> None:
    model, speaker = made(sees="both", steady=3, persistence=0.5, skip=0.1), person(35)
    who = model.persona(person(60, seed=3)).expressive(1.5)
    session = model.session(2)
    lane = session.open(seed=4, persona=who)
    parts = [session.step({lane: speaker.window(0, 17)})[lane]]
    lane = session.resume(session.snapshot(lane))
    parts += [session.step({lane: speaker.window(17, 35)})[lane], session.flush(lane)]
    whole = model.generate(speaker, 2, seeds=4, persona=who)
    torch.testing.assert_close(type(whole).cat(parts).pack(), whole.pack(), **CLOSE)


# ---------------------------------------------------------------------- persons


def test_contrast_is_low_where_a_listener_s_clips_are_alike() -> None:
    one = torch.eye(4)
    assert float(contrast(one, one)) < 1e-3
    assert float(contrast(one, one.roll(1, 0))) > 5
    assert float(right(one, one)) == 1.0
    assert float(right(one, one.roll(1, 0))) == 0.0


def test_a_long_history_is_the_mean_of_its_windows() -> None:
    model, long = made(), person(100)
    parts = [model.persona(long.window(a, a + 40)).embedding for a in (0, 40, 60)]
    mean = torch.stack(parts).mean(0)
    whole = model.persona(long).embedding
    torch.testing.assert_close(whole, mean / mean.norm(), **CLOSE)


@pytest.mark.parametrize(
    ("history", "traits", "message"),
    [
        (None, None, "none came"),
        (None, torch.full((5,), 0.5), "none came"),
        (person(60), torch.full((5,), 0.5), "leave traits out"),
        (person(1), None, "observed in 1 of"),
    ],
)
def test_what_makes_no_persona_is_refused(history: Any, traits: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        made().persona(history, traits)


def test_a_history_without_coefficients_is_named() -> None:
    with pytest.raises(MissingChannel, match="blendshapes"):
        made().persona(person(60, names=("au", "va", "expression")))


def test_learning_persons_without_histories_says_what_to_set() -> None:
    for stage in ("person", "personal"):
        clips = batch(2, 40, history=50)
        (objective,) = made().objectives(stage)
        object.__setattr__(clips, "history", None)
        with pytest.raises(InputError, match=r"corpus\.history=40"):
            objective.loss(clips)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 10, "heads": 4}, "multiples of heads"),
        ({"sampling_steps": 30}, "at most steps"),
        ({"window": 300}, "too long"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PerFRDiffConfig(**{**SMALL, **settings})


# ---------------------------------------------------------------------- the published layout


@pytest.mark.parametrize(
    ("settings", "folds"),
    [
        ({"width": 8}, False),
        ({"width": 64}, True),
        ({"width": 64, "guidance": 1.0}, True),
    ],
)
def test_sampling_equals_the_published_layout(settings: dict[str, Any], folds: bool) -> None:
    """Stock layers that read the whole memory at every step, one reaction a run; ours shares what
    both sides of guidance have in common, folds short memories and samples a few windows at a
    time (here 25 or 50 of 60)."""
    from benchmarks.peers.perfrdiff import PublishedPerFRDiff

    model = made(**{"guidance": 3.0, **settings})
    seen = torch.randn(1, 60, 10, model.numbers)
    seeds = torch.tensor([3])
    published = PublishedPerFRDiff(model)
    with torch.no_grad():
        memory = model.denoiser.remember(model.tokens(seen[0])[0], {})
        assert [x is not None for x in memory.folded] == [folds] * model.config.layers
        ours = model.sample(seen, seeds, 2, 0, {})
        noise = torch.stack(
            [model.draw(seeds, 2, "perfrdiff/window", i, (10, 25))[0] for i in range(60)]
        )
        for k in range(2):
            theirs = published.sample(seen[0], noise[:, k])
            torch.testing.assert_close(ours[0, k], theirs.flatten(0, 1), **CLOSE)
