"""Every one of the 52 shapes moves the right place, on the right side, and in the right way."""

from __future__ import annotations

import numpy as np
import pytest

from tests.render.people import weights
from visavis.channels import BLENDSHAPES
from visavis.render.draw import draw_head
from visavis.render.mesh import head
from visavis.render.pieces import Part

SIZE = 200
# Rows of the picture at this size, measured on the face at rest.
BROWS, EYES, NOSE, MOUTH, CHIN = 78, 90, 110, 128, 150
REGIONS = {
    "brow": (48, 97), "eye": (66, 118), "cheekSquint": (72, 122), "noseSneer": (66, 134),
    "jaw": (90, 170), "mouth": (80, 162), "cheekPuff": (88, 160), "tongue": (108, 160),
}  # fmt: skip


@pytest.fixture(scope="module")
def rest() -> np.ndarray:
    return draw_head(np.zeros(52), size=SIZE).astype(int)


def _changed(name: str, rest: np.ndarray) -> np.ndarray:
    picture = draw_head(weights(**{name: 1.0}), size=SIZE).astype(int)
    return np.abs(picture - rest).max(axis=-1) > 6


@pytest.mark.parametrize("name", BLENDSHAPES)
def test_a_shape_changes_pixels_in_its_region_only(name: str, rest: np.ndarray) -> None:
    changed = _changed(name, rest)
    assert changed.sum() > 80
    low, high = next(rows for stem, rows in REGIONS.items() if name.startswith(stem))
    y, _ = np.nonzero(changed)
    assert low <= y.min()
    assert y.max() <= high


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in BLENDSHAPES
        # These four move the whole jaw or mouth to a side.
        if n.endswith(("Left", "Right"))
        and n not in ("jawLeft", "jawRight", "mouthLeft", "mouthRight")
    ],
)
def test_a_sided_shape_changes_its_own_side(name: str, rest: np.ndarray) -> None:
    changed = _changed(name, rest)
    # The subject's left is the viewer's right; a lip may move a few pixels across the middle.
    own = changed[:, SIZE // 2 :] if name.endswith("Left") else changed[:, : SIZE // 2]
    other = changed[:, : SIZE // 2 - 5] if name.endswith("Left") else changed[:, SIZE // 2 + 5 :]
    assert own.sum() > 80
    assert other.sum() == 0


@pytest.mark.parametrize("name", [n for n in BLENDSHAPES if n.endswith("Left")])
def test_left_and_right_deltas_are_mirror_images(name: str) -> None:
    made = head()
    chosen = np.isin(made.parts, [Part.SKIN, Part.BROW, Part.EYEBALL])
    vertices = made.vertices[chosen].astype(float)
    left = made.deltas[BLENDSHAPES.index(name), chosen]
    right = made.deltas[BLENDSHAPES.index(name.replace("Left", "Right")), chosen]
    moved = np.abs(left).max(axis=1) > 1e-4
    flipped = vertices[moved] * [-1, 1, 1]
    for point, shift in list(zip(flipped, left[moved], strict=True))[::7]:
        # Lips touch at rest: several vertices may lie at one point.
        there = ((vertices - point) ** 2).sum(axis=1) < 2e-4**2
        assert there.any()
        assert np.abs(right[there] * [-1, 1, 1] - shift).max(axis=1).min() < 6e-4


def _mean_shift(name: str, part: Part, chosen: np.ndarray | None = None) -> np.ndarray:
    made = head()
    of = made.parts == part
    if chosen is not None:
        of &= chosen
    shift = made.deltas[BLENDSHAPES.index(name), of]
    return shift[np.abs(shift).max(axis=1) > 1e-4].mean(axis=0)


@pytest.mark.parametrize(
    ("name", "part", "axis", "sign"),
    [
        ("browDownLeft", Part.BROW, 1, -1), ("browInnerUp", Part.BROW, 1, 1),
        ("browOuterUpRight", Part.BROW, 1, 1), ("eyeBlinkLeft", Part.LASH, 1, -1),
        ("eyeWideRight", Part.LASH, 1, 1), ("mouthSmileLeft", Part.SKIN, 1, 1),
        ("mouthFrownLeft", Part.SKIN, 1, -1), ("jawOpen", Part.TEETH, 1, -1),
        ("jawOpen", Part.TONGUE, 1, -1), ("jawLeft", Part.TEETH, 0, 1),
        ("jawRight", Part.TEETH, 0, -1), ("jawForward", Part.SKIN, 2, 1),
        ("tongueOut", Part.TONGUE, 2, 1), ("mouthPucker", Part.SKIN, 2, 1),
        ("mouthFunnel", Part.SKIN, 2, 1), ("mouthLeft", Part.SKIN, 0, 1),
        ("mouthRight", Part.SKIN, 0, -1), ("noseSneerLeft", Part.SKIN, 1, 1),
        ("cheekSquintRight", Part.SKIN, 1, 1), ("mouthStretchLeft", Part.SKIN, 0, 1),
        ("mouthShrugLower", Part.SKIN, 1, 1), ("mouthUpperUpLeft", Part.SKIN, 1, 1),
        ("mouthLowerDownRight", Part.SKIN, 1, -1),
    ],
)  # fmt: skip
def test_a_shape_moves_the_way_its_name_says(name: str, part: Part, axis: int, sign: int) -> None:
    assert _mean_shift(name, part)[axis] * sign > 1e-4


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [
        ("eyeLookUpLeft", 1, 1), ("eyeLookDownLeft", 1, -1), ("eyeLookOutLeft", 0, 1),
        ("eyeLookInLeft", 0, -1), ("eyeLookOutRight", 0, -1), ("eyeLookInRight", 0, 1),
        ("eyeLookUpRight", 1, 1), ("eyeLookDownRight", 1, -1),
    ],
)  # fmt: skip
def test_gaze_turns_the_pupil(name: str, axis: int, sign: int) -> None:
    made = head()
    pupil = made.paint[:, 2] > 0.95
    assert _mean_shift(name, Part.EYEBALL, pupil)[axis] * sign > 2e-3


def test_upper_teeth_stay_when_the_jaw_opens() -> None:
    made = head()
    teeth = made.parts == Part.TEETH
    moved = np.abs(made.deltas[BLENDSHAPES.index("jawOpen"), teeth]).max(axis=1) > 1e-4
    assert 0.4 < moved.mean() < 0.6


def test_the_cheeks_are_puffed_outwards_on_both_sides() -> None:
    made = head()
    shift = made.deltas[BLENDSHAPES.index("cheekPuff")]
    for sign in (1, -1):
        cheek = (made.vertices[:, 0] * sign > 0.04) & (np.abs(shift[:, 0]) > 2e-3)
        assert (shift[cheek, 0] * sign).min() > 0


def test_the_head_keeps_its_contract() -> None:
    made = head()
    count = len(made.vertices)
    assert made.vertices.dtype == np.float32
    assert made.triangles.dtype == np.int32
    assert made.deltas.shape == (52, count, 3)
    assert made.colours.shape == (count, 3)
    assert 0.0 <= made.colours.min() <= made.colours.max() <= 1.0
    assert made.triangles.max() == count - 1
    assert head() is made
    assert np.isfinite(made.deltas).all()
    assert 0.2 < np.ptp(made.vertices[made.follow == 1, 1]) < 0.3
    with pytest.raises(ValueError, match="read-only"):
        made.vertices[0] = 0.0
