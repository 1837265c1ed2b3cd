"""Trans-AE: one answer to each speaker, aligned as Eq. 17 has it, and nothing of the future."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.peers.trans_vae import _copy_attention, _copy_rest
from tests.people import batch, person
from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.errors import OfflineOnly
from visavis.models.trans_ae import TransAE, TransAEConfig
from visavis.nn.attention import DecoderLayer
from visavis.nn.positions import sinusoid

SMALL: dict[str, Any] = {"width": 16, "heads": 4, "period": 3}
CLOSE = {"atol": 1e-5, "rtol": 0.0}


def made(**settings: Any) -> TransAE:
    """A small model whose every parameter matters: biases and norms are drawn too."""
    torch.manual_seed(0)
    model = TransAE(TransAEConfig(**{**SMALL, **settings}))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.25)
    return model.eval()


def test_it_has_the_parts_it_is_said_to_have() -> None:
    with torch.device("meta"):
        model = TransAE(TransAEConfig(face="pixels", speech="wav2vec2"))
    video, speech, head = 2_370_656, 768 * 128 + 128, 128 * 58 + 58
    assert sum(p.numel() for p in model.parameters()) == video + speech + 5 * 198_784 + head


def test_all_ten_reactions_are_one_and_their_diversity_is_exactly_zero() -> None:
    ten = made().generate(person(60, lead=(2,)), 10, seeds=3)
    assert torch.equal(ten.pack(), ten.pack()[:, :1].expand(-1, 10, -1, -1))
    other = made().generate(person(60, lead=(2,)), 10, seeds=4)
    assert torch.equal(ten.pack(), other.pack())
    values = ten.pack("coefficients")
    apart = (values[:, :, None] - values[:, None]).square().mean()
    assert float(apart) == 0.0


def test_it_answers_clips_and_names_what_streams_it() -> None:
    with pytest.raises(OfflineOnly, match="RollingSession"):
        made().session()


def stock(layer: DecoderLayer, heads: int) -> nn.TransformerDecoderLayer:
    width = layer.self_attention.query.in_features
    theirs = nn.TransformerDecoderLayer(width, heads, 2 * width, batch_first=True)
    _copy_attention(theirs.self_attn, layer.self_attention)
    _copy_attention(theirs.multihead_attn, layer.cross_attention)
    _copy_rest(theirs, layer, 3)
    return theirs.eval()


def aligned(frames: int, period: int) -> Tensor:
    """Eq. 17 with k = 1, cell by cell, counted from 1 as printed."""
    bias = torch.full((frames, frames), float("-inf"))
    for i in range(1, frames + 1):
        for j in range(1, i + 1):
            bias[i - 1, j - 1] = -((i - j) // period)
    return bias


@pytest.mark.parametrize("speech", ["mfcc78", "wav2vec2"])
def test_stock_layers_with_tables_for_masks_give_the_same(speech: str) -> None:
    model, frames = made(speech=speech), 14
    rate, period = model.rate, model.config.period
    face, spoken = torch.randn(2, frames, 16), torch.randn(2, frames * rate, 16)
    bias = aligned(frames, period)
    point = torch.full((frames, frames * rate), float("-inf"))
    for i in range(frames):
        point[i, i * rate : (i + 1) * rate] = 0.0
    places = sinusoid(torch.arange(period), 16).repeat(5, 1)[:frames]
    with torch.no_grad():
        x = face + places
        for i, layer in enumerate(model.speaker.layers):
            memory, mask = (x, bias) if i == 0 else (spoken, point)
            x = stock(layer, 4)(x, memory, tgt_mask=bias, memory_mask=mask)
        y = sinusoid(torch.arange(frames), 16).expand(2, -1, -1)
        for layer in model.decoder:
            y = stock(layer, 4)(y, x, tgt_mask=bias, memory_mask=bias)
        expected = model.head(y)
        torch.testing.assert_close(model.decode(face, spoken), expected, **CLOSE)


def heard(frames: int, seed: int) -> Behaviour:
    """A made-up speaker with both kinds of speech, of which one has two ticks a frame."""
    face = person(frames, seed=seed, names=(*GROUPS["coefficients"], "mfcc78"))
    ticks = torch.randn(2 * frames, 768, generator=torch.Generator().manual_seed(seed))
    return Behaviour.of({**face.channels, "wav2vec2": ticks})


@pytest.mark.parametrize("speech", ["mfcc78", "wav2vec2"])
def test_frames_to_come_change_nothing(speech: str) -> None:
    model = made(speech=speech)
    one, two = (heard(30, seed) for seed in (1, 2))
    changed = Behaviour.cat([one.window(0, 20), two.window(20, 30)])
    whole, other = model.generate(one, 1).pack(), model.generate(changed, 1).pack()
    torch.testing.assert_close(other[:, :20], whole[:, :20], **CLOSE)
    assert float((other - whole)[:, 20:].abs().amax(-1).min()) > 1e-4


def test_pictures_are_read_without_the_future_too() -> None:
    torch.manual_seed(0)
    model = TransAE(TransAEConfig(face="pixels", **SMALL))
    shape = (1, 4, 3, 224, 224)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    speech = person(4, lead=(1,), names=("mfcc78",))["mfcc78"]
    blank = pixels.clone()
    blank[:, 3] = 0
    before, after = (
        model.generate(Behaviour.of({"pixels": p, "mfcc78": speech}), 1).pack()
        for p in (pixels, blank)
    )
    torch.testing.assert_close(after[..., :3, :], before[..., :3, :], **CLOSE)
    assert float((after - before)[..., 3, :].abs().max()) > 1e-5


def test_its_loss_is_smooth_l1_to_the_paired_listener_and_ten_times_that_of_the_pose() -> None:
    model, dyads = made(), batch(2, 12, lengths=[12, 7])
    kept = model.decode(model.encode_face(dyads.speaker), model.encode_speech(dyads.speaker))
    real = dyads.listener.pack("coefficients")
    sums = torch.zeros(2, 2)
    for clip, frames in enumerate((12, 7)):
        for t in range(frames):
            for c in range(58):
                d = abs(float(kept[clip, t, c].detach() - real[clip, t, c]))
                sums[int(c >= 52), 0] += 0.5 * d * d if d < 1 else d - 0.5
                sums[int(c >= 52), 1] += 1
    terms = {n: x.detach() for n, x in model.loss(dyads).items()}
    assert float(terms["expression"]) == pytest.approx(float(sums[0, 0] / sums[0, 1]), rel=1e-4)
    assert float(terms["pose"]) == pytest.approx(10 * float(sums[1, 0] / sums[1, 1]), rel=1e-4)
