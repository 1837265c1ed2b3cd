"""What a caller gave, checked: the speaker a model reads and the seeds it draws from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import FPS, GROUPS, Channel, Layout
from visavis.errors import InputError, MissingChannel

_CLOCK = Channel("clock", ("tick",))


def readable(model: str, wanted: tuple[str, ...], speaker: Any, dtype: torch.dtype) -> Behaviour:
    """The wanted channels alone, in that order, floating ones in `dtype`.

    A model that reads nothing gets a clock of the speaker's shape, all zeros: what else was
    offered does not matter, now or later.

    Raises:
        MissingChannel: the speaker lacks a wanted channel.
        InputError: it is no behaviour, or of another convention or frame rate.
    """
    if not isinstance(speaker, Behaviour):
        raise InputError(
            f"{model} reads a Behaviour, not {_named(speaker)}; make one with "
            "visavis.perceive(path), or load a saved one with visavis.Behaviour.load(path)."
        )
    if speaker.layout.convention != "arkit":
        raise InputError(
            f"{model} reads coefficients in this library's convention, but these are in "
            f"{speaker.layout.convention}'s; convert them first."
        )
    if speaker.fps != FPS:
        raise InputError(
            f"{model} works at {FPS:g} frames a second, but this speaker is at "
            f"{speaker.fps:g}; visavis.perceive gives {FPS:g}, or resample the channels."
        )
    missing = [n for n in wanted if n not in speaker.layout]
    if missing:
        raise MissingChannel(
            f"{model} reads {', '.join(wanted)}, but the speaker has no {', '.join(missing)} "
            f"(it has {', '.join(speaker.layout.names)}). {_advice(missing)}"
        )
    if not wanted:
        ticks = torch.zeros(*speaker.lead, speaker.frames, 1, dtype=dtype, device=speaker.device)
        return replace(
            speaker,
            channels={"clock": ticks},
            layout=Layout((_CLOCK,)),
            observed={},
            derived=frozenset(),
        )
    return replace(
        speaker,
        channels={n: _cast(speaker.channels[n], dtype) for n in wanted},
        layout=Layout(tuple(speaker.layout[n] for n in wanted)),
        observed={n: speaker.observed[n] for n in wanted if n in speaker.observed},
        derived=speaker.derived & set(wanted),
    )


def _cast(values: Tensor, dtype: torch.dtype) -> Tensor:
    return values.to(dtype) if values.is_floating_point() else values


def _named(thing: object) -> str:
    return f"the path {str(thing)!r}" if isinstance(thing, str) else f"a {type(thing).__name__}"


def _advice(missing: list[str]) -> str:
    speech = [n for n in missing if n in GROUPS["speech"]]
    if speech:
        return f"visavis.perceive(..., speech={tuple(speech)!r}) extracts speech."
    if "pixels" in missing:
        return "visavis.perceive(..., keep_pixels=True) keeps pixels."
    return (
        "visavis.perceive tracks a face; visavis.features.attributes.complete makes attributes "
        "from coefficients and back."
    )


def seeds_of(seeds: object, clips: int) -> list[int]:
    """One seed a clip, from a whole number for all of them or from one each.

    Raises:
        InputError: one is not a whole number that 64 bits hold, or they are not one a clip.
    """
    plain = seeds.tolist() if isinstance(seeds, Tensor | np.ndarray | np.generic) else seeds
    found = plain if isinstance(plain, list | tuple) else [plain] * clips
    for seed in found:
        if type(seed) is not int or not -(2**63) <= seed < 2**63:  # a bool is not meant as one
            raise InputError(
                f"seeds are whole numbers from -2**63 to 2**63 - 1, one for all clips or one "
                f"each, not {seed!r}."
            )
    if len(found) != clips:
        raise InputError(f"{len(found)} seeds came for {clips} clips; give one, or one a clip.")
    return list(found)
