"""A small corpus in the tree of MARS, from any dyads: to test loaders end to end on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.corpora import _mars_files as files
from visavis.corpora._disk_clock import resample
from visavis.corpora._disk_make import (
    Progress,
    Writable,
    fresh_folder,
    write_npy,
    write_sound,
    write_table,
)
from visavis.dyad import TRAITS
from visavis.features.faceverse import to_faceverse

REST = (0.0, 0.0, 1.84)
"""Where written heads are at rest, in FaceVerse units: the released data's z lies near 1.84."""
START = 103100
"""Of the first recording's name, as the real ones: hours, minutes, seconds of two cameras."""


def write_mars(
    corpus: Writable, root: str | Path, *, fps: float = 30.0, progress: Progress | None = None
) -> Path:
    """Write one split of `corpus` as MARS has it; every script becomes a session.

    Args:
        corpus: whose dyads are written; those with a `sound` get a wav.
        root: the folder of the splits; this one must not be there yet.
        fps: of the files.
        progress: called with (dyads done, dyads).

    Returns:
        The folder of the split.

    Raises:
        InputError: the split is there already or cannot be written.
    """
    split = fresh_folder(Path(root) / corpus.split)
    scripts: dict[str | None, str] = {}
    traits: dict[str, list[list[str]]] = {role: [] for role in files.ROLES}
    for done, dyad in enumerate(corpus, start=1):
        session = scripts.setdefault(dyad.script, f"session{len(scripts)}")
        name = f"Camera-2024-06-21-{START + done:06d}-{START + done - 19:06d}"
        for role, who in (("speaker", dyad.speaker), ("listener", dyad.listener)):
            place = files.Recording(role, session, name, who.frames)
            for kind, group in (
                (files.ATTRIBUTES, "attributes"),
                (files.COEFFICIENTS, "coefficients"),
            ):
                write_npy(place.path(split, kind, ".npy"), _rows(who, GROUPS[group], fps))
        write_sound(corpus, dyad, split / files.AUDIO / "speaker" / session / f"{name}.wav")
        if dyad.traits is not None:
            scores = 1 + 4 * dyad.traits
            row = [f"{name}.mp4", session, *(f"{float(x):.6f}" for x in scores)]
            traits["listener"].append(row)
        if progress is not None:
            progress(done, len(corpus))
    header = ("video_name", "session", *(name.capitalize() for name in TRAITS))
    for role, rows in traits.items():
        if rows:
            write_table(split / "personality" / f"{role}.csv", header, rows)
    mean = np.zeros(58, np.float32)
    mean[-3:] = REST
    write_npy(split.parent / "mean_face.npy", mean)
    return split


def _rows(who: Behaviour, names: tuple[str, ...], fps: float) -> NDArray[np.float32]:
    """[T, width] at `fps`; NaN where unobserved."""
    clip = resample(who.select(*names), fps)
    if "rotation" in names:
        clip = to_faceverse(clip, rest=REST)
    return np.concatenate([clip.channels[name].numpy() for name in names], axis=1)
