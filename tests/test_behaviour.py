from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.people import COEFFICIENTS, person
from visavis.behaviour import Behaviour, Source, Word
from visavis.channels import STANDARD, Channel, Layout
from visavis.errors import InputError, MissingChannel

WORDS = (Word("hello", 0.1, 0.3), Word("there", 0.35, 0.6), Word("friend", 1.0, 1.4))


def talking(frames: int = 50) -> Behaviour:
    made = person(frames)
    return Behaviour(made.channels, made.layout, words=WORDS, source=Source("a.mp4", 2.0))


# ---------------------------------------------------------------------- absence


def test_reading_a_channel_with_unobserved_frames_raises_and_says_how_to_read_it() -> None:
    lost = talking().drop("face", start=10, stop=20)
    with pytest.raises(MissingChannel, match=r"10 of 50 frames of 'au' were not observed.*filled"):
        lost["au"]
    assert lost["mfcc78"].shape == (50, 78)


def test_an_unobserved_value_is_nan_even_for_one_who_goes_round_the_back() -> None:
    lost = talking().drop("au", start=10, stop=20)
    assert lost.channels["au"][10:20].isnan().all()
    assert torch.equal(lost.filled("au", -1.0)[10:20], torch.full((10, 15), -1.0))
    assert lost.mask("au").tolist() == [True] * 10 + [False] * 10 + [True] * 30


def test_integer_pixels_that_were_not_observed_are_zero() -> None:
    channel = Channel("pixels", (), "pixels", shape=(3, 4, 4))
    seen = torch.tensor([True, False, True])
    made = Behaviour.of(
        {"pixels": torch.full((3, 3, 4, 4), 9, dtype=torch.uint8)},
        layout=Layout((channel,)),
        observed={"pixels": seen},
    )
    assert made.channels["pixels"].dtype == torch.uint8
    assert made.channels["pixels"][1].eq(0).all()
    with pytest.raises(MissingChannel):
        made["pixels"]


def test_a_mask_that_says_nothing_is_dropped() -> None:
    made = Behaviour.of({"au": torch.zeros(4, 15)}, observed={"au": torch.ones(4, dtype=bool)})
    assert not made.observed
    assert made["au"].shape == (4, 15)


def test_nan_in_the_input_is_an_error_unless_it_is_said_to_mean_absence() -> None:
    values = torch.zeros(5, 15)
    values[3, 2] = math.nan
    with pytest.raises(InputError, match=r"'au' is not finite at \[3\]"):
        Behaviour.of({"au": values})
    made = Behaviour.of({"au": values}, nan_is_absent=True)
    assert made.mask("au").tolist() == [True, True, True, False, True]


def test_a_channel_that_is_not_there_is_another_thing_than_one_not_observed() -> None:
    made = talking().without("speech")
    assert "mfcc78" not in made
    assert not made.has("speech")
    with pytest.raises(MissingChannel, match="no channel 'mfcc78'"):
        made.mask("mfcc78")


def test_dropping_words_takes_those_that_overlap() -> None:
    assert [w.text for w in talking().drop("words", start=9, stop=20).words] == ["hello", "friend"]


# ---------------------------------------------------------------------- padding


def test_padding_is_zero_and_is_not_absence() -> None:
    batch = Behaviour.stack([talking(50), talking(30).drop("au", start=0, stop=5)])
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [50, 30]
    assert batch.channels["au"][1, 30:].eq(0).all()
    assert batch.mask("au")[1].tolist() == [False] * 5 + [True] * 45
    assert batch.inside()[1].tolist() == [True] * 30 + [False] * 20


def test_taking_a_clip_out_of_a_batch_gives_it_back_whole() -> None:
    clips = [talking(50), talking(30).drop("au", start=0, stop=5)]
    back = Behaviour.stack(clips)[1]
    assert back.frames == 30
    assert back.words == clips[1].words
    assert back.source == clips[1].source
    assert torch.equal(back.filled("au", 7.0), clips[1].filled("au", 7.0))


def test_a_batch_without_padding_has_no_lengths() -> None:
    assert Behaviour.stack([talking(), talking()]).lengths is None


# ---------------------------------------------------------------------- time


def test_a_window_moves_words_and_source_along() -> None:
    cut = talking().window(10, 30)
    assert cut.frames == 20
    assert [(w.text, round(w.start_s, 3)) for w in cut.words] == [("there", -0.05), ("friend", 0.6)]
    assert cut.source == Source("a.mp4", 2.4)


@given(
    frames=st.integers(1, 40),
    size=st.integers(1, 12),
    lost=st.tuples(st.integers(0, 40), st.integers(0, 40)),
)
@settings(max_examples=40)
def test_windows_joined_again_are_the_whole(frames: int, size: int, lost: tuple[int, int]) -> None:
    start, stop = sorted(min(x, frames) for x in lost)
    whole = person(frames, names=("au", "mfcc78")).drop("au", start=start, stop=stop)
    joined = Behaviour.cat(list(whole.windows(size)))
    assert joined.frames == frames
    for name in ("au", "mfcc78"):
        assert torch.equal(joined.filled(name, 5.0), whole.filled(name, 5.0))
        assert torch.equal(joined.mask(name), whole.mask(name))


def test_windows_may_overlap_and_the_last_may_be_shorter() -> None:
    starts = [w.frames for w in person(25).windows(10, 5)]
    assert starts == [10, 10, 10, 10]
    assert [w.frames for w in person(23).windows(10)] == [10, 10, 3]


def test_words_of_joined_parts_keep_their_time() -> None:
    joined = Behaviour.cat([talking(50), talking(50)])
    assert joined.words[3].start_s == pytest.approx(2.1)


def test_a_faster_channel_is_cut_by_frames_not_by_ticks() -> None:
    made = Behaviour.of(
        {"wav2vec2": torch.arange(20.0)[:, None].expand(20, 768), "au": torch.zeros(10, 15)}
    )
    assert made.frames == 10
    assert made.window(3, 5)["wav2vec2"][:, 0].tolist() == [6, 7, 8, 9]


def test_mixing_conventions_raises() -> None:
    ours = person(5, names=("rotation",))
    theirs = Behaviour.of({"rotation": torch.zeros(5, 3)}, convention="faceverse")
    for join in (Behaviour.cat, Behaviour.stack):
        with pytest.raises(InputError, match="different conventions"):
            join([ours, theirs])


# ---------------------------------------------------------------------- packing


@given(frames=st.integers(1, 9), lead=st.lists(st.integers(1, 3), max_size=2))
@settings(max_examples=30)
def test_unpack_is_the_inverse_of_pack(frames: int, lead: list[int]) -> None:
    made = person(frames, lead=tuple(lead))
    back = Behaviour.unpack(made.pack(), made.layout)
    assert back.layout == made.layout
    for name in made.layout.names:
        assert torch.equal(back[name], made[name])


def test_pack_follows_the_layout_whatever_order_is_asked() -> None:
    made = person(4)
    assert made.pack("expression", "au").shape == (4, 23)
    assert torch.equal(made.pack("expression", "au")[:, :15], made["au"])
    assert made.pack("coefficients").shape == (4, 58)


def test_unpack_says_what_width_it_wanted() -> None:
    with pytest.raises(InputError, match="58 numbers a frame, but the tensor has 57"):
        Behaviour.unpack(torch.zeros(3, 57), Layout.of("coefficients"))


# ---------------------------------------------------------------------- batches and devices


def test_leading_axes_index_and_iterate() -> None:
    many = person(6, lead=(4, 3))
    assert many.lead == (4, 3)
    assert len(many) == 4
    assert many[2].lead == (3,)
    assert many[1:3].lead == (2, 3)
    assert len(list(many[0])) == 3
    with pytest.raises(IndexError):
        many[4]


def test_a_single_clip_says_it_has_no_leading_axis() -> None:
    with pytest.raises(InputError, match="no leading axis"):
        person(6)[0]
    with pytest.raises(InputError, match="no leading axis"):
        len(person(6))


def test_moving_to_a_dtype_leaves_masks_and_words() -> None:
    half = talking().drop("au", start=0, stop=2).to(torch.float64)
    assert half.channels["au"].dtype == torch.float64
    assert half.mask("au").dtype == torch.bool
    assert half.words == WORDS


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize(
    "made",
    [
        talking().drop("face", start=3, stop=9),
        Behaviour.stack([talking(20), talking(12).drop("speech")]),
        person(7, lead=(3,)).with_channels({"au": torch.zeros(3, 7, 15)}, derived=True),
        Behaviour.of(
            {"own": torch.zeros(8, 2), "rotation": torch.ones(4, 3)},
            layout=Layout((Channel("own", ("a", "b"), rate=2), STANDARD["rotation"]), "faceverse"),
        ),
    ],
    ids=["absence", "batch", "derived", "own channel"],
)
def test_saving_and_loading_changes_nothing(made: Behaviour, tmp_path: Path) -> None:
    back = Behaviour.load(made.save(tmp_path / "b.safetensors"))
    assert back.layout == made.layout
    assert back.words == made.words
    assert back.source == made.source
    assert back.derived == made.derived
    assert back.fps == made.fps
    assert (back.lengths is None) == (made.lengths is None)
    for name in made.layout.names:
        assert torch.equal(back.mask(name), made.mask(name))
        assert torch.equal(back.filled(name, 3.0), made.filled(name, 3.0))


def test_files_that_are_no_behaviours_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    other = tmp_path / "weights.safetensors"
    save_file({"w": torch.zeros(2)}, other)
    with pytest.raises(InputError, match="holds no behaviour"):
        Behaviour.load(other)
    text = tmp_path / "text.safetensors"
    text.write_text("hello")
    with pytest.raises(InputError, match="not a safetensors file"):
        Behaviour.load(text)
    with pytest.raises(InputError, match="does not exist"):
        Behaviour.load(tmp_path / "none.safetensors")


def test_a_table_has_time_and_named_columns() -> None:
    table = talking().drop("au", start=0, stop=2).to_dataframe()
    assert table["time_s"].iloc[1] == pytest.approx(0.04)
    assert table["au.AU12"].isna().tolist()[:3] == [True, True, False]
    assert table["blendshapes.jawOpen"].between(0, 1).all()
    with pytest.raises(InputError, match="one clip"):
        person(4, lead=(2,)).to_dataframe()


# ---------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ({"au": torch.zeros(5, 14)}, r"must have shape \[..., T, 15\], but came as \[5, 14\]"),
        ({"au": torch.zeros(5, 15), "va": torch.zeros(6, 2)}, "differ in leading axes or frames"),
        ({"au": torch.zeros(2, 5, 15), "va": torch.zeros(5, 2)}, "differ in leading axes"),
        ({"wav2vec2": torch.zeros(5, 768)}, "5 ticks; wanted a multiple of 2"),
        ({}, "at least one channel"),
    ],
)
def test_shapes_that_do_not_fit_are_named(channels: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Behaviour.of(channels)


def test_masks_and_lengths_that_do_not_fit_are_named() -> None:
    with pytest.raises(InputError, match="mask of 'au' must be bool"):
        Behaviour.of({"au": torch.zeros(5, 15)}, observed={"au": torch.ones(4, dtype=torch.bool)})
    with pytest.raises(InputError, match="not here"):
        Behaviour.of({"au": torch.zeros(5, 15)}, observed={"va": torch.ones(5, dtype=torch.bool)})
    with pytest.raises(InputError, match="lengths"):
        Behaviour.of({"au": torch.zeros(2, 5, 15)}, lengths=[5, 6])
    with pytest.raises(InputError, match="do not fit"):
        Behaviour.of({"au": torch.zeros(2, 5, 15)}, lengths=[5, 5, 5])


def test_its_repr_tells_size_ranges_absence_and_words() -> None:
    text = repr(talking().drop("au", start=0, stop=25))
    assert text.startswith("Behaviour: 50 frames (2.00 s at 25 fps)")
    assert "observed 50.0 %" in text
    assert '"hello there friend' in text
    assert "from a.mp4 at 2 s" in text


# ---------------------------------------------------------------------- traps


def test_a_face_with_lost_frames_is_completed_saved_and_loaded(tmp_path: Path) -> None:
    """Completed channels share one mask; files refuse shared memory."""
    from visavis.features.attributes import complete

    lost = complete(person(9, names=COEFFICIENTS).drop("face", start=2, stop=4))
    back = Behaviour.load(lost.save(tmp_path / "b.safetensors"))
    assert back.mask("au").tolist() == lost.mask("au").tolist()
    assert back.derived == {"au", "va", "expression"}


def test_a_mask_and_an_array_that_is_changed_later_change_nothing_inside() -> None:
    values = np.zeros((4, 15), np.float32)
    made = Behaviour.of({"au": values}, observed={"au": np.array([True, False, True, True])})
    values[:] = np.nan
    made.mask("au")[:] = False
    assert made.mask("au").tolist() == [True, False, True, True]
    assert made.filled("au").isfinite().all()


def test_nan_cannot_come_in_by_another_door(tmp_path: Path) -> None:
    made = person(4)
    with pytest.raises(InputError, match="'rotation' is not finite"):
        made.with_channels({"rotation": torch.full((4, 3), math.nan)})
    raw = Behaviour({"au": torch.full((4, 15), math.nan)}, Layout.of("au"))
    with pytest.raises(InputError, match=r"damaged.*not finite"):
        Behaviour.load(raw.save(tmp_path / "b.safetensors"))


@pytest.mark.parametrize("index", [np.int64(1), torch.tensor(1), np.array(1)])
def test_any_whole_number_takes_a_clip_out_unpadded(index: object) -> None:
    batch = Behaviour.stack([person(6), person(4)])
    assert batch[index].frames == 4  # type: ignore[index]


@pytest.mark.parametrize("index", [(0, 1), True, 0.5, None, [0]])
def test_other_indices_are_refused(index: object) -> None:
    with pytest.raises(InputError, match="cannot index"):
        person(6, lead=(2,))[index]  # type: ignore[index]


def test_words_and_derived_must_fit() -> None:
    two = person(6, lead=(2,), names=("au",))
    with pytest.raises(InputError, match="words of 3 clips"):
        Behaviour(two.channels, two.layout, words=((), (), ()))
    with pytest.raises(InputError, match="derived"):
        Behaviour(two.channels, two.layout, derived=frozenset({"va"}))
    worded = Behaviour(two.channels, two.layout, words=(WORDS, ()))
    with pytest.raises(InputError, match="clip by clip"):
        Behaviour.stack([worded, worded])


@pytest.mark.parametrize(
    "text", ["{", "3", '{"format": 1}', '{"format": 1, "layout": {}, "fps": "x"}']
)
def test_a_damaged_description_is_an_input_error(text: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "b.safetensors"
    save_file({"channel/au": torch.zeros(2, 15)}, path, metadata={"visavis.behaviour": text})
    with pytest.raises(InputError, match=r"damaged|format"):
        Behaviour.load(path)
