from __future__ import annotations

from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import AU_LABELS, BLENDSHAPES, FPS
from visavis.corpora import Dropout, SimulatedDyads
from visavis.corpora.simulated import SIZES, VERSION
from visavis.errors import InputError
from visavis.features.attributes import attributes_from_coefficients, occurrences

FACE = ("au", "va", "expression", "blendshapes", "rotation", "translation")


def attributes(behaviour: Behaviour) -> Tensor:
    """[..., T, 25] in double precision."""
    return behaviour.select("attributes").pack().double()


def concordance(x: Tensor, y: Tensor) -> Tensor:
    """Mean CCC over the channels that move in `y`; x, y [..., T, C]."""
    dx, dy = x - x.mean(-2, keepdim=True), y - y.mean(-2, keepdim=True)
    gap = (x.mean(-2) - y.mean(-2)).square()
    ccc = 2 * (dx * dy).mean(-2) / (dx.square().mean(-2) + dy.square().mean(-2) + gap + 1e-12)
    live = dy.square().mean(-2) > 1e-9
    return (ccc * live).sum(-1) / live.sum(-1).clamp(min=1)


@pytest.fixture(scope="module")
def dyads() -> SimulatedDyads:
    return SimulatedDyads("test", size=84, audio=False)


@pytest.fixture(scope="module")
def listeners(dyads: SimulatedDyads) -> Tensor:
    """[6 scripts, 14 dyads, T, 25]"""
    return torch.stack([attributes(d.listener) for d in dyads]).unflatten(0, (6, 14))


def same(a: Behaviour, b: Behaviour) -> bool:
    return a.words == b.words and all(torch.equal(a[n], b[n]) for n in a.layout.names)


# ---------------------------------------------------------------------- what a dyad is


def test_a_dyad_has_two_faces_words_and_ids(dyads: SimulatedDyads) -> None:
    dyad = dyads[17]
    assert set(dyad.speaker.layout.names) == set(FACE) == set(dyad.listener.layout.names)
    assert dyad.speaker.frames == dyad.listener.frames == 750
    assert len(dyad.speaker.words) > 50
    assert dyad.listener.words == ()
    assert dyad.split == "test"
    assert dyad.appropriate[0] == dyad.id
    assert len(set(dyad.appropriate)) == 14
    for behaviour in (dyad.speaker, dyad.listener):
        shapes = behaviour["blendshapes"]
        assert shapes.min() >= 0
        assert shapes.max() <= 1


def test_attributes_follow_from_the_coefficients(dyads: SimulatedDyads) -> None:
    listener = dyads[3].listener
    shown = attributes_from_coefficients(listener["blendshapes"], listener["rotation"])
    assert torch.equal(listener["va"], shown["va"])
    assert torch.equal(listener["expression"], shown["expression"])
    assert torch.equal(listener["au"], occurrences(shown["au"]))


def test_a_voice_comes_with_its_channels_and_carries_the_words() -> None:
    dyads = SimulatedDyads("val", size=3, frames=250)
    speaker = dyads[1].speaker
    assert speaker.has("mfcc78", "energy", "pitch", "voice")
    samples, rate = dyads.sound(dyads[1])
    assert (len(samples), rate) == (160_000, 16_000)
    energy = speaker["energy"][:, 0]
    middles = (torch.arange(250) + 0.5) / FPS
    spoken = torch.zeros(250, dtype=torch.bool)
    for word in speaker.words:
        spoken |= (middles >= word.start_s) & (middles < word.end_s)
    assert energy[spoken].mean() > energy[~spoken].mean() + 0.1
    without = SimulatedDyads("val", size=3, frames=250, audio=False)[1].speaker
    assert same(speaker.select(*FACE), without)


# ---------------------------------------------------------------------- determinism and splits


def test_a_dyad_depends_on_seed_and_index_alone(dyads: SimulatedDyads) -> None:
    again = SimulatedDyads("test", size=84, audio=False)
    backwards = [again[i] for i in (40, 3, 3, -1)]
    for index, dyad in zip((40, 3, 3, 83), backwards, strict=True):
        assert dyad.id == dyads[index].id
        assert same(dyad.speaker, dyads[index].speaker)
        assert same(dyad.listener, dyads[index].listener)
    smaller = SimulatedDyads("test", size=28, audio=False)
    assert same(smaller[9].listener, dyads[9].listener)
    other = SimulatedDyads("test", size=84, audio=False, seed=1)
    assert not torch.equal(other[3].listener["va"], dyads[3].listener["va"])


def _made(corpus: SimulatedDyads, index: int) -> tuple[str, bytes]:
    dyad = corpus[index]
    behaviours = (dyad.speaker, dyad.listener, corpus.oracle(dyad, 2))
    drawn = b"".join(b.filled(n).numpy().tobytes() for b in behaviours for n in b.layout.names)
    return dyad.id, drawn


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_make_the_same_dyads(workers: int) -> None:
    corpus = SimulatedDyads("test", size=4, frames=100, dropout=Dropout.emc())
    direct = [_made(corpus, index) for index in range(4)]
    with get_context("spawn").Pool(workers) as pool:
        assert pool.map(partial(_made, corpus), range(4), chunksize=1) == direct


def test_splits_share_neither_people_nor_scripts() -> None:
    people: dict[str, set[str]] = {}
    scripts: dict[str, set[str]] = {}
    for split, size in SIZES.items():
        corpus = SimulatedDyads(split, frames=25, audio=False)
        assert len(corpus) == size
        some = [corpus[i] for i in range(0, size, 37)]
        people[split] = {d.speaker_id for d in some} | {d.listener_id for d in some}
        scripts[split] = {str(d.script) for d in some}
    assert not people["train"] & people["test"]
    assert not people["train"] & people["val"]
    assert not scripts["train"] & scripts["val"]
    assert not scripts["val"] & scripts["test"]
    one, two = (SimulatedDyads(s, size=1, audio=False)[0] for s in ("train", "val"))
    assert not torch.equal(one.listener["va"], two.listener["va"])


def test_a_history_tells_of_the_listener_and_not_of_this_script() -> None:
    corpus = SimulatedDyads("val", size=56, frames=25, audio=False)
    places = {dyad.id: dyad for dyad in corpus}
    for dyad in corpus:
        assert len(dyad.personal) == 2
        assert dyad.personal[0] == dyad.id
        assert len(dyad.history) >= 2
        assert set(dyad.personal) <= set(dyad.appropriate)
        assert not set(dyad.history) & set(dyad.appropriate)
        assert {places[id].script for id in dyad.personal} == {dyad.script}
        assert dyad.script not in {places[id].script for id in dyad.history}
        assert {places[id].listener_id for id in (*dyad.personal, *dyad.history)} == {
            dyad.listener_id
        }
        assert dyad.traits is not None
        assert torch.equal(dyad.traits, places[dyad.history[0]].traits)
    speakers = {dyad.speaker_id for dyad in corpus}
    assert not speakers & {dyad.listener_id for dyad in corpus}


def test_labels_say_what_the_dyads_say(dyads: SimulatedDyads) -> None:
    labels = dyads.labels
    assert labels.ids == dyads.ids
    assert labels.corpus == dyads.fingerprint
    assert set(labels.of(dyads.ids[20])) == set(dyads.appropriate(20))


def test_a_fingerprint_names_all_that_changes_what_is_drawn() -> None:
    base = {"split": "val", "size": 14, "frames": 50, "audio": False}
    others = (
        {"split": "test"},
        {"size": 15},
        {"frames": 51},
        {"audio": True},
        {"seed": 1},
        {"affect": "words"},
        {"dropout": {"face": 0.1}},
        {"dropout": {"face": 0.2}},
    )
    prints = [SimulatedDyads(**{**base, **other}).fingerprint for other in ({}, *others)]
    assert len(set(prints)) == len(prints)
    assert prints[0] == SimulatedDyads(**base).fingerprint
    assert f"-{VERSION}-" in prints[0]


def test_the_frozen_version_draws_what_it_drew() -> None:
    """Weights and results name VERSION: whoever changes a draw must raise it."""
    assert VERSION == "1.0"
    dyad = SimulatedDyads("train", size=14, audio=False)[5]
    drawn = [float(b["va"].double().sum()) for b in (dyad.speaker, dyad.listener)]
    assert drawn == pytest.approx([48.916, 168.908], abs=0.05)
    assert len(dyad.speaker.words) == 74


def test_in_the_words_only_condition_nothing_but_the_words_tells(dyads: SimulatedDyads) -> None:
    hidden = SimulatedDyads("test", size=84, audio=False, affect="words")
    told, shown = [], []
    for index in range(28):
        quiet, loud = hidden[index], dyads[index]
        assert quiet.speaker.words == loud.speaker.words
        told.append(concordance(attributes(quiet.listener), attributes(loud.listener)))
        shown.append(attributes(quiet.speaker))
    assert torch.stack(told).mean() > 0.9
    speakers = torch.stack(shown).unflatten(0, (2, 14))
    alike = concordance(speakers[:, :, None], speakers[:, None])
    others = ~torch.eye(14, dtype=torch.bool)
    loud = torch.stack([attributes(dyads[i].speaker) for i in range(28)]).unflatten(0, (2, 14))
    heard = concordance(loud[:, :, None], loud[:, None])
    assert heard[:, others].mean() > alike[:, others].mean() + 0.05


# ---------------------------------------------------------------------- truth


def test_listeners_of_a_script_agree_and_those_of_different_scripts_do_not(
    listeners: Tensor,
) -> None:
    own = concordance(listeners[:, :, None], listeners[:, None])
    within = own[:, ~torch.eye(14, dtype=torch.bool)].mean()
    between = concordance(listeners, listeners.roll(1, 0)).mean()
    assert within > 0.2
    assert between.abs() < 0.1


def test_the_oracle_scores_what_a_real_listener_scores(
    dyads: SimulatedDyads, listeners: Tensor
) -> None:
    oracle, real, shuffled = [], [], []
    for index in range(84):
        script, member = divmod(index, 14)
        rest = torch.cat((listeners[script, :member], listeners[script, member + 1 :]))
        drawn = attributes(dyads.oracle(dyads[index], 2))
        oracle += [concordance(sample[None], rest).max() for sample in drawn]
        shuffled += [concordance(drawn[0][None], listeners[(script + 1) % 6]).max()]
        real.append(concordance(listeners[script, member][None], rest).max())
    scores = [float(torch.stack(x).mean()) for x in (oracle, real, shuffled)]
    assert scores[0] == pytest.approx(scores[1], abs=0.06)
    assert scores[0] > 2.5 * scores[2]


def test_the_oracle_beats_miming_the_speaker_twice(
    dyads: SimulatedDyads, listeners: Tensor
) -> None:
    oracle, mime = [], []
    for index in range(0, 84, 2):
        targets = listeners[index // 14]
        oracle.append(concordance(attributes(dyads.oracle(dyads[index], 1)), targets).max())
        mime.append(concordance(attributes(dyads[index].speaker)[None], targets).max())
    assert torch.stack(oracle).mean() > 2 * torch.stack(mime).mean()


def test_the_oracle_is_repeatable_fresh_and_diverse(dyads: SimulatedDyads) -> None:
    draws = dyads.oracle(dyads[5], 3)
    assert draws.lead == (3,)
    more = dyads.oracle(dyads[5].id, 4)
    assert torch.equal(more["blendshapes"][:3], draws["blendshapes"])
    other = dyads.oracle(dyads[5], 1, seed=1)
    tracks = [*draws["va"], other["va"][0], dyads[5].listener["va"]]
    for i, one in enumerate(tracks):
        assert all(not torch.equal(one, two) for two in tracks[:i])
    assert draws["va"].var(0).mean() > 0.01


# ---------------------------------------------------------------------- people


def runs(active: np.ndarray) -> list[int]:
    """Lengths of the stretches where `active` is true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], active.astype(int), [0]))))
    return (edges[1::2] - edges[::2]).tolist()


def test_people_blink_as_often_and_as_long_as_people(dyads: SimulatedDyads) -> None:
    column = BLENDSHAPES.index("eyeBlinkLeft")
    for who, low, high in (("listener", 14, 28), ("speaker", 16, 34)):
        closed = [getattr(d, who)["blendshapes"][:, column].numpy() > 0.5 for d in dyads]
        lengths = [n for track in closed for n in runs(track)]
        rate = len(lengths) / (len(closed) * 0.5)
        assert low < rate < high
        assert 0.08 < np.mean(lengths) / FPS < 0.16


def test_nods_lie_between_1_and_5_hertz(dyads: SimulatedDyads) -> None:
    spectra, still = [], []
    for dyad in dyads:
        pitch, yaw = (
            dyad.listener["rotation"][:, 0].numpy(),
            dyad.listener["rotation"][:, 1].numpy(),
        )
        spectra.append(np.abs(np.fft.rfft(pitch - pitch.mean())) ** 2)
        still.append(np.abs(np.fft.rfft(yaw - yaw.mean())) ** 2)
    hertz = np.fft.rfftfreq(750, 1 / FPS)
    nodding, resting = np.mean(spectra, 0), np.mean(still, 0)
    band = (hertz >= 1) & (hertz <= 5)
    assert nodding[band].sum() > 1.5 * resting[band].sum()
    assert nodding[hertz > 6].sum() < 0.02 * nodding[band].sum()
    assert np.abs(np.stack([d.listener["rotation"].numpy() for d in dyads])).max() < 0.5


def test_action_units_occur_at_plausible_rates(listeners: Tensor) -> None:
    rates = listeners[..., :15].mean((0, 1, 2))
    assert rates.min() >= 0.005
    assert rates.max() <= 0.4
    assert rates[AU_LABELS.index("AU12")] > rates[AU_LABELS.index("AU9")]
    dead = (listeners.std(2) < 1e-6).double().sum(-1).mean()
    assert 2 < dead < 7
    neutral = (listeners[..., 17:].argmax(-1) == 0).double().mean()
    assert 0.25 < neutral < 0.6


def test_labels_hold_for_some_frames(listeners: Tensor) -> None:
    tracks = listeners[..., :15].flatten(0, 1).transpose(1, 2).flatten(0, 1).numpy()
    lengths = np.array([n for track in tracks for n in runs(track > 0.5)])
    assert np.median(lengths) >= 8


def test_reactions_follow_events_after_a_human_latency(dyads: SimulatedDyads) -> None:
    """The listener's activity follows the speaker's by several tenths of a second."""
    best = []
    for dyad in dyads:
        moved = [
            np.abs(np.diff(np.asarray(b["va"].sum(-1)), prepend=0.0))
            for b in (dyad.speaker, dyad.listener)
        ]
        one, two = (np.convolve(m, np.hanning(9), mode="same") for m in moved)
        lags = range(-25, 51)
        best.append([np.corrcoef(one[60:690], np.roll(two, -lag)[60:690])[0, 1] for lag in lags])
    peak = int(np.argmax(np.mean(best, 0))) - 25
    assert 0.3 <= peak / FPS <= 1.4


# ---------------------------------------------------------------------- bad input


def test_bad_requests_are_refused_with_a_reason(dyads: SimulatedDyads) -> None:
    with pytest.raises(InputError, match="Did you mean 'train'"):
        SimulatedDyads("trian")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="positive"):
        SimulatedDyads("test", size=0)
    with pytest.raises(InputError, match="positive"):
        SimulatedDyads("test", frames=0)
    with pytest.raises(InputError, match="negative"):
        SimulatedDyads("test", seed=-1)
    with pytest.raises(InputError, match=r"frames must be a whole number, not 30\.5"):
        SimulatedDyads("test", frames=30.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="size must be a whole number, not '3'"):
        SimulatedDyads("test", size="3")  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="84 dyads"):
        dyads[84]
    with pytest.raises(TypeError, match=r"one at a time.*corpus\.index"):
        dyads[:2]  # type: ignore[index]
    with pytest.raises(InputError, match="not in this corpus"):
        dyads.listener("simulated-train-s0-00000")
    with pytest.raises(InputError, match="not in this corpus"):
        dyads.oracle("simulated-test-s0-00084", 1)
    with pytest.raises(InputError, match="at least one"):
        dyads.oracle(dyads[0], 0)


def test_numbers_may_be_of_numpy() -> None:
    plain, of_numpy = (SimulatedDyads("test", size=of(14), frames=of(10)) for of in (int, np.int64))
    assert plain.fingerprint == of_numpy.fingerprint
    assert of_numpy[np.int64(3)].id == plain[3].id


@pytest.mark.parametrize("frames", [1, 2, 30])
def test_short_clips_work(frames: int) -> None:
    corpus = SimulatedDyads("test", size=2, frames=frames)
    assert corpus[1].speaker.frames == frames == corpus.oracle(corpus[1], 2).frames
