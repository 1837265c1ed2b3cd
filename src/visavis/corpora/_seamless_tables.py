"""The three tables of Seamless Interaction: prompts, personalities, who knows whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from visavis.corpora._disk_read import read_table
from visavis.corpora._disk_traits import scored
from visavis.corpora._problems import Problem
from visavis.dyad import TRAITS

INTERACTIONS, PARTICIPANTS, RELATIONSHIPS = (
    "interactions.csv",
    "participants.csv",
    "relationships.csv",
)
PLACES = ("", "assets")
"""Folders below the root in which the tables are looked for."""
HIDDEN = "Undisclosed"
ALIKE = 3
"""From so many participants with the same five scores on, they are reported."""


@dataclass(frozen=True)
class Tables:
    """What the tables say; each is empty where its file is not there."""

    prompts: Mapping[str, str] = field(default_factory=dict)
    """Interaction number -> type of its prompt, e.g. "ipc_conversation"."""
    traits: Mapping[tuple[str, str], Tensor] = field(default_factory=dict)
    """(vendor, participant) -> Big Five [5] in [0, 1], in the order of `visavis.dyad.TRAITS`."""
    relations: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(vendor, session) -> "stranger", "friends", "siblings", ..."""
    files: tuple[Path, ...] = ()
    """Those that are there."""


def read_tables(root: Path) -> tuple[Tables, list[Problem]]:
    """The tables at the root of the corpus, or in its `assets`.

    Raises:
        InputError: a table lacks a column or is damaged.
    """
    problems: list[Problem] = []
    prompts: dict[str, str] = {}
    relations: dict[tuple[str, str], str] = {}
    traits: dict[tuple[str, str], Tensor] = {}
    files = []
    if (path := _find(root, INTERACTIONS)) is not None:
        files.append(path)
        for row in read_table(path, columns=("prompt_hash", "interaction_type")):
            prompts[row["prompt_hash"]] = row["interaction_type"]
    if (path := _find(root, RELATIONSHIPS)) is not None:
        files.append(path)
        columns = ("vendor_id", "session_id", "relationship", "relationship_detail")
        for row in read_table(path, columns=columns):
            key = (row["vendor_id"].removeprefix("V"), row["session_id"])
            relations[key] = row["relationship_detail"] or row["relationship"]
    if (path := _find(root, PARTICIPANTS)) is not None:
        files.append(path)
        traits = _participants(path, problems)
    return Tables(prompts, traits, relations, tuple(files)), problems


def _find(root: Path, name: str) -> Path | None:
    for place in PLACES:
        if (root / place / name).is_file():
            return root / place / name
    return None


def _participants(path: Path, problems: list[Problem]) -> dict[tuple[str, str], Tensor]:
    """BFI-2 scores from 1 to 5 as numbers in [0, 1]; who did not disclose them is left out."""
    columns = tuple(f"{name}_raw" for name in TRAITS)
    seen: dict[tuple[str, str], tuple[str, ...]] = {}
    found: dict[tuple[str, str], Tensor] = {}
    for row in read_table(path, columns=("vendor_id", "participant_id", *columns)):
        key = (row["vendor_id"], row["participant_id"])
        cells = tuple(row[column] for column in columns)
        where = f"{path}: vendor {key[0]}, participant {key[1]}"
        if key in seen:
            if seen[key] != cells:
                what = "listed twice with different scores; the personality is unknown."
                problems.append(Problem("twice", where, what, skipped=False))
                found.pop(key, None)
            continue
        seen[key] = cells
        if HIDDEN in cells:
            continue
        if (scores := scored(cells)) is None:
            what = "a trait is no number from 1 to 5; the personality is unknown."
            problems.append(Problem("personality", where, what, skipped=False))
        else:
            found[key] = scores
    alike: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for key in found:
        alike.setdefault((key[0], *seen[key]), []).append(key)
    for keys in alike.values():
        if len(keys) >= ALIKE:
            who = ", ".join(participant for _, participant in keys[:6])
            what = (
                f"{len(keys)} participants of vendor {keys[0][0]} have the same five scores "
                f"({who}, ...): perhaps one person under several numbers; used as they are."
            )
            problems.append(Problem("twice", str(path), what, skipped=False))
    return found
