"""Films of a corpus as behaviours: perceived once, kept as a file, read ever after."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

from visavis.behaviour import Behaviour, Source
from visavis.corpora._disk_memory import contents_of, remember
from visavis.corpora._disk_piece import Piece
from visavis.corpora._disk_root import by_name
from visavis.errors import InputError
from visavis.files import atomic_path

Faces = str | Path | Literal["found", "beside"] | None
"""Where behaviours perceived from a corpus's films are: "beside" them, in a folder, nowhere (None),
or "found": beside them if any lies there."""

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

    Perceiving is slow and happens once for a film's content: its hash is kept beside the
    behaviour, in `.<name>.film`, and a film whose content is another since is perceived again. A
    behaviour without such a file (of `visavis perceive`, or brought along) is taken as it is. A
    film inside an archive is copied to a temporary file for as long as it is looked at.

    Args:
        film: what to perceive, if need be.
        kept: a .safetensors file.
        allowed: whether a film may be perceived now.

    Raises:
        InputError: `kept` is not there, or is of other content than the film has now, and nothing
            may or can be perceived; or it is damaged.
        MissingExtra: no tracker is installed.
    """
    if kept.is_file() and (film is None or not _changed(film, kept)):
        return Behaviour.load(kept)
    if film is None:
        raise InputError(f"{kept} is not there, nor is there a film to perceive it from.")
    if not allowed:
        why = "was perceived from other content" if kept.is_file() else "is not there"
        raise InputError(
            f"{kept} {why}. Give perceive=True to make it from {film.name} on first use, "
            "or make all of them first: `visavis perceive FOLDER`."
        )
    from visavis.features.perceive import perceive

    logger.info("perceiving %s into %s", film.name, kept)
    content = _content(film)
    if not film.packed:
        behaviour = perceive(film.path)
    else:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / f"film{Path(film.name).suffix}"
            with film.open() as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target)
            behaviour = replace(perceive(copy), source=Source(film.name))
    kept.parent.mkdir(parents=True, exist_ok=True)
    mark = film_mark(kept)
    mark.unlink(missing_ok=True)  # killed between the two writes: taken as it is, not perceived
    behaviour.save(kept)
    with atomic_path(mark) as temporary:
        temporary.write_text(content, "ascii")
    return behaviour


def film_mark(kept: Path) -> Path:
    """The file that holds the hash of the film behind a behaviour."""
    return kept.with_name(f".{kept.name}.film")


def _changed(film: Piece, kept: Path) -> bool:
    """Whether the film has other content than when `kept` was made of it."""
    try:
        then = film_mark(kept).read_text("ascii")
    except (OSError, ValueError):
        return False
    return then != _content(film)


def _content(film: Piece) -> str:
    """The hash of a film, taken again only when its file, or its archive's, looks another."""

    def digest(_: str) -> str:
        found = hashlib.blake2b(digest_size=16)
        with film.open() as file:
            while piece := file.read(1 << 20):
                found.update(piece)
        return found.hexdigest()

    contents = contents_of(film.name, digest)
    found = contents.of(film.path)
    remember(contents)
    return found


def behind(film: Path | None, kept: Path) -> Path:
    """The file whose content decides: the film, except of a behaviour that was brought along."""
    brought = kept.is_file() and not film_mark(kept).is_file()
    return kept if film is None or brought or not film.is_file() else film
