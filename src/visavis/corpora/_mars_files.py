"""The tree of MARS (REACT 2025 and 2026): which files make a pair, and who scored what.

<root>/<split>/facial-attributes/{speaker,listener}/session{0..22}/<recording>.npy    (T, 25)
<root>/<split>/coefficients/...                                                       (T, 58)
<root>/<split>/{audio,audio-features,video-face-crop,video-raw,eeg_processed}/...
<root>/<split>/personality/{speaker,listener}.csv        (2026; also looked for in <root>)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from visavis.corpora._disk_read import npy_frames, read_table
from visavis.corpora._disk_root import entries
from visavis.corpora._disk_traits import scored
from visavis.corpora._problems import Problem
from visavis.dyad import TRAITS
from visavis.errors import InputError

ATTRIBUTES, COEFFICIENTS = "facial-attributes", "coefficients"
AUDIO, WAV2VEC, EEG = "audio", "audio-features", "eeg_processed"
VIDEOS = ("video-face-crop", "video-raw")
ROLES = ("speaker", "listener")
WIDTHS = {ATTRIBUTES: 25, COEFFICIENTS: 58, WAV2VEC: 768}
SESSION = re.compile(r"session(\d+)")
SUFFIX = re.compile(r"\.(mp4|npy|wav|csv)$")
TRAIT_COLUMNS = tuple(name.capitalize() for name in TRAITS)


@dataclass(frozen=True)
class Recording:
    """One person in one recording: a place in the tree, and how many frames there are."""

    role: str
    session: str
    name: str
    frames: int

    def path(self, split: Path, kind: str, suffix: str) -> Path:
        return split / kind / self.role / self.session / f"{self.name}{suffix}"


def recordings(split: Path) -> tuple[list[tuple[Recording, Recording]], list[Problem]]:
    """The pairs (person in the speaker's seat, in the listener's), by session and name.

    A recording without its partner, or whose attributes are missing, cut off or of another
    width, is left out and reported.
    """
    problems: list[Problem] = []
    found = {role: _role(split, role, problems) for role in ROLES}
    speakers, listeners = found["speaker"], found["listener"]
    for role, mine, other in (
        ("speaker", speakers, listeners),
        ("listener", listeners, speakers),
    ):
        for session, name in sorted(set(mine) - set(other), key=_order):
            where = f"{ATTRIBUTES}/{role}/{session}/{name}.npy"
            what = f"there is no usable {other_role(role)} of this name; the recording is left out."
            problems.append(Problem("orphan", where, what, skipped=True))
    pairs = [
        (speakers[key], listeners[key])
        for key in sorted(set(speakers) & set(listeners), key=_order)
    ]
    return pairs, problems


def other_role(role: str) -> str:
    return ROLES[1 - ROLES.index(role)]


def _order(key: tuple[str, str]) -> tuple[int, str]:
    found = SESSION.fullmatch(key[0])
    return (int(found.group(1)) if found else -1, key[1])


def _role(split: Path, role: str, problems: list[Problem]) -> dict[tuple[str, str], Recording]:
    folder = split / ATTRIBUTES / role
    found: dict[tuple[str, str], Recording] = {}
    if not folder.is_dir():
        problems.append(Problem("missing", str(folder), "the folder is not there", skipped=True))
        return found
    for session in entries(folder):
        if not SESSION.fullmatch(session):
            what = "not a session: wanted session0 to session22; left out."
            problems.append(Problem("orphan", str(folder / session), what, skipped=True))
            continue
        for file in entries(folder / session):
            path = folder / session / file
            if path.suffix != ".npy":
                continue
            try:
                frames = npy_frames(path, width=WIDTHS[ATTRIBUTES])
            except InputError as error:
                problems.append(Problem("damaged", str(path), str(error), skipped=True))
                continue
            found[session, path.stem] = Recording(role, session, path.stem, frames)
    return found


# ---------------------------------------------------------------------- personality


def personality_file(split: Path, role: str) -> Path | None:
    """Where the traits of a role are: in the split, or beside the splits."""
    for folder in (split, split.parent):
        path = folder / "personality" / f"{role}.csv"
        if path.is_file():
            return path
    return None


def personalities(split: Path, role: str) -> tuple[dict[tuple[str, str], Tensor], list[Problem]]:
    """(session, recording) -> Big Five [5] in [0, 1], in the order of `visavis.dyad.TRAITS`.

    The tables score from 1 to 5; (x - 1) / 4 is ours and the challenge's.

    Raises:
        InputError: a column is missing.
    """
    path = personality_file(split, role)
    if path is None:
        return {}, []
    rows = read_table(path, columns=("video_name", "session", *TRAIT_COLUMNS))
    found: dict[tuple[str, str], Tensor] = {}
    problems = []
    for row in rows:
        session = (
            row["session"] if SESSION.fullmatch(row["session"]) else f"session{row['session']}"
        )
        where = f"{path}: {session}/{row['video_name']}"
        traits = scored([row[column] for column in TRAIT_COLUMNS])
        if traits is None:
            what = "a trait is no number from 1 to 5; the personality is unknown."
            problems.append(Problem("personality", where, what, skipped=False))
        else:
            found[session, SUFFIX.sub("", row["video_name"])] = traits
    return found, problems
