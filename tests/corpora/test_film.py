from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from visavis.behaviour import Behaviour
from visavis.corpora import SimulatedDyads
from visavis.errors import InputError
from visavis.media import read_audio, video_frames
from visavis.render.frames import pictures

FRAMES = 6


def corpus(**options: object) -> SimulatedDyads:
    given = {"size": 14, "frames": FRAMES, "audio": False, "renderer": pictures, **options}
    return SimulatedDyads("test", **given)  # type: ignore[arg-type]


def test_speakers_come_with_pictures_of_the_drawn_head() -> None:
    dyad = corpus(pixels=True)[0]
    pixels = dyad.speaker["pixels"]
    assert pixels.shape == (FRAMES, 3, 224, 224)
    assert str(pixels.dtype) == "torch.uint8"
    assert pixels.float().std() > 20
    assert not dyad.listener.has("pixels")


def test_people_look_the_same_in_every_clip() -> None:
    dyads = corpus(size=28)
    first, second = dyads[0], next(d for d in dyads if d.id in dyads[0].history)
    assert first.listener_id == second.listener_id
    seen: list[int] = []

    def spying(behaviour: Behaviour, person: int) -> Iterator[np.ndarray]:
        seen.append(person)
        return pictures(behaviour, person)

    watched = corpus(size=28, renderer=spying)
    for dyad in (first.id, second.id):
        watched.pixels(dyad, "listener")
    watched.pixels(first.id, "speaker")
    assert seen[0] == seen[1] != seen[2]


def test_a_film_has_the_voice_and_every_frame(tmp_path: Path) -> None:
    path = corpus(frames=25).film("simulated-test-s0-00003", tmp_path / "speaker.mp4")
    frames = list(video_frames(path))
    assert len(frames) == 25
    assert frames[0].shape == (224, 224, 3)
    assert read_audio(path).duration_s == pytest.approx(1.0, abs=0.1)


def test_a_renderer_that_gives_something_else_is_named() -> None:
    def small(behaviour: Behaviour, person: int) -> Iterator[np.ndarray]:
        return pictures(behaviour, person, size=64)

    with pytest.raises(InputError, match=r"\[64, 64, 3\]; wanted uint8 \[224, 224, 3\]"):
        corpus(renderer=small).pixels("simulated-test-s0-00000")
    with pytest.raises(InputError, match="Did you mean 'listener'"):
        corpus().pixels("simulated-test-s0-00000", "listenr")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="renderer=visavis"):
        corpus(renderer=None).pixels("simulated-test-s0-00000")
