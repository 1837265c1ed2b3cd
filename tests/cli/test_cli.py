"""The command line as a user meets it: real files, exit codes, a real process where it matters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.commands import process, refused, visavis
from tests.people import person
from visavis import recipes
from visavis.behaviour import Behaviour
from visavis.features._system import missing_libraries
from visavis.media import VideoWriter, probe, read_audio, video_frames, write_audio


@pytest.fixture
def speaker(tmp_path: Path) -> Path:
    return person(30).save(tmp_path / "speaker.safetensors")


def test_react_writes_everything_it_names(speaker: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = process("react", speaker, "-m", "mirror", "-k", 2, "--size", 48, "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    written = {name: Path(path) for name, path in json.loads(done.stdout).items()}
    assert set(written) == {"reactions", "video", "run", "report"}
    reactions = Behaviour.load(written["reactions"])
    assert reactions.lead == (2,)
    assert reactions.frames == 30
    assert reactions.has("attributes", "coefficients")
    info = probe(written["video"])
    assert info.has_video
    assert info.duration_s == pytest.approx(1.2, abs=0.05)
    page = written["report"].read_text()
    assert "<video" in page
    assert 'src="http' not in page
    record = json.loads(written["run"].read_text())
    assert record["model"] == "mirror"
    assert record["seed"] == 0
    assert sorted(os.listdir(out)) == [
        "reactions.mp4",
        "reactions.safetensors",
        "report.html",
        "run.json",
    ]


def test_equal_seeds_give_equal_files(speaker: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        done = visavis(
            *("react", speaker, "-m", "random", "-k", 2, "--seed", seed, "--no-video"),
            *("--no-report", "-o", tmp_path / name),
        )
        assert done.returncode == 0, done.stderr
    a, b, c = ((tmp_path / n / "reactions.safetensors").read_bytes() for n in ("a", "b", "c"))
    assert a == b
    assert a != c


def test_a_misspelt_model_lists_the_known_and_suggests_the_nearest(
    speaker: Path, tmp_path: Path
) -> None:
    done = process("react", speaker, "-m", "miror", "-o", tmp_path / "out")
    refused(done, "Did you mean 'mirror'?", "Known:", "random")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "none.mp4", "does not exist"),
        (lambda p: p, "is a folder"),
        (lambda p: p / "text.mp4", "text.mp4"),
        (lambda p: p / "text.safetensors", "not a safetensors file"),
    ],
    ids=["missing", "folder", "not a video", "not a behaviour"],
)
def test_a_source_that_cannot_be_read_is_refused(
    make: object, message: str, tmp_path: Path
) -> None:
    for name in ("text.mp4", "text.safetensors"):
        (tmp_path / name).write_text("hello, I am no video\n" * 50)
    source = make(tmp_path)  # type: ignore[operator]
    out = tmp_path / "out"
    commands = [("react", source, "-m", "mirror"), ("perceive", source)]
    for command in commands[:1] if source.is_dir() else commands:  # folders can be perceived
        refused(visavis(*command, "-o", out.with_suffix(".safetensors")), message)
    assert not list(tmp_path.glob("**/*.mp4.safetensors"))


def test_an_output_that_is_a_file_is_refused_before_the_work(speaker: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    refused(visavis("react", speaker, "-m", "mirror", "-o", tmp_path / "out"), "is a file")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_refused_before_the_work(speaker: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    refused(visavis("react", speaker, "-m", "mirror", "-o", out), "cannot be written")


def test_an_output_under_a_file_is_refused(speaker: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(
        visavis("react", speaker, "-m", "mirror", "-o", tmp_path / "file" / "out"), "cannot make"
    )


def test_render_draws_what_the_name_s_ending_says(speaker: Path, tmp_path: Path) -> None:
    for ending, start in ((".png", b"\x89PNG"), (".mp4", b"\x00\x00\x00"), (".html", b"<!")):
        out = tmp_path / f"drawn{ending}"
        done = visavis("render", speaker, out, "--size", 48, "--beside", speaker)
        assert done.returncode == 0, done.stderr
        assert out.read_bytes()[: len(start)].lower() == start.lower()
    refused(visavis("render", speaker, tmp_path / "drawn.gif"), ".mp4, .png, .html")


def test_a_report_without_a_speaker_says_what_it_needs(speaker: Path, tmp_path: Path) -> None:
    refused(visavis("render", speaker, tmp_path / "a.html"), "--beside speaker.safetensors")


def test_models_lists_every_recipe_as_json_too() -> None:
    rows = json.loads(visavis("models", "--json").stdout)
    assert [row["name"] for row in rows] == list(recipes.names())
    assert {row["weights"] for row in rows} <= {"bundled", "none needed", "train it"}
    assert "trans_vae_online" in visavis("models").stdout


def test_help_teaches_each_command() -> None:
    text = process("--help").stdout
    for command in ("perceive", "react", "render", "train", "models", "demo"):
        assert command in text
        assert visavis(command, "--help").returncode == 0
    assert visavis("--version").stdout.startswith("visavis 0.")


def test_a_clip_of_over_a_minute_is_streamed_and_the_record_says_so(tmp_path: Path) -> None:
    path = person(1600, names=("blendshapes", "rotation", "translation", "mfcc78")).save(
        tmp_path / "long.safetensors"
    )
    done = visavis(
        *(
            "react",
            path,
            "-m",
            "nn_motion",
            "-k",
            1,
            "--no-video",
            "--no-report",
            "-o",
            tmp_path / "o",
        )
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "o" / "run.json").read_text())
    assert record["generated"]["way"] == "rolling windows"
    assert record["frames"] == 1600


def test_train_fits_a_model_that_loads_again(tmp_path: Path, speaker: Path) -> None:
    out = tmp_path / "weights"
    done = visavis(
        *("train", "mean_frame", "--set", "corpus.train_size=3", "--set", "corpus.frames=60"),
        *("--out", out),
    )
    assert done.returncode == 0, done.stderr
    used = visavis(
        "react", speaker, "-m", out, "-k", 1, "--no-video", "--no-report", "-o", tmp_path / "o"
    )
    assert used.returncode == 0, used.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "trans_va"), "Did you mean 'trans_vae'?"),
        (("train", "trans_vae", "--preset", "labtop"), "Did you mean 'laptop'?"),
        (("train", "trans_vae", "--set", "training.stepps=3"), "did you mean 'steps'?"),
        (("train", "trans_vae", "--set", "settings.widht=3"), "did you mean 'width'?"),
        (("train", "trans_vae", "--set", "training"), "wanted section.key=value"),
        (("train", "trans_vae", "--set", "training.batch=0"), "greater than 0"),
        (("train", "mirror"), "nothing to learn"),
    ],
)
def test_a_recipe_s_mistakes_are_explained(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    refused(visavis(*words, cwd=tmp_path), message)


@pytest.mark.slow
def test_an_hour_of_a_speaker_is_answered_in_bounded_memory(tmp_path: Path) -> None:
    import resource

    import torch

    names = ("blendshapes", "rotation", "translation", "mfcc78")
    minute = person(1500, names=names)
    Behaviour.cat([minute] * 60).save(tmp_path / "hour.safetensors")
    done = process(
        *("react", tmp_path / "hour.safetensors", "-m", "trans_vae_online", "-k", 1),
        *("--no-video", "--no-report", "-o", tmp_path / "o"),
    )
    assert done.returncode == 0, done.stderr
    reactions = Behaviour.load(tmp_path / "o" / "reactions.safetensors")
    assert reactions.frames == 90_000
    assert bool(torch.isfinite(reactions.pack()).all())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    assert peak < 3.0, f"{peak:.1f} GiB"


# ---------------------------------------------------------------------- nothing is lost


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's speaker for two seconds: whole, with the face lost for a while, and sound only."""
    if missing_libraries() or find_spec("mediapipe") is None:
        pytest.skip("the face tracker cannot run on this machine")
    from visavis.demo.portrait import make_speaker

    folder = tmp_path_factory.mktemp("films")
    make_speaker(folder / "whole.mp4", seconds=2.0, size=192)
    sound = read_audio(folder / "whole.mp4")
    assert sound is not None
    with VideoWriter(folder / "lost.mp4", width=192, height=192, audio=sound) as film:
        for t, frame in enumerate(video_frames(folder / "whole.mp4")):
            film.write(frame * 0 if 15 <= t < 27 else frame)
    write_audio(folder / "sound.wav", sound)
    return folder


@pytest.mark.parametrize(("name", "seen"), [("lost.mp4", (20, 45)), ("sound.wav", (0, 0))])
def test_a_speaker_who_is_partly_seen_is_perceived_saved_and_answered(
    films: Path, name: str, seen: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "s.safetensors"
    done = visavis("perceive", films / name, "-o", path, "--json")
    assert done.returncode == 0, done.stderr
    face = int(Behaviour.load(path).mask("blendshapes").sum())
    assert seen[0] <= face <= seen[1]
    done = visavis("demo", films / name, "-k", 1, "--size", 48, "-o", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "report.html").exists()


def test_no_command_writes_over_its_input(films: Path, tmp_path: Path) -> None:
    mine = tmp_path / "reactions.mp4"
    mine.write_bytes((films / "whole.mp4").read_bytes())
    before = mine.read_bytes()
    refused(visavis("perceive", mine, "-o", mine), ".safetensors")
    refused(visavis("react", mine, "-m", "mirror", "-o", tmp_path), "is the input itself")
    (tmp_path / "speaker.mp4").symlink_to(mine)
    refused(visavis("demo", tmp_path / "speaker.mp4", "-o", tmp_path), "is the input itself")
    person(10).save(tmp_path / "p.safetensors")
    again = visavis("render", tmp_path / "p.safetensors", mine, "--beside", mine)
    refused(again, "is the input itself")
    assert mine.read_bytes() == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_while_drawing_leaves_no_half_film(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    person(1000).save(tmp_path / "s.safetensors")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "visavis", "react", str(tmp_path / "s.safetensors")]
    with subprocess.Popen([*command, "-m", "mirror", "-k", "4", "-o", str(out)]) as process:
        for _ in range(600):
            if out.exists() and any(p.name.startswith(".reactions") for p in out.iterdir()):
                break
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(number)
        assert process.wait(30) == code
    assert sorted(os.listdir(out)) == ["reactions.safetensors", "run.json"]


def test_a_second_run_into_a_folder_leaves_nothing_of_the_first(
    speaker: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    visavis("react", speaker, "-m", "mirror", "-k", 1, "--size", 32, "-o", out)
    assert (out / "report.html").exists()
    visavis("react", speaker, "-m", "random", "-k", 1, "--no-video", "--no-report", "-o", out)
    assert sorted(os.listdir(out)) == ["reactions.safetensors", "run.json"]
    assert json.loads((out / "run.json").read_text())["weights"] == "none needed"


def test_a_film_beside_a_strip_is_shown_and_a_missing_one_is_refused(
    films: Path, speaker: Path, tmp_path: Path
) -> None:
    out = tmp_path / "strip.png"
    done = visavis("render", speaker, out, "--beside", films / "whole.mp4", "--size", 32)
    assert done.returncode == 0, done.stderr
    with Image.open(out) as picture:
        assert picture.height > 2 * 32
    refused(visavis("render", speaker, out, "--beside", tmp_path / "none.mp4"), "there is no file")


def test_a_seed_that_does_not_fit_is_refused(speaker: Path, tmp_path: Path) -> None:
    done = visavis("react", speaker, "--seed", "99999999999999999999", "-o", tmp_path / "o")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
