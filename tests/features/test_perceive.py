"""perceive: commanded against recovered on the demo's speaker, and every kind of absence."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from visavis.behaviour import Behaviour
from visavis.channels import BLENDSHAPES
from visavis.errors import InputError, MissingChannel
from visavis.features import _system
from visavis.features.face import FaceObservation
from visavis.features.perceive import _Seen, face_picture, perceive
from visavis.media import Audio, VideoWriter, video_frames, write_audio

if _system.missing_libraries():
    pytest.skip("system libraries of the face tracker are missing", allow_module_level=True)
pytest.importorskip("mediapipe")
pytest.importorskip("skimage")

SECONDS = 14.0
FACE = ("blendshapes", "rotation", "translation", "au", "va", "expression")
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Behaviour]:
    """The demo speaker's film and the coefficients that it was made with."""
    from visavis.demo.portrait import make_speaker

    path = tmp_path_factory.mktemp("speaker") / "speaker.mp4"
    return path, make_speaker(path, seconds=SECONDS, seed=0, size=320).behaviour


@pytest.fixture(scope="module")
def seen(speaker: tuple[Path, Behaviour]) -> Behaviour:
    return perceive(speaker[0])


@pytest.fixture(scope="module")
def frames(speaker: tuple[Path, Behaviour]) -> list[Picture]:
    """The film's first two seconds."""
    return list(video_frames(speaker[0], stop_s=2.0))


def film(path: Path, pictures: Sequence[Picture], audio: Audio | None = None) -> Path:
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, width=width, height=height, audio=audio) as out:
        for picture in pictures:
            out.write(np.ascontiguousarray(picture))
    return path


def hum(seconds: float, rate: int = 16000) -> Audio:
    t = np.arange(round(seconds * rate)) / rate
    return Audio((0.2 * np.sin(2 * np.pi * 150 * t)).astype(np.float32)[:, None], rate)


def column(behaviour: Behaviour, name: str) -> NDArray[np.float64]:
    if name in ("pitch", "yaw", "roll"):
        values = behaviour["rotation"][:, ("pitch", "yaw", "roll").index(name)]
    else:
        values = behaviour["blendshapes"][:, BLENDSHAPES.index(name)]
    return values.double().numpy()


# ---------------------------------------------------------------- right in sign, scale and time


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("jawOpen", 0.85),
        ("mouthSmileLeft", 0.85),
        ("mouthSmileRight", 0.85),
        ("eyeBlinkLeft", 0.8),
        ("eyeBlinkRight", 0.8),
        ("browInnerUp", 0.85),
        ("browOuterUpLeft", 0.8),
        ("pitch", 0.8),
        ("yaw", 0.95),
        ("roll", 0.95),
    ],
)
def test_what_was_commanded_is_recovered(
    speaker: tuple[Path, Behaviour], seen: Behaviour, name: str, least: float
) -> None:
    commanded, recovered = column(speaker[1], name), column(seen, name)
    assert np.corrcoef(commanded, recovered)[0, 1] > least
    slope = np.polyfit(commanded, recovered, 1)[0]
    assert 0.5 < slope < 1.4


@pytest.mark.parametrize("name", ["jawOpen", "mouthSmileLeft", "eyeBlinkLeft", "browInnerUp"])
def test_it_is_recovered_in_its_own_frame(
    speaker: tuple[Path, Behaviour], seen: Behaviour, name: str
) -> None:
    commanded, recovered = column(speaker[1], name), column(seen, name)
    edge = 5
    inner = commanded[edge:-edge]
    agreement = {
        lag: np.corrcoef(inner, recovered[edge + lag : len(recovered) - edge + lag])[0, 1]
        for lag in range(-edge, edge)
    }
    assert abs(max(agreement, key=lambda lag: agreement[lag])) <= 1


def test_mouth_and_sound_agree(seen: Behaviour) -> None:
    energy = seen["energy"][:, 0].double().numpy()
    jaw = column(seen, "jawOpen")
    assert np.corrcoef(energy, jaw)[0, 1] > 0.3
    assert jaw[energy > np.median(energy)].mean() > 2 * jaw[energy == energy.min()].mean()


def test_a_neutral_stretch_reads_as_neutral(
    speaker: tuple[Path, Behaviour], seen: Behaviour
) -> None:
    still = speaker[1]["blendshapes"].amax(dim=1) < 0.1
    assert still.sum() >= 10
    assert seen["blendshapes"][still].mean() < 0.06
    assert seen["blendshapes"][still].mean(dim=0).max() < 0.35


def test_attributes_are_there_and_marked_derived(seen: Behaviour) -> None:
    assert seen.frames == round(SECONDS * 25)
    assert {"au", "va", "expression"} <= seen.derived
    assert not {"blendshapes", "rotation", "translation"} & seen.derived
    assert torch.allclose(seen["expression"].sum(dim=-1), torch.ones(seen.frames), atol=1e-5)
    happy = seen["expression"][:, 1].double().numpy()
    assert np.corrcoef(happy, column(seen, "mouthSmileLeft"))[0, 1] > 0.5


def test_translation_is_metres_from_the_clips_middle(seen: Behaviour) -> None:
    place = seen["translation"]
    assert place.median(dim=0).values.abs().max() < 1e-3
    assert place.abs().max() < 0.06


def test_the_same_film_gives_the_same_behaviour(frames: list[Picture], tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", frames[:10])
    first, second = perceive(path), perceive(path)
    for name in FACE:
        assert torch.equal(first[name], second[name])


# ---------------------------------------------------------------- absence


def test_frames_without_the_face_are_unobserved_there_and_only_there(
    frames: list[Picture], tmp_path: Path
) -> None:
    shown = [np.zeros_like(f) if 20 <= t < 35 else f for t, f in enumerate(frames)]
    lost = perceive(film(tmp_path / "lost.mp4", shown, hum(2.0)))
    expected = [not 20 <= t < 35 for t in range(50)]
    for name in FACE:
        assert lost.mask(name).tolist() == expected
        with pytest.raises(MissingChannel):
            lost[name]
    assert lost.mask("energy").all()


def test_sound_alone_leaves_the_face_unobserved(tmp_path: Path) -> None:
    write_audio(tmp_path / "voice.wav", hum(1.2))
    heard = perceive(tmp_path / "voice.wav")
    assert heard.frames == 30
    for name in FACE:
        assert name in heard and not heard.mask(name).any()
    for name in ("mfcc78", "energy", "pitch", "voice"):
        assert heard.mask(name).all()
    assert heard["pitch"][10:20].median() == pytest.approx(150, rel=0.03)


def test_a_silent_film_leaves_speech_unobserved(frames: list[Picture], tmp_path: Path) -> None:
    seen = perceive(film(tmp_path / "silent.mp4", frames[:8]))
    assert seen.mask("blendshapes").all()
    for name in ("mfcc78", "energy", "pitch", "voice"):
        assert name in seen and not seen.mask(name).any()


def test_confidence_says_where_the_face_was(frames: list[Picture], tmp_path: Path) -> None:
    shown = [np.zeros_like(f) if t < 3 else f for t, f in enumerate(frames[:8])]
    seen = perceive(film(tmp_path / "a.mp4", shown))
    assert seen.mask("confidence").all()
    assert not seen["confidence"][:3].any() and (seen["confidence"][3:] > 0.8).all()


def test_a_small_face_in_a_wide_film_is_found_and_followed(
    frames: list[Picture], tmp_path: Path
) -> None:
    def wide(picture: Picture) -> Picture:
        canvas = np.full((360, 960, 3), 120, np.uint8)
        step = len(picture) // 110
        small = picture[::step, ::step][:110, :110]
        canvas[120 : 120 + len(small), 700 : 700 + small.shape[1]] = small
        return canvas

    seen = perceive(film(tmp_path / "wide.mp4", [wide(f) for f in frames[:20]]))
    assert seen.mask("rotation").float().mean() > 0.8


def test_no_face_with_sound_warns_and_gives_the_sound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = film(tmp_path / "wall.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 12, hum(0.48))
    with caplog.at_level(logging.WARNING, "visavis"):
        heard = perceive(path)
    assert "no face in any of 12 frames" in caplog.text
    assert not heard.mask("blendshapes").any() and heard.mask("energy").all()


def test_no_face_and_no_sound_is_an_error(tmp_path: Path) -> None:
    path = film(tmp_path / "wall.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 5)
    with pytest.raises(InputError, match="no face in any of 5 frames, and there is no sound"):
        perceive(path)


def test_two_faces_warn_and_give_one(
    frames: list[Picture], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both = [np.concatenate([f, f[:, ::-1]], axis=1) for f in frames[:5]]
    with caplog.at_level(logging.WARNING, "visavis"):
        seen = perceive(film(tmp_path / "two.mp4", both))
    assert "2 faces in view" in caplog.text
    assert seen.lead == () and seen.mask("blendshapes").all()


def test_one_frame_is_a_behaviour_of_one_frame(frames: list[Picture], tmp_path: Path) -> None:
    seen = perceive(film(tmp_path / "one.mp4", frames[:1]))
    assert seen.frames == 1
    assert torch.isfinite(seen["blendshapes"]).all()


def test_a_truncated_film_gives_what_is_left_and_says_so(
    speaker: tuple[Path, Behaviour],
    seen: Behaviour,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole = speaker[0].read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 4 // 10])
    with caplog.at_level(logging.WARNING, "visavis"):
        rest = perceive(cut)
    assert caplog.text.count("damaged or cut off") == 1 and "cut.mp4" in caplog.text
    assert 25 < rest.frames < seen.frames
    assert rest.mask("rotation").all()
    np.testing.assert_allclose(rest["rotation"][:20], seen["rotation"][:20], atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"this is a letter, not a film\n" * 50])
def test_what_is_not_media_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"letter\.mp4"):
        perceive(path)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.mp4"):
        with pytest.raises(InputError):
            perceive(path)


def test_unknown_speech_channels_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tempo.*mfcc78"):
        perceive(tmp_path / "nothing.mp4", speech=("energy", "tempo"))


# ---------------------------------------------------------------- options, trackers, memory


def test_only_the_asked_speech_is_measured_and_progress_is_told(
    frames: list[Picture], tmp_path: Path
) -> None:
    told: list[tuple[int, int | None]] = []
    path = film(tmp_path / "a.mp4", frames[:6], hum(0.24))
    seen = perceive(
        path, speech=("energy",), progress=lambda done, total: told.append((done, total))
    )
    assert "energy" in seen and "mfcc78" not in seen
    assert [done for done, _ in told] == list(range(1, 7))
    assert told[-1][1] == 6


def test_kept_pixels_show_the_face(frames: list[Picture], tmp_path: Path) -> None:
    shown = [np.zeros_like(frames[0]), *frames[:3]]
    seen = perceive(film(tmp_path / "a.mp4", shown), keep_pixels=True)
    assert seen.mask("pixels").tolist() == [False, True, True, True]
    picture = seen.filled("pixels")[2]
    assert tuple(picture.shape) == (3, 224, 224)
    red, _, blue = picture[:, 90:150, 90:134].float().mean(dim=(1, 2))
    assert red > blue + 20  # skin


def test_a_face_at_the_edge_of_the_picture_still_gives_a_square() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    corner = np.random.default_rng(1).uniform(-30, 30, (478, 3)).astype(np.float32)
    assert face_picture(frame, corner).shape == (3, 224, 224)


class _EveryOther:
    """A tracker that measures blendshapes itself and loses every other frame."""

    def __init__(self) -> None:
        self.closed = False
        self.times: list[float] = []

    def track(self, frame: Picture, time_s: float) -> FaceObservation | None:
        self.times.append(time_s)
        if len(self.times) % 2 == 0:
            return None
        return FaceObservation(
            landmarks=np.zeros((478, 3), np.float32),
            blendshapes=np.full(52, 0.25, np.float32),
            rotation=np.array([0.1, -0.2, 0.3], np.float32),
            translation=np.array([0.0, 0.0, -0.5], np.float32),
            confidence=1.0,
        )

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def test_another_tracker_is_taken_at_its_word_and_left_open(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", [np.zeros((32, 32, 3), np.uint8)] * 4)
    tracker = _EveryOther()
    seen = perceive(path, tracker=tracker)
    assert seen.mask("blendshapes").tolist() == [True, False, True, False]
    assert torch.equal(seen.filled("blendshapes")[2], torch.full((52,), 0.25))
    np.testing.assert_allclose(seen.filled("rotation")[0], [0.1, -0.2, 0.3], atol=1e-6)
    np.testing.assert_allclose(tracker.times, np.arange(4) / 25)
    assert not tracker.closed


def test_memory_grows_by_about_a_kilobyte_a_frame(frames: list[Picture]) -> None:
    from visavis.features.face_mediapipe import MediapipeTracker

    with MediapipeTracker(faces=1) as tracker:
        face = tracker.track(frames[0], 0.0)
    assert face is not None and face.measures is not None
    tracemalloc.start()
    record, count = _Seen(keep_pixels=False), 2000
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(count):  # a fresh copy each, as a tracker hands out
        record.add(
            frames[0],
            FaceObservation(
                landmarks=face.landmarks.copy(),
                blendshapes=face.blendshapes.copy(),
                rotation=face.rotation.copy(),
                translation=face.translation.copy(),
                confidence=1.0,
                measures=face.measures.copy(),
            ),
        )
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / count < 1024


def test_an_hour_of_face_pictures_is_refused_before_it_is_read(
    frames: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visavis.features.perceive.MOST_PIXELS", 3 * 224 * 224)
    path = film(tmp_path / "a.mp4", frames[:3])
    with pytest.raises(InputError, match="leave keep_pixels out"):
        perceive(path, keep_pixels=True)
