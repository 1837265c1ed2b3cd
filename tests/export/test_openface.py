"""OpenFace style CSV: names, units, signs, and frames that were not seen."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.export.people import waving
from tests.people import person
from visavis.behaviour import Behaviour
from visavis.errors import MissingChannel
from visavis.export import write_openface


def test_the_columns_are_openfaces() -> None:
    from visavis.export.openface import COLUMNS, INTENSITIES, PRESENCES

    assert len(INTENSITIES) == 17 and len(PRESENCES) == 18
    assert {28} == set(PRESENCES) - set(INTENSITIES)
    assert COLUMNS[:3] == ("frame", "face_id", "timestamp")
    assert "AU24_r" not in COLUMNS


def test_a_turn_to_the_left_and_down_has_openfaces_signs(tmp_path: Path) -> None:
    turn = torch.tensor([[0.2, 0.0, 0.0], [0.0, 0.3, 0.0], [0.0, 0.0, 0.1]])
    b = Behaviour.of({"rotation": turn, "translation": torch.full((3, 3), 0.01)})
    table = pd.read_csv(write_openface(b, tmp_path / "a.csv"))
    np.testing.assert_allclose(table["pose_Rx"], [0.2, 0, 0], atol=1e-4)  # down is positive
    np.testing.assert_allclose(table["pose_Ry"], [0, -0.3, 0], atol=1e-4)
    np.testing.assert_allclose(table["pose_Rz"], [0, 0, -0.1], atol=1e-4)
    np.testing.assert_allclose(table[["pose_Tx", "pose_Ty", "pose_Tz"]], [[10, -10, 590]] * 3)
    assert table["AU12_r"].isna().all()


def test_any_pose_is_the_same_turn_in_the_cameras_axes(tmp_path: Path) -> None:
    b = waving()
    table = pd.read_csv(write_openface(b, tmp_path / "a.csv"))
    flip = np.diag([1.0, -1.0, -1.0])
    for t in range(0, 50, 7):
        ours = Rotation.from_euler("YXZ", b["rotation"][t].numpy()[[1, 0, 2]]).as_matrix()
        angles = table.loc[t, ["pose_Rx", "pose_Ry", "pose_Rz"]].to_numpy(float)
        theirs = Rotation.from_euler("XYZ", angles).as_matrix()
        np.testing.assert_allclose(flip @ ours @ flip, theirs, atol=1e-4)


def test_action_units_are_scaled_to_five_and_rounded_to_presence(tmp_path: Path) -> None:
    b = person(30, names=("au", "blendshapes"))
    b = b.drop("au", start=3, stop=5)
    table = pd.read_csv(write_openface(b, tmp_path / "a.csv"))
    keep = [t for t in range(30) if t not in (3, 4)]
    np.testing.assert_allclose(table["AU12_r"][keep], 5 * b.filled("au")[keep, 7], atol=1e-4)
    np.testing.assert_array_equal(table["AU12_c"][keep], b.filled("au")[keep, 7] >= 0.5)
    assert table["success"].tolist() == [int(t in keep) for t in range(30)]
    assert (table.loc[[3, 4], "AU12_r"] == 0).all()
    assert table["AU45_r"].max() > 0


def test_without_blendshapes_their_units_are_empty(tmp_path: Path) -> None:
    table = pd.read_csv(write_openface(person(4, names=("au",)), tmp_path / "a.csv"))
    assert table["AU45_r"].isna().all() and not table["AU12_r"].isna().any()
    assert math.isclose(table["timestamp"].iloc[-1], 0.12)


def test_a_voice_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingChannel, match="au, blendshapes or rotation"):
        write_openface(person(4, names=("energy",)), tmp_path / "a.csv")


def test_our_own_reader_gets_back_what_was_written(tmp_path: Path) -> None:
    from visavis.features.perceive import perceive

    b = person(30, names=("au", "rotation", "translation"))
    got = perceive(write_openface(b, tmp_path / "a.csv"))
    torch.testing.assert_close(got["rotation"], b["rotation"], atol=1e-4, rtol=0)
    for column in range(15):
        if column != 12:  # AU24 has no column there
            torch.testing.assert_close(got["au"][:, column], (b["au"][:, column] >= 0.5).float())
