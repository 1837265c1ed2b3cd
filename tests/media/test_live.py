"""Live sources; FFmpeg's own generators are real devices to it, and every machine has them."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from visavis.errors import InputError
from visavis.media.live import Chunks, Device, Live, Picture, Sound, camera, microphone

CAMERA = Device("testsrc=size=64x48:rate=25:duration=2", "lavfi")
ENDLESS = Device("testsrc=size=64x48:rate=25", "lavfi")
MICROPHONE = Device("sine=frequency=440:sample_rate=48000:duration=1.05", "lavfi")


def test_a_cameras_pictures_come_in_order_with_their_times() -> None:
    async def watch() -> list[Picture]:
        async with Live(CAMERA, full="wait") as view:
            return [p async for p in view if isinstance(p, Picture)]

    pictures = asyncio.run(watch())
    assert len(pictures) == 50
    np.testing.assert_allclose([p.at_s for p in pictures], np.arange(50) / 25, atol=1e-6)
    assert pictures[0].pixels.shape == (48, 64, 3) and pictures[0].pixels.dtype == np.uint8


def test_a_microphone_comes_in_tenths_without_gaps_at_the_wanted_rate() -> None:
    async def listen() -> list[Sound]:
        async with Live(MICROPHONE, full="wait", rate=16000) as ear:
            return [p async for p in ear if isinstance(p, Sound)]

    pieces = asyncio.run(listen())
    assert [len(p.samples) for p in pieces[:10]] == [1600] * 10
    np.testing.assert_allclose([p.at_s for p in pieces], np.arange(len(pieces)) / 10, atol=1e-6)
    sound = np.concatenate([p.samples for p in pieces])
    assert len(sound) == pytest.approx(16800, abs=40)
    spectrum = np.abs(np.fft.rfft(sound[:16000]))
    assert int(spectrum.argmax()) == 440


def test_a_slow_reader_gets_fresh_pictures_and_the_count_of_the_lost() -> None:
    async def watch() -> tuple[list[float], int]:
        times = []
        async with Live(CAMERA, hold=3) as view:
            while len(times) < 5:
                await asyncio.sleep(0.15)  # the generator makes all 50 at once
                try:
                    piece = await anext(view)
                except StopAsyncIteration:
                    break
                times.append(piece.at_s)
            return times, view.dropped

    times, lost = asyncio.run(watch())
    assert times == pytest.approx([47 / 25, 48 / 25, 49 / 25])
    assert lost == 47


def test_a_waiting_source_is_held_back_and_loses_nothing() -> None:
    async def watch() -> tuple[int, int]:
        async with Live(CAMERA, full="wait", hold=1) as view:
            count = 0
            async for _ in view:
                count += 1
                await asyncio.sleep(0)
            return count, view.dropped

    assert asyncio.run(watch()) == (50, 0)


@pytest.mark.parametrize("full", ["drop", "wait"])
def test_leaving_early_stops_the_thread(full: str) -> None:
    async def glance() -> None:
        async with Live(ENDLESS, full=full) as view:  # type: ignore[arg-type]
            await anext(view)
            assert any(t.name == "visavis-live" for t in threading.enumerate())

    asyncio.run(glance())
    assert not any(t.name == "visavis-live" for t in threading.enumerate())


def test_a_reader_that_is_cancelled_leaves_nothing_running() -> None:
    async def watch() -> None:
        async with Live(ENDLESS) as view:
            async for _ in view:
                await asyncio.sleep(0.01)

    async def short() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(watch(), 0.3)

    asyncio.run(short())
    assert not any(t.name == "visavis-live" for t in threading.enumerate())


@pytest.mark.parametrize(
    "device",
    [camera("/dev/video97"), microphone("no_such_microphone"), Device("nonsense=1", "lavfi")],
)
def test_a_device_that_is_not_there_is_named(device: Device) -> None:
    async def look() -> None:
        async with Live(device):
            pass

    with pytest.raises(InputError, match="cannot open " + device.name):
        asyncio.run(look())


def test_cameras_are_asked_for_size_and_rate() -> None:
    asked = camera(size=(480, 640), fps=30)
    assert asked.options == {"framerate": "30", "video_size": "640x480"}


def test_chunks_hold_their_producer_back() -> None:
    async def talk() -> tuple[list[int], int]:
        chunks, ahead = Chunks(hold=2), 0
        heard: list[int] = []

        async def produce() -> None:
            nonlocal ahead
            for i in range(6):
                await chunks.put(Sound(i / 10, np.full(4, i, np.float32), 40))
                ahead = max(ahead, i - len(heard))
            await chunks.close()

        task = asyncio.create_task(produce())
        async for piece in chunks:
            await asyncio.sleep(0.01)
            heard.append(int(piece.samples[0]))  # type: ignore[union-attr]
        await task
        return heard, ahead

    heard, ahead = asyncio.run(talk())
    assert heard == list(range(6)) and ahead <= 3


def test_chunks_refuse_what_is_neither_picture_nor_sound() -> None:
    async def talk() -> None:
        chunks = Chunks()
        with pytest.raises(InputError, match="float64"):
            await chunks.put(Sound(0.0, np.zeros(4), 16000))  # type: ignore[arg-type]
        with pytest.raises(InputError, match="not str"):
            await chunks.put("hello")  # type: ignore[arg-type]
        await chunks.close()
        with pytest.raises(InputError, match="closed"):
            await chunks.put(Sound(0.0, np.zeros(4, np.float32), 16000))
        assert [p async for p in chunks] == []

    asyncio.run(talk())


def test_numbers_that_mean_nothing_are_refused() -> None:
    for options in ({"hold": 0}, {"full": "panic"}, {"rate": 0}):
        with pytest.raises(InputError, match="hold"):
            Live(CAMERA, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="hold"):
        Chunks(hold=0)
