from __future__ import annotations

import pytest
import torch

from visavis.corpora import SimulatedDyads, collate
from visavis.errors import InputError


@pytest.fixture(scope="module")
def corpus() -> SimulatedDyads:
    return SimulatedDyads("train", size=28, frames=200, audio=False)


def test_a_whole_batch_holds_clips_as_they_are(corpus: SimulatedDyads) -> None:
    dyads = [corpus[0], corpus[20]]
    batch = collate(dyads, targets=3, listener=corpus.listener)
    assert len(batch) == 2
    assert batch.targets.lead == (2, 3)
    assert batch.target_mask.all()
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [200, 200]
    assert batch.ids == (dyads[0].id, dyads[1].id)
    for row, dyad in enumerate(dyads):
        assert torch.equal(batch.speaker["blendshapes"][row], dyad.speaker["blendshapes"])
        assert torch.equal(batch.targets["va"][row, 0], dyad.listener["va"])
        others = [corpus.listener(name)["va"] for name in dyad.appropriate[1:]]
        for place in (1, 2):
            assert any(torch.equal(batch.targets["va"][row, place], va) for va in others)


def test_a_crop_cuts_speaker_listener_and_targets_at_the_same_moment(
    corpus: SimulatedDyads,
) -> None:
    dyad = corpus[4]
    batch = collate([dyad], crop=50, targets=4, rng=7, listener=corpus.listener)
    assert batch.speaker.frames == batch.listener.frames == batch.targets.frames == 50
    starts = [
        s
        for s in range(151)
        if torch.equal(dyad.speaker["rotation"][s : s + 50], batch.speaker["rotation"][0])
    ]
    assert len(starts) == 1
    window = slice(starts[0], starts[0] + 50)
    assert torch.equal(batch.listener["va"][0], dyad.listener["va"][window])
    others = [corpus.listener(name)["va"][window] for name in dyad.appropriate[1:]]
    assert any(torch.equal(batch.targets["va"][0, 3], va) for va in others)


def test_equal_seeds_give_equal_batches_and_others_do_not(corpus: SimulatedDyads) -> None:
    dyads = [corpus[i] for i in range(4)]

    def made(seed: int) -> torch.Tensor:
        batch = collate(dyads, crop=64, targets=3, rng=seed, listener=corpus.listener)
        return batch.targets.pack()

    assert torch.equal(made(1), made(1))
    assert not torch.equal(made(1), made(2))


def test_without_a_look_up_the_targets_are_those_in_the_batch(corpus: SimulatedDyads) -> None:
    dyads = [corpus[0], corpus[3], corpus[20]]
    batch = collate(dyads, targets=8)
    assert batch.target_mask.tolist() == [[True, True], [True, True], [True, False]]
    assert torch.equal(batch.targets["va"][0, 1], dyads[1].listener["va"])
    assert torch.equal(batch.targets["va"][2, 1], dyads[2].listener["va"])


def test_clips_of_different_length_are_padded(corpus: SimulatedDyads) -> None:
    short = SimulatedDyads("train", size=28, frames=120, audio=False)[1]
    batch = collate([corpus[0], short], targets=1)
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [200, 120]
    assert batch.targets.lead == (2, 1)
    assert not batch.speaker["blendshapes"][1, 120:].any()


def test_a_history_is_a_window_of_the_same_listener_in_another_script(
    corpus: SimulatedDyads,
) -> None:
    dyads = [corpus[i] for i in (0, 5, 20)]
    batch = collate(dyads, crop=50, targets=3, rng=1, listener=corpus.listener, history=60)
    assert batch.history is not None
    assert (batch.history.lead, batch.history.frames) == ((3,), 60)
    for row, dyad in enumerate(dyads):
        clips = [corpus.listener(name)["rotation"] for name in dyad.history]
        windows = torch.cat([clip.unfold(0, 60, 1).transpose(1, 2) for clip in clips])
        assert (windows == batch.history["rotation"][row]).all(dim=(1, 2)).sum() == 1
    assert batch.traits is not None
    assert torch.equal(batch.traits[1], dyads[1].traits)
    again = collate(dyads, crop=50, targets=3, rng=1, listener=corpus.listener)
    assert again.history is None


def test_the_personal_mask_marks_targets_by_the_same_listener(corpus: SimulatedDyads) -> None:
    dyad = corpus[2]
    batch = collate([dyad], targets=20, listener=corpus.listener)
    assert batch.personal_mask is not None
    assert batch.target_mask.sum() == 14
    assert batch.personal_mask.sum() == 2
    other = corpus.listener(dyad.personal[1])["va"]
    marked = batch.targets["va"][0][batch.personal_mask[0]]
    assert torch.equal(marked[0], dyad.listener["va"])
    assert torch.equal(marked[1], other)


def test_a_history_that_is_not_there_is_named(corpus: SimulatedDyads) -> None:
    alone = SimulatedDyads("train", size=14, frames=50, audio=False)[0]
    with pytest.raises(InputError, match="00000 has none"):
        collate([alone], history=20)
    with pytest.raises(InputError, match="none in this batch: give `listener`"):
        collate([corpus[0]], history=20)
    with pytest.raises(InputError, match="history must be at least 1"):
        collate([corpus[0]], history=0)


def test_impossible_batches_are_refused(corpus: SimulatedDyads) -> None:
    with pytest.raises(InputError, match="at least one dyad"):
        collate([])
    with pytest.raises(InputError, match="at least 1"):
        collate([corpus[0]], crop=0)
    with pytest.raises(InputError, match="at least 1"):
        collate([corpus[0]], targets=0)


def test_negatives_are_inappropriate_and_half_of_them_by_the_same_listener(
    corpus: SimulatedDyads,
) -> None:
    dyads = [corpus[i] for i in (0, 5, 20)]
    batch = collate(dyads, crop=50, rng=1, listener=corpus.listener, negatives=4, pool=corpus.ids)
    assert batch.negatives is not None
    assert batch.negative_mask is not None
    assert batch.negative_personal is not None
    assert (batch.negatives.lead, batch.negatives.frames) == ((3, 4), 50)
    assert batch.negative_mask.all()
    assert batch.negative_personal.tolist() == [[True, True, False, False]] * 3
    windows = {
        name: corpus.listener(name)["rotation"].unfold(0, 50, 1).transpose(1, 2)
        for name in corpus.ids
    }
    for row, dyad in enumerate(dyads):
        for place, own in enumerate(batch.negative_personal[row].tolist()):
            cut = batch.negatives["rotation"][row, place]
            (name,) = [n for n, w in windows.items() if (w == cut).all(dim=(1, 2)).any()]
            assert name not in dyad.appropriate
            assert (name in dyad.history) == own
    assert collate(dyads, rng=1, listener=corpus.listener).negatives is None


def test_asking_for_negatives_changes_nothing_else(corpus: SimulatedDyads) -> None:
    dyads = [corpus[0]]
    told = {"crop": 50, "rng": 1, "listener": corpus.listener, "history": 60}
    plain = collate(dyads, **told)  # type: ignore[arg-type]
    more = collate(dyads, negatives=2, pool=corpus.ids, **told)  # type: ignore[arg-type]
    assert torch.equal(plain.speaker["va"], more.speaker["va"])
    assert torch.equal(plain.targets["va"], more.targets["va"])


def test_negatives_that_are_not_there_are_named(corpus: SimulatedDyads) -> None:
    with pytest.raises(InputError, match="give `pool`"):
        collate([corpus[0], corpus[1]], negatives=2)
    few = collate([corpus[0], corpus[20]], negatives=2)
    assert few.negative_mask is not None
    assert few.negative_mask.tolist() == [[True], [True]]
    with pytest.raises(InputError, match="negatives must be at least 0"):
        collate([corpus[0]], negatives=-1)
