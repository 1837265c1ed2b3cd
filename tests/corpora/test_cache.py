"""A cache gives what its corpus gives, whatever happens to its files and its builders."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import random
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.utils.data import DataLoader

from tests.corpora.pairs import Pairs, same, write_pairs
from visavis.behaviour import Behaviour
from visavis.corpora import SimulatedDyads, collate
from visavis.corpora._base import Corpus
from visavis.corpora._cache_content import Contents
from visavis.corpora._cache_shard import Shard
from visavis.corpora.cache import Cached
from visavis.dyad import Dyad
from visavis.errors import InputError

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    return Pairs(write_pairs(tmp_path / "corpus"))


def equal(one: Dyad, other: Dyad) -> bool:
    traits = one.traits is other.traits or (
        one.traits is not None
        and other.traits is not None
        and torch.equal(one.traits, other.traits)
    )
    light = ("id", "speaker_id", "listener_id", "split", "script", "context", "appropriate")
    return (
        traits
        and all(getattr(one, n) == getattr(other, n) for n in (*light, "personal", "history"))
        and same(one.speaker, other.speaker)
        and same(one.listener, other.listener)
    )


def assert_equal(cached: Cached, corpus: Corpus) -> None:
    assert cached.ids == tuple(corpus.ids)
    for i in range(len(corpus)):
        assert equal(cached[i], corpus[i])


# ---------------------------------------------------------------------- the same corpus


def test_a_cache_is_a_corpus_with_the_same_dyads(pairs: Pairs, tmp_path: Path) -> None:
    cached = Cached(pairs, tmp_path / "cache", clips=5)
    assert isinstance(cached, Corpus)
    assert cached.parsed == len(pairs) == 12
    assert (cached.name, cached.split, cached.fingerprint) == ("pairs", "train", pairs.fingerprint)
    assert cached.labels.ids == pairs.ids
    assert_equal(cached, pairs)
    assert equal(cached[-1], pairs[-1])
    assert cached.index(pairs.ids[3]) == 3
    assert same(cached.listener(pairs.ids[3]), pairs[3].listener)
    with pytest.raises(IndexError):
        cached[12]
    with pytest.raises(InputError, match="'nobody' is not in pairs train; its 12 dyads begin"):
        cached.listener("nobody")


def test_simulated_dyads_with_their_voice_are_kept_too(tmp_path: Path) -> None:
    corpus = SimulatedDyads("val", size=3, frames=60)
    assert_equal(Cached(corpus, tmp_path), corpus)


def test_a_window_is_the_window_of_the_clip(pairs: Pairs, tmp_path: Path) -> None:
    cached = Cached(pairs, tmp_path / "cache")
    rng = np.random.default_rng(0)
    for _ in range(200):
        i = int(rng.integers(len(pairs)))
        whole = pairs[i].speaker
        start, stop = sorted(rng.integers(0, whole.frames + 1, 2))
        wanted = whole.window(int(start), int(stop))
        assert same(cached.window(pairs.ids[i], int(start), int(stop)), wanted)
        assert same(cached[i].speaker.window(int(start), int(stop)), wanted)
    assert same(cached.window(pairs.ids[1], 3, 9, role="listener"), pairs[1].listener.window(3, 9))
    assert cached.frames(pairs.ids[5]) == 65
    with pytest.raises(InputError, match="cannot cut frames 0 to 66 out of 65"):
        cached.window(pairs.ids[5], 0, 66)
    with pytest.raises(InputError, match="unknown role 'speeker'"):
        cached.window(pairs.ids[5], 0, 6, role="speeker")  # type: ignore[arg-type]


def test_a_batch_from_the_cache_equals_one_from_the_corpus(pairs: Pairs, tmp_path: Path) -> None:
    cached = Cached(pairs, tmp_path / "cache")
    one, other = (
        collate([c[i] for i in (0, 3, 7)], crop=30, targets=2, rng=4, listener=c.listener)
        for c in (pairs, cached)
    )
    assert same(one.speaker, other.speaker)
    assert same(one.targets, other.targets)
    assert torch.equal(one.target_mask, other.target_mask)


def test_writing_into_a_tensor_by_mistake_never_reaches_the_file(
    pairs: Pairs, tmp_path: Path
) -> None:
    Cached(pairs, tmp_path / "cache")[0].speaker.channels["va"].zero_()
    assert_equal(Cached(pairs, tmp_path / "cache"), pairs)


def test_the_two_views_of_a_clip_are_stored_once(pairs: Pairs, tmp_path: Path) -> None:
    cached = Cached(pairs, tmp_path / "cache", clips=4)
    size = sum(p.stat().st_size for p in cached.folder.glob("shard-*"))
    raw = sum(p.stat().st_size for p in pairs.root.glob("*.npy"))
    assert raw < size < 1.5 * raw  # twice as much without; headers are the rest


# ---------------------------------------------------------------------- built once


def test_what_is_cached_is_not_parsed_again(pairs: Pairs, tmp_path: Path) -> None:
    Cached(pairs, tmp_path / "cache")
    before = pairs.parsed()
    again = Cached(Pairs(pairs.root), tmp_path / "cache")
    assert again.parsed == 0
    for dyad in again:
        assert dyad.speaker.frames
    assert pairs.parsed() == before


def test_another_date_changes_nothing(pairs: Pairs, tmp_path: Path) -> None:
    Cached(pairs, tmp_path / "cache")
    for path in pairs.root.glob("*.npy"):
        os.utime(path, (1, 1))
    assert Cached(pairs, tmp_path / "cache").parsed == 0


@pytest.mark.parametrize("verify", ["changed", "content"])
def test_other_content_under_the_same_date_and_size_is_parsed_again(
    pairs: Pairs, tmp_path: Path, verify: str
) -> None:
    Cached(pairs, tmp_path / "cache", clips=4)
    path = pairs.root / "002_a.npy"
    before = path.stat()
    values = np.load(path)
    np.save(path, values[::-1].copy())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert Cached(pairs, tmp_path / "cache", clips=4, verify="nothing").parsed == 0
    cached = Cached(pairs, tmp_path / "cache", clips=4, verify=verify)  # type: ignore[arg-type]
    assert cached.parsed == 4  # its shard alone
    assert_equal(cached, pairs)


def test_a_moved_corpus_is_recognised_by_its_content(pairs: Pairs, tmp_path: Path) -> None:
    Cached(pairs, tmp_path / "cache")
    pairs.root.rename(tmp_path / "elsewhere")
    assert Cached(Pairs(tmp_path / "elsewhere"), tmp_path / "cache").parsed == 0


def test_two_corpora_share_a_folder(pairs: Pairs, tmp_path: Path) -> None:
    other = Pairs(write_pairs(tmp_path / "other", pairs=2, seed=9))
    one, two = (Cached(c, tmp_path / "cache") for c in (pairs, other))
    assert one.folder != two.folder
    assert_equal(one, pairs)
    assert_equal(two, other)


def test_hashes_are_remembered_until_anything_about_the_file_changes(tmp_path: Path) -> None:
    path, memory = tmp_path / "a", tmp_path / "memory.json"
    path.write_bytes(b"one")
    first = Contents(memory)
    first.of(path)
    first.remember()
    assert not memory.exists() or json.loads(memory.read_text()) == {}  # too fresh to be sure
    time.sleep(2.1)
    second = Contents(memory)
    digest = second.of(path)
    second.remember()
    third = Contents(memory)
    assert (third.of(path), third.read) == (digest, 0)
    dates = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))
    fourth = Contents(memory)
    assert fourth.of(path) != digest
    assert Contents(memory, reread=True).of(path) == fourth.of(path)
    memory.write_text('{"a": [1, 2')
    assert Contents(memory).of(path) == fourth.of(path)


# ---------------------------------------------------------------------- workers


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_worker_processes_read_it(pairs: Pairs, tmp_path: Path, start: str) -> None:
    cached = Cached(pairs, tmp_path / "cache")
    cached[0]  # something is open before the workers start
    before = pairs.parsed()
    loader = DataLoader(
        _Means(cached), batch_size=None, num_workers=2, multiprocessing_context=start
    )
    assert list(loader) == pytest.approx([_mean(dyad) for dyad in cached])
    assert pairs.parsed() == before


class _Means:
    def __init__(self, cached: Cached) -> None:
        self.cached = cached

    def __len__(self) -> int:
        return len(self.cached)

    def __getitem__(self, index: int) -> float:
        return _mean(self.cached[index])


def _mean(dyad: Dyad) -> float:
    return float(dyad.listener.channels["au"].mean())


def test_it_travels_without_what_it_has_read(tmp_path: Path) -> None:
    corpus = SimulatedDyads("val", size=20, frames=50, audio=False)
    cached = Cached(corpus, tmp_path)
    for dyad in cached:
        assert dyad.speaker.frames
    packed = pickle.dumps(cached)
    assert len(packed) < 3000
    assert equal(pickle.loads(packed)[7], corpus[7])


def test_more_shards_than_may_be_open_are_read(tmp_path: Path) -> None:
    corpus = SimulatedDyads("val", size=300, frames=2, audio=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    cached = Cached(corpus, tmp_path, clips=1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 140, hard))
    try:
        for id in [*corpus.ids, *corpus.ids]:
            assert cached.listener(id).frames == 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# ---------------------------------------------------------------------- killed builders


def _build(root: Path, folder: Path, pause_s: float, clips: int) -> None:
    Cached(Pairs(root, pause_s=pause_s), folder, clips=clips)
    os._exit(0)


def _key_in(path: Path) -> str:
    with safe_open(path, framework="pt") as file:
        key: str = json.loads(file.metadata()["visavis.shard"])["key"]
    return key


def _leftovers(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.name.startswith(".")]


def test_builders_killed_at_any_moment_leave_only_whole_shards(
    pairs: Pairs, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    rng = random.Random(5)
    killed = 0
    for _ in range(25):
        builders = [
            FORK.Process(target=_build, args=(pairs.root, folder, 0.012, 1)) for _ in range(2)
        ]
        for builder in builders:
            builder.start()
        for builder in builders:  # two at once, killed one after the other
            time.sleep(rng.uniform(0, 0.04))
            if builder.is_alive():
                assert builder.pid is not None
                os.kill(builder.pid, signal.SIGKILL)
                killed += 1
        for builder in builders:
            builder.join()
        for path in folder.rglob("shard-*.safetensors"):
            key = _key_in(path)
            assert len(Shard(path, key=key).ids) == 1
        if all(b.exitcode == 0 for b in builders):
            break
    assert killed >= 3
    cached = Cached(pairs, folder, clips=1)
    assert_equal(cached, pairs)
    assert not _leftovers(cached.folder)


def test_builders_at_once_share_the_work(pairs: Pairs, tmp_path: Path) -> None:
    builders = [
        FORK.Process(target=_build, args=(pairs.root, tmp_path / "cache", 0.02, 1))
        for _ in range(3)
    ]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert [b.exitcode for b in builders] == [0, 0, 0]
    assert pairs.parsed() == len(pairs)  # no dyad twice
    log = (tmp_path / "parsed.log").read_text().splitlines()
    assert len({line.split()[0] for line in log}) > 1
    assert_equal(Cached(pairs, tmp_path / "cache", clips=1), pairs)


def test_a_killed_build_goes_on_from_its_whole_shards(pairs: Pairs, tmp_path: Path) -> None:
    builder = FORK.Process(target=_build, args=(pairs.root, tmp_path / "cache", 0.02, 1))
    builder.start()
    # whole ones alone: one that is being written lies in a folder of its own, deeper
    while len(list((tmp_path / "cache").glob("*/shard-*.safetensors"))) < 4:
        time.sleep(0.002)
    assert builder.pid is not None
    os.kill(builder.pid, signal.SIGKILL)
    builder.join()
    cached = Cached(pairs, tmp_path / "cache", clips=1)
    assert cached.parsed <= len(pairs) - 4
    assert_equal(cached, pairs)


def test_opening_a_complete_cache_writes_nothing(pairs: Pairs, tmp_path: Path) -> None:
    folder = Cached(pairs, tmp_path / "cache").folder
    (folder / "locks").unlink()
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert_equal(Cached(pairs, tmp_path / "cache", verify="nothing"), pairs)
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before


def test_several_jobs_build_the_same_cache(pairs: Pairs, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    slow = Pairs(pairs.root, pause_s=0.01)
    cached = Cached(
        slow, tmp_path / "cache", clips=2, jobs=2, progress=lambda d, t: seen.append((d, t))
    )
    assert seen[-1] == (12, 12)
    assert_equal(cached, pairs)


# ---------------------------------------------------------------------- trouble


def test_a_full_disk_is_said_and_whole_shards_are_kept(pairs: Pairs, tmp_path: Path) -> None:
    big = Pairs(write_pairs(tmp_path / "big", pairs=6, frames=50))
    np.save(tmp_path / "big" / "004_a.npy", np.zeros((4000, 25), np.float32))

    def build() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            Cached(big, tmp_path / "cache", clips=2)
        except InputError as error:
            (tmp_path / "said").write_text(str(error))

    builder = FORK.Process(target=build)
    builder.start()
    builder.join()
    said = (tmp_path / "said").read_text()
    assert "cannot write" in said
    assert "the next run goes on" in said
    shards = list((tmp_path / "cache").rglob("shard-*"))
    assert len(shards) == 4
    assert not _leftovers(tmp_path / "cache")
    cached = Cached(big, tmp_path / "cache", clips=2)
    assert cached.parsed == 4
    assert_equal(cached, big)


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "other"])
def test_a_damaged_shard_is_written_again(pairs: Pairs, tmp_path: Path, damage: str) -> None:
    cached = Cached(pairs, tmp_path / "cache", clips=4)
    path = cached.folder / "shard-00001.safetensors"
    if damage == "cut":
        os.truncate(path, path.stat().st_size - 100)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"\xff" * 5000)
    with pytest.raises(InputError, match=r"cannot read|not a whole shard"):
        Shard(path, key="")
    again = Cached(pairs, tmp_path / "cache", clips=4)
    assert again.parsed == 4
    assert_equal(again, pairs)


def test_a_damaged_index_costs_nothing(pairs: Pairs, tmp_path: Path) -> None:
    cached = Cached(pairs, tmp_path / "cache")
    for text in ("", "[]", '{"format": 1}', '{"format": 1, "key": 3, "shards": 4}'):
        (cached.folder / "index.json").write_text(text)
        assert Cached(pairs, tmp_path / "cache").parsed == 0


def test_a_clip_that_cannot_be_parsed_is_named(pairs: Pairs, tmp_path: Path) -> None:
    (pairs.root / "004_b.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match=r"004-ab cannot be cached: .*004_b.npy.*corpus check"):
        Cached(pairs, tmp_path / "cache")


def test_what_a_cache_cannot_hold_is_said(tmp_path: Path) -> None:
    class Batches(Pairs):
        def __getitem__(self, index: int) -> Dyad:
            dyad = super().__getitem__(index)
            return Dyad(dyad.id, dyad.speaker.unsqueeze(), dyad.listener, "a", "b", "train")

    with pytest.raises(InputError, match=r"the speaker of 000-ab is a batch \[1\]"):
        Cached(Batches(write_pairs(tmp_path / "corpus")), tmp_path / "cache")


def test_options_out_of_range_are_refused(pairs: Pairs, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="clips and jobs must be at least 1, not 0 and 1"):
        Cached(pairs, tmp_path, clips=0)
    with pytest.raises(InputError, match="unknown verify 'dates'"):
        Cached(pairs, tmp_path, verify="dates")  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make"):
        Cached(pairs, tmp_path / "file")


def test_a_cache_taken_away_is_said(pairs: Pairs, tmp_path: Path) -> None:
    cached = Cached(pairs, tmp_path / "cache")
    for path in cached.folder.iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"cannot read .*shard-00000"):
        cached[0]
    assert isinstance(Cached(pairs, tmp_path / "cache").speaker(pairs.ids[0]), Behaviour)
