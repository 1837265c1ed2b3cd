"""What lies at a root, and everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.corpora import CORPORA, load
from visavis.corpora._problems import Problem
from visavis.errors import InputError

if TYPE_CHECKING:
    from visavis.corpora._base import Corpus

Progress = Callable[[int, int | None], None]

SPLITS = ("train", "val", "test")
ORDER = ("mars", "seamless", "vico", "react", "folder")
"""From the layouts that are hard to mistake to the one that takes any folder of pairs."""


@dataclass(frozen=True)
class Finding:
    """A problem and the split it was met in."""

    split: str
    problem: Problem

    @property
    def lost(self) -> bool:
        """Whether a clip cannot be used because of it."""
        return self.problem.skipped or self.problem.kind in ("damaged", "unusable")


@dataclass(frozen=True)
class Check:
    """What was found at a root."""

    corpus: str
    root: str
    splits: dict[str, int]
    """Split -> dyads that its corpus offers."""
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether no clip is lost; remarks on clips that are used all the same may be there."""
        return not any(f.lost for f in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "format": 1,
            "corpus": self.corpus,
            "root": self.root,
            "sound": self.sound,
            "splits": self.splits,
            "problems": [
                {"split": f.split, "lost": f.lost, **asdict(f.problem)} for f in self.findings
            ],
        }


def opened(
    root: str | Path, name: str | None = None, *, splits: Sequence[str] = SPLITS
) -> tuple[str, dict[str, Corpus], tuple[Finding, ...]]:
    """The corpus at a root: its name, its splits, and what is wrong with splits that do not open.

    Args:
        root: the folder.
        name: one of `visavis.corpora.CORPORA`; without, the first layout that fits.
        splits: those to look for.

    Raises:
        InputError: no layout fits (says why not, one by one), or the one named does not.
    """
    path = Path(root)
    if not path.is_dir():
        there = "is a file" if path.exists() else "does not exist"
        raise InputError(f"{path} {there}; wanted the folder of a corpus.")
    reasons = {}
    for candidate in (name,) if name else ORDER:
        found: dict[str, Corpus] = {}
        refused: dict[str, str] = {}
        for split in splits:
            try:
                found[split] = load(candidate, split, root=path)
            except InputError as error:
                refused[split] = str(error)
        if found:
            wrong = tuple(
                Finding(split, Problem("unusable", split, why, skipped=True))
                for split, why in refused.items()
                if f"no split {split!r}" not in why
            )
            return candidate, found, wrong
        reasons[candidate] = next(iter(refused.values()))
    if name:
        raise InputError(reasons[name])
    listed = "".join(f"\n  {candidate}: {why}" for candidate, why in reasons.items())
    raise InputError(f"{path} fits no layout that is known here:{listed}")


def detect(root: str | Path) -> str:
    """The name of the corpus at a root.

    Raises:
        InputError: no layout fits.
    """
    return opened(root)[0]


def check(
    root: str | Path,
    name: str | None = None,
    *,
    splits: Sequence[str] = SPLITS,
    progress: Progress | None = None,
) -> Check:
    """Read everything at a root and say what is wrong.

    Args:
        root: the folder.
        name: of the corpus; without, the layout is found out.
        splits: those to look at, where they are there.
        progress: called with (dyads read, dyads).

    Raises:
        InputError: no layout fits, or the one named does not.
    """
    name, corpora, wrong = opened(root, name, splits=splits)
    findings = list(wrong)
    total, before = sum(map(len, corpora.values())), 0
    for split, corpus in corpora.items():

        def told(done: int, _: int | None, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        findings += [Finding(split, p) for p in _problems(corpus, told)]
        before += len(corpus)
    sizes = {split: len(corpus) for split, corpus in corpora.items()}
    return Check(name, str(root), sizes, _once(findings))


def _problems(corpus: Corpus, progress: Progress) -> Iterable[Problem]:
    """What a corpus says of itself; of one that says nothing, what cannot be read."""
    say = getattr(corpus, "problems", None)
    if say is not None:
        found: list[Problem] = say(progress=progress)
        return found
    found = []
    for i, id in enumerate(corpus.ids):
        try:
            corpus[i]
        except InputError as error:
            found.append(Problem("damaged", id, str(error), skipped=False))
        progress(i + 1, len(corpus))
    return found


def _once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Without repeats (each split may tell of a table that all share), the losses first."""
    kept: dict[Problem, Finding] = {}
    for finding in findings:
        kept.setdefault(finding.problem, finding)
    return tuple(sorted(kept.values(), key=lambda f: not f.lost))


KNOWN = tuple(name for name in CORPORA if CORPORA[name].rooted)
"""Corpora that lie on disk."""
