"""What PerReactor learns of a person: signatures, what tells people apart, and the two stages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.people import batch
from visavis.behaviour import Behaviour
from visavis.dyad import Batch
from visavis.errors import InputError
from visavis.metrics.persona import signature as of_the_metric
from visavis.models._likeness import directions, signature
from visavis.models._perreactor_person import SIGNATURE, following, unlike, what_tells_apart
from visavis.models.perreactor import PerReactor, PerReactorConfig
from visavis.recipes import StageRecipe, TrainingRecipe
from visavis.training.loop import train
from visavis.training.sampler import pieces

LIKE: dict[str, Any] = {
    "width": 16,
    "heads": 2,
    "history": 40,
    "remembers": "everything",
    "pooled": True,
    "likeness_weight": 1.0,
    "likeness_size": 4,
    "traits": True,
    "anchor": "appropriate",
    "critics": (),
}


def made(**settings: Any) -> PerReactor:
    torch.manual_seed(0)
    model = PerReactor(PerReactorConfig(**{**LIKE, **settings}))
    model.name = "perreactor"
    model.fit([people()])
    return model


def people(seed: int = 0) -> Batch:
    traits = torch.rand(8, 5, generator=torch.Generator().manual_seed(seed))
    made = replace(batch(8, 60, history=50, seed=seed), traits=traits)
    mask = torch.zeros_like(made.target_mask)
    mask[:, 0] = True
    return replace(made, personal_mask=mask)


def stage(model: PerReactor, name: str, steps: int, **settings: Any) -> list[dict[str, Any]]:
    told = TrainingRecipe(steps=steps, batch=8, learning_rate=3e-3, select="last", **settings)
    plan = (StageRecipe(name=name, training=told),)
    return train(model, lambda _: people(), plan, fit_on=[people()], fitted=True).rows


def test_a_signature_is_the_metric_s_and_padding_is_not_read() -> None:
    x = torch.rand(3, 50, 7, dtype=torch.float64)
    inside = torch.ones(3, 50, dtype=torch.bool)
    torch.testing.assert_close(
        signature(x, inside), torch.from_numpy(of_the_metric(x.numpy())), atol=1e-4, rtol=0.0
    )
    padded = torch.cat([x, torch.full((3, 9, 7), 1e6, dtype=torch.float64)], 1)
    told = torch.cat([inside, torch.zeros(3, 9, dtype=torch.bool)], 1)
    torch.testing.assert_close(signature(padded, told), signature(x, inside))


def test_the_first_direction_is_where_people_differ_and_clips_do_not() -> None:
    generator = torch.Generator().manual_seed(0)
    habit = torch.randn(400, 1, generator=generator, dtype=torch.float64)
    own = torch.tensor([0.0, 1.0, 0.0, -1.0, 0.0], dtype=torch.float64)

    def clip() -> Tensor:
        noise = torch.randn(400, 5, generator=generator, dtype=torch.float64)
        loud = torch.tensor([5.0, 1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
        return habit * own + noise * loud

    found = directions(clip(), clip(), 2)
    first = found[:, 0] / found[:, 0].norm()
    assert abs(float(first @ own)) / 2**0.5 > 0.98
    # a unit is how far one person's clips are from one another
    moved = (clip() - clip()) @ found / 2**0.5
    torch.testing.assert_close(moved.std(0), torch.ones(2).double(), atol=0.15, rtol=0.0)


def test_a_number_that_hardly_varies_is_not_blown_up() -> None:
    """A model's tiniest flaws must not count as a person's ways."""
    one, two = (1e-5 * torch.randn(50, 3) for _ in range(2))
    assert float(directions(one, two, 1).abs().max()) < 1.01 / 0.01


def test_draws_that_differ_as_told_cost_nothing_and_others_do() -> None:
    model = made()
    model.prepare("person", [people()])
    with torch.no_grad():
        model.likeness.zero_()
        model.likeness[:4] = torch.eye(4)  # the means of the first four blendshapes
    pattern = torch.randn(3, 16)
    told = model.tells(pattern).detach()
    still = {"coefficients": torch.zeros(3, 2, 9, 58), "attributes": torch.zeros(3, 2, 9, 25)}
    inside = torch.ones(3, 9, dtype=torch.bool)

    def shown(rows: Tensor) -> dict[str, Tensor]:
        moved = still["coefficients"].clone()
        moved[..., :4] = rows[:, None, None]
        return {**still, "coefficients": moved}

    good = unlike(model, shown(told), shown(following(told)), pattern, inside)
    torch.testing.assert_close(good, torch.zeros(()), atol=1e-10, rtol=0.0)
    same = unlike(model, shown(told), shown(told), pattern, inside)
    expected = 0.5 * (told - following(told)).pow(2).mean()
    torch.testing.assert_close(same, expected)


def test_the_stage_person_teaches_the_pattern_and_nothing_else() -> None:
    model = made()
    before = {n: x.clone() for n, x in model.state_dict().items()}
    rows = stage(model, "person", 40)
    moved = {n.partition(".")[0] for n, x in model.state_dict().items() if not x.equal(before[n])}
    assert moved == {"pattern", "from_traits", "tells", "average", "likeness"}
    told = [row["history"] for row in rows if "history" in row]
    assert told[-1] < 0.7 * told[0]


def test_the_personal_stage_leaves_the_pattern_and_makes_personas_differ_as_told() -> None:
    model = made(beta=1.0, likeness_weight=30.0)
    stage(model, "person", 40)
    before = {n: x.clone() for n, x in model.state_dict().items()}
    rows = stage(model, "personal", 80)
    moved = {n.partition(".")[0] for n, x in model.state_dict().items() if not x.equal(before[n])}
    assert moved == {"own"}
    likeness = [row["likeness"] for row in rows if "likeness" in row]
    assert likeness[-1] < 0.5 * likeness[0]


def test_as_published_there_is_no_stage_person() -> None:
    model = PerReactor(PerReactorConfig(width=16, heads=2, history=40))
    assert model.objectives("person") == ()
    assert not hasattr(model, "tells")


def test_who_listens_is_not_learned_without_histories() -> None:
    with pytest.raises(InputError, match=r"corpus\.history=480"):
        what_tells_apart([batch(2, 60)], 4)
    average, found = what_tells_apart([people()], 4)
    assert (average.shape, found.shape) == ((SIGNATURE,), (SIGNATURE, 4))


def test_rates_of_critics_that_are_left_out_do_no_harm() -> None:
    """A preset without critics lies over one that gives their rates (Table 2's rows)."""
    model = made()
    stage(model, "generic", 1, rates={"realism": 3e-4, "appropriateness": 3e-4})
    with pytest.raises(InputError, match="critique"):
        stage(model, "generic", 1, rates={"critique": 3e-4})


def test_likeness_without_the_stage_person_is_refused() -> None:
    with pytest.raises(InputError, match=r"stages\.person\.steps"):
        made().prepare("personal", [])


def test_a_piece_of_one_clip_has_nobody_to_compare() -> None:
    model = made()
    model.prepare("person", [people()])
    model.prepare("personal", [])
    (generator,) = model.objectives("personal")
    alone = pieces(people(), 8)[0]
    with pytest.raises(InputError, match=r"training\.accumulate"):
        generator.loss(alone)


def test_where_there_is_no_history_big_five_alone_tell_who_listens() -> None:
    model = made()
    alone = replace(people(), history=None)
    assert model.from_traits is not None and alone.traits is not None
    torch.testing.assert_close(model.patterns(alone), model.from_traits(alone.traits))
    unknown = alone.traits.clone()
    unknown[0] = float("nan")
    with pytest.raises(InputError, match="histories"):
        model.patterns(replace(alone, traits=unknown))


def test_a_clip_that_nobody_saw_is_left_out_of_what_tells_people_apart() -> None:
    """It has no signature; zeros would be somebody very still."""
    whole = people()
    unseen = whole.listener.drop("attributes")
    rows = [*(whole.listener[i] for i in range(7)), unseen[7]]
    average, _ = what_tells_apart([replace(whole, listener=Behaviour.stack(rows))], 4)
    expected, _ = what_tells_apart(pieces(whole, 8)[:7], 4)
    torch.testing.assert_close(average, expected, atol=1e-5, rtol=1e-4)
