"""MReactor: its denoiser's condition, its switches, words, and the online variant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.models.test_mreactor_parts import small
from tests.people import batch, person
from visavis import recipes
from visavis.behaviour import Behaviour, Word
from visavis.errors import InputError, OfflineOnly
from visavis.features.subjects import EmotionPrior, with_word_channels
from visavis.models._base import Lane
from visavis.models._mreactor_subjects import chances_of
from visavis.models.mreactor import Controls, MReactor

WORDS = tuple(
    Word(text, 0.3 * i, 0.3 * i + 0.28)
    for i, text in enumerate(["we", "were", "heartbroken", "and", "then", "suddenly", "shocked"])
)
SEEDS = torch.tensor([5])


def made(**kwargs: Any) -> MReactor:
    torch.manual_seed(0)
    model = MReactor(small(**{"patch": 5, **kwargs}))
    model.fit([batch(2, 60, seed=i) for i in range(2)])
    awaken(model)
    return model.eval()


def awaken(model: MReactor) -> None:
    """What begins at zero gets small values, so that every path can be seen."""
    generator = torch.Generator().manual_seed(1)
    for p in model.denoiser.parameters():
        if p.ndim > 1 and not bool(p.any()):
            p.data = 0.2 * torch.randn(p.shape, generator=generator)


def said(speaker: Behaviour, words: tuple[Word, ...] = WORDS) -> Behaviour:
    return Behaviour.of(speaker.channels, words=words)


def packed(model: MReactor, speaker: Behaviour, num: int = 3) -> torch.Tensor:
    return model.generate(speaker, num, seeds=5).pack()


# ---------------------------------------------------------------------- counts


def test_sizes_are_counted_at_the_recipe_s_and_the_specification_s() -> None:
    with torch.device("meta"):
        counts = {
            preset: sum(
                p.numel()
                for p in recipes.build(recipes.read("mreactor", preset=preset)).parameters()
            )
            for preset in (None, "full")
        }
    assert counts == COUNTS
    config = recipes.build(recipes.read("mreactor")).config
    assert config.layers == 6


COUNTS = {None: 2_544_964, "full": 37_614_480}


# ---------------------------------------------------------------------- words


def test_words_and_their_channels_are_the_same_to_the_model() -> None:
    model, speaker = made(), said(person(43))
    channels = replace(with_word_channels(speaker), words=())
    assert torch.equal(packed(model, speaker), packed(model, channels))


def test_words_change_reactions_and_a_clip_without_them_still_gets_some() -> None:
    model = made()
    silent, told = packed(model, person(43)), packed(model, said(person(43)))
    assert silent.isfinite().all()
    assert float((silent - told).abs().max()) > 1e-4


def test_a_batch_of_which_one_clip_has_words_answers_each_as_alone() -> None:
    model = made()
    clips = [said(person(43)), person(30, seed=1)]
    both = model.generate(Behaviour.stack(clips), 2, seeds=torch.tensor([5, 5]))
    for i, clip in enumerate(clips):
        alone = model.generate(clip, 2, seeds=5).pack()
        torch.testing.assert_close(both.pack()[i, :, : clip.frames], alone, atol=1e-5, rtol=0)


def test_the_recovery_is_the_user_s_to_choose() -> None:
    model, speaker = made(words="none"), said(person(43))
    ours = packed(model, speaker)
    model.recovery = lambda text: (EmotionPrior("Joy", "Joy", 0.9, 0.9, 1.0, "test"),)
    assert float((packed(model, speaker) - ours).abs().max()) > 1e-4


def test_each_reaction_follows_a_subject_of_its_own() -> None:
    """Two priors, no other difference between reactions: every second one is the same."""

    def two(text: str) -> tuple[EmotionPrior, ...]:
        return (
            EmotionPrior("Joy", "Joy", 0.9, 0.9, 1.0, "test"),
            EmotionPrior("Fear", "Fear", -0.9, 0.8, 1.0, "test"),
        )

    model = made(words="none", variation=0)
    model.recovery = two
    noise = model.start(SEEDS, 1, 0, 9)
    model.start = lambda *args: noise.expand(-1, args[1], -1, -1)  # type: ignore[method-assign]
    one, other, again = packed(model, said(person(43)))
    assert torch.equal(one, again)
    assert float((one - other).abs().max()) > 1e-4


def test_gpt_like_neutral_priors_of_no_intensity_are_no_subject() -> None:
    model = made(words="none")
    model.recovery = lambda text: (EmotionPrior("", "Neutral", 0.0, 0.0, 1.0, "text"),)
    speaker = person(43)
    read = model.check_speaker(said(speaker)).unsqueeze()
    assert not model.subject_sets(model.understand(read).slots, chances_of(SEEDS), 2)[1].any()  # type: ignore[union-attr]


# ---------------------------------------------------------------------- switches


@pytest.mark.parametrize("name", ["behaviour", "subjects", "variation", "smoothness"])
def test_each_part_of_the_condition_can_be_left_out(name: str) -> None:
    model = made()
    read = model.check_speaker(said(person(43))).unsqueeze()
    with torch.no_grad():
        whole = model.react_with(read, SEEDS, 2, Controls())
        without = model.react_with(read, SEEDS, 2, Controls(without=(name,)))
    apart = max(float((whole[n] - without[n]).abs().max()) for n in whole)
    assert apart > 1e-4
    assert all(bool(x.isfinite().all()) for x in without.values())


@pytest.mark.parametrize("name", ["lip", "eye", "pose", "head", "appearance", "expression"])
def test_each_embedding_can_be_left_out_or_exchanged(name: str) -> None:
    model = made()
    read = model.check_speaker(person(43)).unsqueeze()
    with torch.no_grad():
        own = model.understand(read).embeddings
        assert own is not None
        whole = model.react_with(read, SEEDS, 1, Controls())["blendshapes"]
        same = model.react_with(read, SEEDS, 1, Controls(replaced={name: own[name]}))
        gone = model.react_with(read, SEEDS, 1, Controls(without=(name,)))
        other = model.react_with(read, SEEDS, 1, Controls(replaced={name: -own[name]}))
    torch.testing.assert_close(same["blendshapes"], whole, atol=1e-6, rtol=0)
    assert float((gone["blendshapes"] - whole).abs().max()) > 1e-5
    assert float((other["blendshapes"] - gone["blendshapes"]).abs().max()) > 1e-5


def test_an_unknown_control_is_named() -> None:
    model = made()
    read = model.check_speaker(person(10)).unsqueeze()
    with pytest.raises(InputError, match=r"no lips .*lip, eye"):
        model.react_with(read, SEEDS, 1, Controls(without=("lips",)))
    plain = made(disentangled=False)
    with pytest.raises(InputError, match="without embeddings"):
        plain.react_with(plain.check_speaker(person(10)).unsqueeze(), SEEDS, 1, Controls(("lip",)))


@pytest.mark.parametrize(
    "kwargs",
    [
        {"attention": "self"},
        {"attention": "cross"},
        {"attention": "self_cross"},
        {"decay": "post"},
        {"subjects": False},
        {"disentangled": False},
        {"words": "none"},
        {"speech": "none"},
        {"speech": "none", "words": "none"},
        {"masked": 0.0},
        {"guidance": 2.0},
        {"variation": 0, "smoothness": False, "steering": False},
        {"listener": "appropriate", "draws": 3, "agreement_weight": 0.2, "timed": True},
        {"online": True, "attention": "self_cross"},
    ],
)
def test_every_ablation_learns_and_answers(kwargs: dict[str, Any]) -> None:
    model = made(**kwargs)
    clip = said(person(43))
    assert packed(model, clip, 2).isfinite().all()
    terms = model.train().loss(batch(2, 24, lengths=[24, 17]))
    total = sum(x for n, x in terms.items() if not n.startswith("log/"))
    total.backward()  # type: ignore[union-attr]
    assert all(bool(x.isfinite()) for x in terms.values())


def test_plain_attention_reads_no_subjects_and_has_no_decay() -> None:
    model = made(attention="self_cross")
    assert "subjects" not in model.reads
    assert all(r.decay == "scores" for r in model.perception.modules() if hasattr(r, "decay"))
    assert not [n for n, _ in model.denoiser.named_parameters() if "raw_rates" in n]


def test_guidance_goes_beyond_the_condition() -> None:
    plain, twice = made(), made(guidance=3.0)
    twice.load_state_dict(plain.state_dict())
    speaker = said(person(43))
    assert float((packed(plain, speaker) - packed(twice, speaker)).abs().max()) > 1e-4
    with pytest.raises(ValueError, match="guidance"):
        small(guidance=2.0, condition_dropout=0.0)


# ---------------------------------------------------------------------- the loss


def test_the_loss_of_a_perfect_denoiser_is_nothing() -> None:
    """Eq. 5 at x0: a denoiser that gives the clean reaction back costs nothing."""
    model = made(condition_dropout=0.0).train()
    data = batch(2, 40)

    def perfect(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        values = torch.cat(
            [data.listener.pack("attributes"), data.listener.pack("coefficients")], -1
        )
        from visavis.models._mreactor_inputs import patched

        return patched(model.listener_scale(values)[:, None], 5).expand_as(x)

    model.denoised = perfect  # type: ignore[method-assign, assignment]
    terms = model.loss(data)
    for name in ("attributes", "coefficients", "smooth"):
        assert float(terms[name]) == pytest.approx(0.0, abs=1e-9)


def test_unobserved_listeners_are_not_learned_from() -> None:
    model = made().train()
    data = batch(2, 40)
    lossy = data.targets.drop("face", start=5, stop=9)
    from dataclasses import replace

    def total(targets: Behaviour) -> float:
        torch.manual_seed(3)
        return float(model.loss(replace(data, targets=targets))["attributes"].detach())

    other = {n: x.clone() for n, x in data.targets.channels.items()}
    for x in other.values():
        x[:, :, 5:9] = 0.123
    moved = Behaviour.of(other).drop("face", start=5, stop=9)
    assert total(lossy) == total(moved)
    assert total(lossy) != total(data.targets)


def test_a_few_steps_learn_one_batch() -> None:
    model = made(draws=2).train()
    data = batch(2, 40, targets=1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(60):
        torch.manual_seed(step % 4)
        terms = model.loss(data)
        loss = terms["attributes"] + terms["coefficients"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-4:]) < 0.7 * sum(losses[:4])


# ---------------------------------------------------------------------- online


def streamed(model: MReactor, speaker: Behaviour, cuts: list[int]) -> torch.Tensor:
    session = model.session(2)
    lane, parts, start = session.open(seed=5), [], 0
    for stop in [*cuts, speaker.frames]:
        parts.append(session.step({lane: speaker.window(start, stop)})[lane])
        start = stop
    return Behaviour.cat([*parts, session.flush(lane)]).pack()


def test_a_stream_of_words_and_frames_is_the_whole_clip() -> None:
    """Words come with the frames they are said in, some cut by a piece's end."""
    model, speaker = made(online=True, memory=40), said(person(73))
    whole = packed(model, speaker, 2)
    silent = packed(model, person(73), 2)
    assert float((whole - silent).abs().max()) > 1e-4
    for cuts in ([], [1, 7, 8, 30, 31, 55], list(range(1, 73))):
        torch.testing.assert_close(streamed(model, speaker, cuts), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("late", [0.3, 1.5, 3.0, 9.0, None])
def test_words_that_come_late_or_never_are_not_known_before(late: float | None) -> None:
    """Live nobody knows before the first word that there will be any."""
    model, speaker = made(online=True, memory=40), person(100)
    if late is not None:
        speaker = said(speaker, tuple(w.moved(late) for w in WORDS))
    whole = packed(model, speaker, 2)
    torch.testing.assert_close(streamed(model, speaker, [7, 30, 55]), whole, atol=1e-5, rtol=0)
    silent = packed(model, person(100), 2)
    begun = int(25 * (late or 4.0)) // 5 * 5
    torch.testing.assert_close(whole[:, :begun], silent[:, :begun], atol=1e-5, rtol=0)


def test_a_word_that_is_written_twice_is_said_twice_in_a_stream() -> None:
    model, twice = made(online=True, memory=40), said(person(60), (Word("no", 0.5, 0.7),) * 3)
    torch.testing.assert_close(
        streamed(model, twice, [7, 30]), packed(model, twice, 2), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    "kwargs",
    [
        {"smooth_noise": 6.0, "steady": 5},
        {"steady": 3, "steady_units": 9},
        {"decay": "post"},
        {"decay": "none"},
        {"attention": "self"},
        {"attention": "cross"},
        {"attention": "self_cross"},
        {"variation": 0, "smoothness": False},
        {"steering": False, "timed": True},
        {"patch": 1, "steady": 3, "smooth_noise": 2.0},
    ],
)
def test_every_configuration_streams_what_it_generates(kwargs: dict[str, Any]) -> None:
    model, speaker = made(online=True, memory=40, **kwargs), said(person(73))
    whole = packed(model, speaker, 2)
    torch.testing.assert_close(streamed(model, speaker, [7, 30]), whole, atol=1e-5, rtol=0)


def test_conversations_at_different_places_are_answered_as_alone() -> None:
    """One is 31 frames old and another begins; both go on in the same batches."""
    model = made(online=True, memory=40)
    a, b = said(person(73)), person(60, seed=3)
    session = model.session(2)
    first = session.open(seed=5)
    parts = [session.step({first: a.window(0, 31)})[first]]
    second, others = session.open(seed=6), []
    for start in range(0, 42, 7):
        given = {first: a.window(31 + start, 38 + start), second: b.window(start, start + 7)}
        found = session.step(given)
        parts.append(found[first])
        others.append(found[second])
    parts.append(session.flush(first))
    others += [session.step({second: b.window(42, 60)})[second], session.flush(second)]
    alone = model.generate(b, 2, seeds=6).pack()
    torch.testing.assert_close(Behaviour.cat(parts).pack(), packed(model, a, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(Behaviour.cat(others).pack(), alone, atol=1e-5, rtol=0)


def test_what_is_said_later_changes_nothing_before() -> None:
    model = made(online=True)
    early, late = said(person(73), WORDS[:3]), said(person(73))
    a, b = packed(model, early, 2), packed(model, late, 2)
    end = int(WORDS[3].end_s * 25)
    torch.testing.assert_close(a[:, :end], b[:, :end], atol=1e-5, rtol=0)
    assert float((a[:, end:] - b[:, end:]).abs().max()) > 1e-4


def test_a_snapshot_remembers_what_was_said() -> None:
    model, speaker = made(online=True), said(person(73))
    session, fresh = model.session(2), model.session(2)
    lane = session.open(seed=5)
    first = session.step({lane: speaker.window(0, 23)})[lane]
    other = fresh.resume(session.snapshot(lane))
    rest = [fresh.step({other: speaker.window(23, 73)})[other], fresh.flush(other)]
    torch.testing.assert_close(
        Behaviour.cat([first, *rest]).pack(), packed(model, speaker, 2), atol=1e-5, rtol=0
    )


def test_memory_of_a_conversation_does_not_grow() -> None:
    model = made(online=True, memory=25)
    session = model.session(1)
    lane = session.open(seed=1)
    sizes = []
    for second in range(12):
        words = tuple(w.moved(-w.start_s + 0.2) for w in WORDS[:1])
        session.step({lane: said(person(25, seed=second), words)})
        snapshot = session.snapshot(lane)
        sizes.append(sum(x.numel() * x.element_size() for x in snapshot.values()))
    assert max(sizes[4:]) - min(sizes[4:]) < 200


def test_the_offline_model_has_no_session() -> None:
    with pytest.raises(OfflineOnly, match="RollingSession"):
        made().session(1)


def test_a_lane_that_is_not_open_is_refused() -> None:
    session = made(online=True).session(1)
    with pytest.raises(InputError, match="not open"):
        session.step({Lane(3): person(4)})


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"width": 30, "heads": 4}, "multiple of its heads"),
        ({"sampling_steps": 2000}, "at most steps"),
        ({"steady": 4}, "steady must be odd"),
        ({"steady_units": 2}, "steady_units must be odd"),
        ({"online": True, "memory": 2, "patch": 5}, "memory must hold"),
        ({"layer": 3}, "layer"),
    ],
)
def test_settings_that_cannot_be_are_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        small(**kwargs)


# ---------------------------------------------------------------------- attention maps


@pytest.mark.parametrize("online", [False, True])
def test_attention_maps_are_rows_of_weights_over_frames(online: bool) -> None:
    model, speaker = made(online=online), said(person(43))
    maps = model.attention_maps(speaker, seed=3)
    assert set(maps) == {"heard", "own"}
    for weights in maps.values():
        assert weights.shape == (4, 43, 43)
        torch.testing.assert_close(weights.sum(-1), torch.ones(4, 43))
        token = torch.arange(43) // 5
        ahead = float((weights * (token > token[:, None])).sum())
        assert (ahead == 0) is online
    assert model.looks_ahead is not online
    with pytest.raises(InputError, match="no window"):
        model.attention_maps(speaker, window=4)
    with pytest.raises(InputError, match="one clip"):
        model.attention_maps(person(10, lead=(2,)))


def test_a_corpus_with_words_alone_is_learned_from_and_answered(tmp_path: Any) -> None:
    from visavis import corpora
    from visavis.bench._bench import begin
    from visavis.training import needs

    dyads = corpora.load("simulated", "test", size=28, frames=50)
    model = made()
    needs.check(model, dyads[0], corpus="simulated")
    bench = begin(dyads, tmp_path, scripts=2, dyads=1, samples=2)
    system = bench.model(model)
    answers = system.draw([0, 1])
    for number, answer in enumerate(answers):
        place = bench.clips.place(number)
        speaker = dyads[place].speaker
        assert speaker.words
        alone = model.generate(speaker, 2, seeds=place).pack("attributes")
        torch.testing.assert_close(torch.from_numpy(answer), alone, atol=1e-4, rtol=0)
