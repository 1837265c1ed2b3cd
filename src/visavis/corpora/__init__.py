"""Corpora on disk or made up -> dyads. Names are loaded on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visavis.corpora._batch import collate
    from visavis.corpora.simulated import SimulatedDyads

_HOME = {"SimulatedDyads": "simulated", "collate": "_batch"}

__all__ = ["SimulatedDyads", "collate"]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'visavis.corpora' has no attribute {name!r}") from None
    return getattr(import_module(f"visavis.corpora.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
