"""The indices of REACT 2023 and 2024: who met whom.

An index lists P pairs. Its 2P items are the P pairs as listed (first column speaks), then the same
pairs with the roles swapped; every matrix of the challenge is in that order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from visavis.corpora._disk_read import read_table
from visavis.errors import InputError

SPLITS = ("train", "val", "test")
PERSONAL = "person_specific_"
Key = tuple[str, str, str]
"""(SITE, chat, clip): a row of `data_indices.csv`; UDIVA's chat is `<pair>_<task>`."""


@dataclass(frozen=True)
class Place:
    """A path of the index, e.g. `NoXI/010_2016-03-25_Paris/Expert_video/7`."""

    path: str
    """As the index has it: the id of the item whose speaker stands here."""
    site: str
    folders: tuple[str, ...]
    """Between site and person: (chat,), or (task, pair) for UDIVA."""
    person: str
    clip: str

    @property
    def key(self) -> Key:
        chat = self.folders[0] if len(self.folders) == 1 else "_".join(reversed(self.folders))
        return self.site.upper(), chat, self.clip

    @property
    def who(self) -> str:
        """The person, as the challenge tells persons apart: the path without the clip."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True)
class Pair:
    """One row of the index."""

    first: Place
    second: Place


def place_of(path: str, where: str) -> Place:
    """A path of an index, checked; `where` names the line in errors."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    if len(parts) not in (4, 5) or any(part in ("/", "..", ".") for part in parts):
        raise InputError(
            f"{where}: {path!r} is no path of this corpus; wanted site/chat/person/clip, or "
            "UDIVA/task/pair/person/clip, without a suffix."
        )
    return Place("/".join(parts), parts[0], parts[1:-2], parts[-2], parts[-1])


def read_index(path: Path) -> tuple[Pair, ...]:
    """The pairs of `train.csv`, `val.csv`, `test.csv` or `person_specific_*.csv`.

    Raises:
        InputError: a column is missing, a path is none, the two sides of a row are not one
            conversation, or a clip comes twice.
    """
    pairs = []
    seen: dict[str, int] = {}
    for line, row in enumerate(read_table(path, ("speaker_path", "listener_path")), start=2):
        where = f"{path}, line {line}"
        first, second = (place_of(row[name], where) for name in ("speaker_path", "listener_path"))
        if first.key != second.key:
            raise InputError(
                f"{where}: {first.path} and {second.path} are not one clip of one conversation."
            )
        for place in (first, second):
            if place.path in seen:
                raise InputError(
                    f"{where}: {place.path} stands in line {seen[place.path]} already; two clips "
                    "cannot have one id."
                )
            seen[place.path] = line
        pairs.append(Pair(first, second))
    if not pairs:
        raise InputError(f"{path} lists no pair.")
    return tuple(pairs)


def holds_index(folder: Path) -> bool:
    """Whether a folder is the root of this corpus."""
    return any(
        (folder / f"{kind}{split}.csv").is_file() for split in SPLITS for kind in ("", PERSONAL)
    )


def index_file(root: Path, split: str, *, personal: bool) -> Path:
    """The index of a split: of the personalised task where it is asked for and there."""
    own = root / f"{PERSONAL}{split}.csv"
    return own if personal and own.is_file() else root / f"{split}.csv"
