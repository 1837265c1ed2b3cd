"""Sheets and strips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.render.people import moving, weights
from visavis.errors import InputError
from visavis.render.draw import draw_head
from visavis.render.still import contact_sheet, film_strip


def test_a_sheet_holds_every_picture(tmp_path: Path) -> None:
    frames = [draw_head(weights(jawOpen=i / 4), size=64) for i in range(5)]
    path = contact_sheet(frames, tmp_path / "sheet.png", columns=3)
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (2 * 66 + 2, 3 * 66 + 2, 3)
    np.testing.assert_array_equal(sheet[8:60, 8:60], frames[0][6:58, 6:58])
    np.testing.assert_array_equal(sheet[74:126, 74:126], frames[4][6:58, 6:58])


def test_captions_are_written_and_must_fit(tmp_path: Path) -> None:
    frames = [draw_head(np.zeros(52), size=200)] * 2
    plain = np.asarray(Image.open(contact_sheet(frames, tmp_path / "a.png")))
    named = np.asarray(Image.open(contact_sheet(frames, tmp_path / "b.png", ["rest", "still"])))
    assert (np.abs(plain.astype(int) - named).max(-1) > 60).sum() > 300
    with pytest.raises(InputError, match="3 captions"):
        contact_sheet(frames, tmp_path / "c.png", ["a", "b", "c"])


def test_pictures_must_be_there_and_of_one_size(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures"):
        contact_sheet([], tmp_path / "a.png")
    mixed = [draw_head(np.zeros(52), size=s) for s in (32, 48)]
    with pytest.raises(InputError, match="one size"):
        contact_sheet(mixed, tmp_path / "a.png")


def test_a_strip_has_a_row_a_person_and_a_column_a_moment(tmp_path: Path) -> None:
    path = film_strip(
        moving(25, people=2), tmp_path / "s.png", moving(25), times=[0.0, 0.5, 0.99], size=64
    )
    strip = np.asarray(Image.open(path))
    assert strip.shape == (3 * 66 + 2, 3 * 66 + 2, 3)
    first, last = strip[2:66, 2:66].astype(int), strip[2:66, 134:198].astype(int)
    assert np.abs(first - last).mean() > 1


def test_moments_outside_the_clip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0 to 1\.00 s"):
        film_strip(moving(25), tmp_path / "s.png", times=[3.0])
