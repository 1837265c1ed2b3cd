"""One door to the file formats, and the table of what each has a word for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from visavis.behaviour import Behaviour
from visavis.errors import InputError, nearest
from visavis.export.gltf import write_glb
from visavis.export.live_link import write_live_link
from visavis.export.npz import write_npz
from visavis.export.openface import write_openface


@dataclass(frozen=True)
class Format:
    """A file format."""

    name: str
    ending: str
    write: Callable[..., Path]
    about: str
    several: bool = False
    """Whether one file holds several reactions."""


FORMATS = {
    f.name: f
    for f in (
        Format(
            "livelink", ".csv", write_live_link, "Live Link Face CSV: Blender, Maya, Unreal, ..."
        ),
        Format("glb", ".glb", write_glb, "animated glTF: our head, or --avatar with ARKit targets"),
        Format("openface", ".csv", write_openface, "OpenFace 2 style CSV: pose, gaze, AUs"),
        Format("npz", ".npz", write_npz, "named NumPy arrays", several=True),
    )
}
"""By name; the first of an ending is what the ending alone means."""


def format_of(path: str | Path, name: str | None = None) -> Format:
    """The format called `name`, or the one that the path's ending means.

    Raises:
        InputError: no such format, an ending that means none, or one that is not the format's.
    """
    ending = Path(path).suffix.lower()
    if name is None:
        found = next((f for f in FORMATS.values() if f.ending == ending), None)
        if found is None:
            endings = ", ".join(dict.fromkeys(f.ending for f in FORMATS.values()))
            raise InputError(
                f"{Path(path).name} has an ending that names no format; wanted {endings}."
            )
        return found
    if name not in FORMATS:
        raise InputError(f"there is no format {name!r}. {nearest(name, FORMATS)}")
    if FORMATS[name].ending != ending:
        raise InputError(f"{name} is written to {FORMATS[name].ending}, not {ending or 'nothing'}.")
    return FORMATS[name]


def export(
    behaviour: Behaviour, path: str | Path, *, format: str | None = None, **options: object
) -> tuple[Path, ...]:
    """Write a behaviour to a file, or several reactions to numbered files beside each other.

    Args:
        behaviour: [T] or reactions [K, T]; these become `name_01.glb`, `name_02.glb`, ... where
            the format holds one person.
        path: where; its ending chooses the format unless `format` does.
        options: of the format's own function, e.g. `rate=30`, `avatar="me.glb"`.

    Returns:
        The files written.

    Raises:
        InputError, MissingChannel, MissingExtra: as the format's function says.
    """
    chosen = format_of(path, format)
    path = Path(path)
    if not behaviour.lead or chosen.several:
        return (chosen.write(behaviour, path, **options),)
    if len(behaviour.lead) != 1:
        raise InputError(
            f"one clip's reactions [K, T] are exported, not leading axes {list(behaviour.lead)}."
        )
    digits = max(2, len(str(len(behaviour))))
    return tuple(
        chosen.write(one, path.with_stem(f"{path.stem}_{number:0{digits}d}"), **options)
        for number, one in enumerate(behaviour, start=1)
    )
