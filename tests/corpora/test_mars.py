"""MARS: its tree and its quirks."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from visavis.corpora import SimulatedDyads
from visavis.corpora._disk_make import write_npy, write_table
from visavis.corpora._mars_make import write_mars
from visavis.corpora.mars import Mars
from visavis.errors import InputError

SIZE, FRAMES = 16, 50


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mars")
    write_mars(SimulatedDyads("val", size=SIZE, frames=FRAMES, audio=False), root)
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "mars"))


def attributes(root: Path, role: str = "listener") -> list[Path]:
    return sorted((root / "val" / "facial-attributes" / role).rglob("*.npy"))


def silent(root: Path, **options: object) -> Mars:
    return Mars(root, "val", speech=(), **options)  # type: ignore[arg-type]


def test_the_native_clock_is_kept_for_the_protocol(whole: Path) -> None:
    native = silent(whole, clock="native")
    assert native[0].speaker.fps == 30.0
    assert native[0].speaker.frames == FRAMES * 30 // 25
    raw = np.load(attributes(whole)[0])
    assert np.array_equal(native[0].listener["au"].numpy(), raw[:, :15])
    assert silent(whole)[0].speaker.frames == FRAMES


def test_roles_are_swapped_only_when_asked_and_each_seat_has_its_own_reactions(whole: Path) -> None:
    one, both = silent(whole), silent(whole, bidirectional=True)
    assert len(both) == 2 * len(one) == 2 * SIZE
    swapped = both[both.index(one.ids[0] + "-swapped")]
    assert torch.equal(swapped.listener["va"], one[0].speaker.filled("va"))
    assert all(id.endswith("-swapped") for id in swapped.appropriate)


def test_ten_targets_are_drawn_once_and_laid_to_one_length(root: Path) -> None:
    short = attributes(root)[3]
    write_npy(short, np.load(short)[:40])
    other = root / "val" / "coefficients" / short.relative_to(root / "val" / "facial-attributes")
    write_npy(other, np.load(other)[:40])
    corpus = silent(root)
    drawn = corpus.labels.draw(10, seed=1)
    ids = drawn.targets(corpus.ids[0])
    assert ids[0] == corpus.ids[0]
    assert ids == corpus.labels.draw(10, seed=1).targets(corpus.ids[0])
    targets = corpus.targets(corpus.ids[0], drawn)
    assert {target.frames for target in targets} == {FRAMES}
    assert corpus[3].listener.frames == 33 == corpus.listener(corpus.ids[3]).frames
    assert set(targets[0]["au"].unique().tolist()) <= {0.0, 1.0}


def test_macos_twins_and_strangers_in_the_tree_are_passed_over(root: Path) -> None:
    first = attributes(root)[0]
    (first.parent / f"._{first.name}").write_bytes(b"\0\5\x16\7")
    (first.parents[1] / ".DS_Store").write_bytes(b"x")
    (first.parents[1] / "notes").mkdir()
    corpus = silent(root)
    assert len(corpus) == SIZE
    assert [p.kind for p in corpus.problems(deep=False)] == ["orphan"]


def test_a_recording_without_its_partner_is_left_out_and_named(root: Path) -> None:
    gone = attributes(root, "speaker")[2]
    gone.unlink()
    corpus = silent(root)
    problem = corpus.problems(deep=False)[0]
    assert len(corpus) == SIZE - 1
    assert (problem.kind, problem.skipped) == ("orphan", True)
    assert gone.stem in problem.where


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:900]), "cut off"),
        (lambda p: p.write_bytes(b"not an array"), "not an npy file"),
        (lambda p: write_npy(p, np.zeros((50, 24), np.float32)), "wanted \\[frames, 25\\]"),
        (lambda p: write_npy(p, np.zeros((0, 25), np.float32)), "no frames"),
        (lambda p: np.save(p, np.array([{}] * 3, dtype=object), allow_pickle=True), "pickled"),
    ],
)
def test_a_damaged_recording_costs_itself_alone(root: Path, damage: object, says: str) -> None:
    damage(attributes(root)[1])  # type: ignore[operator]
    corpus = silent(root)
    assert len(corpus) == SIZE - 1
    found = [p for p in corpus.problems(deep=False) if p.kind == "damaged"]
    assert len(found) == 1
    assert re.search(says, found[0].what)


def test_damage_below_the_header_names_the_file(root: Path) -> None:
    path = sorted((root / "val" / "coefficients" / "listener").rglob("*.npy"))[0]
    path.write_bytes(path.read_bytes()[:700])
    corpus = silent(root)
    with pytest.raises(InputError, match=path.name):
        corpus[0]
    found = [p for p in corpus.problems() if p.kind == "damaged"]
    assert found[0].where == corpus.ids[0]
    assert "skip=" in found[0].what


def test_frames_that_are_not_finite_are_unobserved(root: Path) -> None:
    path = attributes(root)[0]
    raw = np.load(path)
    raw[10:20, 3] = np.nan
    write_npy(path, raw)
    corpus = silent(root, clock="native")
    mask = corpus[0].listener.mask("au")
    assert not mask[10:20].any()
    assert int((~mask).sum()) == 10
    assert corpus[0].listener.mask("va").all()
    assert "10 of 60 frames" in next(p.what for p in corpus.problems() if p.where == corpus.ids[0])


def test_sides_of_other_lengths_are_cut_and_reported(root: Path) -> None:
    path = attributes(root, "speaker")[0]
    write_npy(path, np.load(path)[:30])
    corpus = silent(root)
    assert corpus[0].speaker.frames == corpus[0].listener.frames == 25
    assert next(p for p in corpus.problems() if p.kind == "lengths").where == corpus.ids[0]


def test_missing_coefficients_are_unobserved_not_zero(root: Path) -> None:
    path = sorted((root / "val" / "coefficients" / "listener").rglob("*.npy"))[0]
    path.unlink()
    corpus = silent(root)
    assert not corpus[0].listener.mask("blendshapes").any()
    assert corpus[0].listener.has("au")
    assert corpus.problems(deep=False)[0].where == str(path)


def test_personality_is_scaled_and_ordered(root: Path) -> None:
    stem, session = attributes(root)[0].stem, attributes(root)[0].parent.name
    header = (
        *("video_name", "session", "Extraversion", "Agreeableness", "Conscientiousness"),
        *("Neuroticism", "Openness"),
    )
    rows = [(f"{stem}.mp4", session.removeprefix("session"), 1, 2, 3, 4, 5)]
    table = root / "val" / "personality" / "listener.csv"
    write_table(table, header, rows)
    traits = silent(root)[0].traits
    assert traits is not None
    assert traits.tolist() == [1.0, 0.5, 0.0, 0.25, 0.75]  # O C E A N
    assert silent(root)[1].traits is None
    write_table(table, header, [(stem, session, 1, 2, 3, 4, "n/a")])
    assert silent(root)[0].traits is None
    assert silent(root).problems(deep=False)[0].kind == "personality"
    write_table(table, header[:-1], [(stem, session, 1, 2, 3, 4)])
    with pytest.raises(InputError, match="no column 'Openness'"):
        silent(root)


def test_a_row_of_eeg_lasts_a_second_and_missing_ones_are_unobserved(root: Path) -> None:
    with pytest.raises(InputError, match="eeg_processed does not exist"):
        silent(root, extra=("eeg",))
    (root / "val" / "eeg_processed.tar.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"unpack eeg_processed\.tar\.gz"):
        silent(root, extra=("eeg",))
    who = attributes(root)[0]
    table = root / "val" / "eeg_processed" / "listener" / who.parent.name / f"{who.stem}.csv"
    header = [f"c{i}" for i in range(14)]
    write_table(table, header, [[1000.0 * (1 + row)] * 14 for row in range(1)])
    corpus = silent(root, extra=("eeg",))
    eeg, mask = corpus[0].listener.filled("eeg", -1.0), corpus[0].listener.mask("eeg")
    assert mask.tolist() == [True] * 25 + [False] * 25
    assert eeg[0].tolist() == [1.0] * 4 + [1000.0] * 10
    assert not corpus[1].listener.mask("eeg").any()
    assert silent(root, extra=("eeg",), clock="native")[0].listener.mask("eeg").sum() == 30


def test_coefficients_may_stay_as_they_are(whole: Path) -> None:
    theirs = silent(whole, convention="faceverse", clock="native")[0].listener
    assert theirs.layout.convention == "faceverse"
    assert abs(float(theirs["rotation"][:, 0].mean()) - np.pi) < 0.2
    ours = silent(whole, clock="native")[0].listener
    assert float(ours["rotation"].abs().max()) < 0.5


def test_the_mean_place_is_taken_from_the_files_where_no_file_tells_it(root: Path) -> None:
    told = silent(root)[0].listener["translation"]
    (root / "mean_face.npy").unlink()
    found = silent(root)
    taken = found[0].listener["translation"]
    shift = told - taken
    assert torch.allclose(shift, shift[:1].expand_as(shift), atol=1e-6)
    everyone = torch.cat(
        [d.listener["translation"] for d in found]
        + [d.speaker.filled("translation") for d in found]
    )
    assert float(everyone.mean(0).abs().max()) < 2e-3
