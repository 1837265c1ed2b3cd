"""The animated photograph: it moves as commanded, holds its background, and takes odd files."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.render.people import moving, weights
from visavis.channels import BLENDSHAPES
from visavis.cli.render import run
from visavis.errors import InputError
from visavis.features import _system
from visavis.features.face_geometry import blendshapes_of
from visavis.features.face_mediapipe import MediapipeTracker
from visavis.features.face_pose import angles_of, fit_pose
from visavis.features.face_rest import rest_of
from visavis.media import probe, video_frames
from visavis.render.motion import motions
from visavis.render.portrait import MOVE_MM, TURN, Portrait
from visavis.render.portrait_photo import find_face, read_photo
from visavis.render.portrait_renderer import (
    RADIUS,
    Reenacted,
    faceverse_frames,
    window_of,
)
from visavis.render.still import film_strip
from visavis.render.video import render_video

if _system.missing_libraries():
    pytest.skip("system libraries of the face tracker are missing", allow_module_level=True)
pytest.importorskip("mediapipe")
data = pytest.importorskip("skimage.data")

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def tracker():
    from visavis.features.face_mediapipe import MediapipeTracker

    with MediapipeTracker(faces=4, still=True) as started:
        yield started


@pytest.fixture(scope="module")
def portrait(tracker) -> Portrait:
    return Portrait.from_photo(data.astronaut(), tracker)


def changed(a: Picture, b: Picture) -> NDArray[np.float64]:
    return np.abs(a.astype(float) - b.astype(float)).mean(axis=2)


def gap_and_eyes(tracker, picture: Picture) -> tuple[float, float, NDArray[np.float64]]:
    """Lips apart and left eye open, in mm, and the head's angles, as the tracker sees them."""
    (face,) = tracker.faces(picture)
    pose = fit_pose(face)
    head = pose.to_head(face)
    return head[13, 1] - head[14, 1], head[386, 1] - head[374, 1], angles_of(pose.matrix)


# ---------------------------------------------------------------------- it moves as commanded


def test_at_rest_it_is_the_photograph_around_the_mouth_apart(portrait: Portrait) -> None:
    rest = portrait.draw(np.zeros(52), size=256)
    photo = portrait._photo
    edge = round(len(photo.plate) * 0.15 / 1.3)
    middle = Image.fromarray(photo.plate[edge:-edge, edge:-edge]).resize((256, 256))
    differs = changed(rest, np.asarray(middle))
    rows, _ = np.nonzero(differs > 40)
    assert np.median(differs) < 4
    assert len(rows) < 0.02 * differs.size  # the closed mouth, and single hairs


def test_the_tracker_sees_the_mouth_open_and_the_eye_close(portrait: Portrait, tracker) -> None:
    rest = gap_and_eyes(tracker, portrait.draw(np.zeros(52), size=384))
    opened = gap_and_eyes(tracker, portrait.draw(weights(jawOpen=0.8), size=384))
    shut = gap_and_eyes(tracker, portrait.draw(weights(eyeBlink=1.0), size=384))
    assert rest[0] < 2.5 and opened[0] > rest[0] + 8
    assert shut[1] < 0.55 * rest[1]


def test_the_tracker_sees_the_head_turn_as_told(portrait: Portrait, tracker) -> None:
    rest = gap_and_eyes(tracker, portrait.draw(np.zeros(52), size=384))[2]
    for rotation in ((0.0, 0.2, 0.0), (0.12, 0.0, 0.0), (0.0, 0.0, 0.2)):
        turned = gap_and_eyes(tracker, portrait.draw(np.zeros(52), rotation, size=384))[2]
        np.testing.assert_allclose(turned - rest, rotation, atol=0.09)


def played(frames: int) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Two seconds of rest, then six movements of different periods: by name, and [T, 3] rad."""
    clock = np.maximum(np.arange(frames) - 50, 0) / 25.0

    def wave(period_s: float, size: float) -> NDArray[np.float64]:
        return size * (1 - np.cos(2 * np.pi * clock / period_s)) / 2

    blink = np.clip(1 - np.abs(clock % 1.5 - 0.75) / 0.16, 0, 1) * (clock > 0)
    shapes = {"jawOpen": wave(1.7, 0.7), "browInnerUp": wave(2.3, 0.9)}
    for side in ("Left", "Right"):
        shapes |= {f"mouthSmile{side}": wave(3.1, 0.9), f"eyeBlink{side}": blink}
    pitch, yaw = (a * np.sin(2 * np.pi * clock / p) for a, p in ((0.15, 4.3), (0.25, 5.9)))
    return shapes, np.stack([pitch, yaw, 0 * clock], axis=1)


def test_the_tracker_recovers_what_was_commanded_within_a_frame(portrait: Portrait) -> None:
    shapes, rotation = played(250)
    measures, turns = [], []
    with MediapipeTracker(faces=1) as tracker:
        for t, turn in enumerate(rotation):
            now = weights(**{name: float(values[t]) for name, values in shapes.items()})
            seen = tracker.track(portrait.draw(now, turn, size=192), t / 25)
            assert seen is not None and seen.measures is not None
            measures.append(seen.measures.astype(np.float64))
            turns.append(seen.rotation)
    distances = np.stack(measures)
    told = blendshapes_of(distances, rest_of(distances))
    pairs = {name: (values, told[:, BLENDSHAPES.index(name)]) for name, values in shapes.items()}
    pairs |= {n: (rotation[:, i], np.stack(turns)[:, i]) for i, n in enumerate(("pitch", "yaw"))}
    for name, (commanded, recovered) in pairs.items():
        late = {k: np.corrcoef(commanded[3:-3], np.roll(recovered, -k)[3:-3])[0, 1]
                for k in range(-3, 4)}  # fmt: skip
        assert late[0] >= 0.8, (name, late[0])
        # a slow wave's best lag is told only roughly: none may be better by more than a hundredth
        assert max(late[k] for k in (-1, 0, 1)) >= max(late.values()) - 0.01, (name, late)
        if name.startswith("eyeBlink"):
            assert max(late, key=lambda k: late[k]) in (-1, 0, 1), late


def test_an_open_mouth_is_dark_inside_and_shows_teeth(portrait: Portrait) -> None:
    rest, opened = (portrait.draw(weights(jawOpen=j)) for j in (0.0, 1.0))
    dark = (rest.mean(axis=2) > 110) & (opened.mean(axis=2) < 80)
    rows, columns = np.nonzero(dark)
    assert dark.sum() > 80 and np.ptp(columns) < 60
    above = opened[rows.min() - 6 : rows.min() + 2, columns.min() : columns.max()]
    assert above.min(axis=2).max() > 130  # pale, not red: a tooth


def test_a_closed_eye_hides_the_iris(portrait: Portrait) -> None:
    iris = portrait._photo.landmarks[473, :2] * [256, -256]
    x, y = np.round(iris).astype(int)
    dark = [portrait.draw(weights(eyeBlink=b))[y - 1 : y + 2, x - 1 : x + 2].mean() for b in (0, 1)]
    assert dark[1] > dark[0] + 40


def test_a_closed_lid_is_skin_and_not_streaked_lashes(portrait: Portrait) -> None:
    picture = portrait.draw(weights(eyeBlink=1.0), size=512).astype(float).mean(axis=2)
    for iris in (468, 473):
        x, y = portrait._photo.landmarks[iris, :2] * [512, -512]
        lid = picture[int(y) - 6 : int(y) + 2, int(x) - 11 : int(x) + 11]
        assert lid.mean() > 155  # skin above the fold; 130 and less where lashes are stretched


def test_lips_and_lids_never_pass_each_other(portrait: Portrait) -> None:
    rng = np.random.default_rng(0)
    from visavis.render.portrait import _MEETING

    for _ in range(30):
        moved = portrait._moved(rng.uniform(0, 1, 52))
        for upper, lower in _MEETING:
            assert (moved[upper, 1] >= moved[lower, 1] - 1e-9).all()


@pytest.mark.parametrize("yaw", [-0.6, 0.6])
def test_a_turned_head_has_no_holes_and_the_border_stands_still(
    portrait: Portrait, yaw: float
) -> None:
    rest, turned = (portrait.draw(np.zeros(52), (0.0, y, 0.0)) for y in (0.0, yaw))
    border = changed(rest, turned)
    assert max(border[:, :3].max(), border[:, -3:].max(), border[:3].max()) < 20  # grain
    # what is under the mesh painted green: it shows through the open eyes alone
    marked = (*portrait._plate(256)[1], *portrait._mouth)
    saved = [layer.texture.copy() for layer in marked]
    try:
        for layer in marked:
            layer.texture[..., :3] = [0, 255, 0]
        through = changed(turned, portrait.draw(np.zeros(52), (0.0, yaw, 0.0))) > 60
    finally:
        for layer, before in zip(marked, saved, strict=True):
            layer.texture[...] = before
    assert 10 < through.sum() < 0.012 * through.size


def test_equal_arguments_give_equal_bytes_and_odd_numbers_are_held(portrait: Portrait) -> None:
    wild = np.full(52, np.nan)
    wild[:26] = 9.0
    far = portrait.draw(wild, (9.0, -9.0, np.inf), (5.0, np.nan, -5.0), 64)
    assert far.shape == (64, 64, 3) and far.dtype == np.uint8
    np.testing.assert_array_equal(
        far, portrait.draw(wild, (9.0, -9.0, np.inf), (5.0, np.nan, -5.0), 64)
    )
    limit = portrait.draw(np.zeros(52), TURN * 50, MOVE_MM, 64)
    further = portrait.draw(np.zeros(52), TURN * 500, MOVE_MM, 64)
    np.testing.assert_array_equal(limit, further)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((np.zeros(51),), r"shape \[52\]"),
        ((np.zeros(52), np.zeros(2)), "rotation must have shape"),
        ((np.zeros(52), np.zeros(3), np.zeros(3), 8), "16 to 1024"),
        ((np.zeros(52), np.zeros(3), np.zeros(3), 2000), "16 to 1024"),
    ],
)
def test_what_does_not_fit_is_refused(portrait: Portrait, arguments, says: str) -> None:
    with pytest.raises(InputError, match=says):
        portrait.draw(*arguments)


# ---------------------------------------------------------------------- odd photographs


def placed(tracker, path: Path) -> NDArray[np.float64]:
    """Where the face is in the square of a photograph."""
    return find_face(read_photo(path), tracker, name=path.name).landmarks


def test_a_photograph_turned_by_its_exif_stands_upright(tmp_path: Path, tracker) -> None:
    upright, lying = tmp_path / "up.jpg", tmp_path / "lying.jpg"
    picture = Image.fromarray(data.astronaut())
    picture.save(upright, quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    picture.transpose(Image.Transpose.ROTATE_90).save(lying, quality=95, exif=exif)
    np.testing.assert_allclose(placed(tracker, lying), placed(tracker, upright), atol=0.02)


def test_transparent_grey_small_and_huge_photographs_work(tmp_path: Path, tracker) -> None:
    photo = Image.fromarray(data.astronaut())
    cut_out = photo.convert("RGBA")
    alpha = np.zeros((512, 512), np.uint8)
    alpha[:260, 140:310] = 255
    cut_out.putalpha(Image.fromarray(alpha))
    face = photo.crop((130, 0, 320, 230))
    files = {
        "cut.png": cut_out,
        "grey.png": photo.convert("L"),
        "palette.png": photo.quantize(64),
        "small.png": face.resize((64, 77)),
        "huge.jpg": photo.resize((5000, 5000)),
    }
    for name, picture in files.items():
        picture.save(tmp_path / name)
        portrait = Portrait.from_photo(tmp_path / name, tracker)
        drawn = portrait.draw(weights(jawOpen=0.7), size=128)
        assert drawn.shape == (128, 128, 3), name
        if name == "cut.png":
            assert (drawn[:, 2] == 255).all()  # white where nothing was
        if name == "grey.png":
            assert np.ptp(drawn.astype(int), axis=2).max() <= 2  # the painted mouth is grey too


def test_of_two_faces_the_larger_is_taken_with_a_warning(
    tracker, caplog: pytest.LogCaptureFixture
) -> None:
    face = Image.fromarray(data.astronaut()).crop((106, 0, 346, 240))
    group = Image.new("RGB", (760, 420), (150, 150, 150))
    group.paste(face.resize((300, 300)), (10, 10))
    group.paste(face.resize((400, 400)), (355, 10))
    with caplog.at_level(logging.WARNING, "visavis"):
        photo = find_face(np.asarray(group), tracker, name="group.png")
    assert "group.png shows 2 faces: the largest is animated" in caplog.text
    alone = find_face(np.asarray(group)[:, 340:], tracker)
    across = [np.ptp(p.landmarks[:, 1]) for p in (photo, alone)]
    assert across[0] == pytest.approx(across[1], rel=0.1)


def test_a_photograph_on_its_side_is_said_to_be(tracker, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "visavis"):
        Portrait.from_photo(np.ascontiguousarray(np.rot90(data.astronaut())), tracker)
    assert "turn the picture upright" in caplog.text


def test_a_photograph_without_a_face_is_refused(tmp_path: Path, tracker) -> None:
    path = tmp_path / "coffee.png"
    Image.fromarray(data.coffee()).save(path)
    with pytest.raises(InputError, match=r"no face was found in .*coffee\.png"):
        Portrait.from_photo(path, tracker)


def test_what_is_no_photograph_is_refused(tmp_path: Path) -> None:
    text, cut, tiny = (tmp_path / n for n in ("text.jpg", "cut.png", "tiny.png"))
    text.write_text("not a picture")
    Image.fromarray(data.astronaut()).save(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    Image.new("RGB", (20, 20)).save(tiny)
    for path, says in (
        (text, "not a picture"),
        (cut, "cannot be read"),
        (tiny, "at least 32"),
        (tmp_path / "none.png", "there is no file"),
        (tmp_path, "there is no file"),
    ):
        with pytest.raises(InputError, match=says):
            read_photo(path)
    for array in (np.zeros((64, 64, 3)), np.zeros((64, 64, 2), np.uint8), np.zeros(9, np.uint8)):
        with pytest.raises(InputError, match="uint8"):
            read_photo(array)
    with pytest.raises(InputError, match="empty"):
        read_photo(np.zeros((0, 64, 3), np.uint8))


# ---------------------------------------------------------------------- films


def test_a_film_and_a_strip_show_the_photograph(portrait: Portrait, tmp_path: Path) -> None:
    reactions = moving(6, 2)
    film = render_video(reactions, tmp_path / "film.mp4", size=64, portrait=portrait)
    assert len(list(video_frames(film))) == 6
    strip = film_strip(reactions, tmp_path / "strip.png", size=64, portrait=portrait, times=[0.0])
    drawn = film_strip(reactions, tmp_path / "drawn.png", size=64, times=[0.0])
    assert changed(np.asarray(Image.open(strip)), np.asarray(Image.open(drawn))).mean() > 10


def test_the_command_draws_one_listener_with_a_photograph(tmp_path: Path) -> None:
    photo, source = tmp_path / "me.png", tmp_path / "r.safetensors"
    Image.fromarray(data.astronaut()).save(photo)
    moving(4, 3).save(source)

    def render(out: Path, *, only: int | None = None, portrait: Path | None = photo) -> None:
        run(
            source,
            out,
            beside=None,
            size=64,
            rasteriser="numba",
            portrait=portrait,
            only=only,
            quiet=True,
        )

    out = tmp_path / "out.mp4"
    render(out, only=2)
    assert probe(out).width < 110  # one panel
    render(tmp_path / "out.png", only=3)
    with pytest.raises(InputError, match="listeners 1 to 3"):
        render(out, only=4)
    with pytest.raises(InputError, match="--portrait is for"):
        render(tmp_path / "r.html")
    with pytest.raises(InputError, match="is the input itself"):
        render(photo)


# ---------------------------------------------------------------------- a renderer plugged in


class Signs:
    """A tiny renderer: the reference, whose first row holds what the window said."""

    size, radius = 32, RADIUS

    def render(self, reference: Picture, window: NDArray[np.float32]) -> Picture:
        assert window.shape == (27, 58) and window.dtype == np.float32
        out = reference.copy()
        out[0, :27, 0] = np.round(window[:, 0] * 100)
        return out


def test_a_plugged_in_renderer_gets_windows_whose_ends_are_repeated() -> None:
    frames = np.arange(5, dtype=np.float32)[:, None] * np.ones(58, np.float32)
    assert window_of(frames, 0, 2)[:, 0].tolist() == [0, 0, 0, 1, 2]
    assert window_of(frames, 4, 2)[:, 0].tolist() == [2, 3, 4, 4, 4]
    assert window_of(frames, 2).shape == (27, 58)


def test_a_plugged_in_renderer_draws_the_film_from_faceverse_coefficients(tmp_path: Path) -> None:
    reactions = moving(20)
    reference = np.full((32, 32, 3), 90, np.uint8)
    source = Reenacted(Signs(), reference, rest=(0.0, 0.0, -10.0))
    motion = motions(reactions)[0]
    frames = faceverse_frames(motion, (0.0, 0.0, -10.0))
    assert frames[0, 52] == pytest.approx(np.pi, abs=1e-5)  # upright, in FaceVerse's convention
    assert frames[0, 57] == pytest.approx(-10.0)
    picture = source.picture(motion, 3, 32)
    assert picture[0, 13, 0] == round(float(frames[3, 0]) * 100)
    assert source.picture(motion, 3, 48).shape == (48, 48, 3)
    film = render_video(reactions, tmp_path / "film.mp4", size=32, portrait=source)
    assert len(list(video_frames(film))) == 20


def test_a_reference_of_another_size_and_a_wrong_picture_are_refused() -> None:
    with pytest.raises(InputError, match="the reference must be"):
        Reenacted(Signs(), np.zeros((16, 16, 3), np.uint8), rest=(0.0, 0.0, 0.0))

    class Wrong(Signs):
        def render(self, reference: Picture, window: NDArray[np.float32]) -> Picture:
            return reference[:8]

    source = Reenacted(Wrong(), np.zeros((32, 32, 3), np.uint8), rest=(0.0, 0.0, 0.0))
    with pytest.raises(InputError, match="was agreed"):
        source.picture(motions(moving(2))[0], 0, 32)
