"""A small corpus in a real layout, written from simulated dyads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from visavis.corpora.simulated import SimulatedDyads
from visavis.errors import InputError, nearest

Progress = Callable[[int, int | None], None]

_WRITERS: dict[str, tuple[str, ...]] = {
    "react": ("_react_write", "write_react"),
    "mars": ("_mars_make", "write_mars"),
    "seamless": ("_seamless_make", "write_seamless"),
    "vico": ("_vico_make", "write_vico"),
    "folder": ("_folder_make", "write_folder"),
}
LAYOUTS = tuple(_WRITERS)
"""Corpora that can be made."""
SIZES = {"train": 8, "val": 4, "test": 4}
"""Dyads a split."""


def make(
    name: str,
    root: str | Path,
    *,
    sizes: Mapping[str, int] | None = None,
    frames: int = 750,
    seed: int = 0,
    audio: bool = True,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Write a corpus as `name` lies on disk; `visavis.corpora.load(name, root=root)` reads it.

    The people are simulated (`SimulatedDyads`), so what is learned from it says nothing about real
    ones: it is for trying loaders, training and scoring end to end.

    Args:
        name: one of `LAYOUTS`.
        root: a new or empty folder.
        sizes: split -> dyads; default `SIZES`.
        frames: of every clip, at 25 fps.
        seed: another seed makes other people.
        audio: whether speakers have a voice, as sound files where the layout has them.
        progress: called with (dyads written, dyads).

    Returns:
        Split -> dyads written.

    Raises:
        InputError: an unknown layout, split or size, or the folder holds something already.
    """
    if name not in _WRITERS:
        raise InputError(f"there is no layout {name!r} to write. {nearest(name, _WRITERS)}")
    where = Path(root)
    if where.exists() and (not where.is_dir() or any(where.iterdir())):
        raise InputError(f"{where} holds something already; choose a new folder.")
    sizes = dict(SIZES if sizes is None else sizes)
    module, function = _WRITERS[name]
    write = getattr(import_module(f"visavis.corpora.{module}"), function)
    total, before = sum(sizes.values()), 0
    for split, size in sizes.items():
        corpus = SimulatedDyads(split, size=size, frames=frames, seed=seed, audio=audio)  # type: ignore[arg-type]

        def told(done: int, _: int | None, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        write(corpus, where, progress=told)
        before += size
    return sizes
