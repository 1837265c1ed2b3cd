"""Cached: a corpus parsed once, its random windows read in microseconds."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import multiprocessing
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from visavis import __version__
from visavis.behaviour import Behaviour
from visavis.corpora._cache_build import Plan, Progress, fill, missing, sum_up, together
from visavis.corpora._cache_content import Contents
from visavis.corpora._cache_shard import FORMAT, Shard
from visavis.errors import InputError, nearest

if TYPE_CHECKING:
    from visavis.appropriate import AppropriateMap
    from visavis.corpora._base import Corpus
    from visavis.dyad import Dyad

logger = logging.getLogger("visavis")

Verify = Literal["changed", "content", "nothing"]
_OPEN = 128
"""Shards held open: each keeps a file descriptor, of which a process has about a thousand."""
_FAREWELL_S = 10.0


class Cached:
    """A corpus whose clips were parsed once, into memory-mapped shards.

    It is a corpus itself, with the same dyads. Behaviours lie in the file until they are read:
    `cached[i].speaker.window(a, b)` touches the pages of that window only, and `window(id, a, b)`
    is the shortest way to it. Opening it builds what is missing; a build may be killed and goes
    on next time; several processes may build and read the same cache at once. It travels to
    worker processes by fork or pickle without what it has read.

    A cache is for what its corpus is now: `corpus.reading` (its options, people and labels; the
    fingerprint of a corpus without files), the version of the parsers, and the content of every
    file that `corpus.sources(index)` names, by hash. Dates decide nothing. Where a file changed,
    the shards of its clips alone are written again.

    Args:
        corpus: what is parsed; any `Corpus`.
        folder: for the caches of any number of corpora; each has a folder of its own in it.
        verify: "changed" reads the hash of a file again if its size, inode or any of its dates is
            another than before; "content" reads every file; "nothing" looks at no file.
        clips: dyads a shard. More make fewer files; one shard is in memory while it is written.
        jobs: processes that build. More than one are started with "spawn", so a script must have
            its `if __name__ == "__main__":`.
        progress: called with (dyads done, dyads) while it is built.

    Raises:
        InputError: a clip cannot be parsed, a file changes under the reader, the disk is full
            (whole shards stay), or an option is out of range.
    """

    def __init__(
        self,
        corpus: Corpus,
        folder: str | Path,
        *,
        verify: Verify = "changed",
        clips: int = 16,
        jobs: int = 1,
        progress: Progress | None = None,
    ) -> None:
        if verify not in get_args(Verify):
            raise InputError(f"unknown verify {verify!r}. {nearest(verify, get_args(Verify))}")
        if clips < 1 or jobs < 1:
            raise InputError(f"clips and jobs must be at least 1, not {clips} and {jobs}.")
        self.corpus = corpus
        self.name, self.split = corpus.name, corpus.split
        self._ids = tuple(corpus.ids)
        key = _key(corpus, clips)
        self._plan = Plan(
            Path(folder) / f"{self.name}-{self.split}-{key[:12]}", key, together(corpus, clips)
        )
        self._settle()
        _make(self._plan.folder)
        self.parsed = self._build(verify, jobs, progress)
        """Dyads that had to be parsed when this was opened."""

    def _settle(self) -> None:
        """What follows from the plan, and what is read later."""
        self._place = {
            self._ids[i]: (shard, slot)
            for shard, members in enumerate(self._plan.shards)
            for slot, i in enumerate(members)
        }
        self._at = {id: i for i, id in enumerate(self._ids)}
        self._shards: OrderedDict[int, Shard] = OrderedDict()

    def _build(self, verify: Verify, jobs: int, progress: Progress | None) -> int:
        plan = self._plan
        contents = Contents(plan.folder / "contents.json", reread=verify == "content")
        lost = missing(plan, self.corpus, None if verify == "nothing" else contents)
        about: dict[str, Any] | None = None
        try:
            if lost:
                with _helpers(min(jobs, len(lost)) - 1, plan, self.corpus, lost):
                    fill(plan, self.corpus, lost, contents, progress=progress)
            if lost or not plan.index.exists():
                about = {"corpus": self.name, "split": self.split, "dyads": len(self)}
        finally:
            sum_up(plan, contents, about)
        return sum(len(plan.shards[s]) for s in lost)

    # ------------------------------------------------------------------ a corpus

    @property
    def folder(self) -> Path:
        """Where this cache's shards lie."""
        return self._plan.folder

    @property
    def ids(self) -> tuple[str, ...]:
        return self._ids

    @property
    def fingerprint(self) -> str:
        return self.corpus.fingerprint

    @property
    def labels(self) -> AppropriateMap:
        return self.corpus.labels

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Dyad]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> Dyad:
        """The dyad `index`; its behaviours are read as they are used.

        Raises:
            IndexError: there is no such dyad.
            InputError: the cache was removed or damaged after it was opened.
        """
        shard, slot = self._place[self._ids[index]]
        return self._shard(shard).dyad(slot)

    def index(self, id: str) -> int:
        """Place of a dyad by its id. Raises `InputError` for an unknown one."""
        try:
            return self._at[id]
        except KeyError:
            raise InputError(
                f"{id!r} is not in {self.name} {self.split}; its {len(self)} dyads begin with "
                f"{', '.join(self._ids[:3])}."
            ) from None

    def listener(self, id: str) -> Behaviour:
        """The listener of a dyad by its id."""
        return self._cut(id, "listener")

    def speaker(self, id: str) -> Behaviour:
        """The speaker of a dyad by its id."""
        return self._cut(id, "speaker")

    def window(
        self, id: str, start: int, stop: int, *, role: Literal["speaker", "listener"] = "speaker"
    ) -> Behaviour:
        """Frames [start, stop) of one person of a dyad: `dyad.speaker.window(start, stop)`.

        Raises:
            InputError: no such dyad, or the clip is shorter.
        """
        if role not in ("speaker", "listener"):
            raise InputError(f"unknown role {role!r}. {nearest(role, ('speaker', 'listener'))}")
        return self._cut(id, role, start, stop)

    def frames(self, id: str) -> int:
        """Frames of the speaker of a dyad, without reading any."""
        shard, slot = self._place[self._ids[self.index(id)]]
        return self._shard(shard).frames(slot, "speaker")

    def _cut(self, id: str, role: str, *window: int) -> Behaviour:
        place = self._place.get(id)
        if place is None:
            self.index(id)  # raises, naming what is there
            raise AssertionError(id)
        return self._shard(place[0]).behaviour(place[1], role, *window)

    def _shard(self, number: int) -> Shard:
        shard = self._shards.get(number)
        if shard is None:
            shard = Shard(self._plan.path(number), key=self._plan.key)
            self._shards[number] = shard
            if len(self._shards) > _OPEN:
                self._shards.popitem(last=False)
        else:
            self._shards.move_to_end(number)
        return shard

    def stale(self) -> tuple[Path, ...]:
        """Caches of the same split beside this one: of other content, options or versions."""
        beside = self.folder.parent.glob(f"{self.name}-{self.split}-*")
        return tuple(sorted(p for p in beside if p.is_dir() and p != self.folder))

    # ------------------------------------------------------------------ travelling

    def __getstate__(self) -> dict[str, Any]:
        gone = ("_shards", "_place", "_at")
        return {name: value for name, value in vars(self).items() if name not in gone}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._settle()

    def __repr__(self) -> str:
        return f"Cached({self.corpus!r}, {str(self.folder)!r})"


def _key(corpus: Corpus, clips: int) -> str:
    """Changes whenever the same files could be parsed to something else."""
    kind = type(corpus)
    what = {
        "format": FORMAT,
        "visavis": __version__,
        "parsers": _parsers(kind),
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "corpus": [corpus.name, corpus.split, _reading(corpus)],
        "ids": hashlib.sha256("\n".join(corpus.ids).encode()).hexdigest(),
        "clips": clips,
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _reading(corpus: Corpus) -> str:
    """What a cache is of, beside its source files, which each shard remembers by content."""
    return str(getattr(corpus, "reading", None) or corpus.fingerprint)


def _parsers(kind: type) -> str:
    """Hash of the code that parses: the modules of the corpus's class and of those above it.

    What these modules use elsewhere is covered by the version of visavis, and by the version
    that a corpus counts in its fingerprint.
    """
    digest = hashlib.sha256()
    for cls in kind.__mro__:
        try:
            digest.update(Path(inspect.getfile(cls)).read_bytes())
        except (TypeError, OSError):  # built in, or typed at a prompt
            digest.update(cls.__qualname__.encode())
    return digest.hexdigest()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make {folder}: {error.strerror or error}. Choose a folder you may write to."
        ) from error


@contextmanager
def _helpers(count: int, plan: Plan, corpus: Corpus, lost: list[int]) -> Iterator[None]:
    """Processes that fill the same shards, each beginning elsewhere so that they seldom meet."""
    spawn = multiprocessing.get_context("spawn")
    helpers = []
    for number in range(count):
        start = (number + 1) * len(lost) // (count + 1)
        turned = [*lost[start:], *lost[:start]]
        helper = spawn.Process(target=_help, args=(plan, corpus, turned), daemon=True)
        helper.start()
        helpers.append(helper)
    try:
        yield
        for helper in helpers:
            helper.join(_FAREWELL_S)  # it only has to write down what it learned
    finally:
        for helper in helpers:
            helper.terminate()
            helper.join()


def _help(plan: Plan, corpus: Corpus, shards: list[int]) -> None:
    """One helping process. What goes wrong here goes wrong in the first process too, which
    says so."""
    contents = Contents(plan.folder / "contents.json")
    try:
        fill(plan, corpus, shards, contents)
        sum_up(plan, contents, None)
    except InputError as error:
        logger.debug("a helper stopped: %s", error)
