"""EMC around its four bases: what it adds, what it must not read, what it makes up."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.people import EVERYTHING, batch, person
from visavis import pretrained, recipes
from visavis.behaviour import Behaviour
from visavis.errors import InputError, MissingChannel, OfflineOnly
from visavis.models._emc_absence import Absence
from visavis.models._emc_config import EMCConfig
from visavis.models._emc_fade import Fading, faded
from visavis.models._emc_layers import (
    FADING,
    NEVER,
    Band,
    Compensation,
    EmotionAttention,
    EmotionMLP,
    GatedAttention,
    Whole,
)
from visavis.models._emc_read import imputed
from visavis.models._emc_spread import deviation, unseen
from visavis.models._reactface_config import ReactFaceConfig
from visavis.models.emc import EMC
from visavis.models.faceais import FaceAIS, FaceAISConfig
from visavis.models.mirror import Mirror
from visavis.models.perreactor import PerReactor
from visavis.models.reactface import ReactFace
from visavis.models.regnn import REGNN, REGNNConfig
from visavis.models.trans_vae import TransVAE, TransVAEConfig

CLOSE = {"atol": 1e-5, "rtol": 0.0}
FACEAIS: dict[str, Any] = {
    "tokenizer_width": 16,
    "tokenizer_heads": 2,
    "tokenizer_layers": 1,
    "levels": (5, 4),
    "width": 24,
    "heads": 2,
    "layers": 1,
    "patch": 4,
    "window": 12,
    "dropout": 0.0,
    "gate": 0.5,
    "top_k": 20,
    "steady": 3,
}
KINDS = ("trans_vae", "trans_vae_timed", "regnn", "faceais", "faceais_causal", "reactface")
EACH = pytest.mark.parametrize("kind", KINDS)
STREAMS = pytest.mark.parametrize("kind", ["reactface", "faceais", "faceais_causal"])
RECALL = pytest.mark.parametrize("recall", [False, True])


def base_of(kind: str) -> Any:
    """A small base, fitted, whose every parameter matters."""
    torch.manual_seed(0)
    model: Any
    if kind.startswith("trans_vae"):
        model = TransVAE(TransVAEConfig(width=16, heads=4, timed=kind.endswith("timed")))
    elif kind == "regnn":
        settings = {"distribution": "mixture", "components": 2, "objective": "appropriate"}
        sizes = {"width": 16, "heads": 2, "layers": 1, "window": 10, "stride": 5}
        model = REGNN(REGNNConfig(**sizes, **settings, edge_channels=3, dropout=0.0))
    elif kind.startswith("faceais"):
        model = FaceAIS(FaceAISConfig(**FACEAIS, causal=kind.endswith("causal")))
    else:
        sizes = {"width": 16, "heads": 4, "latent_heads": 4, "latent_hidden": 32}
        model = ReactFace(ReactFaceConfig(**sizes, training_windows=(16,), draws=2))
    for parameter in model.parameters():
        if parameter.ndim:
            nn.init.normal_(parameter, std=0.2)
    model.fit([batch(2, 60, seed=3)])
    return model.eval()


def made(kind: str, *, awake: bool = True, **settings: Any) -> EMC:
    """EMC around a small base; `awake`: with gates that are open."""
    base = base_of(kind)
    sizes = {"width": 16, "heads": 4, "latent": 6, "horizon": 12, "z_frames": 5, "dropout": 0.0}
    model = EMC(EMCConfig(base=kind, **{**sizes, **settings}), base)
    model.fit([batch(2, 60, seed=3)])
    if awake:
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.3)
    return model.eval()


def packed(reactions: Behaviour) -> Tensor:
    return reactions.pack()


def worst(a: Behaviour, b: Behaviour) -> float:
    return float((a.pack() - b.pack()).abs().max())


# ---------------------------------------------------------------------- around the base


@EACH
def test_gates_at_zero_leave_the_base_as_it_is_bit_for_bit(kind: str) -> None:
    model = made(kind, awake=False)
    speaker = person(37, lead=(2,))
    seeds = torch.tensor([3, 4])
    whole = model.generate(speaker, 3, seeds=seeds)
    assert torch.equal(whole.pack(), model.base.generate(speaker, 3, seeds=seeds).pack())
    one = model.generate(person(21, seed=5), 2)
    assert torch.equal(one.pack(), model.base.generate(person(21, seed=5), 2).pack())


@EACH
def test_open_gates_change_the_answer(kind: str) -> None:
    model, speaker = made(kind), person(37)
    assert worst(model.generate(speaker, 2), model.base.generate(speaker, 2)) > 1e-4


@EACH
def test_its_weights_are_its_own_and_the_base_s_only_if_it_is_trained_too(kind: str) -> None:
    frozen, joint = made(kind), made(kind, joint=True)
    assert not [n for n in frozen.state_dict() if n.startswith("base.")]
    assert [n for n in joint.state_dict() if n.startswith("base.")]
    assert not any(p.requires_grad for p in frozen.base.parameters())
    assert all(p.requires_grad for p in joint.base.parameters())
    (objective,) = frozen.objectives()
    mine = {id(p) for p in objective.parameters}
    assert not mine & {id(p) for p in frozen.base.parameters()}


def test_a_frozen_base_keeps_its_dropout_off_in_training() -> None:
    model = made("trans_vae").train()
    assert model.training
    assert not model.base.training
    assert made("trans_vae", joint=True).train().base.training


@EACH
def test_joint_training_moves_the_base(kind: str) -> None:
    model = made(kind, joint=True).train()
    terms = model.loss(batch(2, 24))
    torch.stack([x for n, x in terms.items() if "/" not in n]).sum().backward()
    moved = [n for n, p in model.base.named_parameters() if p.grad is not None and p.grad.any()]
    assert len(moved) > 3


def test_weights_around_another_base_are_refused() -> None:
    model, other = made("trans_vae"), made("trans_vae")
    with torch.no_grad():
        other.base.fusion.weight[0, 0] += 1.0
    again = EMC(other.config, other.base)
    with pytest.raises(InputError, match="trained around other weights"):
        again.load_state_dict(model.state_dict())


def test_set_model_base_is_all_that_it_takes(tmp_path: Path) -> None:
    model = recipes.build(recipes.read("emc", changes=["model.base=reactface"]))
    assert isinstance(model.base, ReactFace)
    assert not pretrained.save(model, tmp_path / "emc").joinpath("base").exists()
    back = pretrained.load(tmp_path / "emc")
    assert isinstance(back, EMC)
    speaker = person(30).drop("speech", start=5, stop=20)
    assert torch.equal(back.generate(speaker, 2).pack(), model.eval().generate(speaker, 2).pack())


def test_a_base_may_be_a_folder(tmp_path: Path) -> None:
    folder = pretrained.save(base_of("regnn"), tmp_path / "mine")
    model = recipes.new_model("emc", {"base": str(folder), "heads": 2})
    assert isinstance(model.base, REGNN)


def test_a_base_in_a_folder_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pretrained.save(base_of("regnn"), "mine")
    pretrained.save(recipes.new_model("emc", {"base": "mine", "heads": 2}), "wrapped")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    back = pretrained.load("../wrapped")
    assert isinstance(back, EMC)
    assert isinstance(back.base, REGNN)
    named = pretrained.save(recipes.new_model("emc", {"base": "regnn"}), "named")
    assert pretrained.card(named)["settings"]["base"] == "regnn"


def test_a_base_without_the_split_is_refused_with_those_that_have_it() -> None:
    for thing in (Mirror(Mirror.config_class()), PerReactor(PerReactor.config_class())):
        with pytest.raises(InputError, match=r"cannot be a base.*reactface.*regnn"):
            EMC(EMCConfig(), thing)
    with pytest.raises(InputError, match="offline Trans-VAE"):
        EMC(EMCConfig(), TransVAE(TransVAEConfig(width=16, online=True)))


def test_the_base_s_sampling_may_be_set_otherwise_and_nothing_else_of_it() -> None:
    model, speaker = made("reactface", awake=False, sampling={"temperature": 0.0}), person(20)
    assert float(model.generate(speaker, 3).pack().var(0).max()) < 1e-12
    again = made("reactface", awake=False)
    assert float(again.generate(speaker, 3).pack().var(0).max()) > 1e-8
    with pytest.raises(InputError, match=r"sampling \(.*temperature.*not 'width'"):
        made("reactface", sampling={"width": 4})
    with pytest.raises(InputError, match=r"`sampling` does not fit regnn.*steady"):
        made("regnn", sampling={"steady": 4})


def test_a_base_without_weights_says_how_to_get_them() -> None:
    known = pretrained.available()
    name = next(n for n in recipes.names() if n not in known and not n.startswith("emc"))
    with pytest.raises(InputError, match="Train it"):
        recipes.new_model("emc", {"base": name})


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="multiple of its heads"):
        EMC(EMCConfig(heads=3), base_of("trans_vae"))
    with pytest.raises(InputError, match="context must be odd"):
        recipes.configured("emc", {"context": 4})
    with pytest.raises(InputError, match="together at most 1"):
        recipes.configured("emc", {"absence": {"face": 0.6, "speech": 0.6}})


def test_the_cma_has_the_size_that_the_specification_says() -> None:
    cma = Compensation(128, 128, 128, 64, 5, causal=False)
    own = 128 + 128 * 5 + 128  # the learned vector and the convolution over time
    assert sum(p.numel() for p in cma.parameters()) - own == 180_992


# ---------------------------------------------------------------------- absence


@EACH
@RECALL
@pytest.mark.parametrize("groups", [("face",), ("speech",), ("face", "speech")])
def test_what_was_not_observed_is_never_read(
    kind: str, groups: tuple[str, ...], recall: bool
) -> None:
    model, seeds = made(kind, recall=recall), torch.tensor([5])
    speaker = person(33, lead=(1,)).drop(*groups, start=9, stop=21)
    answers = []
    for behind in (None, 1e6, float("nan"), -3.0):
        read = model.check_speaker(speaker)
        if behind is not None:
            channels = {
                n: torch.where(read.mask(n)[..., None], x, behind) for n, x in read.channels.items()
            }
            object.__setattr__(read, "channels", channels)
        with model.sampling():
            raw = model.react(read, seeds, 2, None)
        answers.append(torch.cat([raw[n] for n in sorted(raw)], dim=-1))
    assert answers[0].isfinite().all()
    assert all(torch.equal(a, answers[0]) for a in answers)


def refuse(*args: Any, **kwargs: Any) -> Tensor:
    raise AssertionError("an encoder was called for a modality that is not there")


@EACH
def test_the_encoder_of_a_wholly_absent_modality_is_never_called(kind: str) -> None:
    model, speaker = made(kind), person(25)
    for name, encoder in (("face", "encode_face"), ("speech", "encode_speech")):
        kept = getattr(model.base, encoder)
        object.__setattr__(model.base, encoder, refuse)
        with pytest.raises(AssertionError, match="encoder was called"):
            model.generate(speaker, 1)
        assert model.generate(speaker.drop(name), 2).pack().isfinite().all()
        object.__setattr__(model.base, encoder, kept)


@STREAMS
def test_the_session_does_not_call_it_either(kind: str) -> None:
    model, speaker = made(kind), person(20).drop("face")
    names = {"reactface": ("face_tokens", "encode_face")}.get(kind, ("codes_of", "codes"))
    for name in names:
        object.__setattr__(model.base, name, refuse)
    session = model.session(2)
    lane = session.open(seed=0)
    assert session.step({lane: speaker})[lane].pack().isfinite().all()


@EACH
def test_a_modality_that_is_no_channel_at_all_is_one_that_was_never_observed(kind: str) -> None:
    model, speaker = made(kind), person(25)
    heard = speaker.select("mfcc78")
    seen = speaker.without("speech")
    assert torch.equal(
        model.generate(heard, 2).pack(), model.generate(speaker.drop("face"), 2).pack()
    )
    assert torch.equal(
        model.generate(seen, 2).pack(), model.generate(speaker.drop("speech"), 2).pack()
    )


def test_half_a_modality_is_missing_and_not_absent() -> None:
    model = made("trans_vae")
    with pytest.raises(MissingChannel, match="blendshapes"):
        model.generate(person(9, names=("au", "va", "expression", "mfcc78")))
    with pytest.raises(MissingChannel, match="mfcc78"):
        model.generate(person(9, names=(*EVERYTHING[:6], "energy")))
    with pytest.raises(MissingChannel, match="blendshapes"):
        model.generate(person(9, names=("energy",)))


def test_attributes_that_are_not_given_are_made_of_coefficients() -> None:
    model = made("trans_vae")
    bare = person(12, names=("blendshapes", "rotation", "translation", "mfcc78"))
    assert model.generate(bare, 2).pack().isfinite().all()


@EACH
def test_nobody_at_all_gets_the_answer_to_the_learned_vectors(kind: str) -> None:
    """It depends on no speaker, and samples differ as the base's do."""
    model = made(kind)
    one = model.generate(person(25, seed=1).drop("face", "speech"), 3)
    other = model.generate(person(25, seed=2).drop("face", "speech"), 3)
    assert one.pack().isfinite().all()
    assert torch.equal(one.pack(), other.pack())
    assert float((one.pack()[0] - one.pack()[1]).abs().max()) > 1e-4
    assert worst(one, model.generate(person(25, seed=1), 3)) > 1e-4


@pytest.mark.parametrize("kind", ["reactface", "faceais", "faceais_causal"])
@RECALL
def test_around_a_causal_base_frames_before_a_loss_do_not_know_of_it(
    kind: str, recall: bool
) -> None:
    model, speaker = made(kind, recall=recall), person(40)
    patch = 4
    whole = model.generate(speaker, 2)
    lossy = model.generate(speaker.drop("speech", start=20).drop("face", start=28), 2)
    torch.testing.assert_close(whole.pack()[:, :20], lossy.pack()[:, :20], **CLOSE)
    assert float((whole.pack()[:, 20 + patch :] - lossy.pack()[:, 20 + patch :]).abs().max()) > 1e-4


@EACH
def test_samples_of_a_lossy_speaker_are_told_different_things(kind: str) -> None:
    speaker = person(30).drop("speech")
    apart, shared = made(kind), made(kind, z_shared=True)

    def told(model: EMC) -> Tensor:
        read = model.told(model.check_speaker(speaker.unsqueeze())).repeat(2)
        seeds = torch.tensor([4, 4])
        with torch.no_grad():
            return model.fused(read, seeds, torch.tensor([0, 1]))[0]

    assert not torch.equal(*told(apart))
    assert torch.equal(*told(shared))
    made_of_one = apart.generate(speaker, 1, seeds=4)
    made_of_two = apart.generate(speaker, 2, seeds=4)
    torch.testing.assert_close(made_of_one.pack()[0], made_of_two.pack()[0], **CLOSE)


@STREAMS
@pytest.mark.parametrize(
    "settings",
    [{}, {"recall": True}, {"fade": 5, "spread": (1.1, 1.3, 0.8, 2.0), "spread_frames": 9.0}],
)
def test_a_session_answers_a_lossy_speaker_as_generate_does(
    kind: str, settings: dict[str, Any]
) -> None:
    model = made(kind, **settings)
    speaker = person(90).drop("face", start=10, stop=40).drop("speech", start=30, stop=61)
    speaker = speaker.drop("face", start=79)
    whole = model.generate(speaker, 3, seeds=7)
    for cuts in ([90], list(range(1, 91)), [3, 17, 50, 90]):
        session = model.session(3)
        assert (session.hop, session.latency) == (1, 0)
        lane, start, parts = session.open(seed=7), 0, []
        for stop in cuts:
            parts.append(session.step({lane: speaker.window(start, stop)})[lane])
            start = stop
        torch.testing.assert_close(Behaviour.cat(parts).pack(), whole.pack(), **CLOSE)


@STREAMS
def test_lanes_that_lose_different_things_do_not_disturb_each_other(kind: str) -> None:
    model = made(kind, recall=True)
    people = [person(50, seed=1).drop("face", start=7, stop=30), person(50, seed=2)]
    people += [person(50, seed=3).drop("speech"), person(50, seed=4).drop("face", "speech")]
    pieces = [list(p.windows(6)) for p in people]
    pieces[2] = [people[2].window(0, 0), *people[2].windows(5)]  # comes late, and is slower
    session = model.session(2)
    lanes = [session.open(seed=i) for i in range(4)]
    parts: list[list[Behaviour]] = [[] for _ in lanes]
    for given in zip(*pieces, strict=False):
        ready = session.step(dict(zip(lanes, given, strict=True)))
        for lane, mine in zip(lanes, parts, strict=True):
            mine.append(ready[lane])
    for i, who in enumerate(people):
        together = Behaviour.cat(parts[i]).pack()
        alone = model.generate(who, 2, seeds=i).pack()[:, : together.shape[1]]
        torch.testing.assert_close(together, alone, **CLOSE)


@STREAMS
def test_a_conversation_goes_on_from_a_snapshot_amid_a_loss(kind: str) -> None:
    model = made(kind, recall=True, fade=9, spread=(1.0, 1.5, 1.5, 2.0))
    speaker = person(60).drop("face", start=20).drop("speech", start=10, stop=45)
    whole = model.generate(speaker, 2, seeds=5).pack()
    session = model.session(2)
    lane = session.open(seed=5)
    session.step({lane: speaker.window(0, 33)})
    other = model.session(2)
    again = other.resume(session.snapshot(lane))
    rest = other.step({again: speaker.window(33, 60)})[again].pack()
    torch.testing.assert_close(rest, whole[:, 33:], **CLOSE)


@STREAMS
def test_what_was_not_observed_changes_nothing_in_a_stream(kind: str) -> None:
    model = made(kind, recall=True)
    speaker = person(40).drop("face", start=9, stop=21).drop("speech", start=15, stop=30)
    answers = []
    for behind in (None, 1e6, float("nan")):
        session = model.session(2)
        lane, parts = session.open(seed=5), []
        for piece in speaker.windows(7):
            if behind is not None:
                channels = {
                    n: torch.where(piece.mask(n)[..., None], x, behind)
                    for n, x in piece.channels.items()
                }
                object.__setattr__(piece, "channels", channels)
            parts.append(session.step({lane: piece})[lane].pack())
        answers.append(torch.cat(parts, 1))
    assert answers[0].isfinite().all()
    assert all(torch.equal(a, answers[0]) for a in answers)


@STREAMS
@pytest.mark.parametrize("settings", [{"z_shared": True}, {"z": "mean"}, {"attention": False}])
def test_other_ways_of_z_and_no_attention_stream_as_well(
    kind: str, settings: dict[str, Any]
) -> None:
    model = made(kind, **settings)
    speaker = person(50).drop("speech", start=10, stop=40)
    session = model.session(2)
    lane = session.open(seed=3)
    parts = [session.step({lane: p})[lane] for p in speaker.windows(7)]
    whole = model.generate(speaker, 2, seeds=3)
    torch.testing.assert_close(Behaviour.cat(parts).pack(), whole.pack(), **CLOSE)


def test_bases_that_do_not_stream_say_so() -> None:
    unlike = (made("regnn"), made("reactface", compensation="last"))
    for model in (*unlike, made("faceais_causal", compensation="mean")):
        with pytest.raises(OfflineOnly, match="RollingSession"):
            model.session()


# ---------------------------------------------------------------------- how far samples spread


def test_frames_since_a_modality_was_seen_on_a_worked_example() -> None:
    there = torch.tensor([[0, 1, 0, 0, 0, 1, 0], [0] * 7, [1] * 7]).bool()
    since, after = unseen(there, causal=True)
    assert since[0].tolist() == [NEVER + 1, 0, 1, 2, 3, 0, 1]
    assert bool((since[1] > NEVER).all())
    assert not bool(since[2].any())
    parts, before = [], None
    for piece in there.split([1, 3, 3], 1):
        part, before = unseen(piece, before, causal=True)
        parts.append(part)
    assert torch.equal(torch.cat(parts, 1), since)
    assert torch.equal(before, after) if before is not None else False
    nearest, _ = unseen(there, causal=False)
    assert nearest[0].tolist() == [1, 0, 1, 2, 1, 0, 1]


def test_the_four_numbers_stand_at_the_four_corners() -> None:
    numbers = (1.0, 1.2, 1.1, 1.5)
    now, never = torch.zeros(1, 1), torch.full((1, 1), NEVER)
    corners = [deviation(x, y, numbers, 100.0) for y in (now, never) for x in (now, never)]
    assert [round(float(c), 6) for c in corners] == list(numbers)
    course = deviation(torch.arange(200.0)[None], torch.zeros(1, 200), numbers, 50.0)
    assert float(course[0, 0]) == 1.0
    assert bool((course.diff() > 0).all())
    assert float(course[0, 50]) == pytest.approx(1 + 0.2 * (1 - math.exp(-1)))


@EACH
def test_samples_spread_further_only_where_something_is_lost(kind: str) -> None:
    plain = made(kind, awake=False)
    wide = made(kind, awake=False, spread=(1.0, 4.0, 4.0, 4.0), spread_frames=1.0)
    speaker, seeds = person(40, lead=(2,)), torch.tensor([1, 2])
    whole, same = (m.generate(speaker, 6, seeds=seeds).pack() for m in (plain, wide))
    assert torch.equal(whole, same)
    lossy = speaker.drop("face")
    near, far = (m.generate(lossy, 6, seeds=seeds).pack() for m in (plain, wide))
    assert not torch.equal(near, far)
    # codes of equal chances, and a decoder as it is drawn that hears z least, spread no further
    if not kind.startswith("faceais") and kind != "trans_vae_timed":
        assert float(far.var(1).mean()) > 1.05 * float(near.var(1).mean())


@EACH
@pytest.mark.parametrize("lost", [(), ("face",), ("face", "speech")])
def test_spread_clips_in_a_padded_batch_are_what_they_are_alone(
    kind: str, lost: tuple[str, ...]
) -> None:
    model = made(kind, spread=(1.2, 2.0, 1.5, 3.0), spread_frames=9.0)
    people = [p.drop(*lost, start=4, stop=9) if lost else p for p in (person(40), person(23))]
    seeds = torch.tensor([3, 4])
    both = model.generate(Behaviour.stack(people), 3, seeds=seeds)
    for mine, one, seed in zip(both, people, (3, 4), strict=True):
        assert worst(mine, model.generate(one, 3, seeds=seed)) < 1e-4


def test_plain_imputation_is_the_base_alone_whatever_the_spread() -> None:
    plain, wide = (
        made("regnn", compensation="mean", attention=False, spread=(n,) * 4) for n in (1.0, 3.0)
    )
    speaker = person(40).drop("face", "speech", start=5, stop=30)
    assert torch.equal(plain.generate(speaker, 2).pack(), wide.generate(speaker, 2).pack())


@pytest.mark.parametrize("times", [0.0, -1.0, float("nan"), float("inf")])
def test_draws_cannot_deviate_no_times_or_less(times: float) -> None:
    with pytest.raises(ValueError, match="spread"):
        EMCConfig(spread=(1.0, times, 1.0, 1.0))


@pytest.mark.parametrize("kind", ["faceais", "faceais_causal"])
def test_faceais_draws_by_the_temperature_of_a_patch(kind: str) -> None:
    base, speaker = base_of(kind), person(12).unsqueeze()
    seeds = torch.tensor([3])
    with torch.no_grad():
        fused = base.fuse(base.encode_face(speaker), base.encode_speech(speaker))
        usual, once, cold = (
            base.sample(base.predict(fused), seeds, 8, heat=heat)
            for heat in (None, torch.ones(1, 3), torch.tensor([[1e-6, 1e-6, 1.0]]))
        )
    assert torch.equal(usual, once)
    assert float(usual[:, :, :8].var(1).max()) > 0
    assert float(cold[:, :, :8].var(1).max()) == 0  # the likeliest codes alone
    assert float(cold[:, :, 8:].var(1).max()) > 0


# ---------------------------------------------------------------------- no jumps


def test_a_jump_fades_over_the_frames_it_is_given() -> None:
    x = torch.tensor([1.0, 1.0, 5.0, 5.0, 5.0, 5.0, 5.0])[None, :, None]
    source = torch.tensor([[2, 2, 0, 0, 0, 0, 0]])
    out, _ = faded(x, source, 3, Fading.begun(1, x))
    steps = torch.tensor([0.25, 0.5, 0.75])
    left = 4 * (1 - steps**2 * (3 - 2 * steps))
    torch.testing.assert_close(out[0, :, 0], torch.cat([x[0, :2, 0], 5 - left, x[0, 5:, 0]]))
    for known in (source.clamp(min=1), torch.zeros_like(source)):
        same, _ = faded(x, known, 3, Fading.begun(1, x))
        assert torch.equal(same, x)  # one modality's loss, and a jump of the speaker's own


def test_fading_goes_on_where_the_last_stretch_ended() -> None:
    x, source = torch.randn(3, 40, 5), torch.randint(0, 3, (3, 40))
    source[0], source[1, 20:] = 1, 2
    whole, _ = faded(x, source, 7, Fading.begun(3, x))
    held, parts = Fading.begun(3, x), []
    for a, b in ((0, 1), (1, 9), (9, 12), (12, 40)):
        part, held = faded(x[:, a:b], source[:, a:b], 7, held)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole, **CLOSE)


@pytest.mark.parametrize("kind", ["reactface", "faceais_causal"])
def test_fading_changes_nothing_unless_both_are_lost_nor_before(kind: str) -> None:
    plain, fades, speaker = made(kind), made(kind, fade=6), person(40)
    for who in (speaker, speaker.drop("face", start=5, stop=20)):
        assert torch.equal(fades.generate(who, 2).pack(), plain.generate(who, 2).pack())
    lossy = speaker.drop("face", "speech", start=16, stop=24)
    one, other = (m.generate(lossy, 2).pack() for m in (plain, fades))
    torch.testing.assert_close(one[:, :16], other[:, :16], **CLOSE)
    assert float((one[:, 16:] - other[:, 16:]).abs().max()) > 1e-4


# ---------------------------------------------------------------------- z


def test_z_has_a_smooth_course_that_no_chunking_changes() -> None:
    model = made("reactface")
    cma = model.cma_face
    assert cma is not None
    seeds, samples = torch.arange(400), torch.zeros(400, dtype=torch.int64)
    whole = model.z_of(cma, seeds, samples, "emc/face", torch.arange(60)[None])
    parts = [
        model.z_of(cma, seeds, samples, "emc/face", torch.arange(a, b)[None])
        for a, b in ((0, 1), (1, 9), (9, 35), (35, 60))
    ]
    assert torch.equal(torch.cat(parts, 1), whole)
    assert float(whole.var()) == pytest.approx(1.0, abs=0.03)
    assert float(whole[:, 12].var()) == pytest.approx(1.0, abs=0.06)
    step = (whole[:, 1:] - whole[:, :-1]).square().mean().sqrt()
    assert 0.1 < float(step) < 0.5  # white noise would have 1.4
    rows = torch.stack([torch.arange(60), torch.arange(60) + 7])
    two = model.z_of(cma, seeds[:2], samples[:2], "emc/face", rows)
    assert torch.equal(two[0], whole[0])
    assert torch.equal(two[1, :53], whole[1, 7:])


def test_z_drawn_anew_at_every_frame_is_white() -> None:
    model = made("reactface", z_frames=1)
    assert model.cma_face is not None
    seeds, samples = torch.arange(300), torch.zeros(300, dtype=torch.int64)
    z = model.z_of(model.cma_face, seeds, samples, "emc/face", torch.arange(30)[None])
    neighbours = (z[:, 1:] * z[:, :-1]).mean()
    assert abs(float(neighbours)) < 0.02


def test_the_aggregate_z_has_the_posterior_s_moments() -> None:
    model = made("trans_vae", z="aggregate")
    cma = model.cma_face
    assert cma is not None
    for _ in range(400):
        cma.remember(3.0 + 0.5 * torch.randn(200, cma.latent))
    seeds, samples = torch.arange(500), torch.zeros(500, dtype=torch.int64)
    z = model.z_of(cma, seeds, samples, "emc/face", torch.arange(20)[None])
    assert float(z.mean()) == pytest.approx(3.0, abs=0.05)
    assert float(z.std()) == pytest.approx(0.5, abs=0.03)


# ---------------------------------------------------------------------- compensation


def test_the_cma_learns_what_one_modality_tells_of_the_other() -> None:
    """Features that are a linear map of the others, and noise: the made-up ones, from N(0, 1), come
    near; the posterior's come nearer."""
    torch.manual_seed(0)
    cma = Compensation(12, 12, 12, 6, 1, causal=False)
    mixing = torch.randn(12, 12) / 12**0.5
    optimizer = torch.optim.Adam(cma.parameters(), 3e-3)
    there = torch.ones(8, 40, dtype=torch.bool)

    def data() -> tuple[Tensor, Tensor]:
        other = torch.randn(8, 40, 12)
        return other @ mixing + 0.3 * torch.randn(8, 40, 12), other

    for _ in range(400):
        target, other = data()
        condition, _ = cma.condition(other, there)
        found = cma.posterior(target, condition)
        z = found.at(torch.randn_like(found.mean))
        loss = ((cma.made(z, condition) - target) ** 2).mean() + 0.05 * found.kl().mean()
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    target, other = data()
    with torch.no_grad():
        condition, _ = cma.condition(other, there)
        prior = cma.made(torch.randn(8, 40, 6), condition)
        own = cma.made(cma.posterior(target, condition).mean, condition)
    variance = float(target.var())
    assert float(((prior - target) ** 2).mean()) < 0.2 * variance
    assert float(((own - target) ** 2).mean()) < float(((prior - target) ** 2).mean())


def test_an_untrained_cma_makes_up_the_average() -> None:
    model = made("trans_vae", awake=False, z="mean")
    speaker = person(30).drop("speech")
    read = model.told(model.check_speaker(speaker.unsqueeze()))
    _, speech = model.compensated(read, torch.tensor([0]), torch.tensor([0]))
    assert model.cma_speech is not None
    expected = model.cma_speech.scale.mean.expand_as(speech)
    torch.testing.assert_close(speech, expected, atol=1e-5, rtol=0.0)


def test_a_causal_cma_goes_on_where_the_last_stretch_ended() -> None:
    cma = Compensation(6, 6, 6, 4, 5, causal=True)
    features, there = torch.randn(2, 30, 6), torch.rand(2, 30) < 0.7
    whole, _ = cma.condition(features, there)
    tail, parts = None, []
    for a, b in ((0, 1), (1, 3), (3, 20), (20, 30)):
        part, tail = cma.condition(features[:, a:b], there[:, a:b], tail)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole, **CLOSE)


def test_what_is_recalled_on_a_worked_example() -> None:
    """Frames 1 to 3 of five are lost; online the last one fades, offline the nearer one does."""
    features = torch.tensor([[4.0, 9.0, 9.0, 9.0, 8.0]])[..., None]
    there = torch.tensor([[True, False, False, False, True]])
    fade = torch.exp(-torch.arange(4.0) / FADING)
    for causal, wanted in (
        (True, [4.0, 4 * fade[1], 4 * fade[2], 4 * fade[3], 8.0]),
        (False, [4.0, 4 * fade[1], 4 * fade[2], 8 * fade[1], 8.0]),
    ):
        cma = Compensation(1, 1, 2, 2, 1, causal=causal, recall=True)
        own, _ = cma.recalled(features, there)
        assert own is not None
        torch.testing.assert_close(own.value[0, :, 0], torch.tensor(wanted), **CLOSE)
        never, _ = cma.recalled(features, torch.zeros_like(there))
        assert never is not None
        assert not bool(never.value.any())
        assert not bool(never.fresh.any())


def test_recall_goes_on_where_the_last_stretch_ended() -> None:
    cma = Compensation(6, 6, 6, 4, 5, causal=True, recall=True)
    features, there = torch.randn(2, 40, 6), torch.rand(2, 40) < 0.2
    whole, _ = cma.recalled(features, there)
    assert whole is not None
    held, parts = None, []
    for a, b in ((0, 1), (1, 3), (3, 20), (20, 40)):
        part, held = cma.recalled(features[:, a:b], there[:, a:b], held)
        assert part is not None
        parts.append(part.value)
    torch.testing.assert_close(torch.cat(parts, 1), whole.value, **CLOSE)


def test_imputation_on_a_worked_example() -> None:
    values = torch.arange(8.0)[:, None].expand(8, 78) + 1
    speaker = Behaviour.of({"mfcc78": values}).drop("mfcc78", start=0, stop=1)
    speaker = speaker.drop("mfcc78", start=3, stop=7).unsqueeze()

    def filled(how: str) -> list[float]:
        out = imputed(speaker, ("mfcc78",), how)
        return [round(x, 3) for x in out.filled("mfcc78", -1.0)[0, :, 0].tolist()]

    assert filled("zero") == [0, 2, 3, 0, 0, 0, 0, 8]
    assert filled("mean") == [-1, 2, 3, -1, -1, -1, -1, 8]  # the base's own average
    assert filled("last") == [-1, 2, 3, 3, 3, 3, 3, 8]
    assert filled("nearest") == [2, 2, 3, 3, 3, 8, 8, 8]


@EACH
@pytest.mark.parametrize("how", ["zero", "mean", "last", "nearest"])
def test_a_base_with_imputation_alone_has_nothing_to_train(kind: str, how: str) -> None:
    model = made(kind, compensation=how, attention=False)
    assert model.objectives() == ()
    speaker = person(30).drop("speech", start=5, stop=20)
    lossy = model.generate(speaker, 2)
    assert lossy.pack().isfinite().all()
    wholly = model.generate(speaker.drop("speech"), 2)
    assert wholly.pack().isfinite().all()
    if how == "mean":
        base = model.base.generate(speaker, 2)
        torch.testing.assert_close(lossy.pack(), base.pack(), **CLOSE)


# ---------------------------------------------------------------------- emotions


def test_either_emotion_has_its_own_way_and_neither_its_own_vector() -> None:
    mlp = EmotionMLP(8)
    face, voice = torch.rand(1, 6, 25), torch.rand(1, 6, 10)
    seen = torch.tensor([[True, True, False, False, True, False]])
    heard = torch.tensor([[True, False, True, False, True, False]])
    told = mlp((face, seen), (voice, heard))
    shown, spoken = mlp.of_face(face), mlp.of_speech(voice)
    assert torch.equal(told[0, [0, 1, 4]], shown[0, [0, 1, 4]])
    assert torch.equal(told[0, 2], spoken[0, 2])
    assert torch.equal(told[0, 3], mlp.nothing)
    mean = mlp((face, seen), (voice, heard), mean=True)
    torch.testing.assert_close(mean[0, 0], (shown[0, 0] + spoken[0, 0]) / 2)
    assert torch.equal(mean[0, 1], shown[0, 1])
    assert float((shown - spoken).abs().max()) > 0.1


def test_another_model_s_speech_emotion_is_taken_where_it_is_given() -> None:
    from visavis.features.speech_emotion import with_speech_emotion

    model = made("trans_vae")
    voice = person(20).drop("face")
    angry = with_speech_emotion(voice, [1.0], ["angry"], affect=[-0.8, 0.9])
    happy = with_speech_emotion(voice, [1.0], ["joy"], affect=[0.8, 0.5])
    answers = [model.generate(x, 2).pack() for x in (voice, angry, happy)]
    assert not torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[1], answers[2])
    muted = model.generate(angry.drop("speech"), 2).pack()
    assert torch.equal(muted, model.generate(voice.drop("speech"), 2).pack())


# ---------------------------------------------------------------------- attention


def test_gated_attention_is_the_textbook_s() -> None:
    torch.manual_seed(1)
    layer = GatedAttention(6, 5, 8, 2, dropout=0.0, gate=False)
    x, memory = torch.randn(2, 3, 6), torch.randn(2, 4, 5)
    mask = torch.tensor([[True, True, False, True], [True, False, False, False]])
    q = layer.query(layer.ask(x))
    k, v = layer.key(layer.tell(memory)), layer.value(layer.tell(memory))
    mixed = []
    for h in (slice(0, 4), slice(4, 8)):
        scores = q[..., h] @ k[..., h].transpose(1, 2) / 2
        scores = scores.masked_fill(~mask[:, None], float("-inf"))
        mixed.append(scores.softmax(-1) @ v[..., h])
    expected = layer.out(torch.cat(mixed, -1))
    found = layer(x, layer.keys_values(memory), mask[:, None, None])
    torch.testing.assert_close(found, expected)


def test_a_band_in_stretches_is_the_band_at_once() -> None:
    torch.manual_seed(0)
    ea, horizon = EmotionAttention(8, 8, 2, dropout=0.0), 6
    for p in ea.parameters():
        nn.init.normal_(p, std=0.5)
    x, felt = torch.randn(2, 25, 8), torch.randn(2, 25, 8)
    names = [f"a/{part}" for part in ("own", "emotion", "cross")]

    def run(cuts: list[int]) -> Tensor:
        held = {n: torch.zeros(2, horizon - 1, 16) for n in names}
        start, parts = 0, []
        for stop in cuts:
            count = torch.full((2,), start)
            band = Band(held, count, stop - start, horizon)
            parts.append(ea(x[:, start:stop], felt[:, start:stop], band, "a"))
            held, start = {**held, **band.kept}, stop
        return torch.cat(parts, 1)

    whole = run([25])
    torch.testing.assert_close(run([1, 2, 9, 25]), whole, **CLOSE)
    clipped = ea(x[:, :3], felt[:, :3], Whole(), "a")
    assert not torch.allclose(clipped[:, :2], whole[:, :2])  # a band does not see ahead
    torch.testing.assert_close(ea(x[:, :1], felt[:, :1], Whole(), "a"), whole[:, :1], **CLOSE)


# ---------------------------------------------------------------------- training


def test_absence_is_drawn_at_the_rates_it_says() -> None:
    torch.manual_seed(0)
    rates, clips = Absence(both=0.4), 4000
    face, speech = rates.draw(clips, 250, torch.device("cpu"))
    no_face, no_speech = ~face.any(1), ~speech.any(1)
    whole = face.all(1) & speech.all(1)

    def near(found: Tensor, share: float) -> bool:
        sigma = (share * (1 - share) / clips) ** 0.5
        # a burst over a whole clip, or over none of it, is rare: 250 frames
        return abs(float(found.float().mean()) - share) < 3 * sigma + 0.03

    assert near(no_face, 0.125)
    assert near(no_speech, 0.125)
    assert near(whole, 0.5)
    lost = ~rates.runs(500, 3000, torch.device("cpu"))
    edges = (lost[:, 1:] != lost[:, :-1]).sum()
    mean_run = lost.numel() / float(edges + 500)
    assert mean_run == pytest.approx((100 + 25) / 2, rel=0.1)
    assert float((~lost).float().mean()) == pytest.approx(0.2, rel=0.1)
    both = (~face & ~speech).any(1) & ~no_face & ~no_speech
    assert float(both.float().mean()) < 0.25 * 0.4 * 0.1 + 0.01


def test_the_fusion_kl_is_zero_only_where_all_combinations_agree() -> None:
    model = made("trans_vae")
    told = model.told(model.check_speaker(person(20, lead=(2,))))
    seeds = torch.tensor([1, 2])
    fused, _ = model.fused(told, seeds, seeds * 0)
    other = fused + 0.3
    assert float(model._fusion(told, (fused, fused, fused), seeds)) == pytest.approx(0.0, abs=1e-6)
    assert float(model._fusion(told, (fused, other, fused), seeds).detach()) > 1e-4


@EACH
def test_what_is_heard_in_full_teaches_and_is_not_drawn(kind: str) -> None:
    for detach in (True, False):
        model = made(kind, detach_teacher=detach)
        told = model.told(model.check_speaker(person(24, lead=(2,))))
        seeds = torch.tensor([1, 2])
        fused, _ = model.fused(told, seeds, seeds * 0)
        parts = [(fused.detach() + i * 0.3).requires_grad_() for i in range(3)]
        model._fusion(told, tuple(parts), seeds).backward()
        reached = [p.grad is not None and bool(p.grad.any()) for p in parts]
        assert reached == [not detach, True, True]


@EACH
def test_a_few_steps_on_one_batch_lower_the_loss(kind: str) -> None:
    model, data = made(kind, awake=False).train(), batch(2, 24, targets=2)
    (objective,) = model.objectives()
    optimizer, seen = torch.optim.Adam(objective.parameters, 5e-3), []
    for i in range(25):
        torch.manual_seed(i % 5)
        terms = model.loss(data)
        loss = torch.stack([x for n, x in terms.items() if "/" not in n]).sum()
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        seen.append(float(loss.detach()))
    assert sum(seen[-5:]) < sum(seen[:5])


@EACH
@RECALL
def test_a_batch_that_lacks_a_modality_can_be_learned_from(kind: str, recall: bool) -> None:
    data = batch(2, 24)
    for groups in (("face",), ("speech",), ("face", "speech")):
        lossy = replace(data, speaker=data.speaker.drop(*groups))
        terms = made(kind, recall=recall).train().loss(lossy)
        assert all(bool(x.isfinite()) for x in terms.values())


# ---------------------------------------------------------------------- a conversation


@pytest.mark.parametrize(("name", "most"), [("emc_reactface", 1.0), ("emc_faceais", 1.25)])
def test_a_conversation_that_loses_camera_then_microphone_then_both_goes_on(
    name: str, most: float
) -> None:
    """With the bundled weights: at no seam do reactions jerk much more than the whole conversation
    does somewhere, and three seconds after the last return they are near its reactions again."""
    from visavis.corpora import SimulatedDyads

    model, corpus = pretrained.load(name), SimulatedDyads("val", size=3)
    assert isinstance(model, EMC)
    people = [corpus[i].speaker.select("face", "speech") for i in range(3)]
    lossy = [p.drop("face", start=100, stop=225) for p in people]
    lossy = [p.drop("speech", start=275, stop=400) for p in lossy]
    lossy = [p.drop("face", "speech", start=450, stop=575) for p in lossy]

    def talked(who: list[Behaviour], seed: int) -> Tensor:
        session = model.session(1)
        lanes = [session.open(seed=seed + i) for i in range(3)]
        ready = [session.step(dict(zip(lanes, p, strict=True))) for p in pieces(who)]
        parts = [Behaviour.cat([r[lane] for r in ready]) for lane in lanes]
        return torch.cat([p.pack("blendshapes") for p in parts])

    def pieces(who: list[Behaviour]) -> list[tuple[Behaviour, ...]]:
        return list(zip(*(p.windows(25) for p in who), strict=True))

    usual, made_up, other = talked(people, 1), talked(lossy, 1), talked(people, 11)
    assert made_up.isfinite().all()
    jerk = (
        made_up.diff(n=3, dim=1).abs().amax(2) / usual.diff(n=3, dim=1).abs().amax((1, 2))[:, None]
    )
    for seam in (100, 225, 275, 400, 450, 575):
        assert float(jerk[:, seam - 4 : seam + 8].max()) <= most
    apart = (usual - made_up).square().mean(2).sqrt()
    assert float(apart[:, :100].max()) < 1e-5
    yardstick = float((usual - other).square().mean(2).sqrt().mean())
    assert float(apart[:, 500:575].mean()) > 0.4 * yardstick  # it does make a difference
    assert float(apart[:, 650:].mean()) < 0.25 * yardstick


def test_what_a_timed_base_heard_counts_in_the_kl_over_the_combinations() -> None:
    parts = made("trans_vae_timed").parts
    one, other = (parts.predict(torch.randn(2, 12, 16), None) for _ in range(2))
    latent = one.kl(other).mean(1)
    heard = 0.5 * ((one.heard - other.heard) ** 2).mean((1, 2))
    torch.testing.assert_close(parts.apart(one, other), latent + heard)
    same = replace(other, heard=one.heard)
    torch.testing.assert_close(parts.apart(one, same), latent)
