"""A folder of films becomes a folder of behaviours, whatever is among them and whoever dies."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.features.workers import double_or_die
from tests.media.films import even, film, tone
from visavis.behaviour import Behaviour
from visavis.errors import InputError, MissingExtra
from visavis.features import perceive_many as module
from visavis.features._engines import ENGINES, Lost, by_loky, engine_named
from visavis.features._system import missing_libraries
from visavis.features.perceive import perceive
from visavis.features.perceive_many import Outcome, perceive_many

needs_tracker = pytest.mark.skipif(
    find_spec("mediapipe") is None or bool(missing_libraries()), reason="no face tracker here"
)
TONE = tone(0.5, 16_000)


def sounds(root: Path, *names: str) -> Path:
    """Short sound files: perceived in milliseconds, without a tracker."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        film(path, [], sound=TONE, sound_codec="pcm_s16le")
    return root


def by_name(report: module.PerceptionReport) -> dict[str, Outcome]:
    return {o.file: o for o in report.files}


def same(one: Behaviour, other: Behaviour) -> bool:
    return all(
        torch.equal(x.nan_to_num(), other.channels[n].nan_to_num()) for n, x in one.channels.items()
    )


@needs_tracker
@pytest.mark.parametrize("engine", ["loky", "dask"])
def test_two_processes_perceive_real_films_as_one_would(tmp_path: Path, engine: str) -> None:
    root = tmp_path / "films"
    root.mkdir()
    film(root / "bars.mp4", even(20, 25.0), sound=TONE)
    if find_spec("skimage") is not None:
        from visavis.demo.portrait import make_speaker

        (root / "a").mkdir()
        make_speaker(root / "a" / "speaker.mp4", seconds=1, size=192)
    (root / "broken.mp4").write_bytes(b"no film at all")
    report = perceive_many(root, tmp_path / "out", jobs=2, engine=engine)
    found = by_name(report)
    assert found.pop("broken.mp4").status == "failed"
    assert "bars.mp4" in found
    assert {o.status for o in found.values()} == {"done"}
    for file, outcome in found.items():
        alone = perceive(root / file)
        made = Behaviour.load(tmp_path / "out" / str(outcome.behaviour))
        assert made.source == alone.source
        assert same(made, alone)
        assert (outcome.frames, outcome.face) == (
            alone.frames,
            pytest.approx(float(alone.mask("blendshapes").float().mean())),
        )
    assert any("no face in any" in note for note in found["bars.mp4"].notes)


def test_the_folders_are_mirrored_and_names_never_clash(tmp_path: Path) -> None:
    root = sounds(tmp_path / "r", "x.wav", "a/b c/y.wav", "a/y.wav", ".hidden.wav", ".h/z.wav")
    film(root / "a" / "y.mka", [], sound=TONE)
    shutil.copy(root / "x.wav", root / "a" / "y.flac")
    (root / "notes.txt").write_text("hello")
    report = perceive_many(root, root / "out", jobs=1)
    assert {o.file: o.behaviour for o in report.files} == {
        "x.wav": "x.safetensors",
        "a/b c/y.wav": "a/b c/y.safetensors",
        "a/y.wav": "a/y.wav.safetensors",
        "a/y.flac": "a/y.flac.safetensors",
    }
    for outcome in report.files:
        assert Behaviour.load(root / "out" / str(outcome.behaviour)).frames == outcome.frames == 12
    chosen = perceive_many(root, tmp_path / "some", jobs=1, only=["a/*"])
    assert "x.wav" not in by_name(chosen)
    assert by_name(chosen)["a/y.mka"].status == "done"


def test_a_finished_file_is_known_by_its_content(tmp_path: Path) -> None:
    root, out = sounds(tmp_path / "r", "a.wav", "b.wav", "c.wav"), tmp_path / "out"
    assert perceive_many(root, out, jobs=1).count("done") == 3
    made = {p: p.stat().st_mtime_ns for p in out.glob("*.safetensors")}
    assert perceive_many(root, out, jobs=1).count("skipped") == 3

    for path in root.iterdir():
        os.utime(path, (1, 1))  # another date
    root.rename(tmp_path / "moved")
    root = tmp_path / "moved"
    assert perceive_many(root, out, jobs=1).count("skipped") == 3
    assert {p: p.stat().st_mtime_ns for p in made} == made

    dates = (root / "b.wav").stat()
    film(root / "b.wav", [], sound=-TONE, sound_codec="pcm_s16le")  # other content, same date
    os.utime(root / "b.wav", ns=(dates.st_atime_ns, dates.st_mtime_ns))
    assert (root / "b.wav").stat().st_size == dates.st_size
    (out / "c.safetensors").unlink()
    again = by_name(perceive_many(root, out, jobs=1))
    assert {f: o.status for f, o in again.items()} == {
        "a.wav": "skipped",
        "b.wav": "done",
        "c.wav": "done",
    }


def test_a_failed_file_is_reported_and_tried_again(tmp_path: Path) -> None:
    root, out = sounds(tmp_path / "r", "good.wav"), tmp_path / "out"
    (root / "bad.wav").write_bytes(b"RIFF")
    (root / "gone.wav").symlink_to(tmp_path / "nowhere")
    seen: list[tuple[int, int | None]] = []
    report = perceive_many(root, out, jobs=1, progress=lambda d, t: seen.append((d, t)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert "bad.wav" in str(by_name(report)["bad.wav"].reason)
    assert by_name(report)["gone.wav"].status == "failed"
    assert json.loads((out / "report.json").read_text())["failed"] == 2
    sounds(root, "bad.wav")
    again = by_name(perceive_many(root, out, jobs=1))
    assert (again["good.wav"].status, again["bad.wav"].status) == ("skipped", "done")


def test_a_killed_run_is_resumed(tmp_path: Path) -> None:
    root, out = sounds(tmp_path / "r", *(f"{i:02d}.wav" for i in range(24))), tmp_path / "out"
    command = [sys.executable, "-m", "visavis", "perceive", str(root), "-o", str(out), "-j", "2"]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    journal = out / "perceived.jsonl"
    while not journal.exists() or journal.read_text().count("\n") < 3:
        assert run.poll() is None
        time.sleep(0.002)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    with journal.open("a") as file:
        file.write('{"file": "39.wav", "beha')  # a line cut in two
    finished = journal.read_text().count("\n")
    time.sleep(0.5)  # its workers end by themselves
    report = perceive_many(root, out, jobs=2)
    assert (report.count("skipped"), report.count("done")) == (finished, 24 - finished)
    assert 0 < finished < 24
    assert len(list(out.glob("*.safetensors"))) == 24
    assert not [p for p in out.rglob("*") if p.name.startswith(".")]


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    from visavis.features._perceived import journal

    def hold() -> None:
        with journal(tmp_path / "out"):
            (tmp_path / "held").touch()
            time.sleep(30)

    holder = multiprocessing.get_context("fork").Process(target=hold)
    holder.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    try:
        with pytest.raises(InputError, match=r"another run is writing to .*out; wait for it"):
            perceive_many(sounds(tmp_path / "r", "a.wav"), tmp_path / "out", jobs=1)
    finally:
        holder.kill()
        holder.join()
    assert perceive_many(tmp_path / "r", tmp_path / "out", jobs=1).count("done") == 1


def test_what_is_no_folder_of_films_is_said(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "a.csv").write_text("1")
    with pytest.raises(InputError, match=r"holds no films or sound files; found 1 \.csv"):
        perceive_many(tmp_path / "r", tmp_path / "out")
    with pytest.raises(InputError, match="is not a folder"):
        perceive_many(tmp_path / "r" / "a.csv", tmp_path / "out")
    root = sounds(tmp_path / "s", "a.wav")
    with pytest.raises(InputError, match=r"holds nothing like \*\.mp4; found 1 \.wav"):
        perceive_many(root, tmp_path / "out", only=["*.mp4"])
    with pytest.raises(InputError, match=r"no engine 'dusk'\. Did you mean 'dask'"):
        perceive_many(root, tmp_path / "out", engine="dusk")
    with pytest.raises(InputError, match="jobs must be at least 1"):
        perceive_many(root, tmp_path / "out", jobs=0)
    with pytest.raises(InputError, match="takes no address"):
        perceive_many(root, tmp_path / "out", address="tcp://localhost:1")
    with pytest.raises(InputError, match="cannot write to"):
        perceive_many(root, root / "a.wav")


# ---------------------------------------------------------------------- engines


@pytest.mark.parametrize("engine", ["loky", "dask"])
def test_a_dying_process_costs_its_own_item_alone(engine: str) -> None:
    results = dict(engine_named(engine)(double_or_die, list(range(12)), jobs=2, address=None))
    assert set(results) == set(range(12))
    assert isinstance(results.pop(3), Lost)
    assert results.pop(5) == Lost("ValueError: five is right out")
    assert results == {n: 2 * n for n in results}


def test_no_items_need_no_processes() -> None:
    assert list(by_loky(double_or_die, [], jobs=2, address=None)) == []


@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
def test_ray_gives_the_same() -> None:
    results = dict(ENGINES["ray"](double_or_die, list(range(6)), jobs=2, address=None))
    assert isinstance(results[3], Lost)
    assert results[4] == 8


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_a_missing_engine_names_its_extra(tmp_path: Path) -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'visavis\[ray\]'"):
        perceive_many(sounds(tmp_path / "r", "a.wav"), tmp_path / "out", engine="ray")


# ---------------------------------------------------------------------- the command


def test_the_command_prints_what_failed_and_exits_with_1(tmp_path: Path) -> None:
    root = sounds(tmp_path / "r", "good.wav")
    (root / "bad.wav").write_bytes(np.arange(99, dtype=np.uint8).tobytes())
    command = [sys.executable, "-m", "visavis", "perceive", str(root), "-j", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "failed         1" in done.stdout
    assert "bad.wav  " in done.stdout
    assert (tmp_path / "r-perceived" / "good.safetensors").exists()
    (root / "bad.wav").unlink()
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert done.returncode == 0
    assert json.loads(done.stdout)["skipped"] == 1
    one = [*command[:4], str(root / "good.wav"), "--jobs", "2"]
    done = subprocess.run(one, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--jobs, --engine, --address and --only are for a folder" in done.stderr
