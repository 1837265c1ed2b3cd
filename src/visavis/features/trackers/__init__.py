"""What others' trackers wrote, as a Behaviour: OpenFace, py-feat, Live Link Face, Audio2Face.

A file is recognised by its header, not by its name; columns are found by name, whatever their
order. `visavis.perceive` calls `read` for any table it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from visavis.behaviour import Behaviour
from visavis.errors import InputError, nearest
from visavis.features.trackers import audio2face, livelink, openface, pyfeat
from visavis.features.trackers._reading import Reading
from visavis.features.trackers._table import Table

TABLES = (".csv", ".tsv", ".txt")
"""Endings of the files that are read as tables."""


@dataclass(frozen=True)
class Format:
    """One tracker's table: how it is told from the others, and how it is read."""

    title: str
    recognises: Callable[[Table], bool]
    read: Callable[[Table, float | None], Reading]
    """(table, frames a second or None for the file's own) -> what it says."""
    needs: str
    """The columns it is known by, in words."""


FORMATS: Mapping[str, Format] = {
    "openface": Format(
        "OpenFace 2",
        openface.recognises,
        openface.read,
        "confidence, success and AU01_r or pose_Rx",
    ),
    "pyfeat": Format("py-feat", pyfeat.recognises, pyfeat.read, "FaceScore and AU01"),
    "audio2face": Format(
        "Audio2Face-3D", audio2face.recognises, audio2face.read, "timeCode and blendShapes.JawOpen"
    ),
    "livelink": Format(
        "Live Link Face", livelink.recognises, livelink.read, "Timecode and JawOpen"
    ),
}
"""The trackers whose files can be read, by the name that `tracker=` takes."""


def is_table(path: Path) -> bool:
    """Whether `path` is read as a tracker's table (by its ending)."""
    return path.suffix.lower() in TABLES


def recognised(path: str | Path) -> str:
    """The name in `FORMATS` of the tracker that wrote the table `path`.

    Raises:
        InputError: the file cannot be read, or no tracker's columns are in it.
    """
    return _name_of(Table.of(path))


def read(path: str | Path, *, tracker: str | None = None, fps: float | None = None) -> Behaviour:
    """One person from a tracker's table, on the 25 fps clock.

    The result has those of `au`, `va`, `expression`, `blendshapes`, `rotation`, `translation`
    and `confidence` that the file tells. Labels that it never tells (AU24 in OpenFace) are 0 there
    and 0 in `measured`; a warning names them. Shapes worked out from action units are derived.

    Args:
        path: the table.
        tracker: a name in `FORMATS`; None goes by the header.
        fps: frames a second, in place of the file's own times.

    Raises:
        InputError: the file cannot be read, is no tracker's, or makes no sense; the text names
            the row and column.
    """
    if fps is not None and not 1.0 <= fps <= 500.0:
        raise InputError(f"a tracker's rate lies between 1 and 500 frames a second, not {fps:g}.")
    if tracker is not None and tracker not in FORMATS:
        raise InputError(f"no tracker's files are called {tracker!r}. {nearest(tracker, FORMATS)}")
    table = Table.of(path)
    form = FORMATS[tracker or _name_of(table)]
    if not form.recognises(table):
        raise InputError(
            f"{table.path} is not a table of {form.title}: it is known by the columns "
            f"{form.needs}, and this one begins with {table.beginning}."
        )
    return form.read(table, fps).behaviour(table.path)


def _name_of(table: Table) -> str:
    for name, form in FORMATS.items():
        if form.recognises(table):
            return name
    known = "; ".join(f"{form.title} ({form.needs})" for form in FORMATS.values())
    raise InputError(
        f"{table.path} is no tracker's table: its columns begin with {table.beginning}. "
        f"Tables that can be read: {known}."
    )
