"""A behaviour in words, for notebooks and terminals."""

from __future__ import annotations

import torch

from visavis.behaviour import Behaviour, Source, words_of


def describe(behaviour: Behaviour) -> str:
    """Size, then a line a channel: width, range, how much was observed."""
    sizes = " x ".join(map(str, (*behaviour.lead, behaviour.frames)))
    lines = [f"Behaviour: {sizes} frames ({behaviour.duration_s:.2f} s at {behaviour.fps:g} fps)"]
    if behaviour.layout.convention != "arkit":
        lines[0] += f", coefficients as in {behaviour.layout.convention}"
    if behaviour.lengths is not None:
        low, high = int(behaviour.lengths.min()), int(behaviour.lengths.max())
        lines[0] += f", padded: {low} to {high} frames a clip"
    for channel in behaviour.layout:
        lines.append(_line(behaviour, channel.name))
    count = sum(len(ws) if isinstance(ws, tuple) else 1 for ws in behaviour.words)
    if count:
        start = " ".join(w.text for w in words_of(behaviour, 0)[:8])
        lines.append(f'  {"words":<12} {count:>5}  "{start} ..."')
    if isinstance(behaviour.source, Source):
        lines.append(f"  from {behaviour.source.path} at {behaviour.source.start_s:g} s")
    return "\n".join(lines)


def _line(behaviour: Behaviour, name: str) -> str:
    channel, values = behaviour.layout[name], behaviour.channels[name]
    width = "x".join(map(str, channel.width))
    seen = values[torch.isfinite(values)] if values.is_floating_point() else values
    span = f"{float(seen.min()):.3g} to {float(seen.max()):.3g}" if seen.numel() else "no values"
    line = f"  {name:<12} {width:>5}  {span}"
    if name in behaviour.observed:
        line += f", observed {100 * float(behaviour.mask(name).float().mean()):.1f} %"
    return line + (", derived" if name in behaviour.derived else "")
