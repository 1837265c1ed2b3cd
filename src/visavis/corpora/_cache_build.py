"""Filling a cache: any number of processes at once, any of which may be killed at any moment.

A shard appears whole, by renaming, or not at all; which dyads it holds is fixed before the first
is written. So two processes can at worst do the same work twice and get the same file. A lock on
one byte of a file, a byte a shard, keeps them from doing so; the system takes it back from a
process that dies. Where a file system has no locks, the work is done twice and is still right.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from visavis.corpora._cache_content import Contents
from visavis.corpora._cache_shard import FORMAT, Shard, write_shard
from visavis.errors import InputError
from visavis.files import atomic_path

if TYPE_CHECKING:
    from visavis.corpora._base import Corpus

logger = logging.getLogger("visavis")

Progress = Callable[[int, int | None], None]
Rows = tuple[tuple[str, ...], ...]

_WAIT_S = 0.05
_IN_THIS_PROCESS = threading.Lock()
"""Locks on a file hold between processes only; this one holds between threads."""


@dataclass(frozen=True)
class Plan:
    """Which dyads lie in which shard of which cache."""

    folder: Path
    key: str
    shards: tuple[tuple[int, ...], ...]
    """Places in the corpus, a tuple a shard."""

    def path(self, shard: int) -> Path:
        return self.folder / f"shard-{shard:05d}.safetensors"

    @property
    def index(self) -> Path:
        return self.folder / "index.json"

    @property
    def clips(self) -> int:
        return sum(map(len, self.shards))


def sources_of(corpus: Corpus, index: int) -> tuple[Path, ...]:
    """The files that a dyad is parsed from; none for a corpus that does not say, or is made up."""
    sources = getattr(corpus, "sources", None)
    return tuple(Path(p) for p in sources(index)) if sources is not None else ()


def together(corpus: Corpus, size: int) -> tuple[tuple[int, ...], ...]:
    """Shards of `size` places; dyads that are parsed from the same files come side by side.

    So the two views of one clip (who speaks, who listens) share a shard, which stores it once.
    Files behind more dyads than a shard holds (an index, labels) bring nobody together.
    """
    sources = [sources_of(corpus, i) for i in range(len(corpus))]
    uses = Counter(path for paths in sources for path in paths)
    group: dict[Path, int] = {}
    parent = list(range(len(corpus)))

    def head(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i in range(len(corpus)):
        for path in sources[i]:
            if uses[path] > size:
                continue
            first = head(group.setdefault(path, i))
            parent[head(i)] = first
    order = sorted(range(len(corpus)), key=lambda i: (head(i), i))
    return tuple(tuple(order[at : at + size]) for at in range(0, len(order), size))


# ---------------------------------------------------------------------- what is there


def missing(plan: Plan, corpus: Corpus, contents: Contents | None) -> list[int]:
    """Shards that are not there, not whole, or parsed from files that have changed since.

    Without `contents` the files are not looked at.
    """
    known = _index(plan)
    return [
        shard
        for shard in range(len(plan.shards))
        if not _sound(plan, shard, corpus, contents, stored=known.get(shard))
    ]


def _sound(
    plan: Plan,
    shard: int,
    corpus: Corpus,
    contents: Contents | None,
    *,
    stored: tuple[int, Rows] | None = None,
) -> bool:
    """Whether a shard is whole and holds its dyads as their files are now.

    What the index says of it (`stored`) is believed if the shard has the size it had.
    """
    members = plan.shards[shard]
    try:
        if stored is None or plan.path(shard).stat().st_size != stored[0]:
            opened = Shard(plan.path(shard), key=plan.key)
            if opened.ids != tuple(corpus.ids[i] for i in members):
                return False
            stored = (0, opened.contents)
    except (InputError, OSError):
        return False
    return contents is None or stored[1] == _contents(corpus, members, contents)


def _contents(corpus: Corpus, members: Sequence[int], contents: Contents) -> Rows:
    return tuple(tuple(contents.of(p) for p in sources_of(corpus, i)) for i in members)


def _index(plan: Plan) -> dict[int, tuple[int, Rows]]:
    """Size and contents of each shard, as the last complete build left them."""
    try:
        data = json.loads(plan.index.read_text("utf-8"))
        if data["format"] != FORMAT or data["key"] != plan.key:
            return {}
        return {
            number: (int(size), tuple(tuple(map(str, row)) for row in rows))
            for number, (size, rows) in enumerate(data["shards"])
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # the shards say the same; it is written again


def sum_up(plan: Plan, contents: Contents, about: Mapping[str, Any] | None) -> None:
    """Write down what was learned: hashes of files, and with `about` the index of a complete
    cache, so that opening it reads no shard."""
    if about is None and not (contents.learned and os.access(plan.folder, os.W_OK)):
        return  # a cache that is complete may lie where nobody may write
    with _locks(plan.folder / "locks") as claim, claim(len(plan.shards), wait=True) as held:
        if held is not None:
            _sweep(plan.folder, plan.index.stem)
            _sweep(plan.folder, contents.memory.stem)
        for leftover in list(plan.folder.glob(".shard-*")):
            shard = int(leftover.name.split("-")[1])
            with claim(shard) as held:
                if held:
                    _sweep(plan.folder, plan.path(shard).stem)
        contents.remember()
        if about is None:
            return
        rows = []
        for shard in range(len(plan.shards)):
            opened = Shard(plan.path(shard), key=plan.key)
            rows.append([plan.path(shard).stat().st_size, opened.contents])
        text = json.dumps({"format": FORMAT, "key": plan.key, **about, "shards": rows})
        with atomic_path(plan.index) as temporary:
            temporary.write_text(text, "utf-8")


# ---------------------------------------------------------------------- writing


def fill(
    plan: Plan,
    corpus: Corpus,
    shards: Sequence[int],
    contents: Contents,
    *,
    progress: Progress | None = None,
) -> None:
    """Write the given shards, leaving alone what another process is writing, then wait for it.

    Raises:
        InputError: a clip cannot be parsed or kept, or the disk is full; whole shards stay.
    """
    done = plan.clips - sum(len(plan.shards[s]) for s in shards)
    waiting = list(shards)
    with _IN_THIS_PROCESS, _locks(plan.folder / "locks") as claim:
        while waiting:
            left = []
            for shard in waiting:
                with claim(shard) as held:
                    if held is False:
                        left.append(shard)
                        continue
                    if held is not None:
                        _sweep(plan.folder, plan.path(shard).stem)
                    if not _sound(plan, shard, corpus, contents):
                        _write(plan, shard, corpus, contents)
                done += len(plan.shards[shard])
                if progress is not None:
                    progress(done, plan.clips)
            if len(left) == len(waiting):
                time.sleep(_WAIT_S)
            waiting = left


def _write(plan: Plan, shard: int, corpus: Corpus, contents: Contents) -> None:
    dyads, rows = [], []
    for i in plan.shards[shard]:
        files = sources_of(corpus, i)
        before = contents.again(files)
        try:
            dyads.append(corpus[i])
        except InputError as error:
            raise InputError(
                f"{corpus.ids[i]} cannot be cached: {error} `visavis corpus check` lists all."
            ) from error
        if contents.again(files) != before:
            raise InputError(f"the files of {corpus.ids[i]} change while they are read.")
        rows.append(before)
    target = plan.path(shard)
    try:
        # in a folder of its own: safetensors, too, writes beside its target and renames
        with tempfile.TemporaryDirectory(prefix=f".{target.stem}-", dir=plan.folder) as desk:
            write_shard(Path(desk) / target.name, dyads, key=plan.key, contents=rows)
            os.replace(Path(desk) / target.name, target)
    except (InputError, OSError) as error:
        raise InputError(
            f"{error} The shards that are whole stay in {plan.folder}, and the next run goes on "
            "from them."
        ) from error


def _sweep(folder: Path, stem: str) -> None:
    """Remove what killed writers of a file left; only the holder of its lock may."""
    for leftover in folder.glob(f".{stem}-*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


class _Claim(Protocol):
    def __call__(
        self, place: int, *, wait: bool = False
    ) -> AbstractContextManager[bool | None]: ...


@contextmanager
def _locks(path: Path) -> Iterator[_Claim]:
    """A function that claims one byte of a file: `with claim(shard) as held`.

    It yields True with the lock, False where another process has it, None without locks.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    @contextmanager
    def claim(place: int, *, wait: bool = False) -> Iterator[bool | None]:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
        except (BlockingIOError, PermissionError):
            yield False
            return
        except OSError as error:
            logger.debug("no locks on %s (%s); work may be done twice", path, error)
            yield None
            return
        try:
            yield True
        finally:
            fcntl.lockf(handle, fcntl.LOCK_UN, 1, place)

    try:
        yield claim
    finally:
        os.close(handle)
