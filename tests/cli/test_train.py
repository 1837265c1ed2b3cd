"""`visavis train` as people run it: runs that stop and go on, dry runs, several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from visavis import pretrained
from visavis.cli import app
from visavis.cli._train_scores import outside, scored
from visavis.errors import VisavisError

TINY = (
    "corpus.train_size=8",
    "corpus.val_size=4",
    "corpus.frames=40",
    "corpus.crop=24",
    "corpus.targets=2",
    "model.width=16",
    "model.heads=2",
    "training.batch=4",
    "training.validate_every=3",
    "training.checkpoint_every=2",
)


def arguments(*more: str, steps: int = 6, name: str = "trans_vae") -> list[str]:
    changes = (*TINY, f"training.steps={steps}", "stages.mean.steps=0")
    sets = [word for change in changes for word in ("--set", change)]
    return ["train", name, "--preset", "laptop", "-q", *sets, *more]


def run(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, list(words), catch_exceptions=True)
    error = done.exception
    if isinstance(error, VisavisError):
        return error
    assert done.exit_code == code, (done.output, error)
    return done


def test_a_run_leaves_weights_card_logs_and_what_it_was_made_of(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(*arguments("--out", str(out), "--tensorboard")).stdout.strip() == str(out)
    assert pretrained.load(out).config.width == 16  # model.width is settings.width
    about = json.loads((out / "run.json").read_text())
    assert about["recipe"]["settings"]["width"] == 16
    assert about["recipe"]["training"]["batch"] == 4
    assert about["corpus"]["fingerprint"].startswith("simulated")
    assert about["environment"]["torch"] and about["code"]["version"]
    assert about["preset"] == "laptop" and "model.heads=2" in about["changes"]
    trained = pretrained.card(out)["trained"]
    assert trained["fingerprint"] == about["corpus"]["fingerprint"]
    assert trained["recipe"] == about["recipe"]
    assert "trained test" not in (out / "config.json").read_text()  # what the bundled ones passed
    assert trained["note"] == "trained on simulated dyads, not on recordings of people."
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 3, 6]
    assert (out / "log.csv").read_text().startswith("step,stage,loss,")
    assert list((out / "tensorboard").glob("events*"))
    assert "## Intended use" in (out / "README.md").read_text()


def test_a_run_may_begin_with_weights_and_their_statistics(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run(*arguments("--out", str(first), steps=3))
    begun = ("--set", f"begin={first}", "--set", "corpus.seed=5")
    still = ("--set", "training.learning_rate=1e-12", "--set", "training.weight_decay=0")
    run(*arguments("--out", str(second), *begun, *still, steps=1))
    before, after = (pretrained.load(folder).state_dict() for folder in (first, second))
    moved = max(float((before[n] - x).abs().max()) for n, x in after.items())
    assert moved < 1e-6  # other dyads, and yet the same means and deviations of the inputs
    other = run(*arguments("--out", str(tmp_path / "third"), *begun, "--set", "model.width=8"))
    assert "cannot begin with the weights" in str(other)


def test_equal_seeds_give_equal_weights_and_workers_change_nothing(tmp_path: Path) -> None:
    for name, more in (("a", ()), ("b", ("--set", "training.workers=1"))):
        run(*arguments("--out", str(tmp_path / name), *more, steps=3))
    sums = [pretrained.card(tmp_path / n)["files"]["model.safetensors"] for n in ("a", "b")]
    assert sums[0] == sums[1]


def test_a_dry_run_measures_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = run(*arguments("--dry-run", steps=1000)).stdout
    for part in ("stage main: 1,000 steps", "a step", "checkpoint", "memory", "about 0:"):
        assert part in text
    assert not list(tmp_path.iterdir())


def test_a_dry_run_of_what_keeps_its_last_weights_validates_nothing() -> None:
    text = run(*arguments("--dry-run", "--set", "training.select=last", steps=1000)).stdout
    assert "validation  0.00 s" in text


@pytest.mark.slow
def test_simulated_speakers_are_drawn_for_a_model_that_reads_pictures() -> None:
    small = ["corpus.frames=3", "corpus.crop=3", "corpus.val_size=1", "training.batch=1"]
    sizes = [part for size in small for part in ("--set", size)]
    text = run("train", "trans_vae", "--preset", "pixels", "--dry-run", *sizes, "--quiet").stdout
    assert "one batch went through everything" in text


def test_samples_are_drawn_every_so_often(tmp_path: Path) -> None:
    run(*arguments("--out", str(tmp_path / "run"), "--samples", "2", steps=4))
    names = sorted(p.name for p in (tmp_path / "run" / "samples").iterdir())
    assert names == ["step-00000002.png", "step-00000004.png"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "training.batch=9"), "training.batch is 9, but the corpus has 8 clips"),
        (("--set", "training.accumulate=3"), "cannot be divided among 1 device.*in 3 piece"),
        (("--set", "training.select=los"), "Did you mean 'loss'"),
        (("--set", "training.rates={critc=1}"), "training.rates names 'critc'"),
        (("--set", "model.widht=8"), "did you mean 'width'"),
        (("--set", "model.width=15"), "width must be a multiple of heads"),
        (
            ("--set", "model.face=pixels", "--set", "corpus.options.pixels=false"),
            "needs pixels of the speakers.*the video itself",
        ),
        (("--corpus", "reakt"), "no corpus 'reakt'"),
        (("--root", "/data"), "takes no root"),
        (("--resume",), "no checkpoint to resume from"),
        (("--devices", "999"), "999 devices were asked for, but there are"),
        (("--nodes", "2"), "find each other through torchrun"),
        (("--precision", "8"), "training.precision"),
        (("--strategy", "fdsp"), "Did you mean 'fsdp'"),
        (("--bundle", "--out", "x"), "leave --out away"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(
    more: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = run(*arguments(*more, steps=2))
    assert isinstance(error, VisavisError)
    import re

    assert re.search(message, str(error), re.DOTALL), error


def test_a_recipe_of_one_s_own_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'model = "mean_frame"\nabout = "Mine."\n[corpus]\ntrain_size = 3\nframes = 40\n'
    )
    run("train", str(path), "-q", "--out", str(tmp_path / "out"))
    assert pretrained.load(tmp_path / "out").name == "mine"


def test_a_wrapper_s_run_may_be_taken_up_with_other_sampling_of_its_base(tmp_path: Path) -> None:
    small = ("train_size=4", "val_size=2", "frames=40", "crop=24", "targets=2")
    changes = (*(f"corpus.{x}" for x in small), "training.steps=1", "training.batch=2")
    words = [word for change in changes for word in ("--set", change)]
    words = ["train", "emc_regnn", "--preset", "laptop", "-q", "-o", str(tmp_path / "run"), *words]
    run(*words)
    run(*words, "--resume", "--set", "model.sampling.redraw=9", "--set", "model.fade=2")
    assert pretrained.card(tmp_path / "run")["settings"]["sampling"]["redraw"] == 9
    assert "recipe has changed" in str(run(*words, "--resume", "--set", "model.latent=8"))


# ---------------------------------------------------------------------- scores


def test_scores_outside_the_stored_intervals_are_told_and_other_protocols_are_not() -> None:
    way = {"protocol": "corrected", "corpus": "c", "clips": 2, "samples": 2, "units": "2 scripts"}
    stored = way | {"values": {"FRCorr": {"mean": 0.2, "low": 0.1, "high": 0.3}}}
    inside = way | {"values": {"FRCorr": {"mean": 0.3, "low": 0.2, "high": 0.4}}}
    beyond = way | {"values": {"FRCorr": {"mean": 0.31, "low": 0.2, "high": 0.4}}}
    assert outside(inside, stored) == []
    assert outside(beyond, stored) == ["FRCorr is 0.31, stored 0.1 to 0.3"]
    assert outside(beyond | {"clips": 3}, stored) == []


# ---------------------------------------------------------------------- real processes


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "visavis", *words]


def started(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def first_checkpoint(out: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(1200):
        if list((out / "checkpoints").glob("0*.safetensors")):
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("no checkpoint within a minute")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_exit_code_tells_it(number: int, tmp_path: Path) -> None:
    words = arguments("--out", str(tmp_path), steps=5000)
    process = started(*words)
    first_checkpoint(tmp_path, process)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "stopped at step" in error and "--resume" in error


@pytest.mark.slow
def test_trained_killed_resumed_scored_published_and_loaded_back(tmp_path: Path) -> None:
    """The whole way that issue 6 must show, at a tiny size."""
    steps = 400
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = started(*arguments("--out", str(killed), steps=steps))
    first_checkpoint(killed, process)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert not (killed / "model.safetensors").exists()
    for folder, more in ((killed, ("--resume",)), (whole, ())):
        subprocess.run(
            command(*arguments("--out", str(folder), *more, steps=steps)), check=True, timeout=300
        )
    sums = [pretrained.card(f)["files"]["model.safetensors"]["sha256"] for f in (killed, whole)]
    assert sums[0] == sums[1]
    model = pretrained.load(killed)
    published = tmp_path / "published"
    pretrained.HubModel(model).save_pretrained(published)
    found = [
        scored(pretrained.load(f), tmp_path / f"bench-{i}", quiet=True, scripts=2, samples=2,
               frames=60)
        for i, f in enumerate((killed, published))
    ]  # fmt: skip
    assert found[0] == found[1]


@pytest.mark.slow
def test_two_processes_are_started_by_the_command_itself_and_by_torchrun(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    own = command(*arguments("--out", str(tmp_path / "own"), "--devices", "2", steps=4))
    subprocess.run(own, check=True, timeout=300, env=environment)
    rank = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    other = [*rank, "-m", "visavis", *arguments("--out", str(tmp_path / "run"), steps=4)]
    subprocess.run(other, check=True, timeout=300, env=environment)
    for name in ("own", "run"):
        about = json.loads((tmp_path / name / "run.json").read_text())
        assert about["environment"]["processes"] == 2
        assert pretrained.load(tmp_path / name).config.width == 16
    sums = [pretrained.card(tmp_path / n)["files"]["model.safetensors"] for n in ("own", "run")]
    assert sums[0] == sums[1]
