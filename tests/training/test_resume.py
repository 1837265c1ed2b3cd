"""A run that was stopped goes on as if it had not been."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.toys import Gan, Toy, draw, same, settings, tiny, two_stages, weights
from visavis.dyad import Batch
from visavis.errors import InputError
from visavis.recipes import StageRecipe
from visavis.training.faults import Stopped
from visavis.training.logs import Log
from visavis.training.loop import History, train
from visavis.training.resume import Run

RECIPE = {"name": "toy", "model": "toy", "training": {"steps": 8, "workers": 0}}
Plan = tuple[StageRecipe, ...]


def plan(**more: Any) -> Plan:
    return (StageRecipe(name="main", training=settings(8, checkpoint_every=1, **more)),)


class Killed(BaseException):
    """Stands for whatever ends a process; nothing in the loop may catch it."""


def killed_at(step: int) -> Callable[[int], Batch]:
    def dying(now: int) -> Batch:
        if now == step:
            raise Killed
        return draw(now)

    return dying


def go(
    model: Any,
    stages: Plan,
    folder: Path,
    *,
    source: Callable[[int], Batch] = draw,
    resume: bool = False,
    recipe: dict[str, Any] = RECIPE,
) -> History:
    def score(now: Any, stage: StageRecipe, terms: Any) -> float:
        return float(sum(x.detach() for x in terms(draw(1000)).values()))

    return train(
        model,
        source,
        stages,
        fit_on=[draw(500)],
        validate=score,
        run=Run(folder, recipe, resume=resume),
        log=Log(folder),
    )


@pytest.mark.parametrize("step", [1, 4, 7])
@pytest.mark.parametrize(
    ("make", "stages"),
    [
        (lambda: tiny(dropout=0.3), plan(ema=0.9, validate_every=3)),
        (lambda: tiny(dropout=0.0), plan(accumulate=2, precision="32")),
        (Gan, two_stages(ema=0.8, ema_power=0.7, checkpoint_every=1, validate_every=2)),
    ],
    ids=["average", "pieces", "two stages of a GAN"],
)
def test_a_resumed_run_ends_bit_for_bit_like_one_that_never_stopped(
    make: Callable[[], Any], stages: Plan, step: int, tmp_path: Path
) -> None:
    whole, parts = make(), make()
    torch.manual_seed(3)
    history = go(whole, stages, tmp_path / "whole")
    torch.manual_seed(3)
    with pytest.raises(Killed):
        go(parts, stages, tmp_path / "parts", source=killed_at(step))
    again = make()
    torch.manual_seed(99)
    resumed = go(again, stages, tmp_path / "parts", resume=True)
    assert same(weights(whole), weights(again))
    assert (resumed.best_step, resumed.best_score) == (history.best_step, history.best_score)
    assert resumed.steps == history.steps - step
    for name in ("log.jsonl", "log.csv"):
        texts = [(tmp_path / f / name).read_text() for f in ("whole", "parts")]
        assert texts[0] == texts[1]


def test_a_run_that_had_ended_gives_its_weights_again(tmp_path: Path) -> None:
    first, again = Toy(), Toy()
    spent = go(first, plan(), tmp_path).seconds
    with torch.no_grad():
        again.encoder.weight.fill_(5.0)
    history = go(again, plan(), tmp_path, resume=True)
    assert same(weights(first), weights(again))
    assert history.steps == 0
    assert 0 < history.seconds <= spent


def test_a_stage_that_ended_early_is_not_gone_through_again(tmp_path: Path) -> None:
    stages = two_stages(patience=1, validate_every=1, checkpoint_every=1, learning_rate=5.0)
    whole, parts, again = Gan(), Gan(), Gan()
    history = go(whole, stages, tmp_path / "whole")
    assert history.steps < 12
    with pytest.raises(Killed):
        go(parts, stages, tmp_path / "parts", source=killed_at(5))
    go(again, stages, tmp_path / "parts", resume=True)
    assert same(weights(whole), weights(again))


def test_two_checkpoints_stay_and_a_damaged_one_gives_way_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, parts, again = Toy(), Toy(), Toy()
    go(whole, plan(), tmp_path / "whole")
    with pytest.raises(Killed):
        go(parts, plan(), tmp_path / "parts", source=killed_at(6))
    files = sorted((tmp_path / "parts" / "checkpoints").iterdir())
    assert [f.name for f in files] == ["00000005.safetensors", "00000006.safetensors"]
    files[1].write_bytes(files[1].read_bytes()[:100])
    history = go(again, plan(), tmp_path / "parts", resume=True)
    assert "trying the one before" in caplog.text
    assert history.steps == 3
    assert same(weights(whole), weights(again))


# ---------------------------------------------------------------------- what does not fit


def test_a_run_is_not_written_over(tmp_path: Path) -> None:
    go(Toy(), plan(), tmp_path)
    with pytest.raises(InputError, match=r"holds a run at step 8.*--resume"):
        go(Toy(), plan(), tmp_path)


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no checkpoint to resume from"):
        go(Toy(), plan(), tmp_path, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"steps": 9, "workers": 0}}, "training.steps: 8, now 9"),
        ({"seed": 1}, "seed: None, now 1"),
        ({"model": "other"}, "run of 'toy' .model 'toy'.*model 'other'"),
        ({"name": "toys"}, "run of 'toy'"),
    ],
)
def test_another_recipe_or_model_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    go(Toy(), plan(), tmp_path)
    with pytest.raises(InputError, match=message):
        go(Toy(), plan(), tmp_path, resume=True, recipe=RECIPE | change)


def test_what_changes_no_number_may_change(tmp_path: Path) -> None:
    go(Toy(), plan(), tmp_path)
    other = RECIPE | {"training": {"steps": 8, "workers": 2}, "note": "New."}
    go(Toy(), plan(), tmp_path, resume=True, recipe=other)


def test_settings_of_sampling_and_stages_without_steps_may_change(tmp_path: Path) -> None:
    before = {**RECIPE, "settings": {"temperature": 1.0, "width": 8}}
    Run(tmp_path, before).keeper.save(1, {"recipe": before})

    def taken_up(**settings: float) -> None:
        now = {**before, "settings": {**before["settings"], **settings}}
        run = Run(tmp_path, now, resume=True, free=("settings.temperature:",))
        assert run.begin(Log(tmp_path)) is not None

    taken_up(temperature=0.5)
    idle = {"stages": [{"name": "later", "training": {"steps": 0}}]}
    Run(tmp_path, before | idle, resume=True).begin(Log(tmp_path))
    front = {"stages": [*idle["stages"], {"name": "one", "training": {"steps": 6}}]}
    with pytest.raises(InputError, match="recipe has changed"):  # places are counted
        Run(tmp_path, before | front, resume=True).begin(Log(tmp_path))
    with pytest.raises(InputError, match=r"settings\.width: 8, now 9"):
        taken_up(temperature=0.5, width=9)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    go(tiny(), plan(), tmp_path)
    with pytest.raises(InputError, match="does not fit trans_vae"):
        go(tiny(width=8), plan(), tmp_path, resume=True)


# ---------------------------------------------------------------------- signals and disks


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops(number: int, tmp_path: Path) -> None:
    def signalling(step: int) -> Batch:
        if step == 3:
            os.kill(os.getpid(), number)
        return draw(step)

    rare = (StageRecipe(name="main", training=settings(8, checkpoint_every=100)),)
    before = signal.getsignal(number)
    whole, parts, again = Toy(), Toy(), Toy()
    with pytest.raises(Stopped, match=r"stopped at step 4.*--resume") as caught:
        go(parts, rare, tmp_path / "parts", source=signalling)
    assert caught.value.signal == number
    assert signal.getsignal(number) == before
    go(again, rare, tmp_path / "parts", resume=True)
    go(whole, rare, tmp_path / "whole")
    assert same(weights(whole), weights(again))


def test_the_log_keeps_no_row_from_after_the_checkpoint(tmp_path: Path) -> None:
    sparse = (StageRecipe(name="main", training=settings(8, checkpoint_every=4, validate_every=1)),)
    with pytest.raises(Killed):
        go(Toy(), sparse, tmp_path, source=killed_at(6))
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')  # a kill in the middle of a line
    go(Toy(), sparse, tmp_path, resume=True)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]
