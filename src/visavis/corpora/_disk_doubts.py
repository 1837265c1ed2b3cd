"""What is odd about one side of a clip that could be read."""

from __future__ import annotations

from visavis.behaviour import Behaviour
from visavis.corpora._problems import Problem


def unseen(id: str, side: str, behaviour: Behaviour) -> list[Problem]:
    """Unobserved stretches and values out of range, a problem a kind."""
    found = []
    for channel in behaviour.layout:
        mask = behaviour.mask(channel.name)
        lost = int((~mask).sum())
        if lost:
            what = (
                f"{lost} of {behaviour.frames} frames of the {side}'s {channel.name} are not "
                "there or not finite; they are unobserved."
            )
            found.append(Problem("unobserved", id, what, skipped=False))
        if lost == behaviour.frames or channel.kind == "pixels":
            continue
        values = behaviour.channels[channel.name]
        values = values[mask.repeat_interleave(channel.rate)]
        low, high = float(values.min()), float(values.max())
        if (channel.low is not None and low < channel.low - 0.01) or (
            channel.high is not None and high > channel.high + 0.01
        ):
            what = (
                f"the {side}'s {channel.name} runs from {low:.3g} to {high:.3g}, outside "
                f"{channel.low} to {channel.high}; it is used as it is."
            )
            found.append(Problem("range", id, what, skipped=False))
    return found
