"""The naive baselines: what each must return, to the number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.people import ATTRIBUTES, COEFFICIENTS, batch, person
from visavis.behaviour import Behaviour
from visavis.dyad import Batch
from visavis.errors import InputError
from visavis.recipes import new_model

NAMES = (*ATTRIBUTES, *COEFFICIENTS)


def face(b: Behaviour) -> Tensor:
    return b.pack(*NAMES)


# ---------------------------------------------------------------------- mirror


def test_mirror_gives_the_speaker_s_own_face_k_times() -> None:
    speaker = person(20)
    made = new_model("mirror", {}).generate(speaker, 3)
    for k in range(3):
        assert torch.equal(face(made[k]), face(speaker))


def test_mirror_is_neutral_at_rest_where_the_face_was_lost() -> None:
    speaker = person(20).drop("face", start=5, stop=9)
    made = new_model("mirror", {}).generate(speaker, 1)[0]
    neutral = torch.zeros(83)
    neutral[17] = 1.0  # the first expression
    assert torch.equal(face(made)[5:9], neutral.expand(4, -1))
    kept = [*range(5), *range(9, 20)]
    assert torch.equal(face(made)[kept], face(person(20))[kept])


# ---------------------------------------------------------------------- random


def test_random_is_uniform_with_the_published_variance_and_diversity() -> None:
    """FRVar 0.0833 = 1/12 and FRDiv 0.1667 = 1/6 in every table."""
    values = new_model("random", {}).generate(person(400), 6, seeds=3).pack()
    assert float(values.min()) >= 0.0 and float(values.max()) <= 1.0
    assert float(values.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(values.var(1).mean()) == pytest.approx(1 / 12, abs=1e-3)
    apart = [(values[i] - values[j]).square().mean() for i in range(6) for j in range(i)]
    assert float(torch.stack(apart).mean()) == pytest.approx(1 / 6, abs=2e-3)


def test_random_is_as_flat_as_uniform_numbers_are() -> None:
    values = new_model("random", {}).generate(person(400), 6).pack().flatten().numpy()
    counts, _ = np.histogram(values, bins=10, range=(0, 1))
    expected = len(values) / 10
    chi = ((counts - expected) ** 2 / expected).sum()
    assert chi < 33.7  # p = 1e-4 at 9 degrees of freedom


# ---------------------------------------------------------------------- means


def people_of(batches: list[Batch]) -> list[Behaviour]:
    return [clip for b in batches for role in (b.speaker, b.listener) for clip in role]


def plain_means(batches: list[Batch], frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean by frame and over all, over complete frames of every speaker and listener."""
    rows: list[list[np.ndarray]] = [[] for _ in range(frames)]
    for clip in people_of(batches):
        seen = torch.stack([clip.mask(n) for n in NAMES]).all(0)
        values = torch.cat([clip.filled(n) for n in NAMES], -1).double().numpy()
        for t in range(min(frames, clip.frames)):
            if seen[t]:
                rows[t].append(values[t])
    overall = np.mean([row for at in rows for row in at], axis=0)
    return np.array([np.mean(at, axis=0) if at else overall for at in rows]), overall


def training_data() -> list[Batch]:
    first = batch(2, 30, lengths=[30, 17], seed=1)
    second = batch(1, 24, seed=7)
    lost = second.speaker.drop("attributes", start=2, stop=6).drop("rotation", start=10, stop=12)
    return [first, replace(second, speaker=lost)]


def test_the_mean_sequence_is_numpy_s_mean_frame_by_frame() -> None:
    model = new_model("mean_sequence", {"frames": 40})
    model.fit(training_data())
    by_frame, overall = plain_means(training_data(), 40)
    made = face(model.generate(person(50), 2))
    for k in range(2):
        np.testing.assert_allclose(made[k, :40], by_frame, atol=1e-5)
        np.testing.assert_allclose(made[k, 39:], np.tile(overall, (11, 1)), atol=1e-5)


def test_longer_training_clips_count_up_to_the_sequence_s_length() -> None:
    model = new_model("mean_sequence", {"frames": 10})
    model.fit(training_data())
    by_frame, _ = plain_means(training_data(), 10)
    made = face(model.generate(person(12), 1))[0]
    np.testing.assert_allclose(made[:10], by_frame, atol=1e-5)
    assert torch.equal(made[9], made[11])


def test_the_mean_frame_is_numpy_s_mean_over_all_frames_held_still() -> None:
    model = new_model("mean_frame", {})
    model.fit(training_data())
    _, overall = plain_means(training_data(), 30)
    made = face(model.generate(person(12), 2))
    np.testing.assert_allclose(made, np.tile(overall, (2, 12, 1)), atol=1e-5)


@pytest.mark.parametrize("kind", ["mean_frame", "mean_sequence"])
def test_a_mean_that_was_never_made_says_what_to_do(kind: str) -> None:
    model = new_model(kind, {})
    with pytest.raises(InputError, match=f"{kind} has no mean to give; fit it or load"):
        model.generate(person(5))
    session = model.session()
    lane = session.open(seed=0)
    with pytest.raises(InputError, match="fit it or load"):
        session.step({lane: person(5)})


# ---------------------------------------------------------------------- nearest neighbours


NEAREST = ("nn_motion", "nn_audio")
SMALL: dict[str, Any] = {"segment": 10, "fade": 3, "neighbours": 4}


def fitted(kind: str, data: list[Batch], **settings: Any) -> Any:
    model = new_model(kind, {**SMALL, **settings})
    model.fit(data)
    return model.eval()


@pytest.mark.parametrize("kind", NEAREST)
def test_a_training_speaker_gets_their_own_listener_exactly(kind: str) -> None:
    data = [batch(3, 40, seed=1), batch(2, 40, seed=9)]
    model = fitted(kind, data)
    for b in data:
        for speaker, listener in zip(b.speaker, b.listener, strict=True):
            made = model.generate(speaker, 2)
            torch.testing.assert_close(face(made[0]), face(listener), atol=1e-6, rtol=0.0)
            assert not torch.allclose(face(made[1]), face(listener), atol=1e-2)


@pytest.mark.parametrize("kind", NEAREST)
def test_a_training_speaker_seen_in_part_gets_their_own_listener_still(kind: str) -> None:
    data = batch(3, 40, seed=1)
    speaker = data.speaker.drop("face", "speech", start=12, stop=18)
    lost = replace(data, speaker=speaker)
    model = fitted(kind, [lost])
    for clip, listener in zip(lost.speaker, lost.listener, strict=True):
        made = model.generate(clip, 1)[0]
        torch.testing.assert_close(face(made), face(listener), atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("kind", NEAREST)
def test_unobserved_training_frames_do_not_bend_the_statistics(kind: str) -> None:
    data = batch(2, 40, seed=1)
    channels = {n: x + 3 for n, x in data.speaker.channels.items()}
    shifted = replace(data, speaker=Behaviour(channels, data.speaker.layout))
    lost = replace(shifted, speaker=shifted.speaker.drop("face", "speech", start=10, stop=30))
    model = fitted(kind, [lost])
    read = shifted.speaker.pack(*model.inputs)
    seen = torch.cat([read[:, :10], read[:, 30:]], 1).flatten(0, 1).double().numpy()
    np.testing.assert_allclose(model.scale.mean, seen.mean(0), atol=1e-4)
    np.testing.assert_allclose(model.scale.std, seen.std(0), atol=1e-4)


@pytest.mark.parametrize("kind", NEAREST)
def test_a_listener_who_was_lost_is_not_copied(kind: str) -> None:
    data = batch(2, 40, seed=1)
    lost = replace(data, listener=data.listener.drop("coefficients", start=25, stop=26))
    model = fitted(kind, [lost])
    assert int(model.count) == 2 * 3
    assert model.generate(data.speaker, 3).pack().isfinite().all()


@pytest.mark.parametrize("kind", NEAREST)
def test_padding_of_the_training_data_is_no_segment(kind: str) -> None:
    data = batch(2, 40, lengths=[40, 23], seed=1)
    model = fitted(kind, [data])
    assert int(model.count) == 4 + 2
    unpadded = [replace_with_clip(data, i) for i in range(2)]
    other = fitted(kind, unpadded)
    assert torch.equal(model.keys, other.keys)
    assert torch.equal(model.values, other.values)


def replace_with_clip(data: Batch, i: int) -> Batch:
    speaker, listener = data.speaker[i].unsqueeze(), data.listener[i].unsqueeze()
    return Batch(speaker, listener, listener.unsqueeze(), torch.ones(1, 1, dtype=torch.bool))


@pytest.mark.parametrize("kind", NEAREST)
def test_samples_are_the_neighbours_by_rank(kind: str) -> None:
    data = batch(6, 10, seed=1)
    model = fitted(kind, [data], fade=0)
    speaker = person(10, seed=50)
    keys = torch.stack([model.scale(s.pack(*model.inputs)) for s in data.speaker])
    query = model.scale(speaker.pack(*model.inputs))
    order = (keys - query).flatten(1).norm(dim=1).argsort().tolist()
    made = model.generate(speaker, 6)
    for k in range(6):
        listener = data.listener[order[k % 4]]  # four neighbours, then the first again
        torch.testing.assert_close(face(made[k]), face(listener), atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("kind", NEAREST)
def test_one_segment_fades_into_the_next(kind: str) -> None:
    """Constant listeners make the cross-fade visible: a straight line of `fade` steps."""
    data = batch(2, 20, seed=1)
    levels = torch.tensor([0.0, 1.0])[:, None, None]
    listener = data.listener.with_channels(
        {n: levels.expand_as(x).clone() for n, x in data.listener.channels.items()}
    )
    model = fitted(kind, [replace(data, listener=listener)])
    mixed = Behaviour.cat([data.speaker[0].window(0, 10), data.speaker[1].window(10, 20)])
    line = face(model.generate(mixed, 1)[0])[:, 0]
    expected = torch.tensor([0.0] * 10 + [0.25, 0.5, 0.75] + [1.0] * 7)
    torch.testing.assert_close(line, expected, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("kind", NEAREST)
def test_fewer_segments_than_neighbours_are_used_in_turn(kind: str) -> None:
    data = batch(2, 10, seed=1)
    made = fitted(kind, [data], neighbours=10).generate(data.speaker[0], 5)
    assert torch.equal(face(made[0]), face(made[2])) and torch.equal(face(made[0]), face(made[4]))
    assert not torch.equal(face(made[0]), face(made[1]))


@pytest.mark.parametrize("kind", NEAREST)
def test_a_bank_smaller_than_the_data_is_spread_over_it(kind: str) -> None:
    data = batch(6, 20, seed=1)
    model = fitted(kind, [data], segments=3)
    assert int(model.count) == 3
    made = face(model.generate(data.speaker[5].window(10, 20), 1)[0])
    torch.testing.assert_close(made, face(data.listener[5])[10:], atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("kind", NEAREST)
@pytest.mark.parametrize("frames", [1, 4, 9, 11])
def test_speakers_shorter_than_a_segment_are_answered(kind: str, frames: int) -> None:
    data = batch(3, 20, seed=1)
    model = fitted(kind, [data])
    made = model.generate(data.speaker[1].window(0, frames), 1)[0]
    own = face(data.listener[1])[:frames]
    if frames >= 4:
        torch.testing.assert_close(made.pack(*NAMES)[: min(frames, 10)], own[:10])
    assert made.frames == frames


@pytest.mark.parametrize("kind", NEAREST)
def test_without_a_whole_training_segment_it_says_what_to_do(kind: str) -> None:
    with pytest.raises(InputError, match="segment"):
        fitted(kind, [batch(2, 9)])
    with pytest.raises(InputError, match="fit"):
        new_model(kind, SMALL).generate(person(10))
