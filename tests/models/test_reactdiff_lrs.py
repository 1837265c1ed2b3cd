"""ReactDiff (LRS): zero shifts are ReactDiff bit for bit, shifts are a clip's own."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from tests.people import batch, person
from visavis import recipes
from visavis.dyad import Persona
from visavis.errors import InputError
from visavis.models.reactdiff import ReactDiff
from visavis.models.reactdiff_lrs import ReactDiffLRS

CLOSE = {"atol": 1e-4, "rtol": 0.0}
BASE: dict[str, Any] = {
    "transformer": {"width": 16, "latent": 8},
    "denoiser": {
        "width": 8, "multipliers": (1, 2), "blocks": 1, "condition": 16, "zero_start": False,
    },
    "diffusion": {"overlap": 10, "steps": 5, "taken": 5},
    "guess": True,
}  # fmt: skip
STYLE = {
    "style": 8,
    "style_heads": 2,
    "style_hidden": 8,
    "style_layers": 1,
    "history": 40,
    "rank": 2,
}


def made(*, awake: bool = True) -> ReactDiffLRS:
    """A small model; `awake`, its shifts are not zero."""
    torch.manual_seed(0)
    model: ReactDiffLRS = recipes.new_model("reactdiff_lrs", {**BASE, **STYLE})
    model.name = "reactdiff_lrs"
    data = [batch(2, 60)]
    model.fit(data)
    model.prepare("diffusion", data)
    model.prepare("person", data)
    if awake:
        for head in model.hypernetwork.ups:
            assert isinstance(head, nn.Linear)
            nn.init.normal_(head.weight, std=0.5)
    return model.eval()


def base_of(model: ReactDiffLRS) -> ReactDiff:
    """ReactDiff with the same weights."""
    base: ReactDiff = recipes.new_model("reactdiff", BASE)
    own = base.state_dict()
    base.load_state_dict({n: x for n, x in model.state_dict().items() if n in own})
    return base.eval()


def test_without_a_persona_and_with_zero_shifts_it_is_reactdiff_bit_for_bit() -> None:
    model, speaker = made(awake=False), person(80)
    plain = base_of(model).generate(speaker, 2).pack()
    assert torch.equal(model.generate(speaker, 2).pack(), plain)
    who = model.persona(person(60, seed=3))
    assert torch.equal(model.generate(speaker, 2, persona=who).pack(), plain)
    awake = made()
    assert torch.equal(
        awake.generate(speaker, 2).pack(), base_of(awake).generate(speaker, 2).pack()
    )
    moved = awake.generate(speaker, 2, persona=awake.persona(person(60, seed=3))).pack()
    assert float((moved - plain).abs().max()) > 1e-3


def test_a_listener_s_shifts_are_those_weights_written_into_reactdiff() -> None:
    model, speaker = made(), person(80)
    who = model.persona(person(60, seed=3))
    edited = base_of(model)
    assert edited.denoiser is not None
    middle = edited.denoiser.unet.middle
    maps = {
        "middle0": middle[0].embed,
        "middle2": middle[2].embed,
        "coefficients": edited.decoder.to_coefficients[-1],
        "attributes": edited.decoder.to_attributes[-1],
    }
    with torch.no_grad():
        shifts = model.hypernetwork(who.embedding[None])
        assert set(shifts) == set(maps)
        for name, layer in maps.items():
            layer.weight += shifts[name].dense()[0]  # type: ignore[operator, union-attr]
    ours = model.generate(speaker, 2, persona=who).pack()
    torch.testing.assert_close(ours, edited.generate(speaker, 2).pack(), **CLOSE)


def test_listeners_share_a_batch_without_touching_each_other() -> None:
    model, clips = made(), person(80, lead=(3,))
    people = [model.persona(person(60, seed=i)) for i in range(3)]
    many = Persona("reactdiff_lrs", torch.stack([p.embedding for p in people]))
    together = model.generate(clips, 2, seeds=torch.tensor([1, 2, 3]), persona=many)
    for i in range(3):
        alone = model.generate(clips[i], 2, seeds=i + 1, persona=people[i])
        torch.testing.assert_close(together[i].pack(), alone.pack(), **CLOSE)


def test_a_persona_leaves_nothing_behind() -> None:
    model, speaker = made(), person(80)
    before, weights = model.generate(speaker, 1).pack(), copy.deepcopy(model.state_dict())
    model.generate(speaker, 1, persona=model.persona(person(60, seed=3)))
    assert torch.equal(model.generate(speaker, 1).pack(), before)
    assert all(torch.equal(x, weights[n]) for n, x in model.state_dict().items())


@pytest.mark.parametrize(("stage", "part"), [("person", "person"), ("shifts", "hypernetwork")])
def test_each_stage_moves_its_own_part_alone(stage: str, part: str) -> None:
    model = made(awake=False).train()
    (objective,) = model.objectives(stage)
    terms = objective.loss(batch(3, 60, history=50))
    own = {id(p) for p in objective.parameters}
    named = {n for n, p in model.named_parameters() if id(p) in own}
    assert {n.partition(".")[0] for n in named} == {part}
    total = sum(x for n, x in terms.items() if not n.startswith("log/"))
    total.backward()  # type: ignore[union-attr]
    if stage == "shifts":  # heads begin at zero, so that their partners have no gradient yet
        moved = [n for n, p in model.hypernetwork.named_parameters() if p.grad is not None]
        assert any(float(p.grad.abs().sum()) > 0 for p in model.hypernetwork.ups.parameters())  # type: ignore[union-attr]
        assert moved


def test_the_stages_of_reactdiff_leave_styles_and_shifts_alone() -> None:
    model = made()
    for stage in ("transformer", "diffusion"):
        (objective,) = model.objectives(stage)
        own = {id(p) for p in objective.parameters}
        names = {n.partition(".")[0] for n, p in model.named_parameters() if id(p) in own}
        assert not names & {"person", "hypernetwork"}


def test_it_is_refused_online_and_wants_a_history() -> None:
    with pytest.raises(InputError, match="offline"):
        online = {**BASE, "online": True, "diffusion": {"overlap": 10, "seams": "past"}}
        recipes.new_model("reactdiff_lrs", {**online, **STYLE})
    with pytest.raises(InputError, match="history alone"):
        made().persona(None, torch.full((5,), 0.5))


def test_the_recipe_has_reactdiff_s_settings_so_that_it_can_begin_with_its_weights() -> None:
    base, shifted = recipes.read("reactdiff"), recipes.read("reactdiff_lrs")
    assert shifted.begin == "reactdiff"
    assert {n: x for n, x in shifted.settings.items() if n in base.settings} == base.settings
    for preset in (None, "laptop"):
        model = recipes.build(recipes.read("reactdiff_lrs", preset=preset))
        given = recipes.build(recipes.read("reactdiff", preset=preset)).state_dict()
        own = model.state_dict()
        assert all(own[n].shape == x.shape for n, x in given.items())
