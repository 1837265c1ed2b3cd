"""Corpora are made in every real layout, found out, checked and cached: end to end on disk."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.cli import commands
from tests.corpora.test_cache import assert_equal
from visavis.corpora import load
from visavis.corpora.cache import Cached
from visavis.corpora.check import check, detect
from visavis.corpora.make import LAYOUTS, make
from visavis.errors import InputError

SIZES = {"train": 3, "val": 2}


def visavis(*words: object) -> subprocess.CompletedProcess[str]:
    return commands.visavis("corpus", *words)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small corpus in each layout; tests that change one make their own."""
    root = tmp_path_factory.mktemp("made")
    for name in LAYOUTS:
        make(name, root / name, sizes=SIZES, frames=60, audio=False)
    return root


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_made_corpus_is_found_out_sound_and_cached(made: Path, tmp_path: Path, name: str) -> None:
    root = made / name
    assert detect(root) == name
    steps: list[tuple[int, int | None]] = []
    found = check(root, progress=lambda done, total: steps.append((done, total)))
    assert (found.corpus, found.sound, found.findings) == (name, True, ())
    assert set(found.splits) == {"train", "val"}
    total = sum(found.splits.values())
    assert steps[-1] == (total, total)
    corpus = load(name, "train", root=root)
    cached = Cached(corpus, tmp_path, clips=2)
    assert_equal(cached, corpus)
    assert Cached(load(name, "train", root=root), tmp_path, clips=2).parsed == 0


def test_what_is_wrong_is_reported_with_what_it_costs(tmp_path: Path) -> None:
    root = tmp_path / "mars"
    make("mars", root, sizes={"train": 6}, frames=60, audio=False)
    files = sorted((root / "train" / "facial-attributes" / "listener").rglob("*.npy"))
    files[0].write_bytes(files[0].read_bytes()[:200])  # cut off
    files[1].unlink()
    np.save(files[2], np.load(files[2])[:40])  # shorter than its speaker
    holes = np.load(files[3])
    holes[5:9] = np.nan
    np.save(files[3], holes)
    np.save(files[4], np.load(files[4])[:, :20])  # too narrow
    np.save(files[5], np.array([{"a": 1}], dtype=object), allow_pickle=True)
    found = check(root)
    assert not found.sound
    lost = {f.problem.where for f in found.findings if f.lost}
    text = json.dumps(found.to_json())
    for path in (files[0], files[1], files[4], files[5]):
        assert any(path.stem in where for where in lost), path
    assert "pickled" in text
    assert "cut off" in text
    remarks = {f.problem.kind for f in found.findings if not f.lost}
    assert {"lengths", "unobserved"} <= remarks
    ranks = [f.lost for f in found.findings]
    assert ranks == sorted(ranks, reverse=True)  # losses first

    done = visavis("check", root, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == found.to_json()
    assert visavis("check", root).stdout.count(" lost ") + text.count('"skipped": true') >= 3


def test_a_root_that_fits_no_layout_is_told_why(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match=r"(?s)fits no layout.*mars:.*react:.*found a\.txt"):
        check(tmp_path)
    with pytest.raises(InputError, match="does not exist; wanted the folder of a corpus"):
        check(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is a file; wanted the folder"):
        detect(tmp_path / "a.txt")
    with pytest.raises(InputError, match="does not hold MARS"):
        check(tmp_path, "mars")


def test_a_split_that_does_not_open_is_a_loss_and_the_others_are_checked(tmp_path: Path) -> None:
    make("react", tmp_path / "r", sizes=SIZES, frames=60, audio=False)
    (tmp_path / "r" / "val.csv").write_text("nothing,of,use\n")
    found = check(tmp_path / "r")
    assert set(found.splits) == {"train"}
    assert [(f.split, f.problem.kind, f.lost) for f in found.findings] == [
        ("val", "unusable", True)
    ]


def test_nothing_is_written_over(made: Path) -> None:
    with pytest.raises(InputError, match="holds something already"):
        make("react", made / "react")
    with pytest.raises(InputError, match=r"no layout 'recat' to write\. Did you mean 'react'"):
        make("recat", made / "new")


def test_the_commands_work_together(tmp_path: Path) -> None:
    root = tmp_path / "seamless"
    done = visavis("make", "seamless", root, "--size", 2, "--frames", 50, "--no-audio", "--json")
    assert json.loads(done.stdout)["splits"] == {"train": 2, "val": 1, "test": 1}
    assert visavis("check", root).returncode == 0
    assert "seamless at" in visavis("info", root).stdout
    first = json.loads(visavis("cache", root, "--json").stdout)
    assert [row["parsed"] for row in first["splits"]] == [4, 2, 2]
    old = tmp_path / "seamless-cache" / "seamless-val-0123"
    old.mkdir()
    done = visavis("cache", root, "--split", "val", "--prune")
    assert f"removed: {old}" in done.stdout
    assert not old.exists()
    done = visavis("cache", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "does not exist" in done.stderr
