"""Other people's tables: read by header and name, in our units, on our clock, without trust."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.features import tracker_files as files
from tests.features.task_files import write_task
from visavis.behaviour import Behaviour
from visavis.channels import AU_LABELS, BLENDSHAPES, STANDARD
from visavis.errors import InputError, MissingExtra
from visavis.features.perceive import perceive
from visavis.features.trackers import FORMATS, recognised
from visavis.render.morphs import GAZE

FACE = ("au", "va", "expression", "blendshapes", "rotation", "translation")


def shape(behaviour: Behaviour, name: str) -> np.ndarray:
    return np.asarray(behaviour.filled("blendshapes", np.nan)[:, BLENDSHAPES.index(name)])


def measured(behaviour: Behaviour, label: str) -> bool:
    return bool(behaviour["measured"][:, STANDARD["measured"].index(label)].all())


WRITERS: dict[str, Callable[..., files.Table]] = {
    "openface": files.openface,
    "pyfeat": files.pyfeat,
    "livelink": files.livelink,
    "audio2face": files.audio2face,
}


# ---------------------------------------------------------------- every format alike


def test_every_format_has_a_fixture() -> None:
    assert set(WRITERS) == set(FORMATS)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_file_is_recognised_by_its_header_whatever_its_name(name: str, tmp_path: Path) -> None:
    path = WRITERS[name]().write(tmp_path / "take_01.csv")
    assert recognised(path) == name


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_table_gives_what_a_film_gives(name: str, tmp_path: Path) -> None:
    seen = perceive(WRITERS[name](seconds=4.0).write(tmp_path / "a.csv"))
    assert seen.frames == 100 and seen.lead == ()
    for channel in (*FACE, "mfcc78", "energy", "pitch", "voice"):
        assert channel in seen
    assert not seen.mask("mfcc78").any()
    assert seen.mask("blendshapes").all()
    assert seen.source is not None
    assert Behaviour.load(seen.save(tmp_path / "a.safetensors")).frames == 100


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_order_of_columns_extra_columns_marks_and_blanks_change_nothing(
    name: str, tmp_path: Path
) -> None:
    table = WRITERS[name]()
    plain = perceive(table.write(tmp_path / "plain.csv"))
    odd = table.shuffled(seed=3).with_column("Operator", "Sam")
    dressed = perceive(
        odd.write(tmp_path / "odd.csv", encoding="utf-8-sig", comma=" , ", end="\r\n")
    )
    for channel in ("blendshapes", "rotation"):
        np.testing.assert_array_equal(
            dressed.filled(channel, -9.0).numpy(), plain.filled(channel, -9.0).numpy()
        )


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_semicolons_and_decimal_commas_and_tabs_are_read(name: str, tmp_path: Path) -> None:
    table = WRITERS[name]()
    plain = perceive(table.write(tmp_path / "plain.csv"))
    for path in (
        table.with_decimal_commas().write(tmp_path / "german.csv", comma=";"),
        table.write(tmp_path / "tabs.tsv", comma="\t"),
        table.write(tmp_path / "wide.csv", encoding="utf-16"),
    ):
        other = perceive(path)
        np.testing.assert_array_equal(
            other.filled("blendshapes", -9.0).numpy(), plain.filled("blendshapes", -9.0).numpy()
        )


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("openface", "AU12_r"),
        ("pyfeat", "AU12"),
        ("livelink", "JawOpen"),
        ("audio2face", "blendShapes.JawOpen"),
    ],
)
def test_a_cell_that_is_no_number_is_named(name: str, column: str, tmp_path: Path) -> None:
    path = WRITERS[name]().with_cell(column, 4, "wide").write(tmp_path / "a.csv")
    with pytest.raises(InputError, match=rf"line 6, column '{column}': 'wide' is not a number"):
        perceive(path)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_column_twice_is_refused(name: str, tmp_path: Path) -> None:
    table = WRITERS[name]()
    twice = {"openface": "AU12_r", "pyfeat": "AU12", "livelink": "JawOpen",
             "audio2face": "blendShapes.JawOpen"}[name]  # fmt: skip
    with pytest.raises(InputError, match=f"'{twice}' 2 times"):
        perceive(table.with_column(twice, "0.1", unique=False).write(tmp_path / "a.csv"))


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_missing_cells_leave_their_moment_unmeasured(name: str, tmp_path: Path) -> None:
    column = {"openface": "AU26_r", "pyfeat": "AU26", "livelink": "JawOpen",
              "audio2face": "blendShapes.JawOpen"}[name]  # fmt: skip
    table = WRITERS[name](seconds=4.0)
    rows = len(table.rows)
    for row in range(rows // 2, rows):
        table = table.with_cell(column, row, ("", "NaN", "inf")[row % 3])
    if name == "openface":
        table = table.without("AU26_c")
    seen = perceive(table.write(tmp_path / "a.csv"))
    told = seen["measured"][:, STANDARD["measured"].index("jawOpen")]
    assert told[:45].all() and not told[55:].any()
    assert not shape(seen, "jawOpen")[55:].any()
    assert seen.mask("blendshapes").all()


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_header_alone_and_no_tracker_at_all_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a header and no rows"):
        perceive(WRITERS[name]().head(0).write(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"time,value\n1,2\n", "no tracker's table.*'time', 'value'"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not a table of text"),
        (b"a,b\x00c\n", "not a table of text"),
    ],
)
def test_what_is_no_table_of_a_tracker_is_refused(
    content: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        perceive(path)


def test_a_row_with_too_many_cells_is_named(tmp_path: Path) -> None:
    path = files.audio2face().write(tmp_path / "a.csv")
    lines = path.read_text().splitlines()
    lines[3] += ",0.5"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="line 4"):
        perceive(path)


def test_a_file_that_breaks_off_within_a_row_gives_the_rest_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = files.audio2face().write(tmp_path / "a.csv")
    lines = path.read_text().splitlines()
    lines[-1] = ",".join(lines[-1].split(",")[:20])
    path.write_text("\n".join(lines))
    with caplog.at_level(logging.WARNING, "visavis"):
        seen = perceive(path)
    assert "end early" in caplog.text
    assert seen.mask("blendshapes").all()


def test_the_wrong_name_and_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    path = files.livelink().write(tmp_path / "a.csv")
    with pytest.raises(InputError, match="not a table of OpenFace"):
        perceive(path, tracker="openface")
    with pytest.raises(InputError, match="Did you mean 'openface'"):
        perceive(path, tracker="opnface")
    with pytest.raises(InputError, match="keep_pixels"):
        perceive(path, keep_pixels=True)
    with pytest.raises(InputError, match="between 1 and 500"):
        perceive(path, fps=0.0)
    with pytest.raises(InputError, match="fps is for tables"):
        perceive(tmp_path / "a.mp4", fps=30.0)
    with pytest.raises(InputError, match="no tracker of films is called 'openface'"):
        perceive(tmp_path / "a.mp4", tracker="openface")


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("rate", [10.0, 24.0, 25.0, 29.97, 30.0, 60.0, 120.0])
def test_any_rate_comes_onto_the_clock_in_its_own_moment(rate: float, tmp_path: Path) -> None:
    seen = perceive(files.audio2face(seconds=6.0, rate=rate).write(tmp_path / "a.csv"))
    clock = (np.arange(seen.frames) + 0.5) / 25
    told, wanted = shape(seen, "jawOpen"), files.jaw(clock)
    assert seen.frames == pytest.approx(150, abs=1)
    inside = slice(5, -5)
    assert np.abs(told - wanted)[inside].max() < (0.12 if rate == 10.0 else 0.03)


def test_25_rows_a_second_are_taken_as_they_are(tmp_path: Path) -> None:
    table = files.openface(rate=25.0)
    told = shape(perceive(table.write(tmp_path / "a.csv")), "jawOpen")
    np.testing.assert_allclose(told, np.array(table.column("AU26_r")) / 5, atol=1e-6)


def test_a_gap_is_not_bridged(tmp_path: Path) -> None:
    table = files.audio2face(seconds=4.0, rate=30.0)
    cut = table.only([row for row in range(len(table.rows)) if not 40 <= row < 80])
    seen = perceive(cut.write(tmp_path / "a.csv"))
    mask = seen.mask("blendshapes")
    assert mask[:33].all() and not mask[35:65].any() and mask[68:].all()


def test_times_that_go_back_or_are_no_films_are_refused(tmp_path: Path) -> None:
    back = files.audio2face().with_cell("timeCode", 5, "0.0")
    with pytest.raises(InputError, match=r"row 6: the time 0 s does not come after"):
        perceive(back.write(tmp_path / "back.csv"))
    # OpenFace on a folder of pictures stamps them a thousandth of a second apart
    quick = files.openface(rate=1000.0)
    with pytest.raises(InputError, match=r"1000 a second.*--fps"):
        perceive(quick.write(tmp_path / "quick.csv"))
    assert perceive(quick.write(tmp_path / "quick.csv"), fps=25.0).frames == len(quick.rows)
    lost = files.audio2face().with_cell("timeCode", 2, "")
    with pytest.raises(InputError, match="row 3: the time is missing"):
        perceive(lost.write(tmp_path / "lost.csv"))


# ---------------------------------------------------------------- OpenFace


def test_openface_lacks_an_action_unit_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "visavis"):
        seen = perceive(files.openface().write(tmp_path / "a.csv"))
    assert "does not tell AU24" in caplog.text
    assert not measured(seen, "AU24") and measured(seen, "AU12")
    assert not seen["au"][:, AU_LABELS.index("AU24")].any()
    assert "blendshapes" in seen.derived and "au" not in seen.derived
    assert set(np.unique(seen["au"])) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("column", "ours", "sign"), [("pose_Rx", 0, 1.0), ("pose_Ry", 1, -1.0), ("pose_Rz", 2, -1.0)]
)
def test_openface_turns_come_into_our_axes(
    column: str, ours: int, sign: float, tmp_path: Path
) -> None:
    table = files.openface().filled("pose_Rx", 0).filled("pose_Ry", 0).filled("pose_Rz", 0)
    seen = perceive(table.filled(column, 0.3).write(tmp_path / "a.csv"))["rotation"]
    wanted = np.zeros(3)
    wanted[ours] = 0.3 * sign
    np.testing.assert_allclose(seen[10], wanted, atol=1e-6)


def test_openface_turns_compose_as_their_matrix_does(tmp_path: Path) -> None:
    from scipy.spatial.transform import Rotation

    angles = (0.2, -0.4, 0.15)
    table = files.openface()
    for name, value in zip(("pose_Rx", "pose_Ry", "pose_Rz"), angles, strict=True):
        table = table.filled(name, value)
    pitch, yaw, roll = perceive(table.write(tmp_path / "a.csv"))["rotation"][3].double().numpy()
    half = np.diag([1.0, -1.0, -1.0])
    theirs = half @ Rotation.from_euler("XYZ", angles).as_matrix() @ half  # Rx Ry Rz
    ours = Rotation.from_euler("YXZ", [yaw, pitch, roll]).as_matrix()  # Ry Rx Rz
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_openface_places_are_metres_from_the_middle(tmp_path: Path) -> None:
    table = files.openface(seconds=2.0)
    table = table.filled("pose_Tx", 10.0).filled("pose_Ty", 20.0).filled("pose_Tz", 600.0)
    for row in range(40, 50):
        table = table.with_cell("pose_Tx", row, "60.0").with_cell("pose_Tz", row, "500.0")
        table = table.with_cell("pose_Ty", row, "-30.0")
    place = perceive(table.write(tmp_path / "a.csv"))["translation"]
    np.testing.assert_allclose(place[5], [0.0, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(place[45], [0.05, 0.05, 0.1], atol=1e-6)  # left, up, nearer


def test_openface_gaze_is_told_in_the_head(tmp_path: Path) -> None:
    table = files.openface().filled("gaze_angle_x", 0.3).filled("gaze_angle_y", 0.1)
    for name in ("pose_Rx", "pose_Ry", "pose_Rz"):
        table = table.filled(name, 0.0)
    seen = perceive(table.write(tmp_path / "a.csv"))
    assert shape(seen, "eyeLookOutLeft")[5] == pytest.approx(0.3 / GAZE["eyeLookOut"][1], rel=1e-3)
    assert shape(seen, "eyeLookInRight")[5] > 0.5
    assert shape(seen, "eyeLookDownLeft")[5] == pytest.approx(
        0.1 / GAZE["eyeLookDown"][0], rel=1e-3
    )
    # turned by as much, the eyes stand straight in the head
    along = perceive(table.filled("pose_Ry", -0.3).write(tmp_path / "b.csv"))
    assert shape(along, "eyeLookOutLeft")[5] == pytest.approx(0.0, abs=1e-5)


def test_a_missing_intensity_of_openface_is_not_made_up_from_presence(tmp_path: Path) -> None:
    table = files.openface()
    seen = perceive(table.with_cell("AU12_r", 20, "nan").write(tmp_path / "a.csv"))
    smile = shape(seen, "mouthSmileLeft")
    whole = shape(perceive(table.write(tmp_path / "b.csv")), "mouthSmileLeft")
    assert abs(smile - whole).max() < 0.02
    seen = perceive(table.with_cell("AU12_c", 20, "nan").write(tmp_path / "c.csv"))
    assert set(seen["au"][:, AU_LABELS.index("AU12")].tolist()) == {1.0}


def test_a_row_without_success_is_no_face(tmp_path: Path) -> None:
    table = files.openface(rate=25.0)
    for row in range(10, 20):
        table = table.with_cell("success", row, "0")
    seen = perceive(table.write(tmp_path / "a.csv"))
    for name in ("au", "rotation", "blendshapes"):
        assert seen.mask(name).tolist() == [not 10 <= t < 20 for t in range(seen.frames)]
    assert seen["confidence"][10:20].max() < 1e-6
    with pytest.raises(InputError, match="has success 1"):
        perceive(table.filled("success", 0).write(tmp_path / "b.csv"))


def test_of_several_faces_the_commonest_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = files.openface(rate=25.0)
    other = table.filled("face_id", 1).filled("AU26_r", 0.0).head(8)
    with caplog.at_level(logging.WARNING, "visavis"):
        seen = perceive(table.plus(other).write(tmp_path / "a.csv"))
    assert "2 faces; face_id 0" in caplog.text
    assert shape(seen, "jawOpen")[:8].max() > 0.1


def test_pose_alone_is_enough_and_the_rest_is_unobserved(tmp_path: Path) -> None:
    table = files.openface()
    table = table.without(*(n for n in table.names if n.startswith(("AU", "gaze"))))
    seen = perceive(table.with_column("AU01_r", "").write(tmp_path / "a.csv"))
    assert seen.mask("rotation").all() and not seen.mask("au").any()


# ---------------------------------------------------------------- py-feat


def test_pyfeat_tells_all_our_units_and_no_contempt(tmp_path: Path) -> None:
    seen = perceive(files.pyfeat().write(tmp_path / "a.csv"))
    assert all(measured(seen, label) for label in AU_LABELS)
    assert not measured(seen, "Contempt") and measured(seen, "Happy")
    np.testing.assert_allclose(seen["expression"].sum(dim=-1), 1.0, atol=1e-5)
    assert "va" not in seen.derived and "expression" not in seen.derived


@pytest.mark.parametrize(
    ("column", "place", "sign"), [("Pitch", 0, 1.0), ("Yaw", 1, -1.0), ("Roll", 2, 1.0)]
)
def test_pyfeats_turns_have_the_signs_of_its_sample_tables(
    column: str, place: int, sign: float, tmp_path: Path
) -> None:
    seen = perceive(files.pyfeat().filled(column, 0.2).write(tmp_path / "a.csv"))
    wanted = np.zeros(3)
    wanted[place] = sign * 0.2
    np.testing.assert_allclose(seen["rotation"][10].numpy(), wanted, atol=1e-5)


def test_pyfeats_older_names_of_emotions_are_read_too(tmp_path: Path) -> None:
    new = perceive(files.pyfeat().write(tmp_path / "new.csv"))
    old = perceive(files.pyfeat(old=True).write(tmp_path / "old.csv"))
    np.testing.assert_array_equal(old["expression"], new["expression"])
    assert "va" in old.derived


def test_pyfeats_rate_is_told_from_its_seconds_or_asked_for(tmp_path: Path) -> None:
    path = files.pyfeat(seconds=5.0, rate=29.97).write(tmp_path / "long.csv")
    assert perceive(path).frames == pytest.approx(125, abs=1)
    short = files.pyfeat(seconds=1.0, rate=30.0).write(tmp_path / "short.csv")
    with pytest.raises(InputError, match="does not tell its frames a second"):
        perceive(short)
    assert perceive(short, fps=30.0).frames == 25


def test_pyfeats_own_blendshapes_are_taken_before_units(tmp_path: Path) -> None:
    seen = perceive(files.pyfeat(blendshapes=True).write(tmp_path / "a.csv"))
    assert "blendshapes" not in seen.derived
    assert not measured(seen, "tongueOut")


# ---------------------------------------------------------------- Live Link Face, Audio2Face


def test_both_orders_and_any_capitals_of_live_link_are_read(tmp_path: Path) -> None:
    table = files.livelink()
    plain = perceive(table.write(tmp_path / "a.csv"))
    swapped = table.swapped("JawLeft", "JawRight").swapped("MouthLeft", "MouthRight")
    camel = swapped.renamed(lambda n: n[0].lower() + n[1:] if n != "Timecode" else n)
    for other in (swapped, camel, table.renamed(str.upper)):
        seen = perceive(other.write(tmp_path / "b.csv"))
        np.testing.assert_array_equal(seen["blendshapes"], plain["blendshapes"])
    assert shape(plain, "jawLeft").max() > 0.3 and shape(plain, "jawRight").max() < 0.2


def test_live_link_without_a_tongue_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "visavis"):
        seen = perceive(files.livelink().without("TongueOut").write(tmp_path / "a.csv"))
    assert "does not tell tongueOut" in caplog.text
    assert not measured(seen, "tongueOut") and measured(seen, "jawOpen")


@pytest.mark.parametrize("rate", [24, 25, 30, 60])
def test_the_rate_of_a_timecode_is_told_from_its_frames(rate: int, tmp_path: Path) -> None:
    seen = perceive(files.livelink(seconds=3.0, rate=rate).write(tmp_path / "a.csv"))
    assert seen.frames == 75
    clock = (np.arange(75) + 0.5) / 25
    assert np.abs(shape(seen, "jawOpen") - files.jaw(clock))[3:-3].max() < 0.03


def test_a_recording_over_midnight_goes_on(tmp_path: Path) -> None:
    late = files.livelink(seconds=2.0, start_s=86399.0)
    assert perceive(late.write(tmp_path / "a.csv")).frames == 50


def test_a_row_that_counts_no_shapes_is_no_face(tmp_path: Path) -> None:
    table = files.livelink(seconds=2.0, rate=25)
    for row in range(10, 20):
        table = table.with_cell("BlendShapeCount", row, "0")
    mask = perceive(table.write(tmp_path / "a.csv")).mask("blendshapes")
    assert mask.tolist() == [not 10 <= t < 20 for t in range(50)]


def test_angles_that_can_only_be_degrees_are_turned_into_radians(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "visavis"):
        seen = perceive(files.livelink().filled("HeadYaw", 30.0).write(tmp_path / "a.csv"))
    assert "read as degrees" in caplog.text
    assert seen["rotation"][5, 1] == pytest.approx(np.radians(30), rel=1e-4)
    with pytest.raises(InputError, match="neither radians nor degrees"):
        perceive(files.livelink().filled("HeadYaw", 3000.0).write(tmp_path / "b.csv"))


def test_a_timecode_that_is_none_is_named(tmp_path: Path) -> None:
    path = files.livelink().with_cell("Timecode", 3, "noon").write(tmp_path / "a.csv")
    with pytest.raises(InputError, match="row 4: 'noon' is no timecode"):
        perceive(path)


def test_weights_in_per_cent_are_scaled_and_wilder_ones_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "visavis"):
        seen = perceive(files.livelink().filled("JawOpen", 80.0).write(tmp_path / "a.csv"))
    assert "per cent" in caplog.text
    assert shape(seen, "jawOpen")[5] == pytest.approx(0.8)
    with pytest.raises(InputError, match="column 'jawOpen': 900 is no shape's weight"):
        perceive(files.livelink().filled("JawOpen", 900.0).write(tmp_path / "b.csv"))


def test_audio2faces_file_of_emotions_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a2f_smoothed_emotion_output.csv"
    path.write_text("time_code,emotion_values.joy\n0.0,1.0\n")
    with pytest.raises(InputError, match=r"give animation_frames\.csv"):
        perceive(path)


def test_audio2face_takes_row_numbers_and_short_sides(tmp_path: Path) -> None:
    table = files.audio2face()
    plain = perceive(table.write(tmp_path / "a.csv"))
    short = table.renamed(lambda n: n.replace("Left", "_L").replace("Right", "_R"))
    short = short.renamed(lambda n: {"blendShapes.Jaw_L": "blendShapes.JawLeft"}.get(n, n))
    other = perceive(short.with_column("", "7").write(tmp_path / "b.csv"))
    np.testing.assert_array_equal(other["blendshapes"], plain["blendshapes"])


# ---------------------------------------------------------------- what we write, we read


def test_our_own_exports_come_back(tmp_path: Path) -> None:
    from visavis.demo.performance import perform
    from visavis.export.live_link import write_live_link
    from visavis.export.openface import write_openface
    from visavis.features.attributes import complete

    spoken = complete(perform(3.0, seed=1).behaviour)
    back = perceive(write_live_link(spoken, tmp_path / "link.csv"))
    assert (back["blendshapes"] - spoken["blendshapes"]).abs().max() < 0.1
    assert (back["rotation"] - spoken["rotation"]).abs().max() < 0.01
    face = perceive(write_openface(spoken, tmp_path / "openface.csv"))
    assert (face["rotation"] - spoken["rotation"]).abs().max() < 1e-4
    assert (face["au"] - spoken["au"].round())[:, : AU_LABELS.index("AU24")].abs().max() == 0


# ---------------------------------------------------------------- a user's model


def test_a_model_that_is_not_there_or_no_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    from visavis.features.face_task import TaskTracker

    with pytest.raises(InputError, match=r"face_landmarker\.task"):
        TaskTracker(tmp_path / "face_landmarker.task")
    wrong = tmp_path / "letter.task"
    wrong.write_bytes(b"not a model")
    try:
        with pytest.raises(InputError, match=r"letter\.task is not a face_landmarker\.task"):
            TaskTracker(wrong)
    except MissingExtra as error:
        pytest.skip(str(error))


def test_a_model_that_loads_and_cannot_run_is_refused(tmp_path: Path) -> None:
    # the wheel's own detector and mesh in a bundle; the mesh has other outputs than Tasks wants
    skimage = pytest.importorskip("skimage.data")
    from visavis.features.face_task import TaskTracker

    model = write_task(tmp_path / "own.task")
    picture = np.ascontiguousarray(skimage.astronaut())
    says = r"own\.task was read, but mediapipe cannot run it"
    with pytest.raises(InputError, match=says), TaskTracker(model) as tracker:
        for frame in range(3):
            tracker.track(picture, frame / 25)


def test_a_models_scored_names_become_our_shapes() -> None:
    pytest.importorskip("mediapipe")
    from mediapipe.tasks.python.components.containers.category import Category

    from visavis.features.face_task import points_of, shapes_of

    told = shapes_of([Category(0, 0.9, "", "_neutral"), Category(1, 0.5, "", "jawOpen")])
    assert told[BLENDSHAPES.index("jawOpen")] == 0.5 and told.sum() == 0.5
    with pytest.raises(InputError, match="'mouthWide'"):
        shapes_of([Category(1, 0.5, "", "mouthWide")])
    from mediapipe.tasks.python.components.containers.landmark import NormalizedLandmark

    np.testing.assert_allclose(
        points_of([NormalizedLandmark(0.5, 0.25, 0.1)], 100, 200), [[100.0, -25.0, -20.0]]
    )
