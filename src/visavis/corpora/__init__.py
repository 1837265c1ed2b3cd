"""Corpora on disk or made up -> dyads. Names are loaded on first use."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from visavis._lazy import lazily
from visavis.errors import InputError, nearest

if TYPE_CHECKING:
    from visavis.corpora._base import Corpus, Oracle
    from visavis.corpora._batch import collate
    from visavis.corpora._dropout import Dropout
    from visavis.corpora.react import React
    from visavis.corpora.simulated import SimulatedDyads

_HOME = {
    "Corpus": "_base",
    "Dropout": "_dropout",
    "Oracle": "_base",
    "React": "react",
    "SimulatedDyads": "simulated",
    "collate": "_batch",
}

__all__ = ["CORPORA", "Corpus", "Dropout", "Oracle", "React", "SimulatedDyads", "collate", "load"]


class Entry(NamedTuple):
    """Where a corpus's class lives and how it is called: `cls(split, **options)`, or
    `cls(root, split, **options)` for a corpus on disk."""

    module: str
    name: str
    rooted: bool = True


CORPORA: dict[str, Entry] = {
    "folder": Entry("folder", "Folder"),
    "mars": Entry("mars", "Mars"),
    "react": Entry("react", "React"),
    "seamless": Entry("seamless", "Seamless"),
    "simulated": Entry("simulated", "SimulatedDyads", rooted=False),
    "vico": Entry("vico", "Vico"),
}
"""Public name -> class."""


def load(name: str, split: str = "train", *, root: str | Path | None = None, **options: Any) -> Any:
    """One split of a corpus by its public name.

    Args:
        name: one of `CORPORA`.
        split: "train", "val" or "test" (where the corpus has them).
        root: the folder that holds the corpus; `simulated` has none.
        options: keyword arguments of the corpus's class.

    Returns:
        A `Corpus` (see `corpora/_base.py`).

    Raises:
        InputError: an unknown corpus, split or option (the nearest is named), a root missing or
            given in vain.
    """
    if name not in CORPORA:
        raise InputError(f"there is no corpus {name!r}. {nearest(name, CORPORA)}")
    entry = CORPORA[name]
    if entry.rooted and root is None:
        raise InputError(f"the corpus {name!r} lies on disk: give its folder as `root`.")
    if not entry.rooted and root is not None:
        raise InputError(f"the corpus {name!r} is made, not read: it takes no root ({root}).")
    cls = getattr(import_module(f"visavis.corpora.{entry.module}"), entry.name)
    known = [p for p in inspect.signature(cls).parameters if p not in ("split", "root")]
    for option in options:
        if option not in known:
            raise InputError(f"{name!r} has no option {option!r}. {nearest(option, known)}")
    return cls(root, split, **options) if entry.rooted else cls(split, **options)


__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
