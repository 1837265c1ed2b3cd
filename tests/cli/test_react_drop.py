"""`visavis react --drop` and `--lost`: what the model is not to see or hear."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.cli.commands import visavis
from tests.people import person
from visavis import pretrained
from visavis.behaviour import Behaviour
from visavis.features.attributes import complete


def react(folder: Path, *words: str) -> tuple[Behaviour, dict[str, float]]:
    out = folder / "out"
    plain = ("-q", "--no-video", "--no-report", "-k", "2", "-o", out)
    done = visavis("react", folder / "speaker.safetensors", *plain, *words)
    assert done.returncode == 0, done.stderr
    told = json.loads((out / "run.json").read_text())
    return Behaviour.load(out / "reactions.safetensors"), told["lost"]


def test_what_is_dropped_is_what_the_model_does_not_get(tmp_path: Path) -> None:
    speaker = person(200)
    speaker.save(tmp_path / "speaker.safetensors")
    made, lost = react(
        tmp_path, "--drop", "speech@3.0-7.5", "--drop", "face@1-2", "--drop", "words"
    )
    assert lost == {"face": 0.125, "speech": 0.565}
    lossy = speaker.drop("speech", start=75, stop=188).drop("face", start=25, stop=50)
    expected = complete(pretrained.load("reactface").generate(lossy, 2, seeds=0))
    torch.testing.assert_close(made.pack(), expected.pack(), atol=1e-5, rtol=0.0)
    assert react(tmp_path)[1] == {}


def test_a_mute_stretch_is_found_when_that_is_asked(tmp_path: Path) -> None:
    speaker = person(100)
    energy = speaker["energy"] + 0.1
    energy[40:80] = 0.0
    speaker.with_channels({"energy": energy}).save(tmp_path / "speaker.safetensors")
    assert react(tmp_path)[1] == {}
    assert react(tmp_path, "--lost")[1] == {"speech": 0.4}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--drop", "sound@1-2"), "speech@3.0-7.5"),
        (("--drop", "face@9-3"), "before it begins"),
        (("--drop", "face@90-95"), "behind the end"),
    ],
)
def test_what_cannot_be_dropped_is_refused(
    words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    person(50).save(tmp_path / "speaker.safetensors")
    done = visavis("react", tmp_path / "speaker.safetensors", *words, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert says in done.stderr.replace("\n", " ")
