"""The video encoder: causal, streamed as it is whole, at the published size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from visavis.nn.causal_conv3d import CausalVideoEncoder

WIDTH, FRAMES, SIDE = 8, 36, 48


def pictures(frames: int = FRAMES, *, clips: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (clips, frames, 3, SIDE, SIDE)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def encoder() -> CausalVideoEncoder:
    torch.manual_seed(0)
    return CausalVideoEncoder(WIDTH).requires_grad_(False)


def test_it_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        encoder = CausalVideoEncoder(128)
    assert sum(p.numel() for p in encoder.parameters()) == 2_370_656


def test_pictures_of_the_published_size_give_a_feature_a_frame() -> None:
    features, tail = CausalVideoEncoder(WIDTH)(torch.zeros(1, 2, 3, 224, 224, dtype=torch.uint8))
    assert features.shape == (1, 2, WIDTH)
    assert [tuple(t.shape[1:]) for t in tail] == [
        (3, 4, 224, 224),
        (2, 4, 55, 55),
        (8, 2, 28, 28),
        (8, 2, 14, 14),
        (8, 2, 14, 14),
    ]


@pytest.mark.parametrize("cuts", [[1, 2, 3], [5, 20, 35], [32], [33]])
def test_a_stream_gives_what_the_whole_clip_gives(
    encoder: CausalVideoEncoder, cuts: list[int]
) -> None:
    clip = pictures(clips=2)
    whole, last = encoder(clip)
    parts, tail = [], None
    for start, stop in zip([0, *cuts], [*cuts, FRAMES], strict=True):
        features, tail = encoder(clip[:, start:stop], tail)
        parts.append(features)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0.0)
    assert tail is not None
    for mine, theirs in zip(tail, last, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0.0)


def test_the_future_never_changes_the_past(encoder: CausalVideoEncoder) -> None:
    clip = pictures(20)
    changed = torch.cat([clip[:, :12], pictures(8, seed=1)], 1)
    before, after = encoder(clip)[0], encoder(changed)[0]
    torch.testing.assert_close(after[:, :12], before[:, :12], atol=1e-6, rtol=0.0)
    assert ((after - before)[:, 12:].abs().amax(-1) > 1e-4).all()


def test_a_frame_reaches_fourteen_frames_on_and_no_further(encoder: CausalVideoEncoder) -> None:
    clip = pictures(24)
    changed = clip.clone()
    changed[:, 2] = 255 - changed[:, 2]
    moved = (encoder(changed)[0] - encoder(clip)[0])[0].abs().amax(-1)
    reach = CausalVideoEncoder.frames_before
    assert float(moved[2]) > 1e-4
    assert float(moved[2 + reach]) > 1e-7
    assert float(moved[2 + reach + 1 :].max()) < 1e-7


def test_clip_wide_normalisation_would_let_the_future_in(
    encoder: CausalVideoEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The released norm, on our causal convolutions: it alone breaks what is asked above."""
    monkeypatch.setattr("visavis.nn.causal_conv3d._normal", lambda x: F.instance_norm(x).relu())
    clip = pictures(20)
    changed = torch.cat([clip[:, :12], clip[:, 12:] // 4], 1)
    moved = (encoder(changed)[0] - encoder(clip)[0])[0].abs().amax(-1)
    assert (moved[:12] > 1e-4).all()


def test_gradients_reach_every_weight() -> None:
    encoder = CausalVideoEncoder(WIDTH)
    features, _ = encoder(pictures(3))
    features.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())
