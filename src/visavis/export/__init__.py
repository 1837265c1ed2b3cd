"""Behaviour -> files and live avatar protocols. Names are loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from visavis._lazy import lazily

if TYPE_CHECKING:
    from visavis.export.formats import FORMATS, export
    from visavis.export.gltf import write_glb
    from visavis.export.live_link import live_link_packets, write_live_link
    from visavis.export.npz import write_npz
    from visavis.export.openface import write_openface
    from visavis.export.udp import send
    from visavis.export.vmc import vmc_messages

_HOME = {
    "FORMATS": "formats",
    "export": "formats",
    "live_link_packets": "live_link",
    "send": "udp",
    "vmc_messages": "vmc",
    "write_glb": "gltf",
    "write_live_link": "live_link",
    "write_npz": "npz",
    "write_openface": "openface",
}

__all__ = [
    "FORMATS",
    "export",
    "live_link_packets",
    "send",
    "vmc_messages",
    "write_glb",
    "write_live_link",
    "write_npz",
    "write_openface",
]


__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
