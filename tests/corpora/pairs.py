"""A tiny corpus of files for the tests of what is done to corpora: pairs of npy files."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import torch

from tests.people import ATTRIBUTES, person
from visavis.appropriate import AppropriateMap
from visavis.behaviour import Behaviour, Source, Word
from visavis.corpora._disk_read import read_npy
from visavis.dyad import Dyad
from visavis.errors import InputError


def write_pairs(root: Path, *, pairs: int = 6, frames: int = 60, seed: int = 0) -> Path:
    """`pairs` conversations, `<p>_a.npy` and `<p>_b.npy` [T, 25] each, of growing length; with
    some unobserved frames."""
    root.mkdir(parents=True, exist_ok=True)
    for pair in range(pairs):
        for side, name in enumerate("ab"):
            who = person(frames + pair, seed=seed + 2 * pair + side, names=ATTRIBUTES)
            values = who.pack().numpy()
            if pair % 2:
                values[10:20, 15:17] = np.nan
            np.save(root / f"{pair:03d}_{name}.npy", values)
    return root


class Pairs:
    """Both views of each pair: who speaks and who listens."""

    name, split = "pairs", "train"

    def __init__(self, root: Path, *, pause_s: float = 0.0) -> None:
        self.root, self.pause_s = root, pause_s
        first = sorted(p.stem.removesuffix("_a") for p in root.glob("*_a.npy"))
        self._sides = [(s, "ab") for s in first] + [(s, "ba") for s in first]
        self.ids = tuple(f"{stem}-{sides}" for stem, sides in self._sides)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(self.ids).encode()).hexdigest()

    @property
    def labels(self) -> AppropriateMap:
        return AppropriateMap.same(self.ids, self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def index(self, id: str) -> int:
        return self.ids.index(id)

    def listener(self, id: str) -> Behaviour:
        return self[self.index(id)].listener

    def sources(self, index: int) -> tuple[Path, ...]:
        stem, sides = self._sides[index]
        return tuple(self.root / f"{stem}_{side}.npy" for side in sides)

    def __getitem__(self, index: int) -> Dyad:
        stem, sides = self._sides[index]
        time.sleep(self.pause_s)
        with (self.root.parent / "parsed.log").open("a") as log:
            log.write(f"{os.getpid()} {self.ids[index]}\n")
        speaker, listener = (self._read(path) for path in self.sources(index))
        return Dyad(
            self.ids[index],
            speaker,
            listener,
            f"{stem}{sides[0]}",
            f"{stem}{sides[1]}",
            self.split,
            script=None if index % 2 else "the weather",
            appropriate=(self.ids[index],),
            traits=torch.full((5,), 0.5) if index % 3 == 0 else None,
        )

    def _read(self, path: Path) -> Behaviour:
        values = torch.from_numpy(read_npy(path, width=25))
        if len(values) < 2:
            raise InputError(f"{path} is too short.")
        return Behaviour.of(
            {"au": values[:, :15], "va": values[:, 15:17], "expression": values[:, 17:]},
            nan_is_absent=True,
            words=(Word("well", 0.1, 0.5), Word("so", 1.2, 1.9)),
            source=Source(str(path)),
        )

    def parsed(self) -> int:
        """How often a dyad was parsed, in all processes together."""
        log = self.root.parent / "parsed.log"
        return len(log.read_text().splitlines()) if log.exists() else 0


def same(one: Behaviour, other: Behaviour) -> bool:
    """Whether two behaviours are equal in all they hold, absence included."""
    return (
        one.layout == other.layout
        and one.fps == other.fps
        and one.words == other.words
        and one.source == other.source
        and one.derived == other.derived
        and set(one.observed) == set(other.observed)
        and all(torch.equal(m, other.observed[n]) for n, m in one.observed.items())
        and all(
            torch.equal(x.isnan(), other.channels[n].isnan())
            and torch.equal(x.nan_to_num(), other.channels[n].nan_to_num())
            for n, x in one.channels.items()
        )
    )
