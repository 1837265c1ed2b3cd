"""Several processes give what one gives; what is not there is refused."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.people import batch
from tests.training.processes import forked, side_by_side, weights_of
from tests.training.toys import Gan, Toy, two_stages
from visavis.dyad import Batch
from visavis.errors import InputError
from visavis.recipes import StageRecipe, TrainingRecipe
from visavis.training import devices
from visavis.training.faults import NotFinite, Stopped, load_batch
from visavis.training.logs import Log
from visavis.training.loop import train
from visavis.training.resume import Run
from visavis.training.sampler import Sampler

SIZE = 12
CLIPS = [batch(1, 6, seed=i) for i in range(SIZE)]


def joined(parts: list[Batch]) -> Batch:
    from visavis.behaviour import Behaviour

    def stacked(name: str) -> Any:
        return Behaviour.stack([getattr(p, name)[0] for p in parts])

    return Batch(
        stacked("speaker"),
        stacked("listener"),
        stacked("targets"),
        torch.cat([p.target_mask for p in parts]),
    )


def go(
    folder: Path,
    world: int,
    stages: tuple[StageRecipe, ...],
    make: Any,
    strategy: str = "auto",
    resume: bool = False,
    stop: int = -1,
    poison: int = -1,
) -> None:
    fabric = devices.fabric(devices=world, strategy=strategy)
    sampler = Sampler(SIZE, stages, seed=5, rank=fabric.global_rank, world=world)
    model = make()

    def draw(step: int) -> Batch:
        if step == stop:
            os.kill(os.getpid(), signal.SIGTERM if fabric.global_rank == world - 1 else 0)
        made = joined([CLIPS[i] for i in sampler(step).indices])
        if step == poison and fabric.global_rank == world - 1:
            made.listener.channels["va"][0, 0] = math.nan
        return made

    def score(now: Any, stage: StageRecipe, terms: Any) -> float:
        with torch.no_grad():
            return float(sum(terms(joined(CLIPS)).values()))

    train(
        model,
        draw,
        stages,
        fit_on=[joined(CLIPS)],
        validate=score,
        fabric=fabric,
        run=Run(folder, {"name": "toy", "model": "toy"}, resume=resume),
        log=Log(folder if fabric.is_global_zero else None),
    )
    state = {n: devices.whole(x).clone() for n, x in model.state_dict().items()}
    save_file(state, folder / f"end-{fabric.global_rank}.safetensors")


def ends(folder: Path, world: int) -> list[dict[str, torch.Tensor]]:
    return [weights_of(folder / f"end-{rank}.safetensors") for rank in range(world)]


def close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert set(one) == set(other)
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=1e-6, rtol=1e-5)


def alone(folder: Path, stages: tuple[StageRecipe, ...], make: Any) -> dict[str, torch.Tensor]:
    child = forked(go, folder, 1, stages, make)
    child.join(120)
    assert child.exitcode == 0
    return ends(folder, 1)[0]


ONE = (
    StageRecipe(
        name="main", training=TrainingRecipe(steps=6, batch=4, learning_rate=0.05, accumulate=2)
    ),
)
TWO = two_stages(batch=4, ema=0.9, validate_every=2, checkpoint_every=3)


@pytest.mark.parametrize(("stages", "make"), [(ONE, Toy), (TWO, Gan)], ids=["pieces", "GAN"])
def test_two_processes_end_where_one_ends_on_the_same_global_batch(
    stages: tuple[StageRecipe, ...], make: Any, tmp_path: Path
) -> None:
    side_by_side(2, go, tmp_path / "two", 2, stages, make)
    one, (first, second) = alone(tmp_path / "one", stages, make), ends(tmp_path / "two", 2)
    assert all(torch.equal(x, second[n]) for n, x in first.items())
    close(first, one)
    assert not torch.equal(one["decoder.weight"], make().decoder.weight)  # it did learn


@pytest.mark.slow
def test_a_sharded_model_ends_where_a_whole_one_ends(tmp_path: Path) -> None:
    side_by_side(2, go, tmp_path / "two", 2, TWO, Gan, "fsdp")
    one, (first, second) = alone(tmp_path / "one", TWO, Gan), ends(tmp_path / "two", 2)
    assert all(torch.equal(x, second[n]) for n, x in first.items())
    close(first, one)


def stopping(folder: Path, strategy: str) -> None:
    with pytest.raises(Stopped, match="stopped at step 4"):
        go(folder, 2, ONE, Toy, strategy, stop=3)


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_a_signal_to_one_process_stops_both_and_one_process_can_go_on(
    strategy: str, tmp_path: Path
) -> None:
    side_by_side(2, stopping, tmp_path / "run", strategy)
    child = forked(go, tmp_path / "run", 1, ONE, Toy, "auto", True)
    child.join(120)
    assert child.exitcode == 0
    close(ends(tmp_path / "run", 1)[0], alone(tmp_path / "one", ONE, Toy))


def poisoned(folder: Path) -> None:
    with pytest.raises(NotFinite, match="not finite at step 3"):
        go(folder, 2, ONE, Toy, poison=2)


def test_a_bad_loss_on_one_process_stops_both_and_keeps_its_batch(tmp_path: Path) -> None:
    side_by_side(2, poisoned, tmp_path)
    assert len(load_batch(tmp_path / "failed" / "step-00000003")) == 1


# ---------------------------------------------------------------------- refused


def test_more_devices_than_there_are_are_refused() -> None:
    many = (os.cpu_count() or 1) + 1
    with pytest.raises(InputError, match=rf"{many} devices were asked for, but there are .* CPU"):
        devices.fabric(devices=many)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"accelerator": "cuda"}, "no CUDA device here"),
        ({"accelerator": "gpux"}, "no accelerator 'gpux'"),
        ({"strategy": "fsdpp"}, "Did you mean 'fsdp'"),
        ({"precision": "16"}, "needs a GPU"),
        ({"precision": "8"}, "no precision '8'"),
        ({"nodes": 2}, "torchrun --nnodes 2"),
        ({"devices": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(request_: dict[str, Any], message: str) -> None:
    if request_.get("accelerator") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(InputError, match=message):
        devices.fabric(**request_)


def test_torchrun_s_own_numbers_are_taken_and_others_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (
        ("TORCHELASTIC_RUN_ID", "x"),
        ("WORLD_SIZE", "6"),
        ("LOCAL_WORLD_SIZE", "2"),
    ):
        monkeypatch.setenv(name, value)
    assert devices._asked(1, 1) == devices._asked(2, 3) == (2, 3)
    with pytest.raises(InputError, match=r"torchrun started 2 process.* on 3 machine"):
        devices._asked(4, 1)
