from __future__ import annotations

import json

import pytest

from visavis.channels import (
    AU_LABELS,
    BLENDSHAPES,
    EXPRESSION_LABELS,
    GROUPS,
    STANDARD,
    Channel,
    Layout,
)
from visavis.errors import InputError, MissingChannel


def test_attributes_are_the_challenge_s_25_in_order() -> None:
    assert AU_LABELS[:3] == ("AU1", "AU2", "AU4")
    assert AU_LABELS[-1] == "AU26"
    assert EXPRESSION_LABELS[0] == "Neutral"
    assert EXPRESSION_LABELS[-1] == "Contempt"
    assert Layout.of("attributes").size == 25


def test_coefficients_are_52_alphabetical_shapes_and_a_pose() -> None:
    assert len(BLENDSHAPES) == 52
    assert list(BLENDSHAPES) == sorted(BLENDSHAPES)
    assert BLENDSHAPES[0] == "browDownLeft"
    assert BLENDSHAPES[-1] == "tongueOut"
    assert Layout.of("coefficients").size == 58
    assert STANDARD["rotation"].labels == ("pitch", "yaw", "roll")


def test_the_groups_name_standard_channels_only() -> None:
    assert {n for members in GROUPS.values() for n in members} == set(STANDARD)


def test_the_mfcc_block_has_78_named_columns_by_kind_coefficient_and_column() -> None:
    labels = STANDARD["mfcc78"].labels
    assert len(labels) == 78
    assert labels[:3] == ("c0_0", "c0_1", "c1_0")
    assert labels[26] == "d0_0"
    assert labels[-1] == "dd12_1"


def test_a_layout_survives_json() -> None:
    own = Channel("own", ("a", "b"), "bounded", low=0.0, high=2.0, rate=3)
    layout = Layout((STANDARD["au"], own, STANDARD["pixels"]), convention="faceverse")
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout


def test_an_unknown_channel_suggests_the_nearest() -> None:
    with pytest.raises(MissingChannel, match="Did you mean 'blendshapes'"):
        Layout.of("blendshape")
    with pytest.raises(InputError, match="Did you mean 'browInnerUp'"):
        STANDARD["blendshapes"].index("browInerUp")


def test_an_unknown_convention_or_a_channel_twice_is_an_error() -> None:
    with pytest.raises(InputError, match="unknown convention"):
        Layout.of("au", convention="arkt")
    with pytest.raises(InputError, match="twice"):
        Layout((STANDARD["au"], STANDARD["au"]))


def test_a_channel_needs_a_known_kind_a_width_and_a_rate() -> None:
    with pytest.raises(InputError, match="unknown kind"):
        Channel("x", ("a",), "boolean")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="neither labels nor a shape"):
        Channel("x", ())
    with pytest.raises(InputError, match="rate"):
        Channel("x", ("a",), rate=0)
