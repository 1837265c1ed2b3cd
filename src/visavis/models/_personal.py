"""What every personal model does with a persona, whatever its embedding means."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from visavis.behaviour import Behaviour, Source
from visavis.channels import GROUPS, STANDARD
from visavis.dyad import TRAITS, Persona
from visavis.errors import InputError

logger = logging.getLogger("visavis")


def embedding_for(persona: Persona, clips: int, width: int, like: Tensor) -> Tensor:
    """The embedding [B, C] for B clips, where `like` lies and in its precision.

    Raises:
        InputError: it has another size, or is of another number of listeners.
    """
    found = persona.embedding
    if found.shape[-1] != width or (found.ndim == 2 and len(found) != clips):
        raise InputError(
            f"the persona's embedding is {list(found.shape)}; this {persona.model} wants [{width}] "
            f"or [{clips}, {width}]. Was it made by other weights?"
        )
    return found.to(device=like.device, dtype=like.dtype).expand(clips, width)


def checked_traits(traits: Tensor) -> Tensor:
    """Big Five [5] in [0, 1].

    Raises:
        InputError: they are not.
    """
    given = torch.as_tensor(traits, dtype=torch.float32)
    inside = bool(((given >= 0) & (given <= 1)).all())
    if tuple(given.shape) != (len(TRAITS),) or not inside:
        raise InputError(
            f"traits are {len(TRAITS)} numbers in [0, 1] ({', '.join(TRAITS)}), not "
            f"{given.tolist()}."
        )
    return given


def warn_of_speaker(speaker: Behaviour, persona: Persona) -> None:
    """Say so where the history and the speaker are one film: the listener's is wanted."""
    sources = speaker.source if isinstance(speaker.source, tuple) else (speaker.source,)
    if persona.source and any(isinstance(s, Source) and s.path == persona.source for s in sources):
        logger.warning(
            "the persona was made from %s, which is the speaker here: a persona is made from the "
            "listener's history",
            persona.source,
        )


def path_of(history: Behaviour | None) -> str:
    """The file a history was perceived from, or nothing."""
    return history.source.path if history is not None and isinstance(history.source, Source) else ""


def expressed(
    channels: Mapping[str, Tensor], rest: Mapping[str, Tensor], factor: float
) -> dict[str, Tensor]:
    """Reactions taken `factor` times as far from the average listener's face.

    Args:
        channels: [..., *width] each, in their ranges.
        rest: the average a channel, [*width].

    Returns:
        The same channels in their ranges: expressions sum to 1 again, others are clamped.
    """
    if factor == 1.0:
        return dict(channels)
    out = {}
    for name, values in channels.items():
        channel = STANDARD[name]
        moved = rest[name] + factor * (values - rest[name])
        if channel.kind == "simplex":
            moved = moved.clamp(min=0.0)
            moved = moved / moved.sum(-1, keepdim=True).clamp(min=1e-8)
        elif channel.low is not None or channel.high is not None:
            moved = moved.clamp(channel.low, channel.high)
        out[name] = moved
    return out


def rest_of(coefficients: Tensor, attributes: Tensor) -> dict[str, Tensor]:
    """Averages [58] and [25] by channel."""
    out: dict[str, Tensor] = {}
    for group, values in (("coefficients", coefficients), ("attributes", attributes)):
        names = GROUPS[group]
        parts = values.split([STANDARD[n].size for n in names])
        out |= dict(zip(names, parts, strict=True))
    return out
