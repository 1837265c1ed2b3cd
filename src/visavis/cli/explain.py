"""`visavis explain`: what of the speaker a model attends to, frame by frame, as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import typer
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.cli.perceive import speaker_from
from visavis.errors import InputError
from visavis.files import atomic_path, keep_apart
from visavis.models._base import ReactionModel
from visavis.pretrained import load

F32 = NDArray[np.float32]

NAMES = {
    "modality": "speech (MIM)",
    "visual": "face (VIM)",
    "heard": "behaviour (relative attention)",
}
"""A model's attention maps and what a reader calls them, in the order of ReactFace's Fig. 9."""


@runtime_checkable
class Explains(Protocol):
    """A model that can say what of the speaker it attends to."""

    def attention_maps(
        self, speaker: Behaviour, *, seed: int = 0, window: int | None = None
    ) -> Mapping[str, Tensor]:
        """Weights [heads, T, k T] by name: rows frames of the reaction, columns the speaker's
        ticks, 0 where not seen."""


def run(
    source: Path,
    out: Path,
    *,
    model: str,
    seed: int,
    window: int | None,
    start: float,
    seconds: float,
    as_json: bool,
    quiet: bool,
) -> None:
    loaded = load(model)  # before the long work, so that a misspelt name costs nothing
    if not isinstance(loaded, Explains):
        raise InputError(
            f"{loaded.name} has no attention between speaker and reaction to show; reactface and "
            "mreactor have."
        )
    if out.suffix not in (".png", ".safetensors"):
        raise InputError(f"{out} must end in .png (a picture) or .safetensors (the weights).")
    if window is not None and window < 1:
        raise InputError(f"--window must be at least 1 frame, not {window}.")
    keep_apart(out, source)
    speaker, media = speaker_from(source, quiet=quiet)
    maps, told = explained(loaded, speaker, seed=seed, window=window, start=start, seconds=seconds)
    if out.suffix == ".png":
        from visavis.cli._explain_picture import draw

        parts = [loaded.name, (media or source).name]
        if told["window"] is not None:
            parts.insert(1, f"window {told['window']} frames")
        about = ", ".join(parts)
        draw(maps, out, title=about, start_s=told["start_s"], fps=speaker.fps)
    else:
        with atomic_path(out) as temporary:
            save_file(_tensors(maps), temporary)
    if as_json:
        typer.echo(json.dumps({"out": str(out), **told}))
        return
    typer.echo(str(out))
    for name, of in told["modules"].items():
        typer.echo(
            f"{name:<14} half of the weight within {of['half_within_s']:.2f} s, "
            f"{100 * of['last_second']:.0f} % within the last second, "
            f"{of['future']:.3g} on the future"
        )


def explained(
    model: ReactionModel[Any],
    speaker: Behaviour,
    *,
    seed: int,
    window: int | None,
    start: float,
    seconds: float,
) -> tuple[dict[str, F32], dict[str, Any]]:
    """Weights [heads, T, k T] of the shown frames by caption, NaN ahead of each frame, and what
    they say in numbers.

    Raises:
        InputError: no frame lies in what is to be shown, or the model has no such attention.
    """
    first = round(start * speaker.fps)
    last = min(speaker.frames, first + round(seconds * speaker.fps))
    if not 0 <= first < last:
        raise InputError(
            f"nothing lies between {start:g} s and {start + seconds:g} s: the clip has "
            f"{speaker.duration_s:.2f} s."
        )
    assert isinstance(model, Explains)
    # what comes after the shown frames changes nothing in them, but for a model that looks ahead
    ahead = bool(getattr(model, "looks_ahead", False))
    seen = speaker if ahead else speaker.window(0, last)
    found = model.attention_maps(seen, seed=seed, window=window)
    if ahead:
        found = {n: x[:, :last] for n, x in found.items()}
    if not found:
        raise InputError(f"{model.name} is configured without attention to the speaker.")
    maps, modules = {}, {}
    for name in (n for n in NAMES if n in found):
        weights = found[name].double().cpu().numpy()
        caption = f"attention to the speaker's {NAMES[name]}, mean of {len(weights)} heads"
        rate = weights.shape[2] // seen.frames
        modules[NAMES[name]] = _reach(weights[:, first:], first, speaker.fps, rate)
        maps[caption] = _shown(weights[:, :, : last * rate], first, rate, ahead=ahead)
    told = {
        "model": model.name,
        "window": window or getattr(model.config, "window", None),
        "start_s": first / speaker.fps,
        "frames": last - first,
        "modules": modules,
    }
    return maps, told


def _shown(weights: NDArray[np.float64], first: int, rate: int, *, ahead: bool = False) -> F32:
    """[heads, T, k T] from frame `first` on, NaN ahead of each frame where nobody looks there."""
    kept = weights[:, first:, first * rate :].astype(np.float32)
    if ahead:
        return kept
    frames = np.arange(kept.shape[1])[:, None]
    kept[:, np.arange(kept.shape[2]) // rate > frames] = np.nan
    return kept


def _reach(weights: NDArray[np.float64], first: int, fps: float, rate: int = 1) -> dict[str, float]:
    """How far back attention lies, over heads and rows [heads, t, k T]; row 0 is frame `first`."""
    frames = first + np.arange(weights.shape[1])[:, None]
    age = (rate * (frames + 1) - 1 - np.arange(weights.shape[2])) / (rate * fps)  # seconds
    share = weights.mean(axis=0) / weights.shape[1]
    order = np.argsort(age, axis=None)
    total = np.cumsum(share.ravel()[order])
    half = age.ravel()[order][min(int(np.searchsorted(total, 0.5)), total.size - 1)]
    return {
        "half_within_s": round(float(half), 3),
        "last_second": round(float(share[(age >= 0) & (age < 1)].sum()), 4),
        "future": float(share[age < 0].sum()),
    }


def _tensors(maps: dict[str, F32]) -> dict[str, Tensor]:
    import torch

    short = {caption: name for name in NAMES for caption in maps if NAMES[name] in caption}
    return {short[c]: torch.from_numpy(np.nan_to_num(m)).contiguous() for c, m in maps.items()}
