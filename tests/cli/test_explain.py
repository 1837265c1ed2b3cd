"""`visavis explain`: the picture of what a model attends to, and what it says in numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.people import person
from visavis import pretrained
from visavis.cli import app
from visavis.cli.explain import _reach, explained
from visavis.models.reactface import ReactFace, ReactFaceConfig


def model(**settings: Any) -> ReactFace:
    torch.manual_seed(0)
    return ReactFace(ReactFaceConfig(width=16, heads=4, latent_hidden=16, horizon=24, **settings))


def run(*words: object, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["explain", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return done.exception
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a speaker and a model of random weights."""
    folder = tmp_path_factory.mktemp("desk")
    person(60).save(folder / "speaker.safetensors")
    pretrained.save(model(), folder / "model")
    return folder


def test_a_picture_is_drawn_and_its_numbers_are_told(desk: Path, tmp_path: Path) -> None:
    out = tmp_path / "attention.png"
    done = run(desk / "speaker.safetensors", "-m", desk / "model", "-o", out)
    picture = np.asarray(Image.open(out).convert("RGB"))
    assert picture.shape[0] > 800
    assert picture.shape[1] > 700
    first, speech, face = done.stdout.splitlines()
    assert first == str(out)
    assert speech.startswith("speech (MIM)")
    assert face.startswith("face (VIM)")
    assert all("0 on the future" in line for line in (speech, face))


def test_weights_of_every_head_are_written_for_other_programs(desk: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights.safetensors"
    words = (desk / "speaker.safetensors", "-m", desk / "model", "-o", out, "--json")
    told = json.loads(run(*words, "--start", 1, "--seconds", 0.8).stdout)
    assert (told["start_s"], told["frames"]) == (1.0, 20)
    maps = load_file(out)
    whole = model().attention_maps(person(60))
    assert set(maps) == set(whole) == {"visual", "modality"}
    for name, shown in maps.items():
        assert shown.shape == (4, 20, 20)
        expected = whole[name][:, 25:45, 25:45]
        torch.testing.assert_close(shown, expected.float(), atol=1e-4, rtol=0.0)


def test_what_is_ahead_is_grey_and_nothing_of_it_is_weighed() -> None:
    made = model(speech="wav2vec2")
    speaker = person(30).with_channels({"wav2vec2": torch.randn(60, 768)})
    maps, told = explained(made, speaker, seed=0, window=None, start=0.0, seconds=2.0)
    speech, face = maps.values()
    assert (speech.shape, face.shape) == ((4, 30, 60), (4, 30, 30))
    assert np.isnan(face[:, 3, 4:]).all() and np.isfinite(face[:, 3, :4]).all()
    assert np.isnan(speech[:, 3, 8:]).all() and np.isfinite(speech[:, 3, :8]).all()
    assert all(of["future"] == 0.0 for of in told["modules"].values())
    assert told["window"] == 8


def test_the_reach_of_attention_is_that_of_its_weights() -> None:
    """All weight on the own tick, or on the one a second before; a quarter ahead."""
    own, before, ahead = np.eye(50), np.eye(50, k=-25), np.eye(50)
    ahead[:-1] = 0.75 * ahead[:-1] + 0.25 * np.eye(50, k=1)[:-1]
    before[:25, 0] = 1.0
    assert _reach(own[None], 0, 25.0)["half_within_s"] == 0.0
    assert _reach(before[None, 25:], 25, 25.0) == {
        "half_within_s": 1.0,
        "last_second": 0.0,
        "future": 0.0,
    }
    assert _reach(ahead[None], 0, 25.0)["future"] == pytest.approx(0.25 * 49 / 50)


def test_ablations_show_what_they_have(desk: Path) -> None:
    speaker = person(20)
    point = model(modality="point")
    maps, _ = explained(point, speaker, seed=0, window=4, start=0.0, seconds=1.0)
    assert len(maps) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-m", "mirror"), "mirror has no attention"),
        (("-o", "maps.jpg"), r"must end in \.png"),
        (("--start", "9"), r"nothing lies between 9 s and 13 s: the clip has 2\.40 s"),
        (("--window", "0"), "--window must be at least 1"),
        (("-o", "SPEAKER"), "is the input itself"),
    ],
)
def test_what_cannot_be_explained_says_why(
    desk: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    speaker = desk / "speaker.safetensors"
    given = [str(speaker) if w == "SPEAKER" else w for w in words]
    rest = [] if "-m" in given else ["-m", str(desk / "model")]
    rest += [] if "-o" in given else ["-o", str(tmp_path / "a.png")]
    with pytest.raises(Exception, match=message):
        raise run(speaker, *given, *rest)
    assert not list(tmp_path.iterdir())
