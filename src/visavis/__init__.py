"""visavis: multiple appropriate facial reactions to a speaker, offline and live.

The names below are loaded on first use, so that `import visavis` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from visavis._lazy import lazily

if TYPE_CHECKING:
    from visavis.behaviour import Behaviour, Source, Word
    from visavis.channels import Channel, Layout
    from visavis.dyad import Batch, Dyad, Persona
    from visavis.errors import InputError, MissingChannel, MissingExtra, OfflineOnly, VisavisError
    from visavis.features.perceive import perceive
    from visavis.pretrained import available, load, save
    from visavis.render.report import write_report
    from visavis.render.video import render_video
    from visavis.streaming.rolling import RollingSession

__version__ = "0.1.0"

_HOME = {
    "Behaviour": "behaviour",
    "Source": "behaviour",
    "Word": "behaviour",
    "Channel": "channels",
    "Layout": "channels",
    "Batch": "dyad",
    "Dyad": "dyad",
    "Persona": "dyad",
    "InputError": "errors",
    "MissingChannel": "errors",
    "MissingExtra": "errors",
    "OfflineOnly": "errors",
    "VisavisError": "errors",
    "perceive": "features.perceive",
    "available": "pretrained",
    "load": "pretrained",
    "save": "pretrained",
    "write_report": "render.report",
    "render_video": "render.video",
    "RollingSession": "streaming.rolling",
}

__all__ = [
    "Batch",
    "Behaviour",
    "Channel",
    "Dyad",
    "InputError",
    "Layout",
    "MissingChannel",
    "MissingExtra",
    "OfflineOnly",
    "Persona",
    "RollingSession",
    "Source",
    "VisavisError",
    "Word",
    "__version__",
    "available",
    "load",
    "perceive",
    "render_video",
    "save",
    "write_report",
]


__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
