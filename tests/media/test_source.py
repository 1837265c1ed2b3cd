"""What may not be opened, and what is said about it; probing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from visavis.errors import InputError
from visavis.media import Audio, audio_chunks, probe, read_audio, video_frames, write_audio

from .films import even, film, tone

READERS = {
    "probe": probe,
    "read_audio": read_audio,
    "video_frames": lambda path: next(iter(video_frames(path))),
    "audio_chunks": lambda path: next(iter(audio_chunks(path))),
}


@pytest.fixture(scope="session")
def unreadable(shelf: Path, talk: Path) -> dict[str, Path]:
    shown = {
        "absent": shelf / "nowhere.mp4",
        "folder": shelf / "a_folder.mp4",
        "text": shelf / "text.mp4",
        "empty": shelf / "empty.mp4",
        "headless": shelf / "headless.mp4",
        "pipe": shelf / "pipe.mp4",
        "playlist": shelf / "playlist.mp4",
    }
    shown["folder"].mkdir()
    shown["text"].write_text("these are words, not a film\n" * 50)
    shown["empty"].touch()
    late = film(shelf / "late_index.mp4", even(50, 25), faststart=False)
    shown["headless"].write_bytes(late.read_bytes()[: late.stat().st_size // 2])
    os.mkfifo(shown["pipe"])
    shown["playlist"].write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://a.invalid/\n"
    )
    return shown


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("absent", "there is no file"),
        ("folder", "is a folder"),
        ("text", "not a media file"),
        ("empty", "is empty"),
        ("headless", "cut off before its index"),
        ("pipe", "not a regular file"),
        ("playlist", "not a media file"),
    ],
)
def test_what_is_no_media_file_is_refused_with_a_reason(
    unreadable: dict[str, Path], reader: str, what: str, said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        READERS[reader](unreadable[what])
    assert unreadable[what].name in str(caught.value)


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_what_may_not_be_read_is_refused(tmp_path: Path, talk: Path, closed: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "closed.mp4"
    path.write_bytes(talk.read_bytes())
    (path if closed == "file" else folder).chmod(0)
    for parent in folder.parents[:3]:
        if os.access(parent, os.W_OK) and parent.owner() == tmp_path.owner():
            parent.chmod(0o755)
    # The superuser may read everything, so the child gives that up once all is imported.
    code = f"""
import os, sys, av, visavis.errors, visavis.media
if os.geteuid() == 0:
    os.setuid(65534)
try:
    visavis.media.probe({str(path)!r})
except visavis.errors.InputError as error:
    sys.exit("permissions" not in str(error))
sys.exit(2)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    folder.chmod(0o755)


def test_probe_tells_what_a_film_holds(talk: Path) -> None:
    info = probe(talk)
    assert (info.has_video, info.has_audio) == (True, True)
    assert (info.width, info.height, info.fps) == (96, 48, 25.0)
    assert (info.sample_rate, info.channels) == (16_000, 1)
    assert info.duration_s == pytest.approx(4.0, abs=0.07)


def test_probe_of_sound_alone_leaves_the_picture_out(shelf: Path) -> None:
    path = shelf / "probe.wav"
    write_audio(path, Audio(np.zeros((12_000, 2), np.float32), 48_000))
    info = probe(path)
    assert (info.has_video, info.fps, info.width) == (False, None, None)
    assert (info.sample_rate, info.channels, info.duration_s) == (48_000, 2, 0.25)


def test_a_cover_picture_is_not_a_film(shelf: Path) -> None:
    import av

    path = shelf / "song.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        audio = out.add_stream("aac", rate=16_000, layout="mono")
        cover = out.add_stream("png", rate=1)
        cover.width = cover.height = 16
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        out.mux(cover.encode(frame))
        out.mux(cover.encode(None))
        sound = av.AudioFrame.from_ndarray(tone(0.064, 16_000).T.copy(), "fltp", "mono")
        sound.sample_rate, sound.pts = 16_000, 0
        out.mux(audio.encode(sound))
        out.mux(audio.encode(None))
    assert not probe(path).has_video
    assert probe(path).has_audio


def test_the_package_loads_without_its_decoder() -> None:
    code = "import sys, visavis.media; sys.exit('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
