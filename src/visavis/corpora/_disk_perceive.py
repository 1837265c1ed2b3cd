"""Films of a corpus as behaviours: perceived once, kept as a file, read ever after."""

from __future__ import annotations

import logging
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from visavis.behaviour import Behaviour, Source
from visavis.corpora._disk_piece import Piece
from visavis.corpora._disk_root import by_name
from visavis.errors import InputError

logger = logging.getLogger("visavis")


def kept_below(folder: Path) -> dict[str, Path]:
    """Film's name without suffix -> what is kept of it, in a folder and below.

    `visavis perceive FOLDER` keeps the folders of the films, and names a behaviour
    `<name>.mp4.safetensors` where a sound of the same name lies beside the film.

    Raises:
        InputError: a name comes twice.
    """
    found: dict[str, Path] = {}
    for name, path in by_name(folder, ".safetensors").items():
        film = name.removesuffix(".mp4")
        if film in found:
            raise InputError(f"{found[film]} and {path} are of one film; remove one.")
        found[film] = path
    return found


def perceived(film: Piece | None, kept: Path, *, allowed: bool) -> Behaviour:
    """The behaviour in a film, from the file `kept` where it is, else perceived and kept there.

    Perceiving is slow and happens once; whoever changes a film removes the file that was kept. A
    film inside an archive is copied to a temporary file for as long as it is looked at.

    Args:
        film: what to perceive, if need be.
        kept: a .safetensors file.
        allowed: whether a film may be perceived now.

    Raises:
        InputError: `kept` is not there and nothing may or can be perceived, or it is damaged.
        MissingExtra: no tracker is installed.
    """
    if kept.is_file():
        return Behaviour.load(kept)
    if film is None:
        raise InputError(f"{kept} is not there, nor is there a film to perceive it from.")
    if not allowed:
        raise InputError(
            f"{kept} is not there. Give perceive=True to make it from {film.name} on first use, "
            "or make all of them first: `visavis perceive FOLDER`."
        )
    from visavis.features.perceive import perceive

    logger.info("perceiving %s into %s", film.name, kept)
    if not film.packed:
        behaviour = perceive(film.path)
    else:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / f"film{Path(film.name).suffix}"
            with film.open() as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target)
            behaviour = replace(perceive(copy), source=Source(film.name))
    kept.parent.mkdir(parents=True, exist_ok=True)
    behaviour.save(kept)
    return behaviour
