"""An hour of film, in one go: constant memory on the way in, bounded on the way out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from visavis.behaviour import Behaviour
from visavis.features._system import missing_libraries
from visavis.media import Audio, VideoWriter, read_audio, video_frames

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(
        bool(missing_libraries()) or find_spec("mediapipe") is None,
        reason="the face tracker cannot run on this machine",
    ),
]

SECONDS, LOOP = 3600, 10


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of the demo's speaker, 360 times."""
    from visavis.demo.portrait import make_speaker

    folder = tmp_path_factory.mktemp("hour")
    make_speaker(folder / "short.mp4", seconds=LOOP)
    frames = list(video_frames(folder / "short.mp4", size=128))
    sound = read_audio(folder / "short.mp4", rate=16000)
    assert sound is not None
    samples = np.resize(sound.samples[: LOOP * 16000], (LOOP * 16000, 1))
    whole = Audio(np.tile(samples, (SECONDS // LOOP, 1)), 16000)
    with VideoWriter(folder / "hour.mp4", width=128, height=128, audio=whole) as film:
        for _ in range(SECONDS // LOOP):
            for frame in frames:
                film.write(frame)
    return folder / "hour.mp4"


def test_an_hour_is_perceived_and_answered_in_bounded_memory(hour: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "visavis", "react", str(hour), "--num", "1", "--no-video"),
        *("--no-report", "--out", str(tmp_path), "--json"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        written = json.loads(process.stdout.read())
        _, status, used = os.wait4(process.pid, 0)
    assert status == 0
    reactions = Behaviour.load(written["reactions"])
    assert reactions.frames == SECONDS * 25
    assert bool(reactions.pack().isfinite().all())
    assert used.ru_maxrss < 2.5 * 2**20, f"{used.ru_maxrss / 2**20:.2f} GiB"
