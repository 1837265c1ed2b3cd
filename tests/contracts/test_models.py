"""What every recipe's model must obey, whatever it is (DESIGN, item 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.people import batch, person
from visavis import noise, pretrained, recipes
from visavis.behaviour import Behaviour, Source
from visavis.channels import GROUPS, Layout
from visavis.errors import InputError, MissingChannel, OfflineOnly
from visavis.models._base import Lane, ReactionModel, ReactionSession, SplitModel
from visavis.models._nearest import Nearest
from visavis.streaming.rolling import RollingSession

NAMES = recipes.names()
FRAMES = 43
LONG = 250
"""For models that choose among few codes: shorter reactions may coincide."""
LARGE = 40_000_000
"""Parameters."""
CLOSE = {"atol": 1e-5, "rtol": 0.0}


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> ReactionModel[Any]:
    """The recipe's model at its own sizes, fitted on a handful of made-up dyads; one that is too
    large to be tried in seconds, at those of its laptop preset."""
    torch.manual_seed(0)
    recipe = recipes.read(request.param)
    with torch.device("meta"):
        size = sum(p.numel() for p in recipes.build(recipe).parameters())
    if size > LARGE:
        recipe = recipes.read(request.param, preset="laptop")
    made: ReactionModel[Any] = recipes.build(recipe)
    made.fit([batch(2, 120, seed=i) for i in range(2)])
    return made.eval()


def reactions(
    model: ReactionModel[Any], speaker: Behaviour, num: int = 3, seeds: Any = 5
) -> Behaviour:
    return model.generate(speaker, num, seeds=seeds)


def assert_close(a: Behaviour, b: Behaviour) -> None:
    assert a.layout == b.layout
    for name in a.layout.names:
        torch.testing.assert_close(a[name], b[name], **CLOSE)


# ---------------------------------------------------------------------- shapes


def test_a_clip_gives_k_reactions_and_a_batch_gives_b_times_k(model: ReactionModel[Any]) -> None:
    assert reactions(model, person(FRAMES)).lead == (3,)
    many = reactions(model, person(FRAMES, lead=(2,)))
    assert many.lead == (2, 3)
    assert many.frames == FRAMES
    assert many.layout == Layout.of(*model.outputs)


@pytest.mark.parametrize("frames", [1, 2, 8, 51])
def test_any_length_is_answered_frame_for_frame(model: ReactionModel[Any], frames: int) -> None:
    assert reactions(model, person(frames), 2).frames == frames


def test_values_lie_in_their_channels_ranges(model: ReactionModel[Any]) -> None:
    made = reactions(model, person(FRAMES))
    for channel in made.layout:
        values = made[channel.name]
        assert values.isfinite().all()
        if channel.low is not None:
            assert float(values.min()) >= channel.low - 1e-6
        if channel.high is not None:
            assert float(values.max()) <= channel.high + 1e-6
    if "expression" in made and model.name != "random":  # the published Random does not sum to 1
        total = made["expression"].sum(-1)
        torch.testing.assert_close(total, torch.ones_like(total), atol=1e-4, rtol=0.0)


def test_no_frames_get_no_reactions(model: ReactionModel[Any]) -> None:
    nothing = person(8).window(0, 0)
    assert (reactions(model, nothing).lead, reactions(model, nothing).frames) == ((3,), 0)
    many = reactions(model, person(8, lead=(2,)).window(0, 0))
    assert (many.lead, many.frames) == ((2, 3), 0)
    assert many.layout == Layout.of(*model.outputs)
    session = session_of(model)
    lane = session.open(seed=0)
    ready = [session.step({lane: nothing})[lane], session.flush(lane)]
    assert [(r.lead, r.frames) for r in ready] == [((2,), 0), ((2,), 0)]


def test_double_precision_is_answered_in_the_model_s_own(model: ReactionModel[Any]) -> None:
    speaker = person(FRAMES)
    double = speaker.to(torch.float64)
    single = reactions(model, speaker)
    made = reactions(model, double)
    assert_close(made, single)
    assert {x.dtype for x in made.channels.values()} == {torch.float32}
    assert_close(run(session_of(model), double, [7]), run(session_of(model), speaker, []))


def test_channels_in_another_order_and_more_of_them_change_nothing(
    model: ReactionModel[Any],
) -> None:
    speaker = person(FRAMES)
    turned = Behaviour.of(dict(reversed(speaker.channels.items())))
    needed = speaker.select(*model.inputs) if model.inputs else speaker.select("energy")
    assert torch.equal(reactions(model, turned).pack(), reactions(model, speaker).pack())
    session = session_of(model)
    lane = session.open(seed=1)
    parts = [
        session.step({lane: speaker.window(0, 10)})[lane],
        session.step({lane: turned.window(10, 20)})[lane],
        session.step({lane: needed.window(20, FRAMES)})[lane],
        session.flush(lane),
    ]
    assert_close(Behaviour.cat(parts), run(session, speaker, []))


@pytest.mark.parametrize("thing", ["talk.mp4", Path("talk.mp4"), None, torch.zeros(3)])
def test_what_is_no_behaviour_is_refused_with_what_makes_one(
    model: ReactionModel[Any], thing: Any
) -> None:
    with pytest.raises(InputError, match=r"visavis\.perceive"):
        model.generate(thing)
    session = session_of(model)
    lane = session.open(seed=0)
    with pytest.raises(InputError, match=r"visavis\.perceive"):
        session.step({lane: thing})


def test_reactions_begin_where_their_speaker_does(model: ReactionModel[Any]) -> None:
    here, there = Source("talk.mp4", 2.0), Source("other.mp4", 0.5)
    one, other = replace(person(8), source=here), replace(person(8, seed=1), source=there)
    made = reactions(model, one)
    assert made.source == made[2].source == here
    both = reactions(model, Behaviour.stack([one, other]))
    assert both.source == (here, there)
    assert both[1].source == both[1][2].source == there
    assert reactions(model, person(8)).source is None


def test_a_piece_of_a_stream_has_its_place_in_the_source(model: ReactionModel[Any]) -> None:
    speaker = replace(person(FRAMES), source=Source("talk.mp4", 2.0))
    session = session_of(model)
    lane = session.open(seed=1)
    pieces = [session.step({lane: w})[lane] for w in speaker.windows(10)]
    pieces.append(session.flush(lane))
    done = 0
    for piece in pieces:
        assert piece.source is not None
        assert piece.source.path == "talk.mp4"
        assert piece.source.start_s == pytest.approx(2.0 + done / 25)
        done += piece.frames
    assert Behaviour.cat(pieces).source == speaker.source
    assert run(session_of(model), person(FRAMES), []).source is None


# ---------------------------------------------------------------------- noise


def test_samples_differ_as_the_model_says(model: ReactionModel[Any]) -> None:
    """All of them where it is stochastic, neighbours by rank, and else none."""
    speaker = person(LONG if "faceais" in model.name else FRAMES)
    if isinstance(model, Nearest):
        ranks = min(int(model.count), model.config.neighbours)
        made = reactions(model, speaker, 2 * ranks).pack()
        assert torch.equal(made[:ranks], made[ranks:])
        distinct = made[:ranks]
    else:
        made = reactions(model, speaker, 4).pack()
        distinct = made if model.stochastic else made[:1]
        assert torch.equal(made[1:], made[:1].expand(3, -1, -1)) != model.stochastic
    apart = torch.cdist(distinct.flatten(1), distinct.flatten(1))
    assert float((apart + torch.eye(len(distinct))).min()) > 1e-3


def test_equal_seeds_give_equal_reactions_and_other_seeds_others(model: ReactionModel[Any]) -> None:
    speaker = person(FRAMES)
    one = reactions(model, speaker, seeds=5).pack()
    assert torch.equal(one, reactions(model, speaker, seeds=5).pack())
    other = reactions(model, speaker, seeds=6).pack()
    assert torch.equal(one, other) != model.stochastic


def test_more_samples_begin_with_the_same_ones(model: ReactionModel[Any]) -> None:
    few = reactions(model, person(FRAMES), 2)
    many = reactions(model, person(FRAMES), 5)
    assert_close(few, many[:2])


def test_a_clip_does_not_depend_on_its_neighbours(model: ReactionModel[Any]) -> None:
    clips = person(FRAMES, lead=(3,))
    together = reactions(model, clips, seeds=torch.tensor([1, 2, 3]))
    for i in range(3):
        assert_close(together[i], reactions(model, clips[i], seeds=i + 1))


def test_padding_changes_nothing(model: ReactionModel[Any]) -> None:
    clips = [person(FRAMES, seed=1), person(21, seed=2)]
    together = reactions(model, Behaviour.stack(clips), seeds=torch.tensor([1, 2]))
    assert_close(together[1], reactions(model, clips[1], seeds=2))
    assert all(together.channels[n][1, :, 21:].eq(0).all() for n in together.layout.names)


def test_generating_leaves_the_global_random_state_and_the_mode_alone(
    model: ReactionModel[Any],
) -> None:
    state = torch.get_rng_state()
    model.train()
    reactions(model, person(8))
    assert model.training
    model.eval()
    assert torch.equal(state, torch.get_rng_state())


# ---------------------------------------------------------------------- absence


@pytest.mark.parametrize("groups", [("face",), ("speech",), ("face", "speech")])
def test_unobserved_frames_are_never_read(
    model: ReactionModel[Any], groups: tuple[str, ...]
) -> None:
    """Whatever lies in memory behind the masks changes nothing.

    A Behaviour writes NaN there, so the other values are put in below it, and past `generate`,
    whose checks would write NaN again.
    """
    speaker = person(FRAMES, lead=(1,)).drop(*groups, start=10, stop=20)
    seeds = torch.tensor([5])
    answers = []
    for behind in (None, 1e6, -3.0, 0.25):
        read = model.check_speaker(speaker)
        if behind is not None:
            channels = {
                n: torch.where(read.mask(n)[..., None], x, behind) for n, x in read.channels.items()
            }
            object.__setattr__(read, "channels", channels)
        with model.sampling():
            made = model.react(read, seeds, 3, None)
        answers.append(torch.cat([made[n] for n in sorted(made)], dim=-1))
    assert answers[0].isfinite().all()
    for answer in answers[1:]:
        assert torch.equal(answer, answers[0])


def test_a_wholly_absent_speaker_still_gets_an_answer(model: ReactionModel[Any]) -> None:
    nobody = person(FRAMES).drop("face", "speech")
    assert reactions(model, nobody).pack().isfinite().all()


def test_a_missing_channel_is_named_with_what_makes_it(model: ReactionModel[Any]) -> None:
    read = [n for group in model.inputs for n in GROUPS.get(group, (group,))]
    if not read:
        return
    lacking = person(8, names=("energy",))
    with pytest.raises(MissingChannel, match=rf"{read[0]}.*visavis\."):
        model.generate(lacking)


def test_another_convention_is_refused(model: ReactionModel[Any]) -> None:
    made = person(8)
    theirs = Behaviour(made.channels, Layout(made.layout.channels, "faceverse"))
    if model.inputs:
        with pytest.raises(InputError, match="convert"):
            model.generate(theirs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_samples": 0}, "num_samples"),
        ({"seeds": torch.tensor([1, 2, 3])}, "seeds"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    model: ReactionModel[Any], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        model.generate(person(8), **kwargs)


# ---------------------------------------------------------------------- weights


def test_saving_and_loading_is_exact(model: ReactionModel[Any], tmp_path: Path) -> None:
    back = pretrained.load(pretrained.save(model, tmp_path / "saved"))
    assert back.name == model.name
    assert back.config == model.config
    assert list(back.state_dict()) == list(model.state_dict())
    for mine, theirs in zip(model.state_dict().values(), back.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    speaker = person(FRAMES)
    assert torch.equal(reactions(model, speaker).pack(), reactions(back, speaker).pack())


def test_gradients_reach_every_trained_parameter(model: ReactionModel[Any]) -> None:
    """In one stage at least of the recipe, or of the one whose weights it begins with; behind what
    begins at zero, once that has moved."""
    recipe = recipes.read(model.name)
    stages = (*(recipes.read(recipe.begin).plan if recipe.begin else ()), *recipe.plan)
    asleep = [p for p in model.parameters() if p.ndim > 1 and not bool(p.detach().any())]
    for p in asleep:
        torch.nn.init.normal_(p, std=0.01)
    reached: set[str] = set()
    for objective in (o for stage in stages for o in model.objectives(stage.name)):
        model.zero_grad()
        terms = objective.loss(batch(2, 24, lengths=[24, 17], history=60))
        assert all(bool(x.isfinite()) for x in terms.values())
        sum(x for n, x in terms.items() if not n.startswith("log/")).backward()  # type: ignore[union-attr]
        own = {id(p) for p in objective.parameters}
        reached |= {
            n
            for n, p in model.named_parameters()
            if id(p) in own and p.grad is not None and bool(p.grad.abs().sum() > 0)
        }
    model.zero_grad()
    for p in asleep:
        torch.nn.init.zeros_(p)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    inert = {n for n in trained if n.startswith(model.inert)} if model.inert else set()
    assert not inert & reached
    silent = {n for n in trained - reached - inert if not n.endswith("key.bias")}
    assert not silent  # (softmax ignores a key's bias)


def test_a_generic_model_refuses_a_persona(model: ReactionModel[Any]) -> None:
    if not model.personal:
        with pytest.raises(InputError, match="not personal"):
            model.persona(person(50))


def test_a_split_model_s_parts_are_its_whole(
    model: ReactionModel[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isinstance(model, SplitModel) or getattr(model.config, "online", False):
        return
    if getattr(model.config, "steady", 1) > 1:  # which comes behind the parts
        monkeypatch.setattr(model, "config", replace(model.config, steady=1))
    speaker = person(FRAMES, lead=(2,))
    seeds = torch.tensor([5, 5])
    with torch.no_grad():
        read = model.check_speaker(speaker)
        fused = model.fuse(model.encode_face(read), model.encode_speech(read))
        distribution = model.predict(fused)
        latent = model.sample(distribution, seeds, 3)
        parts = model.decode(latent, FRAMES, distribution=distribution)
    whole = reactions(model, speaker)
    if "attributes" in parts:
        torch.testing.assert_close(parts["attributes"], whole.pack("attributes"), **CLOSE)
    else:  # blendshapes are clamped on their way out
        pose = whole.pack("rotation", "translation")
        torch.testing.assert_close(parts["coefficients"][..., 52:], pose, **CLOSE)


# ---------------------------------------------------------------------- streaming


def session_of(model: ReactionModel[Any], num: int = 2) -> ReactionSession:
    """The model's own session if it streams itself, else a rolling one with look-ahead."""
    try:
        return model.session(num)
    except OfflineOnly as error:
        assert "RollingSession" in str(error)
        return RollingSession(model, num_samples=num, context=24, hop=6, lookahead=4)


def run(session: ReactionSession, speaker: Behaviour, cuts: list[int], seed: int = 1) -> Behaviour:
    lane, parts, start = session.open(seed=seed), [], 0
    for stop in [*cuts, speaker.frames]:
        parts.append(session.step({lane: speaker.window(start, stop)})[lane])
        start = stop
    parts.append(session.flush(lane))
    session.close(lane)
    return Behaviour.cat(parts)


def test_any_chunking_gives_the_same_frames(model: ReactionModel[Any]) -> None:
    speaker = person(FRAMES)
    session = session_of(model)
    whole = run(session, speaker, [])
    assert whole.frames == FRAMES
    assert_close(whole, run(session, speaker, list(range(1, FRAMES))))
    assert_close(whole, run(session, speaker, [0, 1, 13, 13, 30]))


def test_the_future_never_changes_the_past(model: ReactionModel[Any]) -> None:
    session = session_of(model)
    safe = FRAMES
    changes = safe + session.latency
    one, two = person(changes + 13, seed=1), person(changes + 13, seed=2)
    changed = Behaviour.cat([one.window(0, changes), two.window(changes, two.frames)])
    whole, other = run(session, one, []), run(session, changed, [])
    assert_close(whole.window(0, safe), other.window(0, safe))


def test_a_reaction_is_ready_by_the_stated_latency(model: ReactionModel[Any]) -> None:
    speaker = person(FRAMES)
    session = session_of(model)
    lane, done = session.open(seed=0), 0
    for t in range(FRAMES):
        done += session.step({lane: speaker.window(t, t + 1)})[lane].frames
        assert done >= t + 1 - session.latency
        assert done <= t + 1


def test_lanes_do_not_touch_each_other(model: ReactionModel[Any]) -> None:
    people = [person(FRAMES, seed=i) for i in range(3)]
    session = session_of(model)
    alone = [run(session, p, [], seed=i) for i, p in enumerate(people)]
    lanes = [session.open(seed=i) for i in range(3)]
    parts: list[list[Behaviour]] = [[], [], []]
    for t in range(FRAMES):  # the second lane runs at half speed in pairs, the third starts late
        news = {lanes[0]: people[0].window(t, t + 1)}
        if t % 2:
            news[lanes[1]] = people[1].window(t - 1, t + 1)
        if t >= 20:
            news[lanes[2]] = people[2].window(t - 20, t - 19)
        ready = session.step(news)
        for i, lane in enumerate(lanes):
            if lane in ready:
                parts[i].append(ready[lane])
    session.step({lanes[1]: people[1].window(FRAMES, FRAMES)})
    rest = session.step(
        {
            lanes[1]: people[1].window(FRAMES - FRAMES % 2, FRAMES),
            lanes[2]: people[2].window(FRAMES - 20, FRAMES),
        }
    )
    parts[1].append(rest[lanes[1]])
    parts[2].append(rest[lanes[2]])
    for i, lane in enumerate(lanes):
        parts[i].append(session.flush(lane))
        assert_close(Behaviour.cat(parts[i]), alone[i])


def test_a_resumed_snapshot_continues(model: ReactionModel[Any]) -> None:
    speaker = replace(person(FRAMES), source=Source("talk.mp4", 2.0))
    session, fresh = session_of(model), session_of(model)
    whole = run(session, speaker, [])
    lane = session.open(seed=1)
    first = session.step({lane: speaker.window(0, 27)})[lane]
    # a file of tensors keeps no order but the alphabet's
    snapshot = dict(sorted(session.snapshot(lane).items()))
    assert all(isinstance(x, torch.Tensor) for x in snapshot.values())
    session.step({lane: speaker.window(27, FRAMES)})  # the first lane going on changes nothing
    lane = fresh.resume(snapshot)
    parts = [first, fresh.step({lane: speaker.window(27, FRAMES)})[lane], fresh.flush(lane)]
    assert_close(Behaviour.cat(parts), whole)
    assert parts[1].source == Source("talk.mp4", 2.0 + first.frames / 25)


def test_sessions_refuse_what_does_not_fit(model: ReactionModel[Any]) -> None:
    session = session_of(model)
    lane = session.open(seed=1)
    with pytest.raises(InputError, match="leading axes"):
        session.step({lane: person(4, lead=(2,))})
    with pytest.raises(InputError, match="not a snapshot"):
        session.resume({"a": torch.zeros(1)})
    snapshot = dict(session.snapshot(lane))
    other = session_of(model, 7)
    with pytest.raises(InputError, match="snapshot was taken with"):
        other.resume(snapshot)
    session.flush(lane)
    with pytest.raises(InputError, match="flushed"):
        session.step({lane: person(4)})
    session.close(lane)
    with pytest.raises(InputError, match="not open"):
        session.step({lane: person(4)})


def test_a_step_that_is_refused_moves_no_lane(model: ReactionModel[Any]) -> None:
    """One lane's frames do not fit: the other lanes' wait with the caller, and nothing is lost."""
    speaker = person(FRAMES)
    session = session_of(model)
    whole = run(session, speaker, [])
    good, bad = session.open(seed=1), session.open(seed=1)
    first = session.step({good: speaker.window(0, 13), bad: speaker.window(0, 13)})
    wrong: list[Any] = [person(4, lead=(2,)), torch.zeros(3)]
    if model.inputs:
        made = speaker.window(13, 20)
        theirs = Behaviour(made.channels, Layout(made.layout.channels, "faceverse"))
        wrong += [theirs, made.select("energy"), replace(made, fps=30.0)]
    for frames in wrong:
        for order in ((good, bad), (bad, good)):
            given = {good: speaker.window(13, 20), bad: frames}
            with pytest.raises((InputError, MissingChannel)):
                session.step({lane: given[lane] for lane in order})
    with pytest.raises(InputError, match="not open"):
        session.step({good: speaker.window(13, 20), Lane(99): speaker.window(0, 5)})
    rest = session.step({lane: speaker.window(13, FRAMES) for lane in (good, bad)})
    for lane in (good, bad):
        assert_close(Behaviour.cat([first[lane], rest[lane], session.flush(lane)]), whole)


def test_a_step_wants_frames_by_lane(model: ReactionModel[Any]) -> None:
    session = session_of(model)
    lane = session.open(seed=0)
    assert session.step({}) == {}
    given: list[Any] = [person(4), [(lane, person(4))], None]
    for thing in given:
        with pytest.raises(InputError, match="lane"):
            session.step(thing)


def test_values_that_are_not_numbers_are_unobserved(model: ReactionModel[Any]) -> None:
    """NaN that is taken as absence is absence in a session too, however the frames are cut."""
    speaker = person(FRAMES)
    dropped = speaker.drop("face", "speech", start=9, stop=22)
    broken = {n: x.clone() for n, x in speaker.channels.items()}
    for x in broken.values():
        x[9:22] = torch.nan
    session = session_of(model)
    expected = run(session, dropped, [])
    absent = Behaviour.of(broken, nan_is_absent=True)
    assert_close(run(session, absent, [10, 11, 30]), expected)
    assert_close(reactions(model, absent), reactions(model, dropped))
    with pytest.raises(InputError, match="nan_is_absent"):
        Behaviour.of(broken)


def test_conversations_with_one_speaker_differ_by_their_seeds_alone(
    model: ReactionModel[Any],
) -> None:
    """Many lanes stepped as one batch: each is what it would be by itself."""
    frames = LONG if "faceais" in model.name else FRAMES
    speaker, seeds = person(frames), [0, 1, 2**63 - 1, 1, 7]
    session = session_of(model)
    lanes = [session.open(seed=seed) for seed in seeds]
    parts: list[list[Behaviour]] = [[] for _ in lanes]
    for piece in speaker.windows(10):
        ready = session.step(dict.fromkeys(lanes, piece))
        for i, lane in enumerate(lanes):
            parts[i].append(ready[lane])
    made = [Behaviour.cat([*p, session.flush(lane)]) for p, lane in zip(parts, lanes, strict=True)]
    for seed, mine in zip(seeds, made, strict=True):
        assert_close(mine, run(session, speaker, [], seed=seed))
    assert_close(made[1], made[3])
    distinct = len({tuple(m.pack()[0].flatten().tolist()) for m in made[:3]})
    assert distinct == (3 if model.stochastic and not isinstance(model, Nearest) else 1)


def test_a_snapshot_of_another_model_is_refused(model: ReactionModel[Any]) -> None:
    session = session_of(model)
    lane = session.open(seed=1)
    session.step({lane: person(20)})
    mine = dict(session.snapshot(lane))
    other_name = "mirror" if model.name != "mirror" else "random"
    theirs = session_of(recipes.build(recipes.read(other_name)))
    with pytest.raises(InputError, match=f"taken with model = '{model.name}'"):
        theirs.resume(mine)
    with pytest.raises(InputError, match=f"taken with model = '{other_name}'"):
        session.resume(dict(theirs.snapshot(theirs.open(seed=1))))
    with pytest.raises(InputError, match="not a snapshot"):
        session.resume({"about": torch.zeros(3, dtype=torch.uint8)})
    for name in set(mine) - {"about"}:
        with pytest.raises(InputError, match=f"lacks {name}"):
            session.resume({n: x for n, x in mine.items() if n != name})


def test_a_snapshot_of_another_configuration_is_refused() -> None:
    sizes = (16, 32)
    recipe = recipes.read("trans_vae_online")
    settings = {**recipe.settings, "heads": 2}
    first, second = (
        recipes.build(replace(recipe, settings={**settings, "width": w})).session(2) for w in sizes
    )
    snapshot = first.snapshot(first.open(seed=0))
    with pytest.raises(InputError, match=r"taken with settings\.width = 16, .* has 32"):
        second.resume(snapshot)


def test_a_closed_lane_is_gone(model: ReactionModel[Any]) -> None:
    session = session_of(model)
    lane, other = session.open(seed=1), session.open(seed=1)
    session.step({lane: person(9), other: person(9)})
    session.close(lane)
    uses: list[Callable[[], Any]] = [
        lambda: session.step({lane: person(4)}),
        lambda: session.flush(lane),
        lambda: session.snapshot(lane),
        lambda: session.close(lane),
    ]
    for use in uses:
        with pytest.raises(InputError, match="not open"):
            use()
    assert session.open(seed=1) not in (lane, other)
    session.step({other: person(9)})


def test_a_long_stream_goes_on_as_the_whole_clip_does(model: ReactionModel[Any]) -> None:
    """A model that streams itself knows the time; a window would begin it again and again."""
    speaker = person(820)
    try:
        session = model.session(2)
    except OfflineOnly:
        return
    whole = model.generate(speaker, 2, seeds=1)
    assert_close(run(session, speaker, [1, 250, 260, 777]), whole)
    with pytest.raises(InputError, match=r"streams itself; use model\.session"):
        RollingSession(model, num_samples=2)


def test_what_a_stream_gives_does_not_repeat_with_its_hop(model: ReactionModel[Any]) -> None:
    """Unless the model's answer is one frame held still."""
    speaker = person(120)
    session = session_of(model)
    made = run(session, speaker, []).pack()[:, 40:]
    whole = reactions(model, speaker, 1).pack()[:, 40:]
    if not torch.equal(whole[:, 1:], whole[:, :-1]):
        for period in {session.hop, 6, 25}:
            assert float((made[:, period:] - made[:, :-period]).abs().max()) > 1e-6


def test_a_step_with_lost_frames_goes_on(model: ReactionModel[Any]) -> None:
    speaker = person(FRAMES).drop("face", start=5, stop=20).drop("speech", start=15, stop=30)
    session = session_of(model)
    whole = run(session, speaker, [])
    assert whole.pack().isfinite().all()
    assert_close(whole, run(session, speaker, [4, 9, 22]))


def test_noise_of_models_is_the_library_s_own() -> None:
    """The rules above rest on `visavis.noise`; a change to it changes every stored result."""
    drawn = noise.normal(0, 0, "visavis", 0, (3,))
    expected = torch.tensor(EXPECTED_NOISE)
    torch.testing.assert_close(drawn, expected, atol=1e-6, rtol=0.0)


EXPECTED_NOISE = [-0.29330751, 0.49985915, -0.10940363]
