"""Live Link Face: the file's columns, its clock, and packets on a real socket."""

from __future__ import annotations

import csv
import socket
import struct
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.export.people import waving
from visavis.behaviour import Behaviour
from visavis.channels import BLENDSHAPES
from visavis.errors import InputError, MissingChannel
from visavis.export import live_link_packets, send, write_live_link
from visavis.export.live_link import COLUMNS, ENGINE, SHAPES, timecode


def test_the_file_has_63_columns_of_which_52_are_arkit_shapes() -> None:
    assert len(COLUMNS) == 63 and len(set(COLUMNS)) == 63
    assert {n.lower() for n in SHAPES} == {n.lower() for n in BLENDSHAPES}
    assert COLUMNS[2] == "EyeBlinkLeft" and COLUMNS[53] == "TongueOut"
    assert SHAPES.index("JawRight") < SHAPES.index("JawLeft")
    assert SHAPES.index("MouthRight") < SHAPES.index("MouthLeft")


def test_a_reader_finds_every_coefficient_under_its_name(tmp_path: Path) -> None:
    person = waving()
    table = pd.read_csv(write_live_link(person, tmp_path / "a.csv", rate=25))
    assert list(table.columns) == list(COLUMNS)
    assert set(table["BlendShapeCount"]) == {61}
    for place, name in enumerate(BLENDSHAPES):
        column = table[name[0].upper() + name[1:]]
        np.testing.assert_allclose(column, person["blendshapes"][:, place], atol=1e-5)
    for place, name in enumerate(("HeadPitch", "HeadYaw", "HeadRoll")):
        np.testing.assert_allclose(table[name], person["rotation"][:, place], atol=1e-5)


def test_eyes_turn_as_the_app_writes_them(tmp_path: Path) -> None:
    # frames of the app's own recordings: weights, then what it wrote beside them less its squint
    # at rest (yaw 0.063 inwards)
    shapes = torch.zeros(2, 52)
    for name, weight in (
        ("eyeLookOutLeft", 0.344), ("eyeLookUpLeft", 0.362), ("eyeLookInRight", 0.444),
        ("eyeLookUpRight", 0.357),
    ):  # fmt: skip
        shapes[:, BLENDSHAPES.index(name)] = weight
    person = Behaviour.of({"blendshapes": shapes})
    table = pd.read_csv(write_live_link(person, tmp_path / "a.csv"))
    app = {"LeftEyeYaw": -0.205, "LeftEyePitch": -0.162, "RightEyeYaw": -0.270}
    for column, angle in (app | {"RightEyePitch": -0.162}).items():
        assert table[column].iloc[0] == pytest.approx(angle, abs=0.02), column
    shapes = torch.zeros(2, 52)
    shapes[:, BLENDSHAPES.index("eyeLookDownLeft")] = 0.383
    table = pd.read_csv(write_live_link(Behaviour.of({"blendshapes": shapes}), tmp_path / "b.csv"))
    assert table["LeftEyePitch"].iloc[0] == pytest.approx(0.234, abs=0.01)


def test_sixty_frames_a_second_last_as_long_and_pass_through_the_same_values(
    tmp_path: Path,
) -> None:
    person = waving(50)
    table = pd.read_csv(write_live_link(person, tmp_path / "a.csv"))
    assert len(table) == 120
    assert table["Timecode"].iloc[-1] == "00:00:01:59.000"
    centre = (np.arange(120) + 0.5) / 60
    jaw = 0.5 - 0.5 * np.cos(2 * np.pi * (centre - 0.02))
    np.testing.assert_allclose(table["JawOpen"][3:-3], jaw[3:-3], atol=0.01)


def test_a_timecode_counts_hours() -> None:
    assert timecode(30 * 3661 + 7, 30) == "01:01:01:07.000"


def test_frames_that_were_not_seen_hold_the_last_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    person = waving().drop("blendshapes", start=10, stop=20)
    table = pd.read_csv(write_live_link(person, tmp_path / "a.csv", rate=25))
    assert not table.isna().any().any()
    assert table["JawOpen"][10:20].nunique() == 1
    assert table["JawOpen"][15] == table["JawOpen"][9]
    assert "10 of 50 frames were not observed" in caplog.text


@pytest.mark.parametrize(
    ("person", "rate", "error", "words"),
    [
        (Behaviour.of({"au": torch.zeros(3, 15)}), 60, MissingChannel, "attributes.complete"),
        (Behaviour.stack([waving(4), waving(4)]), 60, InputError, "one person"),
        (waving(4).window(0, 0), 60, InputError, "no frames"),
        (waving(4), 29.97, InputError, "whole frames"),
        (waving(4), 0, InputError, "rate"),
    ],
)
def test_what_cannot_be_exported_is_said(
    tmp_path: Path, person: Behaviour, rate: float, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        write_live_link(person, tmp_path / "a.csv", rate=rate)
    assert list(tmp_path.iterdir()) == []


def test_packets_arrive_whole_and_in_the_engines_order(tmp_path: Path) -> None:
    person = waving(10)
    received: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
        inbox.bind(("127.0.0.1", 0))
        inbox.settimeout(5)
        port = inbox.getsockname()[1]
        reader = threading.Thread(
            target=lambda: received.extend(inbox.recv(2048) for _ in range(10))
        )
        reader.start()
        assert send(live_link_packets(person, rate=25), rate=200, port=port) == 10
        reader.join()
    with write_live_link(person, tmp_path / "a.csv", rate=25).open() as file:
        rows = list(csv.DictReader(file))
    for number, packet in enumerate(received):
        version, length = struct.unpack_from(">Bi", packet)
        at = 5 + length
        (named,) = struct.unpack_from(">i", packet, at)
        at += 4
        assert packet[at : at + named] == b"visavis"
        frame, part, rate, over, count = struct.unpack_from(">ifiiB", packet, at + named)
        assert (version, length, frame, part, rate, over, count) == (6, 36, number, 0, 25, 1, 61)
        values = struct.unpack_from(">61f", packet, at + named + 17)
        assert len(packet) == at + named + 17 + 61 * 4
        for name, value in zip(ENGINE, values, strict=True):
            assert value == pytest.approx(float(rows[number][name]), abs=1e-5)
    assert ENGINE.index("JawLeft") < ENGINE.index("JawRight")


def test_packets_refuse_orders_and_names_that_mean_nothing() -> None:
    with pytest.raises(InputError, match="order"):
        next(live_link_packets(waving(2), order="alphabetical"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="name"):
        next(live_link_packets(waving(2), subject=""))


def test_our_own_reader_gets_back_what_was_written(tmp_path: Path) -> None:
    from visavis.features.perceive import perceive

    person = waving()
    got = perceive(write_live_link(person, tmp_path / "a.csv", rate=25))
    torch.testing.assert_close(got["blendshapes"], person["blendshapes"], atol=1e-5, rtol=0)
    torch.testing.assert_close(got["rotation"], person["rotation"], atol=1e-5, rtol=0)
