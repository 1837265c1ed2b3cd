"""FaceAIS by its counts, its causality, what it keeps, what it draws and what it learns from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.peers.faceais import PublishedPredictor
from tests.people import batch, person
from visavis.behaviour import Behaviour
from visavis.channels import Channel, Layout
from visavis.errors import InputError
from visavis.models import _faceais_state as states
from visavis.models._faceais_blocks import turn_of, turned
from visavis.models._faceais_losses import grouped
from visavis.models._faceais_prior import PatchPrior, draw
from visavis.models._faceais_tokenizer import GROUPS_OF_COEFFICIENTS
from visavis.models.faceais import FaceAIS, FaceAISConfig
from visavis.recipes import new_model

SMALL: dict[str, Any] = {
    "tokenizer_width": 16,
    "tokenizer_heads": 2,
    "tokenizer_layers": 1,
    "levels": (5, 4),
    "width": 24,
    "heads": 2,
    "layers": 2,
    "patch": 4,
    "window": 12,
    "dropout": 0.0,
    "gate": 0.5,
    "top_k": 20,
}
CLOSE = {"atol": 1e-5, "rtol": 0.0}
BOTH = pytest.mark.parametrize("causal", [False, True])


def made(scale: float = 0.3, **settings: Any) -> FaceAIS:
    """A small model whose every parameter matters."""
    torch.manual_seed(0)
    model = FaceAIS(FaceAISConfig(**{**SMALL, **settings}))
    for parameter in model.parameters():
        if parameter.ndim:
            nn.init.normal_(parameter, std=scale)
    return model.eval()


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# ---------------------------------------------------------------------- counts

PUBLISHED_TOKENIZER, PUBLISHED_PREDICTOR = 27_570_568, 86_087_896
NEVER_READ = {
    "sound words, with wav2vec features": 322 * 360,
    "the speaker's last norm": 2 * 360,
    # 2,050 words where 1,000 are codes; two tables keep one more, for a frame that is not there
    "words that are no codes": (3 * 2_050 - 1_001 - 1_001 - 1_000) * 360,
}


def test_it_has_the_published_parameters_less_those_never_read() -> None:
    with torch.device("meta"):
        model = FaceAIS(FaceAISConfig(speech="w", speech_size=512, speech_rate=2))
        peer = PublishedPredictor()
    assert count(model.tokenizer) == PUBLISHED_TOKENIZER
    assert count(peer) == PUBLISHED_PREDICTOR
    assert count(model.predictor) == PUBLISHED_PREDICTOR - sum(NEVER_READ.values()) == 84_837_976


def test_the_causal_form_lacks_only_the_tables_of_places() -> None:
    with torch.device("meta"):
        sizes: dict[str, Any] = {"speech": "w", "speech_size": 512, "speech_rate": 2}
        one, other = (FaceAIS(FaceAISConfig(**sizes, causal=c)).predictor for c in (False, True))
    assert count(one) - count(other) == (256 + 512 + 256) * 360


# ---------------------------------------------------------------------- time


def logits(model: FaceAIS, speaker: Behaviour) -> Tensor:
    """Of every frame's code, as if the listener had no past."""
    clips = speaker.unsqueeze()
    with torch.no_grad():
        fused = model.fuse(model.encode_face(clips), model.encode_speech(clips))
        return model.predict(fused).logits


def changed_from(speaker: Behaviour, frame: int) -> Behaviour:
    other = person(speaker.frames, seed=9)
    return Behaviour.cat([speaker.window(0, frame), other.window(frame, speaker.frames)])


@BOTH
@pytest.mark.parametrize("patch", [1, 3, 6])
def test_a_patch_does_not_know_the_speaker_from_its_first_frame_on(
    causal: bool, patch: int
) -> None:
    model, speaker = made(causal=causal), person(28)
    changed = changed_from(speaker, 4 * patch)
    until = 4 * patch + 4
    one, other = (model.generate(x, 2).pack() for x in (speaker, changed))
    assert torch.equal(one[:, :until], other[:, :until])
    first, second = (logits(model, x) for x in (speaker, changed))
    assert torch.equal(first[:, :until], second[:, :until])
    if until < 28:
        apart = (first - second)[:, until : until + 4].abs().amax(-1)
        assert apart.gt(1e-4).all()


@BOTH
def test_what_is_older_than_the_window_is_forgotten(causal: bool) -> None:
    """Logits given one own past, which would else remember what it was caused by. Causal layers
    pass frames on from window to window, so the causal form's reach is a few windows."""
    model = made(causal=causal, layers=1)
    face, speech = torch.randn(1, 60, 24), torch.randn(1, 60, 24)
    codes = torch.randint(20, (15, 1, 4))

    def last(face: Tensor, speech: Tensor) -> Tensor:
        with torch.no_grad():
            prior = model.predict(model.fuse(face, speech))
            state = states.begin(model.predictor, 1, 1)
            for p in range(15):
                out = states.reply(model.predictor, state, codes[p], prior.piece(p))
        return out

    one = last(face, speech)
    old, recent = face.clone(), face.clone()
    stop = 8 if causal else 44  # the last patch but one begins at frame 52, its window at 44
    old[:, :stop] = torch.randn(1, stop, 24)
    recent[:, 50] = torch.randn(1, 24)
    torch.testing.assert_close(last(old, speech), one, **CLOSE)
    assert not torch.allclose(last(recent, speech), one, atol=1e-4)


def test_what_is_kept_gives_what_the_whole_gives() -> None:
    """The rings, a patch at a time, against all patches at once under a mask."""
    model = made(causal=True)
    face, speech = torch.randn(2, 33, 24), torch.randn(2, 33, 24)
    before = model._before(face, speech)
    assert before[0].shape[1] == 36  # one absent patch, and eight of nine
    with torch.no_grad():
        whole = model._heard(*before, whole=True)
        kept = model._heard(*before, whole=False)
        torch.testing.assert_close(kept, whole, **CLOSE)
        real = torch.randint(20, (2, 9, 4))
        prior = model.predict(whole)
        _, logits = model._guesses(prior, real)
        state, out = states.begin(model.predictor, 2, 1), []
        past = torch.cat([torch.full_like(real[:, :1], 20), real[:, :-1]], 1)
        for p in range(9):
            out.append(states.reply(model.predictor, state, past[:, p], prior.piece(p)))
    torch.testing.assert_close(torch.cat(out, 1), logits, **CLOSE)


def test_turned_numbers_know_distances_alone() -> None:
    x, y = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)

    def score(a: int, b: int) -> float:
        first, second = (turned(z, turn_of(torch.tensor([[t]]), 8)) for z, t in ((x, a), (y, b)))
        return float((first * second).sum())

    assert score(3, 10) == pytest.approx(score(900_003, 900_010), abs=1e-4)
    assert score(3, 10) != pytest.approx(score(3, 11), abs=1e-3)


@BOTH
def test_thirty_seconds_are_answered_whole(causal: bool) -> None:
    model = made(causal=causal, patch=32, window=64)
    assert model.generate(person(750), 1).frames == 750


@BOTH
def test_a_patch_is_known_before_its_first_frame_comes(causal: bool) -> None:
    model, speaker = made(causal=causal), person(11)
    session = model.session(2)
    assert (session.hop, session.latency) == (1, 0)
    lane = session.open(seed=3)
    first = session.step({lane: speaker.window(0, 1)})[lane]
    assert first.frames == 1
    later = session.step({lane: speaker.window(1, 11)})[lane]
    whole = model.generate(speaker, 2, seeds=3)
    got = torch.cat([first.pack(), later.pack()], 1)
    torch.testing.assert_close(got, whole.pack(*first.layout.names), **CLOSE)


@BOTH
def test_lanes_at_other_places_in_their_patches_go_on_together(causal: bool) -> None:
    model = made(causal=causal)
    session = model.session(1)
    people = [person(30, seed=i) for i in range(3)]
    lanes = [session.open(seed=i) for i in range(3)]
    parts: list[list[Tensor]] = [[], [], []]
    at = [0, 0, 0]
    for steps in ((3, 0, 0), (9, 5, 1), (4, 4, 4), (14, 14, 14), (0, 7, 11)):
        given = {}
        for i, step in enumerate(steps):
            if step:
                given[lanes[i]] = people[i].window(at[i], at[i] + step)
                at[i] += step
        for lane, reaction in session.step(given).items():
            parts[lanes.index(lane)].append(reaction.pack())
    for i in range(3):
        whole = model.generate(people[i], 1, seeds=i).pack()
        torch.testing.assert_close(torch.cat(parts[i], 1), whole[:, : at[i]], **CLOSE)


# ---------------------------------------------------------------------- tokenizer


def test_a_frame_that_was_not_seen_is_not_read_and_has_the_code_after_the_last() -> None:
    tokenizer = made().tokenizer
    x, known = torch.randn(3, 4, 58), torch.tensor([[1, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]]) > 0
    worse = torch.where(known[..., None], x, 1e3)
    one, other = tokenizer.encode(x, known), tokenizer.encode(worse, known)
    assert torch.equal(one.indices[known], other.indices[known])
    speaker = person(9, lead=(1,)).drop("face", start=2, stop=5)
    model = made()
    codes = model.codes(speaker)
    assert codes[0, 2:5].eq(20).all() and codes[0, [0, 1, 5, 6, 7, 8]].lt(20).all()


def test_codes_and_their_patch_are_all_a_face_is_made_from() -> None:
    model = made()
    codes = torch.randint(20, (2, 3, 8))
    vectors = model.tokenizer.quantise.decode(codes)
    one = model.decode(vectors, 7)
    assert one["coefficients"].shape == (2, 3, 7, 58) and one["attributes"].shape == (2, 3, 7, 25)
    codes[..., 4:] = (codes[..., 4:] + 1) % 20
    other = model.decode(model.tokenizer.quantise.decode(codes), 7)
    assert torch.equal(one["coefficients"][:, :, :4], other["coefficients"][:, :, :4])
    assert not torch.equal(one["coefficients"][:, :, 4:], other["coefficients"][:, :, 4:])


def test_groups_of_coefficients_hold_every_column_once_and_count_alike() -> None:
    columns = [c for _, group in GROUPS_OF_COEFFICIENTS for c in group]
    assert sorted(columns) == list(range(58)) and len(GROUPS_OF_COEFFICIENTS) == 13
    real, known = torch.zeros(1, 3, 58), torch.ones(1, 3, dtype=torch.bool)
    for name in ("smile", "mouth"):
        off = real.clone()
        off[..., list(dict(GROUPS_OF_COEFFICIENTS)[name])] = 0.5
        assert float(grouped(off, real, known)) == pytest.approx(0.5)
    lost = torch.full((1, 3, 58), float("nan"))
    assert float(grouped(lost, real, ~known)) == 0


# ---------------------------------------------------------------------- draws


def test_top_k_keeps_exactly_so_many_codes_of_each_row() -> None:
    logits = torch.randn(3, 50)
    logits[1] = 0.0  # ties
    logits[2] *= 100
    for row in range(3):
        rows = logits[row].expand(4000, -1)
        found = draw(rows, torch.rand(4000, 2), (5, 10), temperature=1e3, top_k=7)
        assert len(found.unique()) == 7
        if row != 1:
            assert set(found.tolist()) == set(logits[row].topk(7).indices.tolist())


def test_codes_come_as_often_as_they_should() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6)
    found = draw(logits.expand(40000, -1), torch.rand(40000, 2), (3, 2), temperature=0.7, top_k=6)
    shares = torch.bincount(found, minlength=6) / 40000
    torch.testing.assert_close(shares, (logits / 0.7).softmax(-1), atol=0.01, rtol=0)


def test_the_ends_of_the_unit_interval_give_codes_that_can_come() -> None:
    logits = torch.randn(200, 30)
    for end in (0.0, 1e-12, 1 - 1e-7, 1.0):
        found = draw(logits, torch.full((200, 2), end), (6, 5), temperature=1.0, top_k=3)
        assert logits.topk(3).indices.eq(found[:, None]).any(-1).all()


def test_numbers_of_a_dimension_choose_its_level_alone() -> None:
    """Of independent dimensions, each moves with its own number."""
    levels = (3, 4)
    chances = torch.rand(4)[:, None].softmax(0) * torch.rand(3).softmax(0)  # last dimension first
    logits = chances.flatten().log().expand(100, -1)
    numbers = torch.rand(100, 2)
    numbers[:, 0] = 0.6
    found = draw(logits, numbers, levels, temperature=1.0, top_k=12)
    assert len((found % 3).unique()) == 1
    assert len((found // 3).unique()) == 4


@BOTH
def test_only_codes_are_drawn_and_a_speaker_lost_for_good_is_answered(causal: bool) -> None:
    model = made(1.0, causal=causal, top_k=20)
    nobody = person(30, lead=(1,)).drop("face", "speech")
    with torch.no_grad():
        fused = model.fuse(model.encode_face(nobody), model.encode_speech(nobody))
        vectors = model.sample(model.predict(fused), torch.tensor([0]), 8)
    book = model.tokenizer.quantise.vectors()
    same = (vectors.flatten(0, 2)[:, None] - book).abs().amax(-1) < 1e-5
    assert same.any(-1).all()


def test_redraw_says_how_long_a_random_number_is_kept() -> None:
    """With one distribution for all frames: one code where one number is kept, a smooth way through
    the codes between fresh ones, and jumps where every frame draws its own."""

    def steps(redraw: int) -> float:
        model = made(redraw=redraw, levels=(50, 50), top_k=2500)
        with torch.no_grad():
            model.predictor.head.weight.zero_()
            prior = model.predict(model.fuse(torch.zeros(1, 48, 24), torch.zeros(1, 48, 24)))
            found = model.sample(prior, torch.tensor([3]), 1)[0, 0]
        book = model.tokenizer.quantise.vectors()
        codes = (found[:, None] - book).abs().sum(-1).argmin(-1)
        return float(model.tokenizer.quantise.grid(codes).diff(dim=0).abs().mean())

    assert steps(0) == 0.0
    assert 0.0 < steps(12) < 0.3 * steps(1)


def test_a_past_that_is_always_hidden_in_training_is_hidden_in_generation() -> None:
    model = made(causal=True, own_drop=1.0)
    features = torch.randn(1, 4, 24)
    told = []
    for code in (0, 3):
        state = states.begin(model.predictor, 1, 1)
        codes = torch.full((1, 4), code)
        with torch.no_grad():
            told.append(
                model.next_codes(state, codes, features, torch.tensor([1]), 1, torch.tensor([0]))
            )
    assert torch.equal(*told)


# ---------------------------------------------------------------------- the distribution


@BOTH
def test_the_distribution_without_a_past_is_what_the_first_patch_is_drawn_from(
    causal: bool,
) -> None:
    model = made(causal=causal)
    with torch.no_grad():
        prior = model.predict(model.fuse(torch.randn(2, 30, 24), torch.randn(2, 30, 24)))
        assert prior.patches == 8
        state = states.begin(model.predictor, 2, 1)
        first = states.reply(model.predictor, state, model.nothing_before(2), prior.piece(0))
        torch.testing.assert_close(prior.logits[:, :4], first, **CLOSE)
        assert prior.mean.shape == (2, 32, 16)
        expected = prior.logits.softmax(-1) @ model.tokenizer.quantise.decode(torch.arange(20))
        torch.testing.assert_close(prior.mean, expected)
        other = model.predict(model.fuse(torch.randn(2, 30, 24), torch.randn(2, 30, 24)))
        wanted = torch.distributions.kl_divergence(
            torch.distributions.Categorical(logits=prior.logits),
            torch.distributions.Categorical(logits=other.logits),
        )
        torch.testing.assert_close(prior.kl(other)[..., 0], wanted, **CLOSE)
        assert float(prior.kl(prior).abs().max()) < 1e-6
        uniform = torch.distributions.Categorical(logits=torch.zeros_like(prior.logits))
        entropy = torch.distributions.kl_divergence(
            torch.distributions.Categorical(logits=prior.logits), uniform
        )
        torch.testing.assert_close(prior.kl()[..., 0], entropy, **CLOSE)


@BOTH
def test_at_gates_of_zero_nobody_is_listened_to(causal: bool) -> None:
    model = made(causal=causal)
    for block in (*model.predictor.speaker_cross, *model.predictor.own_cross):
        block.gate.data.zero_()
    one, other = (logits(model, person(20, seed=i)) for i in range(2))
    assert torch.equal(one, other)
    for block in model.predictor.own_cross:
        block.gate.data.fill_(1.0)
    quiet, loud = person(20), person(20)
    loud = loud.with_channels({"mfcc78": person(20, seed=5)["mfcc78"]})
    assert torch.equal(logits(model, quiet), logits(model, loud))
    for block in model.predictor.speaker_cross:
        block.gate.data.fill_(1.0)
    assert not torch.allclose(logits(model, quiet), logits(model, loud), atol=1e-3)


@BOTH
def test_a_voice_of_two_ticks_a_frame_is_read_where_files_give_it(causal: bool) -> None:
    own = Channel("conv", tuple(f"w{i}" for i in range(6)), rate=2)
    speaker = person(22)
    layout = Layout((*speaker.layout.channels, own))
    speaker = Behaviour({**speaker.channels, "conv": torch.randn(44, 6)}, layout)
    model = made(causal=causal, speech="conv", speech_size=6, speech_rate=2)
    whole = model.generate(speaker, 2, seeds=1)
    assert whole.frames == 22
    session = model.session(2)
    lane = session.open(seed=1)
    parts = [session.step({lane: speaker.window(a, b)})[lane] for a, b in ((0, 9), (9, 22))]
    names = whole.layout.names
    torch.testing.assert_close(Behaviour.cat(parts).pack(*names), whole.pack(), **CLOSE)


# ---------------------------------------------------------------------- learning


@BOTH
def test_only_known_frames_of_the_listener_are_asked_for(causal: bool) -> None:
    model = made(causal=causal)
    data = batch(2, 16, lengths=[16, 9])
    lost = replace(data, listener=data.listener.drop("coefficients", start=12, stop=14))
    with torch.no_grad():
        face, speech = model.encode_face(lost.speaker), model.encode_speech(lost.speaker)
        prior = (
            model.predict(model._heard(*model._before(face, speech), whole=True))
            if causal
            else model._last_window(*model._before(face, speech))
        )
        real = model.in_patches(model.codes(lost.listener)).unflatten(0, (2, -1))
        wanted, logits = model._guesses(prior, real)
        got = model.base_loss(prior, None, lost)["codes"]
    keep = wanted != 20
    keep[1] &= torch.arange(16)[-wanted.shape[1] :] < 9
    each = nn.functional.cross_entropy(logits[keep], wanted[keep])
    torch.testing.assert_close(got, each, **CLOSE)
    assert int(keep.sum()) == (14 + 9 if causal else 2)


def test_draws_are_asked_to_be_the_listener_s_face() -> None:
    model, data = made(), batch(2, 16)
    with torch.no_grad():
        face, speech = model.encode_face(data.speaker), model.encode_speech(data.speaker)
        prior = model.predict(model.fuse(face, speech))
    latent = model.sample(prior, torch.tensor([1, 2]), 3).detach().requires_grad_(True)
    terms = model.base_loss(prior, latent, data)
    (gradient,) = torch.autograd.grad(terms["face"], latent)
    assert gradient.abs().sum((0, 2, 3)).gt(0).all()


def test_less_past_in_training_is_the_last_patches_and_the_rest_is_not_there() -> None:
    model = made(past_drop=1.0).train()
    seen = set()
    for _ in range(40):
        prior = model._last_window(torch.randn(1, 40, 24), torch.randn(1, 40, 24))
        assert isinstance(prior, PatchPrior) and prior.features.shape[1] == 12
        there = prior.piece(0).shape[1]
        assert prior.features[:, : 12 - there].eq(0).all()
        seen.add(there)
    assert seen == {4, 8, 12}


@BOTH
@pytest.mark.parametrize("stage", ["tokenizer", "emotion", "predictor"])
def test_a_few_steps_of_a_stage_lower_its_loss_and_leave_the_rest(causal: bool, stage: str) -> None:
    model, data = made(0.1, causal=causal, past_drop=0.0).train(), batch(4, 20)
    model.fit([data])
    (objective,) = model.objectives(stage)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    own = {id(p) for p in objective.parameters}
    optimizer, seen = torch.optim.Adam(objective.parameters, 2e-2), []
    for _ in range(20):
        terms = objective.loss(data)
        loss = torch.stack([x for n, x in terms.items() if "/" not in n]).sum()
        model.zero_grad(), loss.backward(), optimizer.step()
        seen.append(float(loss.detach()))
    assert sum(seen[-3:]) < 0.97 * sum(seen[:3])
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    allowed = {n for n, p in model.named_parameters() if id(p) in own}
    assert moved and moved <= allowed
    if stage == "emotion":
        assert all("attributes" in n for n in moved)


def test_a_hidden_past_changes_what_is_asked_in_training() -> None:
    data = batch(2, 16)

    def asked(drop: float, *, training: bool) -> float:
        model = made(causal=True, own_drop=drop).train(training)
        return float(model.predictor_loss(data)["codes"].detach())

    whole = asked(0.0, training=True)
    assert asked(0.999, training=True) != pytest.approx(whole, abs=1e-3)
    assert asked(0.999, training=False) == pytest.approx(whole, abs=1e-6)
    # at 1 it is hidden whenever it generates, so always
    assert asked(1.0, training=False) == asked(1.0, training=True)


def test_what_is_to_be_expected_is_scored_beside_all_listeners() -> None:
    data = batch(2, 16)
    plain = made(causal=True, own_drop=1.0)
    asked = made(causal=True, own_drop=1.0, agreement_weight=4.0, error_weight=25.0)
    terms, more = plain.predictor_loss(data), asked.predictor_loss(data)
    assert set(more) == {*terms, "agreement", "error"}
    torch.testing.assert_close(more["codes"], terms["codes"])
    # by hand: chances times vectors, decoded, squared errors of each group to each listener
    prior = asked.predict(
        asked.fuse(asked.encode_face(data.speaker), asked.encode_speech(data.speaker))
    )
    face = asked.decode(prior.mean[:, None], 16)["attributes"]
    real = torch.cat([data.targets.filled(n) for n in ("au", "va", "expression")], -1)
    apart = (face - real) ** 2
    thirds = torch.stack(
        [apart[..., :15].mean(-1), apart[..., 15:17].mean(-1), apart[..., 17:].mean(-1)]
    )
    there = data.target_mask[None, :, :, None].expand_as(thirds)
    torch.testing.assert_close(more["error"], 25 * thirds[there].mean(), rtol=1e-4, atol=1e-5)


def test_the_tokenizer_can_count_attributes_squared() -> None:
    data = batch(2, 16)
    plain, more = (
        made(causal=True, attribute_weight=w).emotion_loss(data)["attributes"].detach()
        for w in (0.0, 20.0)
    )
    assert float(more) > float(plain)


@BOTH
def test_steadied_reactions_are_means_of_the_frames_before(causal: bool) -> None:
    plain, calm = made(causal=causal), made(causal=causal, steady=3)
    talk = person(22)
    loose, steady = (m.generate(talk, 2, seeds=5).pack("rotation") for m in (plain, calm))
    for t in (0, 1, 2, 9, 21):
        torch.testing.assert_close(steady[:, t], loose[:, max(t - 2, 0) : t + 1].mean(1))
    session = calm.session(2)
    lane = session.open(seed=5)
    parts = [session.step({lane: w})[lane] for w in talk.windows(5)]
    torch.testing.assert_close(Behaviour.cat(parts).pack("rotation"), steady, **CLOSE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 100, "patch": 32}, "window must be a multiple of patch"),
        ({"width": 361}, "width must be a multiple of its heads"),
        ({"tokenizer_width": 250}, "tokenizer_width"),
        ({"causal": True, "width": 36, "heads": 12}, "even"),
        ({"speech": "hubert"}, "hubert.*needs its size"),
        ({"levels": (8, 1)}, "levels"),
        ({"pacth": 8}, "'patch'"),
        ({"error_weight": 1.0}, "error_weight needs causal"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        new_model("faceais", settings)
