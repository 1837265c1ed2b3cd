"""Opening a corpus again reads no file, and one changed file costs its own shard alone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from visavis.corpora import SimulatedDyads, _disk_memory
from visavis.corpora._folder_make import write_folder
from visavis.corpora._react_write import write_react
from visavis.corpora.cache import Cached
from visavis.corpora.folder import Folder
from visavis.corpora.react import React


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(_disk_memory.FOLDER, str(tmp_path / "memory"))
    monkeypatch.setattr("visavis.corpora._cache_content._SETTLED_NS", 0)
    return tmp_path / "memory"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_folder(SimulatedDyads("train", size=6, frames=40, audio=False), tmp_path / "pairs")
    return tmp_path / "pairs"


def opened(root: Path) -> Folder:
    return Folder(root, speech=())


def test_files_are_read_once_and_again_when_they_change(root: Path, memory: Path) -> None:
    read: list[str] = []
    digest = _disk_memory.digest

    def counted(path: Path) -> str:
        read.append(path.name)
        return digest(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_disk_memory, "digest", counted)
        first = opened(root).fingerprint
        assert read
        read.clear()
        assert opened(root).fingerprint == first
        assert not read
        source = opened(root).sources(2)[0]
        look = source.stat()
        whole = source.read_bytes()
        source.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        os.utime(source, ns=(look.st_atime_ns, look.st_mtime_ns))  # same size, same date
        assert opened(root).fingerprint != first
        assert read == [source.name]


def test_without_a_place_to_remember_the_fingerprint_is_the_same(
    root: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(root).fingerprint
    monkeypatch.setenv(_disk_memory.FOLDER, "/proc/nowhere")
    assert opened(root).fingerprint == first


def test_one_changed_file_is_parsed_again_with_its_own_shard_alone(
    root: Path, memory: Path, tmp_path: Path
) -> None:
    cached = Cached(opened(root), tmp_path / "cache", clips=1)
    assert cached.parsed == 6
    source = opened(root).sources(3)[1]
    other = opened(root).sources(4)[1]
    source.write_bytes(other.read_bytes())
    again = Cached(opened(root), tmp_path / "cache", clips=1)
    assert again.parsed == 1
    assert again.folder == cached.folder
    assert again.fingerprint == opened(root).fingerprint
    values = [again[i].listener["blendshapes"].numpy() for i in (3, 4)]
    np.testing.assert_array_equal(*values)


def test_other_options_are_another_cache(root: Path, memory: Path, tmp_path: Path) -> None:
    one = Cached(opened(root), tmp_path / "cache")
    manifest = (root / "manifest.csv").read_text()
    (root / "manifest.csv").write_text(manifest.replace(one[0].listener_id, "somebody"))
    assert Cached(opened(root), tmp_path / "cache").folder != one.folder


def test_both_views_of_a_react_clip_lie_in_one_shard(memory: Path, tmp_path: Path) -> None:
    write_react(SimulatedDyads("train", size=4, frames=40, audio=False), tmp_path / "react")
    corpus = React(tmp_path / "react", "train", speech=())
    cached = Cached(corpus, tmp_path / "cache", clips=2)
    for pair in range(4):
        places = [cached._place[corpus.ids[i]][0] for i in (pair, pair + 4)]
        assert places[0] == places[1]


def test_the_means_of_the_training_split_bear_on_the_other_splits(
    memory: Path, tmp_path: Path
) -> None:
    for split in ("train", "val"):
        write_react(
            SimulatedDyads(split, size=2, frames=40, audio=False), tmp_path / "react", split=split
        )
    for name in ("mean_face.npy", "std_face.npy"):
        (tmp_path / "react" / name).unlink(missing_ok=True)
    first = React(tmp_path / "react", "val", speech=())
    before = first.reading, first.fingerprint
    for face in (tmp_path / "react" / "train").rglob("3D_FV_files/**/*.npy"):
        np.save(face, np.load(face) + np.float32(0.5))
    second = React(tmp_path / "react", "val", speech=())
    assert before[0] != second.reading
    assert before[1] != second.fingerprint
