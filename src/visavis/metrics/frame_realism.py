"""FID and FVD over rendered frames, with the user's own feature network.

No weights come with this library and none are fetched. Scores of different networks, renderers,
picture sizes, frame choices or clip counts are not comparable: a published FRRea is FID over about
1,700 frames in one repository and FVD over 100 videos in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from visavis.errors import InputError
from visavis.metrics.frechet import (
    Frechet,
    GaussianPair,
    between_moments,
    frechet,
    say_if_few,
)

Features = Callable[[Tensor], Tensor]
Unit = Literal["frame", "clip"]
EVERY = 30
"""The REACT challenge takes frames 0, 30, ..., 720 of a clip of 750."""
LIMIT = 25
"""So 25 a clip, also where a clip is longer."""
BATCH = 32


def sample_frames(clip: Tensor, *, every: int = EVERY, limit: int = LIMIT) -> Tensor:
    """Frames 0, every, 2 every, ... of `clip` [T, C, H, W], at most `limit` of them."""
    if every < 1 or limit < 1:
        raise InputError(f"every and limit must be positive, not {every} and {limit}.")
    return clip[::every][:limit]


def load_features(path: str | Path) -> Features:
    """A feature network from a TorchScript file, in evaluation mode on the CPU.

    Only open files from people you trust. A network with other arguments or scaling than
    `frechet_over_frames` gives is wrapped in a function of one's own.

    Raises:
        InputError: there is no such file, or it is not TorchScript.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Give a TorchScript file of a feature network.")
    try:
        network = torch.jit.load(str(path), map_location="cpu")
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} is not a TorchScript file ({reason}). "
            "Save the network with torch.jit.script(network).save(path), or give a callable."
        ) from None
    evaluating: Features = network.eval()
    return evaluating


def frechet_over_frames(
    pred: Iterable[Tensor],
    real: Iterable[Tensor],
    features: Features | str | Path,
    *,
    unit: Unit = "frame",
    every: int = EVERY,
    limit: int = LIMIT,
) -> Frechet:
    """Squared Fréchet distance between features of generated and real videos.

    With `unit="frame"` (FID) the network gets batches [B, 3, H, W] of at most 32 frames, every
    30th frame and at most 25 of each clip, as the REACT challenge's evaluation; with
    `unit="clip"` (FVD) it gets whole clips [1, 3, T, H, W] and `every`, `limit` are not used.
    Pictures are handed over as they are (uint8 0 to 255 where `Behaviour` pixels are given): size
    and scale are the network's business. The challenge takes the first sample of each reaction.

    Args:
        pred, real: clips [T, 3, H, W], read one at a time.
        features: the network, pictures -> [B, F], or a TorchScript file of one.

    Raises:
        InputError: a clip of another shape, features that are not [B, F] or not finite, fewer
            than two features in a set.
    """
    network = features if callable(features) else load_features(features)
    rows = [
        _all_features(name, clips, network, unit=unit, every=every, limit=limit)
        for name, clips in (("pred", pred), ("real", real))
    ]
    found = frechet(*rows)
    say_if_few(f"Fréchet distance over {unit}s", (len(rows[0]), len(rows[1])), rows[0].shape[1])
    return found


def _all_features(
    name: str, clips: Iterable[Tensor], network: Features, *, unit: Unit, every: int, limit: int
) -> Tensor:
    found = [
        _call(network, batch, name)
        for clip in clips
        for batch in _batches(name, clip, unit=unit, every=every, limit=limit)
    ]
    if not found:
        raise InputError(f"{name} holds no clip; wanted clips [T, 3, H, W].")
    return torch.cat(found).double().cpu()


def _batches(name: str, clip: Tensor, *, unit: Unit, every: int, limit: int) -> Iterator[Tensor]:
    """What the network gets of one clip."""
    if not isinstance(clip, Tensor) or clip.ndim != 4 or clip.shape[1] != 3 or 0 in clip.shape:
        shape = list(getattr(clip, "shape", ())) or type(clip).__name__
        raise InputError(f"{name}: a clip is {shape}; wanted a tensor [T, 3, H, W].")
    if unit == "frame":
        yield from sample_frames(clip, every=every, limit=limit).split(BATCH)
    elif unit == "clip":
        yield clip.transpose(0, 1).unsqueeze(0)
    else:
        raise InputError(f"unit must be 'frame' or 'clip', not {unit!r}.")


def _call(network: Features, batch: Tensor, name: str) -> Tensor:
    if isinstance(network, torch.nn.Module) and network.training:
        raise InputError("the feature network is in training mode; call its eval() first.")
    with torch.inference_mode():
        found = network(batch)
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(batch):
        shape = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(
            f"the feature network gave {shape} for {name}; wanted [{len(batch)}, F]. "
            "Wrap it in a function that returns pooled features."
        )
    return found


class FrameRealism(GaussianPair):
    """Streaming `frechet_over_frames`.

    Args:
        features: the network, pictures -> [B, F], or a TorchScript file of one.
        dimension: F, 2048 for the pool of Inception-v3, 400 or 1024 for I3D.
    """

    def __init__(
        self,
        features: Features | str | Path,
        dimension: int,
        *,
        unit: Unit = "frame",
        every: int = EVERY,
        limit: int = LIMIT,
        **options: Any,
    ) -> None:
        super().__init__(dimension, **options)
        self.network = features if callable(features) else load_features(features)
        self.unit: Unit = unit
        self.every = every
        self.limit = limit

    def update(self, clip: Tensor, *, real: bool) -> None:
        """Count one clip [T, 3, H, W] of the generated or of the real videos."""
        name = "real" if real else "pred"
        options = {"every": self.every, "limit": self.limit}
        self.add(_all_features(name, [clip], self.network, unit=self.unit, **options), real=real)

    def report(self) -> Frechet:
        """The distance with its parts, of everything counted so far in this process."""
        found = between_moments(self.moments("pred"), self.moments("real"))
        counts = int(self.pred_n), int(self.real_n)
        say_if_few(f"Fréchet distance over {self.unit}s", counts, self.dimension)
        return found

    def compute(self) -> Tensor:
        return torch.tensor(
            self.report().distance, dtype=torch.float64, device=self.pred_sum.device
        )
