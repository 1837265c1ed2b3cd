import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visavis.behaviour import Behaviour, Word
from visavis.channels import AU_LABELS, BLENDSHAPES, EXPRESSION_LABELS
from visavis.errors import InputError, MissingChannel
from visavis.features.attributes import (
    attributes_from_coefficients,
    coefficients_from_attributes,
    complete,
    occurrences,
)

HAPPY = EXPRESSION_LABELS.index("Happy")
UNSEEN = ("eyeLook", "eyeBlink", "jawLeft", "jawRight", "jawForward", "tongueOut", "cheekPuff")
SPEECH = ("mouthLeft", "mouthRight", "mouthPucker", "mouthFunnel", "mouthClose")


def face(**shapes: float) -> torch.Tensor:
    """[52]: shapes by name, both sides where the name has none."""
    values = torch.zeros(52)
    for name, value in shapes.items():
        for side in (name,) if name in BLENDSHAPES else (f"{name}Left", f"{name}Right"):
            values[BLENDSHAPES.index(side)] = value
    return values


def plausible_faces(count: int, seed: int = 0) -> torch.Tensor:
    """[count, 52]: symmetric faces with about a fifth of the expressive shapes at 0 to 0.7."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(count, 52, generator=generator) * 0.7
    values = values * (torch.rand(count, 52, generator=generator) < 0.2)
    for index, name in enumerate(BLENDSHAPES):
        if name.startswith((*UNSEEN, *SPEECH)):
            values[:, index] = 0.0
        elif name.endswith("Right"):
            values[:, index] = values[:, BLENDSHAPES.index(f"{name[:-5]}Left")]
    return values


def test_a_face_at_rest_shows_nothing() -> None:
    shown = attributes_from_coefficients(torch.zeros(4, 52), torch.zeros(4, 3))
    assert torch.equal(shown["au"], torch.zeros(4, 15))
    assert torch.equal(shown["va"], torch.zeros(4, 2))
    assert torch.equal(shown["expression"], torch.eye(8)[:1].expand(4, 8))


def test_attributes_at_rest_give_a_face_at_rest() -> None:
    made = coefficients_from_attributes(
        torch.zeros(3, 15), torch.zeros(3, 2), torch.eye(8)[:1].expand(3, 8)
    )
    assert {name: tuple(value.shape) for name, value in made.items()} == {
        "blendshapes": (3, 52),
        "rotation": (3, 3),
        "translation": (3, 3),
    }
    assert all(not value.any() for value in made.values())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0, 1, width=32), min_size=52, max_size=52),
    st.lists(st.floats(-1.5, 1.5, width=32), min_size=3, max_size=3),
)
def test_any_face_gives_attributes_in_their_ranges(shapes: list[float], pose: list[float]) -> None:
    shown = attributes_from_coefficients(torch.tensor(shapes), torch.tensor(pose))
    assert shown["au"].min() >= 0
    assert shown["au"].max() <= 1
    assert shown["va"].abs().max() <= 1
    assert shown["expression"].min() >= 0
    torch.testing.assert_close(shown["expression"].sum(), torch.tensor(1.0))
    back = coefficients_from_attributes(**shown)
    assert back["blendshapes"].min() >= 0
    assert back["blendshapes"].max() <= 1


@pytest.mark.parametrize(
    ("shape", "au"),
    [
        ("browInnerUp", "AU1"),
        ("browOuterUp", "AU2"),
        ("browDown", "AU4"),
        ("cheekSquint", "AU6"),
        ("eyeSquint", "AU7"),
        ("noseSneer", "AU9"),
        ("mouthUpperUp", "AU10"),
        ("mouthSmile", "AU12"),
        ("mouthDimple", "AU14"),
        ("mouthFrown", "AU15"),
        ("mouthShrugLower", "AU17"),
        ("mouthPress", "AU24"),
        ("jawOpen", "AU26"),
    ],
)
def test_a_shape_raises_its_action_unit_and_is_labelled_from_a_half(shape: str, au: str) -> None:
    column = AU_LABELS.index(au)
    amounts = [
        float(attributes_from_coefficients(face(**{shape: x}))["au"][column])
        for x in (0.0, 0.1, 0.2, 0.3, 0.4, 0.8)
    ]
    assert amounts == sorted(amounts)
    assert amounts[1] > 0
    assert amounts[1] < 0.5 <= amounts[4]
    assert amounts[5] == 1.0


def test_more_smile_means_more_valence_and_more_happiness() -> None:
    smiles = torch.stack([face(mouthSmile=x, cheekSquint=0.3 * x) for x in (0, 0.2, 0.4, 0.6)])
    shown = attributes_from_coefficients(smiles)
    assert (shown["va"][:, 0].diff() > 0).all()
    assert (shown["expression"][:, HAPPY].diff() > 0).all()
    assert shown["au"][-1, AU_LABELS.index("AU12")] > 0.5


@pytest.mark.parametrize(
    ("expression", "shapes"),
    [
        ("Happy", {"mouthSmile": 0.7, "cheekSquint": 0.4}),
        ("Sad", {"mouthFrown": 0.6, "browInnerUp": 0.6}),
        ("Surprise", {"browInnerUp": 0.7, "browOuterUp": 0.7, "eyeWide": 0.6, "jawOpen": 0.3}),
        ("Fear", {"mouthStretch": 0.7, "eyeWide": 0.5, "browInnerUp": 0.4, "browDown": 0.3}),
        ("Disgust", {"noseSneer": 0.7, "mouthUpperUp": 0.4}),
        ("Anger", {"browDown": 0.8, "mouthPress": 0.5, "eyeSquint": 0.4}),
        ("Contempt", {"mouthDimple": 0.7}),
    ],
)
def test_the_prototype_of_an_expression_is_recognised(
    expression: str, shapes: dict[str, float]
) -> None:
    shown = attributes_from_coefficients(face(**shapes))["expression"]
    assert EXPRESSION_LABELS[int(shown.argmax())] == expression


def test_parted_lips_need_an_open_jaw_that_the_lips_do_not_follow() -> None:
    au25 = AU_LABELS.index("AU25")
    assert attributes_from_coefficients(face(jawOpen=0.3))["au"][au25] > 0.5
    assert attributes_from_coefficients(face(jawOpen=0.3, mouthClose=0.3))["au"][au25] == 0


def test_a_bowed_head_reads_as_sadder_and_calmer() -> None:
    bowed = attributes_from_coefficients(torch.zeros(52), torch.tensor([0.4, 0.0, 0.0]))["va"]
    assert (bowed < 0).all()


def test_the_round_trip_of_plausible_faces_loses_little() -> None:
    shown = attributes_from_coefficients(plausible_faces(2000))
    again = attributes_from_coefficients(coefficients_from_attributes(**shown)["blendshapes"])
    rms = {name: float((shown[name] - again[name]).square().mean().sqrt()) for name in shown}
    assert rms["au"] < 0.08
    assert rms["va"] < 0.08
    assert rms["expression"] < 0.05
    same = ((shown["au"] >= 0.5) == (again["au"] >= 0.5)).float().mean()
    assert same > 0.97


def test_the_way_back_is_symmetric() -> None:
    shown = attributes_from_coefficients(plausible_faces(20))
    made = coefficients_from_attributes(**shown)["blendshapes"]
    for name in BLENDSHAPES:
        if name.endswith("Left") and f"{name[:-4]}Right" in BLENDSHAPES:
            left, right = BLENDSHAPES.index(name), BLENDSHAPES.index(f"{name[:-4]}Right")
            torch.testing.assert_close(made[:, left], made[:, right])


def test_gradients_flow_both_ways() -> None:
    shapes = face(mouthSmile=0.3, browInnerUp=0.2).requires_grad_()
    shown = attributes_from_coefficients(shapes)
    sum(value.square().sum() for value in shown.values()).backward()
    assert shapes.grad[BLENDSHAPES.index("mouthSmileLeft")] > 0
    au = torch.full((15,), 0.3, requires_grad=True)
    made = coefficients_from_attributes(au, torch.zeros(2), torch.eye(8)[0])
    made["blendshapes"].sum().backward()
    assert au.grad.abs().sum() > 0


def test_any_leading_axes_give_the_same_numbers() -> None:
    faces = plausible_faces(24)
    flat = attributes_from_coefficients(faces)
    deep = attributes_from_coefficients(faces.reshape(2, 3, 4, 52))
    for name, value in flat.items():
        torch.testing.assert_close(deep[name].reshape(24, -1), value)


def test_a_wrong_width_is_named() -> None:
    with pytest.raises(InputError, match=r"\[\.\.\., 52\]"):
        attributes_from_coefficients(torch.zeros(3, 58))
    with pytest.raises(InputError, match="leading axes"):
        attributes_from_coefficients(torch.zeros(3, 52), torch.zeros(4, 3))
    with pytest.raises(InputError, match="va"):
        coefficients_from_attributes(torch.zeros(15), torch.zeros(3), torch.zeros(8))


def test_occurrence_labels_do_not_flicker_around_the_threshold() -> None:
    track = torch.tensor([0.1, 0.49, 0.52, 0.48, 0.51, 0.36, 0.34, 0.45, 0.5])
    labels = occurrences(track[:, None].expand(9, 15))
    assert labels[:, 0].tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 1]
    with pytest.raises(InputError, match="off"):
        occurrences(track[:, None], on=0.3, off=0.5)


def test_completing_adds_attributes_keeps_absence_and_touches_nothing_else() -> None:
    faces = plausible_faces(6)
    seen = torch.tensor([True, True, False, True, True, True])
    behaviour = Behaviour.of(
        {"blendshapes": faces, "va": torch.full((6, 2), 0.25)},
        observed={"blendshapes": seen},
        words=(Word("well", 0.0, 0.2),),
    )
    whole = complete(behaviour)
    assert whole.derived == {"au", "expression"}
    assert torch.equal(whole.mask("au"), seen)
    assert torch.equal(whole["va"], behaviour["va"])
    assert whole.words == behaviour.words
    expected = attributes_from_coefficients(faces)["au"]
    torch.testing.assert_close(whole.filled("au")[seen], expected[seen])


def test_completing_gives_coefficients_to_a_batch_and_keeps_its_lengths() -> None:
    clips = []
    for frames in (5, 3):
        shown = attributes_from_coefficients(plausible_faces(frames))
        clips.append(Behaviour.of(shown))
    whole = complete(Behaviour.stack(clips))
    assert whole.derived == {"blendshapes", "rotation", "translation"}
    assert whole.lengths is not None
    assert whole.lengths.tolist() == [5, 3]
    assert not whole["blendshapes"][1, 3:].any()


def test_an_unseen_rotation_counts_as_rest() -> None:
    behaviour = Behaviour.of(
        {"blendshapes": torch.zeros(2, 52), "rotation": torch.full((2, 3), 0.5)},
        observed={"rotation": torch.tensor([True, False])},
    )
    whole = complete(behaviour)
    assert whole.mask("va").all()
    assert whole["va"][0, 0] < 0
    assert whole["va"][1, 0] == 0


def test_a_complete_face_comes_back_as_it_is_and_half_of_nothing_is_refused() -> None:
    whole = complete(Behaviour.of({"blendshapes": torch.zeros(2, 52)}))
    assert complete(whole) is whole
    with pytest.raises(MissingChannel, match="au, va and expression"):
        complete(Behaviour.of({"au": torch.zeros(2, 15)}))
    with pytest.raises(InputError, match="faceverse"):
        complete(Behaviour.of({"blendshapes": torch.zeros(2, 52)}, convention="faceverse"))
