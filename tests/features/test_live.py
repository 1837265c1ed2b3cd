"""Live perception: what comes out as pieces come in, beside what `perceive` makes of the file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch

from visavis.behaviour import Behaviour
from visavis.errors import InputError
from visavis.features.live import LivePerception, perceive_live
from visavis.features.perceive import perceive
from visavis.media.live import Chunks, Device, Live, Picture, Sound

BLANK = np.zeros((48, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mediapipe")
    pytest.importorskip("skimage")
    from visavis.demo.portrait import make_speaker

    path = tmp_path_factory.mktemp("live") / "speaker.mp4"
    make_speaker(path, seconds=3.0, size=192)
    return path


def joined(parts: list[Behaviour]) -> Behaviour:
    return Behaviour.cat(parts)


def test_a_film_played_live_is_seen_and_heard_as_perceive_does(film: Path) -> None:
    async def watch() -> list[Behaviour]:
        with LivePerception() as perception:
            async with Live(Device(str(film)), full="wait") as source:
                return [b async for b in perceive_live(source, perception=perception)]

    live, whole = joined(asyncio.run(watch())), perceive(film)
    assert whole.frames - 4 <= live.frames <= whole.frames
    seen = live.mask("blendshapes")
    assert seen.float().mean() > 0.9
    kept = torch.arange(live.frames)[seen]
    torch.testing.assert_close(live["energy"], whole["energy"][: live.frames], atol=0.05, rtol=0)
    turn = live.filled("rotation")[kept] - whole.filled("rotation")[kept]
    assert turn.abs().mean() < 0.03
    jaw = live.layout["blendshapes"].index("jawOpen")
    told, known = (b.filled("blendshapes")[kept, jaw].numpy() for b in (live, whole))
    assert np.corrcoef(told, known)[0, 1] > 0.9
    assert live.derived >= {"au", "va", "expression"}


def test_sound_alone_makes_frames_whose_face_is_unobserved() -> None:
    with LivePerception(sees=False) as perception:
        counts = [
            perception.push(Sound(i / 10, np.zeros(1600, np.float32), 16000)).frames
            for i in range(4)
        ]
        assert sum(counts) == 10 and max(counts) <= 3
        last = perception.push(Sound(0.4, np.zeros(1600, np.float32), 16000))
    assert not last.mask("blendshapes").any() and not last.mask("confidence").any()
    assert last.mask("energy").all()


class Counting:
    """A tracker of no faces that counts what it was asked."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def track(self, frame: np.ndarray, time_s: float) -> None:
        self.times.append(time_s)

    def close(self) -> None: ...

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_pictures_alone_make_frames_and_only_the_needed_ones_are_tracked() -> None:
    tracker = Counting()
    with LivePerception(hears=False, tracker=tracker) as perception:
        frames = [perception.push(Picture(i / 60, BLANK)).frames for i in range(61)]
    assert sum(frames) == 25
    assert 24 <= len(tracker.times) <= 26 and tracker.times == sorted(tracker.times)


def test_a_camera_that_stopped_says_nothing_about_now() -> None:
    tracker = Counting()
    with LivePerception(tracker=tracker) as perception:
        perception.push(Picture(0.0, BLANK))
        for i in range(10):
            perception.push(Sound(i / 10, np.zeros(1600, np.float32), 16000))
        assert perception.frames == 25 and tracker.times == [0.0]


def test_pieces_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="neither seen nor heard"):
        LivePerception(sees=False, hears=False)
    with LivePerception(sees=False) as deaf:
        with pytest.raises(InputError, match="sees nothing"):
            deaf.push(Picture(0.0, BLANK))
        with pytest.raises(InputError, match="44100 Hz"):
            deaf.push(Sound(0.0, np.zeros(10, np.float32), 44100))
    with LivePerception(hears=False, tracker=Counting()) as blind:
        with pytest.raises(InputError, match="hears nothing"):
            blind.push(Sound(0.0, np.zeros(10, np.float32), 16000))
        blind.push(Picture(1.0, BLANK))
        with pytest.raises(InputError, match="came after"):
            blind.push(Picture(0.5, BLANK))


def test_a_chunk_that_does_not_fit_ends_the_stream_with_its_error() -> None:
    async def talk() -> None:
        chunks = Chunks()
        await chunks.put(Sound(0.0, np.zeros(1600, np.float32), 8000))
        with LivePerception(sees=False) as perception:
            async for _ in perceive_live(chunks, perception=perception):
                pass

    with pytest.raises(InputError, match="8000 Hz"):
        asyncio.run(talk())
