"""FID and FVD over frames with a network that the user brings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from visavis.errors import InputError
from visavis.metrics.frame_realism import (
    FrameRealism,
    frechet_over_frames,
    load_features,
    sample_frames,
)
from visavis.metrics.frechet import frechet


def clips(count: int, frames: int = 95, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randint(0, 256, (frames, 3, 8, 8), generator=generator, dtype=torch.uint8)
        for _ in range(count)
    ]


def colours(pictures: Tensor) -> Tensor:
    """Mean of each colour, of frames [B, 3, H, W] or clips [B, 3, T, H, W]."""
    return pictures.float().flatten(2).mean(-1)


def test_the_challenge_takes_every_thirtieth_frame_and_25_of_a_clip() -> None:
    clip = torch.arange(751).reshape(-1, 1, 1, 1)
    assert sample_frames(clip).flatten().tolist() == list(range(0, 750, 30))
    assert len(sample_frames(torch.arange(2000).reshape(-1, 1, 1, 1))) == 25
    assert sample_frames(clip[:31]).flatten().tolist() == [0, 30]


def test_it_is_the_distance_of_the_features_of_the_chosen_frames() -> None:
    pred, real = clips(6), clips(5, seed=1)
    rows = [torch.cat([colours(c[::30]) for c in side]) for side in (pred, real)]
    assert frechet_over_frames(pred, real, colours).distance == pytest.approx(
        frechet(*rows).distance
    )
    whole = [torch.stack([colours(c.transpose(0, 1)[None])[0] for c in s]) for s in (pred, real)]
    by_clip = frechet_over_frames(iter(pred), iter(real), colours, unit="clip")
    assert by_clip.distance == pytest.approx(frechet(*whole).distance)


def test_a_torchscript_file_serves_as_well_as_a_function(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, pictures: Tensor) -> Tensor:
            return pictures.float().flatten(2).mean(-1)

    path = tmp_path / "net.pt"
    torch.jit.script(Net()).save(str(path))
    pred, real = clips(4), clips(4, seed=1)
    by_file = frechet_over_frames(pred, real, path)
    assert by_file.distance == pytest.approx(frechet_over_frames(pred, real, colours).distance)


def test_streaming_equals_the_whole() -> None:
    pred, real = clips(4), clips(6, seed=1)
    metric = FrameRealism(colours, 3)
    for side, is_real in ((pred, False), (real, True)):
        for clip in side:
            metric.update(clip, real=is_real)
    wanted = frechet_over_frames(pred, real, colours).distance
    assert float(metric.compute()) == pytest.approx(wanted, rel=1e-9)


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    good = clips(2)
    with pytest.raises(InputError, match="no such file"):
        load_features(tmp_path / "inception.pt")
    (tmp_path / "wrong.pt").write_bytes(b"not a network")
    with pytest.raises(InputError, match="not a TorchScript file"):
        load_features(tmp_path / "wrong.pt")
    with pytest.raises(InputError, match=r"real: a clip is \[95, 8, 8\]"):
        frechet_over_frames(good, [good[0][:, 0]], colours)
    with pytest.raises(InputError, match="pred holds no clip"):
        frechet_over_frames([], good, colours)
    with pytest.raises(InputError, match=r"gave \[4, 3, 64\] for pred; wanted \[4, F\]"):
        frechet_over_frames(good, good, lambda x: x.float().flatten(2))
    with pytest.raises(InputError, match="training mode"):
        frechet_over_frames(good, good, nn.Flatten())
    with pytest.raises(InputError, match="'frame' or 'clip'"):
        frechet_over_frames(good, good, colours, unit="video")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"wanted \[n, 5\]"):
        FrameRealism(colours, 5).update(good[0], real=True)
    with pytest.raises(InputError, match="NaN or infinity"):
        FrameRealism(lambda x: colours(x) * torch.nan, 3).update(good[0], real=True)
