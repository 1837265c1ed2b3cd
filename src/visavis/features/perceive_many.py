"""A folder of films -> a folder of behaviours: in parallel, resumable, none stopping the rest."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from visavis import __version__
from visavis.behaviour import Behaviour
from visavis.errors import InputError, VisavisError
from visavis.features._engines import Lost, engine_named
from visavis.features._perceived import Entry, journal, look
from visavis.features.perceive import perceive
from visavis.files import atomic_path

logger = logging.getLogger("visavis")

Progress = Callable[[int, int | None], None]
Status = Literal["done", "skipped", "failed"]

FILMS = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv")
SOUNDS = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac")
REPORT, DESK = "report.json", ".unfinished"


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    file: str
    """Relative to the root."""
    status: Status
    behaviour: str | None = None
    """Relative to the output folder; None for a failed file."""
    reason: str | None = None
    """Of a failure."""
    notes: tuple[str, ...] = ()
    """Warnings on the way: two people in view, no sound, ..."""
    seconds: float = 0.0
    """Of work."""
    frames: int = 0
    face: float | None = None
    """Share of the frames in which a face was observed."""


@dataclass(frozen=True)
class PerceptionReport:
    """What became of a folder."""

    root: str
    out: str
    engine: str
    jobs: int
    seconds: float
    """From beginning to end, on the clock on the wall."""
    files: tuple[Outcome, ...]

    def count(self, status: Status) -> int:
        return sum(f.status == status for f in self.files)

    @property
    def frames(self) -> int:
        """Frames perceived in this run."""
        return sum(f.frames for f in self.files if f.status == "done")

    @property
    def frames_per_s(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain data: the counts first, then the files."""
        counts = {status: self.count(status) for status in ("done", "skipped", "failed")}
        about = {k: v for k, v in asdict(self).items() if k != "files"}
        return {
            "format": 1,
            "visavis": __version__,
            **about,
            **counts,
            "frames": self.frames,
            "frames_per_s": round(self.frames_per_s, 2),
            "files": [asdict(f) for f in self.files],
        }


@dataclass(frozen=True)
class _Task:
    """One file for a worker."""

    file: str
    source: Path
    target: Path
    desk: Path
    options: Mapping[str, Any]
    known: str | None
    """Hash of the content that the behaviour there was perceived from."""


def perceive_many(
    root: str | Path,
    out: str | Path,
    *,
    jobs: int | None = None,
    engine: str = "loky",
    address: str | None = None,
    only: Sequence[str] = (),
    tracker: str | None = None,
    fps: float | None = None,
    progress: Progress | None = None,
) -> PerceptionReport:
    """Perceive every film and sound file below `root` into a folder of behaviours.

    `root/a/b.mp4` becomes `out/a/b.safetensors` (`b.mp4.safetensors` where `b.wav` lies beside
    it). A run may be stopped or killed; the next one goes on: a file is finished if its content,
    the options and the version of visavis are those its behaviour was made with. A file that
    fails is reported, and tried again by the next run.

    Writes `out/perceived.jsonl`, a line a finished file, and `out/report.json`.

    Args:
        root: looked through with all folders below it; hidden files and folders are left out.
        out: for the behaviours; made if need be.
        jobs: processes; default: as many as there are cores to use. A cluster has its own number.
        engine: "loky" (this machine), "dask" or "ray".
        address: of a dask scheduler or a ray cluster that runs already.
        only: patterns such as "*.mp4" or "train/*", matched against names and relative paths;
            files that they choose are taken whatever their suffix.
        tracker, fps: as `perceive` takes them.
        progress: called with (files done, files).

    Raises:
        InputError: `root` is no folder or holds nothing to perceive, `out` cannot be written or
            another run is writing there, or there is no such engine.
        MissingExtra: the engine is not installed.
    """
    root, out = Path(root), Path(out)
    jobs = _cores() if jobs is None else jobs
    if jobs < 1:
        raise InputError(f"jobs must be at least 1, not {jobs}.")
    run = engine_named(engine)
    targets = _targets(root, out, only)
    started = time.perf_counter()
    options = {"tracker": tracker, "fps": fps}
    mark = json.dumps({"visavis": __version__, **options}, sort_keys=True)
    with journal(out) as (entries, write):
        desk = out / DESK
        shutil.rmtree(desk, ignore_errors=True)  # of a killed run
        desk.mkdir()
        outcomes, tasks = [], []
        for file, behaviour in targets.items():
            entry = entries.get(file)
            if entry is not None and (entry.behaviour != behaviour or entry.options != mark):
                entry = None
            if entry is not None and not _whole(out / behaviour, entry.size):
                entry = None
            if entry is not None and entry.look == look(root / file):
                outcomes.append(_skipped(entry))
            else:
                known = None if entry is None else entry.sha256
                tasks.append(_Task(file, root / file, out / behaviour, desk, {**options}, known))
        if progress is not None:
            progress(len(outcomes), len(targets))
        if tasks:
            for task, result in run(_work, tasks, jobs=min(jobs, len(tasks)), address=address):
                if isinstance(result, Lost):
                    outcomes.append(Outcome(task.file, "failed", reason=result.reason))
                else:
                    outcomes.append(
                        _settled(task, result, entries.get(task.file), out, mark, write)
                    )
                if progress is not None:
                    progress(len(outcomes), len(targets))
        shutil.rmtree(desk, ignore_errors=True)
        report = PerceptionReport(
            *(str(root), str(out), engine, jobs, round(time.perf_counter() - started, 3)),
            tuple(sorted(outcomes, key=lambda o: o.file)),
        )
        with atomic_path(out / REPORT) as temporary:
            temporary.write_text(json.dumps(report.to_json(), indent=1), "utf-8")
    return report


# ---------------------------------------------------------------------- in a worker


@dataclass(frozen=True)
class _Result:
    """What a worker says of one file."""

    look: tuple[int, ...] = ()
    sha256: str = ""
    same: bool = False
    """The behaviour that is there was perceived from this very content."""
    reason: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    frames: int = 0
    face: float | None = None
    size: int = 0


def _work(task: _Task) -> _Result:
    """Perceive one file; what goes wrong is told, not raised."""
    began = time.perf_counter()
    with _warnings() as notes:
        try:
            before = look(task.source)
            with task.source.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest == task.known:
                return _Result(before, digest, same=True, size=task.target.stat().st_size)
            behaviour = perceive(task.source, **task.options)
            size = _save(behaviour, task)
        except VisavisError as error:
            reason = str(error)
        except Exception as error:  # a bad file must not stop the thousands after it
            logger.debug("%s", task.file, exc_info=True)
            reason = f"{type(error).__name__}: {error}"
        else:
            seen = behaviour.mask("blendshapes") if behaviour.has("blendshapes") else None
            return _Result(
                before,
                digest,
                notes=tuple(notes),
                seconds=round(time.perf_counter() - began, 3),
                frames=behaviour.frames,
                face=None if seen is None else round(float(seen.float().mean()), 4),
                size=size,
            )
    seconds = round(time.perf_counter() - began, 3)
    return _Result(reason=reason, notes=tuple(notes), seconds=seconds)


def _save(behaviour: Behaviour, task: _Task) -> int:
    """Write on a desk that the next run clears, then move; the size in bytes."""
    task.target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=task.desk) as desk:
        made = behaviour.save(Path(desk) / task.target.name)
        size = made.stat().st_size
        os.replace(made, task.target)
    return size


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What is said to the logger meanwhile, instead of on the terminal of some worker."""

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    said: list[str] = []
    handler = Keep(logging.WARNING)
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


# ---------------------------------------------------------------------- what there is to do


def _targets(root: Path, out: Path, only: Sequence[str]) -> dict[str, str]:
    """File -> behaviour, both relative."""
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; wanted one that holds films.")
    files, others = [], Counter[str]()
    inside = out.resolve()
    for folder, names, found in os.walk(root):
        names[:] = sorted(
            n for n in names if not n.startswith(".") and Path(folder, n).resolve() != inside
        )
        for name in sorted(n for n in found if not n.startswith(".")):
            file = Path(folder, name).relative_to(root).as_posix()
            suffix = Path(name).suffix.lower()
            chosen = (
                any(fnmatch(file, p) or fnmatch(name, p) for p in only)
                if only
                else suffix in FILMS or suffix in SOUNDS
            )
            if chosen:
                files.append(file)
            else:
                others[suffix or name] += 1
    if not files:
        wanted = f"nothing like {', '.join(only)}" if only else "no films or sound files"
        seen = ", ".join(f"{n} {suffix}" for suffix, n in others.most_common(5))
        raise InputError(f"{root} holds {wanted}; found {seen or 'nothing'}.")
    stems = Counter(str(Path(f).with_suffix("")) for f in files)
    return {
        file: f"{file}.safetensors"
        if stems[str(Path(file).with_suffix(""))] > 1
        else Path(file).with_suffix(".safetensors").as_posix()
        for file in files
    }


def _skipped(entry: Entry) -> Outcome:
    return Outcome(
        entry.file,
        "skipped",
        entry.behaviour,
        notes=entry.notes,
        frames=entry.frames,
        face=entry.face,
    )


def _settled(
    task: _Task,
    result: _Result,
    known: Entry | None,
    out: Path,
    mark: str,
    write: Callable[[Entry], None],
) -> Outcome:
    """A worker's result as an outcome, in the journal if the file is finished."""
    if result.reason is not None:
        return Outcome(
            task.file, "failed", reason=result.reason, notes=result.notes, seconds=result.seconds
        )
    told = known if result.same and known is not None else result
    entry = Entry(
        task.file,
        task.target.relative_to(out).as_posix(),
        result.look,
        result.sha256,
        result.size,
        mark,
        told.frames,
        told.face,
        told.notes,
    )
    write(entry)
    if result.same:
        return _skipped(entry)
    return Outcome(
        task.file,
        "done",
        entry.behaviour,
        notes=entry.notes,
        seconds=result.seconds,
        frames=entry.frames,
        face=entry.face,
    )


def _whole(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
