"""MReactor's parts: the temporal mask, the six embeddings, subjects, the denoiser's condition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.people import person
from visavis.channels import BLENDSHAPES, STANDARD, SUBJECT_SLOTS
from visavis.models._mreactor_config import MReactorConfig
from visavis.models._mreactor_inputs import patched, unpatched
from visavis.models._mreactor_losses import jerkiness
from visavis.models._mreactor_perception import TemporalMask, _closed
from visavis.models._mreactor_regions import (
    COARSE,
    FINE,
    GROUPS,
    REGIONS,
    Alignment,
    Before,
    Regions,
    decorrelation,
    head_movement,
)
from visavis.models._mreactor_subjects import chances_of, slots_of, steered

SMALL: dict[str, Any] = {
    "speech": "mfcc78",
    "words": "text",
    "width": 32,
    "heads": 4,
    "hidden": 32,
    "layers": 2,
    "perception_width": 16,
    "region": 8,
    "alignment": 8,
    "subject": 8,
    "dropout": 0.0,
    "sampling_steps": 2,
    "perception_layers": 1,
}


def small(**kwargs: Any) -> MReactorConfig:
    return MReactorConfig(**{**SMALL, **kwargs})


def test_patches_come_apart_again() -> None:
    x = torch.randn(2, 3, 13, 4)
    tokens = patched(x, 5)
    assert tokens.shape == (2, 3, 3, 20)
    assert torch.equal(unpatched(tokens, 5, 13), x)
    assert bool(tokens[..., 2, 12:].eq(0).all())


# ---------------------------------------------------------------------- the temporal mask


def mask_of(x: Tensor, there: Tensor | None = None, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    return TemporalMask(small(**kwargs)).eval()(x, there)


TOKENS = torch.randn(2, 3, 40, 16, generator=torch.Generator().manual_seed(3))


def test_masks_are_binary_and_keep_all_but_a_share_by_evidence() -> None:
    made = mask_of(TOKENS, masked=0.2, closing=1)
    assert set(made.mask.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(made.mask.sum(-1), torch.full((2, 3), 32.0))
    kept = made.evidence.masked_fill(made.mask == 0, 2.0).amin(-1)
    lost = made.evidence.masked_fill(made.mask == 1, -1.0).amax(-1)
    assert bool((kept > lost).all())
    half = mask_of(TOKENS, masked=0.5, closing=1)
    assert torch.equal(half.mask.sum(-1), torch.full((2, 3), 20.0))


def test_what_is_masked_is_not_passed_on() -> None:
    made = mask_of(TOKENS, masked=0.3)
    assert bool(made.tokens[made.mask == 0].eq(0).all())
    assert torch.equal(made.tokens[made.mask == 1], TOKENS[made.mask == 1])


def test_evidence_has_a_gradient_through_the_binary_mask() -> None:
    torch.manual_seed(0)
    module = TemporalMask(small())
    (module(TOKENS, None).tokens ** 2).sum().backward()
    assert module.score.grad is not None
    assert bool(module.score.grad.isfinite().all())
    assert float(module.score.grad.abs().sum()) > 0


def test_support_is_agreement_with_the_other_modalities() -> None:
    module = TemporalMask(small())
    with torch.no_grad():
        module.score.zero_()
    x = torch.zeros(1, 3, 2, 16)
    x[0, :, 0, 0] = 1.0  # all agree
    x[0, 0, 1, 0], x[0, 1, 1, 1], x[0, 2, 1, 1] = 1.0, 1.0, 1.0  # the first stands alone
    evidence = module.evidence(x)[0]
    torch.testing.assert_close(evidence[:, 0], torch.full((3,), 0.75))
    torch.testing.assert_close(evidence[:, 1], torch.tensor([0.5, 0.625, 0.625]))


def test_short_gaps_of_the_mask_are_closed() -> None:
    kept = torch.tensor([[[1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1]]], dtype=torch.bool)
    wanted = [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1]
    assert _closed(kept, 3)[0, 0].int().tolist() == wanted
    assert torch.equal(_closed(kept, 1), kept)


def test_padding_neither_counts_nor_passes() -> None:
    there = torch.arange(40) < torch.tensor([[40], [20]])
    made = mask_of(TOKENS, there, masked=0.2, closing=1)
    assert bool(made.mask[1, :, 20:].eq(0).all())
    alone = mask_of(TOKENS[1:, :, :20], masked=0.2, closing=1)
    assert torch.equal(made.mask[1:, :, :20], alone.mask)


def test_training_erases_the_most_salient_of_some_clips() -> None:
    torch.manual_seed(0)
    module = TemporalMask(small(masked=0.0, erased=0.1, erasing=1.0))
    made = module(TOKENS, None)
    assert torch.equal(made.mask.sum(-1), torch.full((2, 3), 36.0))
    lost = made.evidence.masked_fill(made.mask == 1, 2.0).amin(-1)
    kept = made.evidence.masked_fill(made.mask == 0, -1.0).amax(-1)
    assert bool((lost > kept).all())
    assert bool(module.eval()(TOKENS, None).mask.eq(1).all())


def test_online_the_mask_is_a_threshold_that_training_finds() -> None:
    torch.manual_seed(0)
    module = TemporalMask(small(online=True, masked=0.3, erasing=0.0))
    for _ in range(400):
        module(TOKENS, None)
    share = float(module.eval()(TOKENS, None).mask.detach().mean())
    assert share == pytest.approx(0.7, abs=0.03)
    first = module(TOKENS[:, :, :7], None).mask  # what comes later changes nothing
    assert torch.equal(first, module(TOKENS, None).mask[:, :, :7])


# ---------------------------------------------------------------------- the six embeddings


def face(seed: int = 0, frames: int = 30) -> Tensor:
    return torch.randn(2, frames, 83, generator=torch.Generator().manual_seed(seed))


def embedded(regions: Regions, x: Tensor) -> dict[str, Tensor]:
    return regions(regions.seen(x, None)[0])


@pytest.fixture
def regions() -> Regions:
    torch.manual_seed(0)
    return Regions(small(patch=5))


def test_named_channels_make_each_embedding() -> None:
    assert FINE + COARSE == REGIONS
    names = {n: {BLENDSHAPES[i] for i in GROUPS[n] if i < 52} for n in ("lip", "eye", "expression")}
    assert "jawOpen" in names["lip"] and "mouthSmileLeft" in names["lip"]
    assert "eyeBlinkLeft" in names["eye"] and "browInnerUp" in names["eye"]
    assert names["expression"] == {n for n in BLENDSHAPES if n.startswith(("cheek", "nose"))}
    assert GROUPS["pose"] == tuple(range(52, 58))
    shapes = [i for n in ("lip", "eye", "expression") for i in GROUPS[n] if i < 52]
    assert sorted(shapes) == list(range(52))


@pytest.mark.parametrize("name", ["lip", "eye", "expression"])
def test_swapping_a_region_s_channels_swaps_its_embedding_alone(
    regions: Regions, name: str
) -> None:
    """But for appearance, which is the mean of the whole face."""
    mine, theirs = face(0), face(1)
    mixed = mine.clone()
    mixed[..., list(GROUPS[name])] = theirs[..., list(GROUPS[name])]
    a, b, c = (embedded(regions, x) for x in (mine, theirs, mixed))
    assert torch.equal(c[name], b[name])
    for other in set(REGIONS) - {name, "appearance"}:
        assert torch.equal(c[other], a[other]), other


def test_pose_and_head_share_channels_and_differ_in_pace(regions: Regions) -> None:
    still, shaken = face(0), face(0)
    t = torch.arange(30)
    shaken[..., 52:58] += torch.where(t % 2 == 0, 1.0, -1.0)[:, None]  # too fast for a second
    a, b = embedded(regions, still), embedded(regions, shaken)
    fast = float((a["pose"] - b["pose"]).abs().mean())
    slow = float((a["head"] - b["head"]).abs().mean())
    assert fast > 5 * slow


def test_appearance_does_not_change_within_a_clip(regions: Regions) -> None:
    made = embedded(regions, face())["appearance"]
    torch.testing.assert_close(made, made[:, :1].expand_as(made), atol=1e-6, rtol=0)


def test_head_movement_is_a_second_s_mean_and_its_change() -> None:
    pose = torch.arange(60.0)[None, :, None].expand(1, -1, 6)
    made = head_movement(pose, None, None)
    torch.testing.assert_close(made[0, 20:40, :6], pose[0, 20:40])
    torch.testing.assert_close(made[0, 20:40, 6:], torch.ones(20, 6))
    past = head_movement(pose, None, torch.zeros(1, 25, 6))
    torch.testing.assert_close(past[0, 30:, :6], pose[0, 30:] - 12)


def test_online_pieces_give_what_the_whole_gives() -> None:
    torch.manual_seed(0)
    module, x = Regions(small(patch=5, online=True)), face(frames=43)
    whole = embedded(module, x)
    before: Before | None = Before.none(2, x)
    parts = []
    for start in range(0, 43, 5):
        seen, before = module.seen(x[:, start : start + 5], None, before)
        parts.append(module(seen))
    for name in REGIONS:
        torch.testing.assert_close(torch.cat([p[name] for p in parts], 1), whole[name])


def test_decorrelation_is_none_for_independent_and_high_for_equal_embeddings() -> None:
    rows = torch.randn(6, 4, 500, 3, generator=torch.Generator().manual_seed(0))
    apart = dict(zip(REGIONS, rows, strict=True))
    alike = dict.fromkeys(REGIONS, rows[0])
    assert float(decorrelation(apart, None)) < 0.002
    assert float(decorrelation(alike, None)) == pytest.approx(1 / 3, abs=0.02)


def test_decorrelation_parts_embeddings_that_are_alike() -> None:
    """Probes: how well one embedding tells another's, before and after."""
    torch.manual_seed(0)
    shared = torch.randn(4, 200, 2)
    inputs = {n: torch.cat([shared, torch.randn(4, 200, 2)], -1) for n in REGIONS}
    maps = torch.nn.ModuleDict({n: torch.nn.Linear(4, 2) for n in REGIONS})
    back = torch.nn.ModuleDict({n: torch.nn.Linear(2, 4) for n in REGIONS})
    optimiser = torch.optim.Adam([*maps.parameters(), *back.parameters()], lr=0.02)

    def told(a: str, b: str) -> float:
        """R^2 of a linear probe from embedding a to embedding b."""
        x, y = (maps[n](inputs[n]).detach().flatten(0, 1) for n in (a, b))
        x, y = torch.cat([x, torch.ones(len(x), 1)], 1), y - y.mean(0)
        rest = y - x @ torch.linalg.lstsq(x, y).solution
        return 1 - float((rest**2).sum() / (y**2).sum())

    def trained(weight: float) -> float:
        for _ in range(150):
            made = {n: maps[n](inputs[n]) for n in REGIONS}
            own = sum(((back[n](made[n]) - inputs[n]) ** 2).mean() for n in REGIONS)
            optimiser.zero_grad()
            (own + weight * decorrelation(made, None)).backward()  # type: ignore[union-attr]
            optimiser.step()
        pairs = [(a, b) for a in REGIONS for b in REGIONS if a != b]
        return sum(told(a, b) for a, b in pairs) / len(pairs)

    before = trained(0.0)
    assert before > 0.2
    assert trained(20.0) < before / 2


def test_a_probe_reads_a_region_from_its_own_embedding_and_not_from_another() -> None:
    torch.manual_seed(0)
    module = Regions(small(patch=5, region=24))
    x = torch.randn(40, 50, 83)
    seen, _ = module.seen(x, None)
    made = {n: e.detach().flatten(0, 1) for n, e in module(seen).items()}

    def read(embedding: str, region: str) -> float:
        y = seen[region].flatten(0, 1)[:, :10]
        e = torch.cat([made[embedding], torch.ones(len(y), 1)], 1)
        rest = y - e @ torch.linalg.lstsq(e, y).solution
        return 1 - float((rest**2).sum() / ((y - y.mean(0)) ** 2).sum())

    for region in ("lip", "eye", "pose"):
        own = read(region, region)
        others = max(read(n, region) for n in ("lip", "eye", "pose") if n != region)
        assert own > 0.1
        assert others < 0.1 * own + 0.08


def test_alignment_is_least_when_a_clip_s_own_sound_is_nearest() -> None:
    torch.manual_seed(0)
    align = Alignment(small(alignment=16, region=16))
    expression = torch.randn(6, 5, 16)
    tokens = torch.randn(6, 3, 5, 16)
    with torch.no_grad():
        for layer in (align.expression, *align.others.values()):
            layer.weight.copy_(torch.eye(16))  # type: ignore[union-attr, operator]
            layer.bias.zero_()  # type: ignore[union-attr, operator]
    tokens[:, 1:] = expression[:, None]
    same = float(align(expression, tokens, None))
    other = float(align(expression, tokens.roll(1, 0), None))
    assert same < 0.05 < 1.0 < other


# ---------------------------------------------------------------------- subjects


def channel(*priors: tuple[float, float, int]) -> Tensor:
    row = torch.zeros(SUBJECT_SLOTS, 19)
    for slot, prior in zip(row, priors, strict=False):
        slot[:3] = torch.tensor(prior)
    return row.flatten()


def test_a_patch_has_the_priors_of_its_strongest_frame() -> None:
    frames = torch.stack(
        [channel(), channel((0.6, 0.5, 3)), channel((0.6, 0.5, 3), (0.7, 0.2, 4)), channel()]
    )
    slots = slots_of(frames[None], 4)
    assert slots.shape == (1, 1, SUBJECT_SLOTS, 19)
    torch.testing.assert_close(slots[0, 0, :, 0], torch.tensor([0.6, 0.7, 0.0, 0.0]))
    assert STANDARD["subjects"].size == SUBJECT_SLOTS * 19


def test_reactions_take_an_utterance_s_subjects_in_turn() -> None:
    slots = channel((0.6, 0.5, 3), (0.9, 0.2, 4), (0.5, 0.1, 5)).unflatten(0, (1, 1, -1, 19))
    for seed in range(5):
        chances = chances_of(torch.tensor([seed]))
        chosen = steered(slots, chances, torch.arange(7))[0, :, 0]
        assert bool(chosen.sum(-1).eq(1).all())
        which = chosen.int().argmax(-1).tolist()
        assert sorted(which[:3]) == [0, 1, 2]
        assert which[3:6] == which[:3]
        few = steered(slots, chances, torch.arange(2))[0, :, 0]
        assert torch.equal(few, chosen[:2])
    assert bool(steered(slots, chances, None)[0, 0, 0].eq(slots[0, 0, :, 0] > 0).all())


def test_the_first_reaction_takes_a_subject_in_proportion_to_its_intensity() -> None:
    slots = channel((0.9, 0.5, 3), (0.3, 0.2, 4)).unflatten(0, (1, 1, -1, 19))
    chances = chances_of(torch.arange(4000))
    chosen = steered(slots.expand(4000, -1, -1, -1), chances, torch.zeros(1, dtype=torch.int64))
    assert float(chosen[:, 0, 0, 0].float().mean()) == pytest.approx(0.75, abs=0.03)


def test_an_utterance_without_subjects_steers_nobody() -> None:
    slots = channel().unflatten(0, (1, 1, -1, 19))
    assert not steered(slots, chances_of(torch.tensor([1])), torch.arange(3)).any()


# ---------------------------------------------------------------------- smoothness


def test_jerkiness_is_the_mean_second_difference_of_known_frames() -> None:
    x = torch.tensor([0.0, 1.0, 0.0, 1.0, 2.0, 3.0])[:, None]
    mask = torch.ones(6, dtype=torch.bool)
    assert float(jerkiness(x, mask)) == pytest.approx((2 + 2 + 0 + 0) / 4)
    mask[0] = False
    assert float(jerkiness(x, mask)) == pytest.approx(2 / 3)
    assert float(jerkiness(x[:2], mask[:2])) == 0


def test_the_unobserved_share_of_a_patch_is_told() -> None:
    from visavis.models._mreactor_inputs import Source

    source = Source("coefficients")
    speaker = person(10, lead=(1,)).drop("face", start=4, stop=6)
    values, share = source(speaker)
    assert bool(values[0, 4:6].eq(0).all())
    assert share[0, :, 0].tolist() == [1, 1, 1, 1, 0, 0, 1, 1, 1, 1]
