"""ViCo: its two trees and its quirks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from visavis.corpora import SimulatedDyads
from visavis.corpora._disk_make import write_table
from visavis.corpora._vico_make import write_vico
from visavis.corpora.vico import Vico
from visavis.errors import InputError

SIZE, FRAMES = 9, 50


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vico")
    write_vico(SimulatedDyads("train", size=SIZE, frames=FRAMES, audio=False), root)
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "vico"))


def silent(root: Path, split: str = "train", **options: Any) -> Vico:
    return Vico(root, split, speech=(), **options)


def fits(root: Path) -> list[Path]:
    return sorted((root / "recons").rglob("*.mat"))


def test_coefficients_of_another_model_keep_names_of_their_own(whole: Path) -> None:
    who = silent(whole, faces=None)[0].listener
    assert who.layout.names == ("bfm_expression", "bfm_angle", "bfm_translation")
    assert who["bfm_expression"].shape == (FRAMES, 64)
    seen = silent(whole, faces="beside")[0].listener
    assert seen.has("attributes", "coefficients", "bfm_expression")
    assert torch.allclose(seen["blendshapes"], seen["bfm_expression"][:, :52], atol=0.1)


def test_only_the_paired_listener_is_appropriate(whole: Path) -> None:
    corpus = silent(whole)
    assert all(len(corpus.labels.of(id)) == 1 for id in corpus.ids)


def test_the_full_release_is_read_by_its_own_columns(root: Path) -> None:
    (root / "train.csv").unlink()
    names = sorted({path.name.rpartition(".mat")[0] for path in fits(root)})
    pairs = list(zip(names[1::2], names[::2], strict=True))  # listener sorts before speaker
    header = ("attitude", "audio", "speaker", "listener", "speaker_id", "listener_id", "data_split")
    write_table(
        root / "RLD_data.csv",
        header,
        [
            ("positive", f"a{i}", speaker, listener, f"p{i}", "q", "train" if i < 6 else "ood")
            for i, (speaker, listener) in enumerate(pairs)
        ],
    )
    corpus = silent(root)
    assert len(corpus) == 6
    assert len(silent(root, "ood")) == SIZE - 6
    dyad = corpus[0]
    assert (dyad.context, dyad.speaker_id, dyad.listener_id) == ("positive", "p0", "q")
    with pytest.raises(InputError, match="Known: ood, train"):
        silent(root, "val")


def test_a_missing_fit_costs_its_pair(root: Path) -> None:
    fits(root)[0].unlink()
    corpus = silent(root)
    assert len(corpus) == SIZE - 1
    assert [(p.kind, p.skipped) for p in corpus.problems(deep=False)] == [("missing", True)]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:300]), "not a MATLAB file"),
        (lambda path: path.write_bytes(b"no mat"), "not a MATLAB file"),
        (lambda path: savemat(path, {"x": np.ones(3)}), "no variable 'coeff'"),
        (lambda path: savemat(path, {"coeff": np.ones((9, 256))}), r"wanted \[frames, 257\]"),
        (lambda path: savemat(path, {"coeff": np.array(["a"])}), "wanted numbers"),
    ],
)
def test_a_damaged_fit_is_named(root: Path, damage: Any, says: str) -> None:
    path = fits(root)[0]
    damage(path)
    corpus = silent(root)
    with pytest.raises(InputError, match=says) as caught:
        corpus[0]
    assert path.name in str(caught.value)
    assert "damaged" in {problem.kind for problem in corpus.problems()}


def test_two_files_of_one_name_are_refused(root: Path) -> None:
    (root / "recons" / "other").mkdir()
    shutil.copy(fits(root)[0], root / "recons" / "other")
    with pytest.raises(InputError, match="two files have one name"):
        silent(root)


def test_films_alone_ask_for_coefficients_or_perception(root: Path) -> None:
    shutil.rmtree(root / "recons")
    with pytest.raises(InputError, match="no coefficients"):
        silent(root, faces=None)
    assert silent(root, faces="beside")[0].listener.has("blendshapes")
    shutil.rmtree(root / "videos")
    with pytest.raises(InputError, match="no usable clip"):
        silent(root, faces="beside")


def test_a_clip_that_is_listed_twice_is_used_once(root: Path) -> None:
    table = root / "train.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[1]]))
    corpus = silent(root)
    assert len(corpus) == SIZE
    assert corpus.problems(deep=False)[0].kind == "twice"


def test_a_table_without_its_columns_is_no_corpus(root: Path) -> None:
    (root / "train.csv").write_text("uuid,speaker\nx,y\n")
    with pytest.raises(InputError, match="uuid, speaker_id, listener_id"):
        silent(root)
