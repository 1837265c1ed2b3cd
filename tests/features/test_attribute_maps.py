"""The second map to attributes, and AU labels with a person's own thresholds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.people import person
from visavis.channels import BLENDSHAPES, EXPRESSION_LABELS
from visavis.corpora import SimulatedDyads
from visavis.errors import InputError
from visavis.features.attribute_maps import person_occurrences, shown, with_attributes
from visavis.features.attributes import attributes_from_coefficients
from visavis.metrics.ccc import ccc_matrix


def face(**weights: float) -> torch.Tensor:
    """[52] with each named shape, on both sides where it has two."""
    out = torch.zeros(52)
    for stem, weight in weights.items():
        for name in (stem, f"{stem}Left", f"{stem}Right"):
            if name in BLENDSHAPES:
                out[BLENDSHAPES.index(name)] = weight
    return out


PROTOTYPES = {
    "Neutral": face(),
    "Happy": face(mouthSmile=0.8, cheekSquint=0.6),
    "Sad": face(browInnerUp=0.7, mouthFrown=0.7),
    "Surprise": face(browInnerUp=0.7, browOuterUp=0.8, eyeWide=0.5, jawOpen=0.3),
    "Fear": face(browInnerUp=0.6, browOuterUp=0.4, eyeWide=0.7, mouthStretch=0.7),
    "Disgust": face(noseSneer=0.8, mouthUpperUp=0.5),
    "Anger": face(browDown=0.8, eyeSquint=0.4, mouthPress=0.5),
    "Contempt": face(mouthDimple=0.7),
}


def test_the_first_map_is_what_it_was() -> None:
    b = person(20)
    first = attributes_from_coefficients(b["blendshapes"], b["rotation"])
    for name, values in shown(b["blendshapes"], b["rotation"]).items():
        assert torch.equal(values, first[name])


@pytest.mark.parametrize("label", EXPRESSION_LABELS)
def test_prototypes_are_read_as_what_they_show(label: str) -> None:
    got = shown(PROTOTYPES[label], map="learned")["expression"]
    assert EXPRESSION_LABELS[int(got.argmax())] == label
    assert float(got.sum()) == pytest.approx(1.0, abs=1e-5)


def test_valence_and_arousal_of_prototypes_have_russells_signs() -> None:
    va = {n: shown(f, map="learned")["va"].tolist() for n, f in PROTOTYPES.items()}
    assert va["Happy"][0] > 0.4
    assert all(va[n][0] < 0 for n in ("Sad", "Fear", "Disgust", "Anger", "Contempt"))
    assert va["Sad"][0] < -0.5 and va["Anger"][0] < -0.2
    assert va["Surprise"][1] > 0.4 and va["Fear"][1] > 0.3 and va["Sad"][1] < 0
    assert abs(va["Neutral"][0]) < 0.1
    assert va["Surprise"][1] > 0.4 and va["Fear"][1] > 0.3 and va["Sad"][1] < 0
    assert abs(va["Neutral"][0]) < 0.1


def test_the_second_map_reads_simulated_affect_better_than_the_first() -> None:
    corpus = SimulatedDyads("val", size=14, audio=False)
    scores: dict[str, list[float]] = {"linear": [], "learned": []}
    for i in range(14):
        speaker, truth = corpus[i].speaker, corpus.latent_affect(corpus.ids[i]).numpy()
        for name, kept in scores.items():
            va = shown(speaker["blendshapes"], speaker["rotation"], map=name)["va"].numpy()
            kept.append(float(ccc_matrix(va[None], truth[None]).mean()))
    assert np.mean(scores["learned"]) > 0.7
    assert np.mean(scores["learned"]) > np.mean(scores["linear"]) + 0.15


def test_a_face_and_its_mirror_image_show_the_same() -> None:
    b = person(10)

    def other(name: str) -> str:
        if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
            return name  # singles: which way a jaw slides is read
        return name.replace("Left", "?").replace("Right", "Left").replace("?", "Right")

    order = [BLENDSHAPES.index(other(n)) for n in BLENDSHAPES]
    flipped = b["blendshapes"][:, order]
    for name, values in shown(b["blendshapes"], map="learned").items():
        torch.testing.assert_close(values, shown(flipped, map="learned")[name])


def test_unseen_frames_stay_unseen_and_the_result_is_marked_derived() -> None:
    b = person(10).drop("blendshapes", start=2, stop=4)
    got = with_attributes(b)
    assert got.derived >= {"au", "va", "expression"}
    assert not got.mask("va")[2:4].any() and got.mask("va")[4:].all()


def test_unknown_maps_and_conventions_are_refused() -> None:
    with pytest.raises(InputError, match="learned"):
        shown(torch.zeros(52), map="learnt")


def test_a_low_brow_at_rest_is_no_frown() -> None:
    au = torch.zeros(100, 15)
    au[:, 2] = 0.4  # this person's brow lies low
    au[40:60, 2] = 0.75
    got = person_occurrences(au)
    assert got[:, 2].tolist() == [0.0] * 40 + [1.0] * 20 + [0.0] * 40
    assert got.sum() == 20


def test_small_noise_is_never_labelled_and_labels_do_not_flicker() -> None:
    au = torch.zeros(60, 15)
    au[:, 0] = 0.04 * (torch.arange(60) % 2)
    au[20:40, 1] = 0.25 + 0.1 * (torch.arange(20) % 2)  # about the threshold
    got = person_occurrences(au)
    assert got[:, 0].sum() == 0
    assert (got[:, 1].diff().abs() > 0).sum() == 2


@given(scale=st.floats(0.3, 1.0), shift=st.floats(0.0, 0.4))
def test_labels_depend_on_a_persons_own_range(scale: float, shift: float) -> None:
    t = torch.arange(200) / 25
    raised = (torch.sin(t) > 0.5).double()
    au = (shift + (1 - shift) * scale * raised)[:, None].expand(-1, 15)
    wanted = raised[:, None].expand(-1, 15) if scale >= 0.3001 else None
    got = person_occurrences(au)
    assert wanted is None or torch.equal(got, wanted)


def test_frames_without_a_face_keep_the_label_before() -> None:
    au = torch.zeros(30, 15)
    au[10:20] = 0.9
    au[15:18] = torch.nan
    assert person_occurrences(au)[10:20].all()
    with pytest.raises(InputError, match="fall"):
        person_occurrences(au, fall=0.5, rise=0.3)
