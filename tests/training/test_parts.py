"""The loop's parts: schedules, averages, samplers, logs, faults."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.people import batch, person
from tests.training.toys import Gan, Toy, draw, settings, tiny, two_stages
from visavis.dyad import Dyad
from visavis.errors import InputError, MissingChannel
from visavis.recipes import StageRecipe, TrainingRecipe
from visavis.training import needs, schedule
from visavis.training.checkpoint import packed, unpacked
from visavis.training.ema import Ema
from visavis.training.faults import NotFinite, load_batch, memory_named
from visavis.training.logs import Log, read_rows
from visavis.training.loop import train
from visavis.training.resume import Run
from visavis.training.sampler import Sampler, pieces

# ---------------------------------------------------------------------- schedules and averages


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"schedule": "constant"}, {0: 0.1, 9: 1.0, 50: 1.0, 99: 1.0}),
        ({"schedule": "cosine", "floor": 0.0}, {4: 0.5, 10: 1.0, 55: 0.5, 100: 0.0}),
        ({"schedule": "flat", "floor": 0.2, "milestones": (60,)}, {59: 1.0, 80: 0.6, 100: 0.2}),
        ({"schedule": "steps", "milestones": (20, 40), "gamma": 0.5}, {19: 1, 20: 0.5, 40: 0.25}),
        ({"schedule": "noam"}, {4: 0.5, 9: 1.0, 39: 0.5}),
    ],
)
def test_a_schedule_has_its_values(more: dict[str, Any], wanted: dict[int, float]) -> None:
    recipe = TrainingRecipe(steps=100, warmup=10, **more)
    for step, value in wanted.items():
        assert schedule.share(recipe, step) == pytest.approx(value, abs=1e-3), step


def test_groups_keep_their_share_of_the_rate_and_their_freedom_from_decay() -> None:
    a, b = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    groups = [{"params": [a]}, {"params": [b], "lr_scale": 0.1, "no_decay": True}]
    optimizer = torch.optim.AdamW(groups)
    schedule.own(optimizer, 0.5, 0.01)
    recipe = TrainingRecipe(steps=100, warmup=10, schedule="constant")
    assert schedule.pace(optimizer, recipe, 4) == pytest.approx(0.25)
    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.25, 0.025])
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.01, 0.0]


@pytest.mark.parametrize("power", [None, 0.7])
def test_the_average_is_its_formula_and_the_weights_come_back(power: float | None) -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    frozen = torch.nn.Parameter(torch.ones(1), requires_grad=False)
    model.register_parameter("frozen", frozen)
    ema, wanted = Ema(model, 0.9, power=power), float(model.weight.detach())
    for step in range(4):
        with torch.no_grad():
            model.weight.fill_(float(step))
        ema.update(step)
        risen = (1 + step) / (10 + step) if power is None else 1 - (1 + step) ** -power
        decay = min(0.9, risen)
        wanted = decay * wanted + (1 - decay) * step
    assert set(ema.average) == {"weight"}
    with ema.swapped():
        assert float(model.weight.detach()) == pytest.approx(wanted, rel=1e-5)
    assert float(model.weight.detach()) == 3.0
    ema.keep()
    assert float(model.weight.detach()) == pytest.approx(wanted, rel=1e-5)


# ---------------------------------------------------------------------- stages


def test_frozen_parts_stay_bit_for_bit_and_ask_again_afterwards() -> None:
    model = Gan()
    only = (StageRecipe(name="gan", freeze=("decoder.bias",), training=settings(4)),)
    before = {n: x.clone() for n, x in model.state_dict().items()}
    train(model, draw, only, fit_on=[draw(1)])
    changed = {n for n, x in model.named_parameters() if not torch.equal(x, before[n])}
    assert changed == {"decoder.weight", "critic.weight"}  # the hinge cancels in its bias
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        (("encodr",), "freezes 'encodr'.*Did you mean 'encoder'"),
        (("decoder",), "freezes everything that 'generator' would train"),
    ],
)
def test_impossible_freezing_is_refused_before_the_first_stage(
    freeze: tuple[str, ...], message: str
) -> None:
    stages = (two_stages()[0], StageRecipe(name="gan", freeze=freeze, training=settings(3)))
    with pytest.raises(InputError, match=message):
        train(Gan(), lambda step: pytest.fail("a step was made"), stages)


def test_a_stage_ends_early_when_validations_do_not_get_better() -> None:
    history = train(
        Toy(),
        draw,
        settings(20, validate_every=2, patience=3),
        validate=lambda *_: 1.0,
    )
    assert history.steps == 8  # the first is the best; three more are not better
    assert history.best_step == 2


# ---------------------------------------------------------------------- sampler


def test_every_clip_comes_once_an_epoch_and_ranks_share_a_step() -> None:
    stages = (
        StageRecipe(name="a", training=settings(3, batch=4)),
        StageRecipe(name="b", training=settings(4, batch=2)),
    )
    whole = Sampler(10, stages, seed=3)
    seen = [i for step in range(7) for i in whole(step).indices]
    assert len(seen) == 20
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]
    parts = [Sampler(10, stages, seed=3, rank=r, world=2) for r in range(2)]
    for step in range(7):
        shares = [p(step) for p in parts]
        assert sum((s.indices for s in shares), ()) == whole(step).indices
        assert sum((s.seeds for s in shares), ()) == whole(step).seeds
    assert Sampler(10, stages, seed=4)(0).indices != whole(0).indices


def test_a_stage_may_have_windows_of_its_own() -> None:
    stages = (
        StageRecipe(name="a", training=settings(2)),
        StageRecipe(name="b", training=settings(2, crop=90)),
    )
    sampler = Sampler(10, stages, seed=0)
    assert [sampler(step).crop for step in range(4)] == [None, None, 90, 90]


def test_pieces_of_a_batch_are_its_rows() -> None:
    whole = replace(batch(4, 5), ids=("a", "b", "c", "d"), lengths=torch.tensor([5, 4, 3, 2]))
    first, second = pieces(whole, 2)
    assert (first.ids, second.ids) == (("a", "b"), ("c", "d"))
    assert second.lengths is not None and second.lengths.tolist() == [3, 2]
    assert torch.equal(second.targets["va"], whole.targets["va"][2:])
    assert pieces(whole, 1)[0] is whole


# ---------------------------------------------------------------------- logs and checkpoints


def test_a_table_grows_columns_and_json_has_no_nan(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.begin()
    log.add({"step": 1, "loss": math.nan})
    log.add({"step": 2, "loss": 0.5, "validation": 3.0})
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["validation"] for row in rows] == ["", "3.0"]
    assert read_rows(tmp_path / "log.jsonl")[0] == {"step": 1, "loss": None}


def test_a_tree_comes_back_as_it_was() -> None:
    tree = {"a": torch.arange(3), "b": [1, 2.5, None, {"c": torch.ones(2)}], "d": "text", "e": {}}
    tensors, about = packed(tree)
    back = unpacked(about, tensors)
    assert torch.equal(back["a"], tree["a"]) and torch.equal(back["b"][3]["c"], torch.ones(2))
    assert back["b"][:3] == [1, 2.5, None] and (back["d"], back["e"]) == ("text", {})


# ---------------------------------------------------------------------- faults


def test_the_batch_of_a_bad_loss_is_kept_and_read_again(tmp_path: Path) -> None:
    def poisoned(step: int) -> Any:
        clean = replace(draw(step), ids=("a", "b", "c", "d"))
        if step == 2:
            clean.listener["va"][1, 0, 0] = math.inf
        return clean

    run = Run(tmp_path, {"name": "t", "model": "t"})
    with pytest.raises(NotFinite, match=r"step 3 .terms: error; clips: a, b, c, d.*failed") as one:
        train(Toy(), poisoned, settings(5), run=run)
    kept = load_batch(tmp_path / "failed" / "step-00000003")
    assert kept.ids == ("a", "b", "c", "d")
    assert one.value.batch is not None
    assert torch.equal(kept.speaker["va"], one.value.batch.speaker["va"])
    assert (tmp_path / "failed" / "step-00000003" / "clips.json").is_file()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_too_little_memory_names_the_knob(error: BaseException) -> None:
    with (
        pytest.raises(InputError, match=r"out of memory with 2 clips.*training\.accumulate"),
        memory_named(batch(2, 4)),
    ):
        raise error
    with pytest.raises(RuntimeError, match="other"), memory_named(batch(2, 4)):
        raise RuntimeError("other")


def test_a_corpus_without_a_channel_is_told_which_and_what_makes_it() -> None:
    model = tiny()
    speaker, listener = person(8), person(8)
    whole = Dyad("a", speaker, listener, "s", "l", "train")
    needs.check(model, whole, corpus="c")
    for dyad, message in (
        (replace(whole, speaker=speaker.without("mfcc78")), "mfcc78 of the speakers.*features.spe"),
        (replace(whole, listener=listener.without("va")), "va of the listeners.*visavis perceive"),
    ):
        with pytest.raises(MissingChannel, match=message):
            needs.check(model, dyad, corpus="c")
