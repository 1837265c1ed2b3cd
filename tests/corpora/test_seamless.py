"""Seamless Interaction: its tree, tars, tables and quirks."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from visavis.channels import EXPRESSION_LABELS
from visavis.corpora import SimulatedDyads
from visavis.corpora._disk_make import npy_bytes
from visavis.corpora._disk_piece import Piece, packed
from visavis.corpora._seamless_files import ID
from visavis.corpora._seamless_make import write_seamless
from visavis.corpora._seamless_read import SCORES, activity
from visavis.corpora.seamless import Seamless
from visavis.errors import InputError

SIZE, FRAMES = 10, 50


@pytest.fixture(scope="module")
def dyads() -> SimulatedDyads:
    return SimulatedDyads("val", size=SIZE, frames=FRAMES, audio=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, dyads: SimulatedDyads) -> Path:
    root = tmp_path_factory.mktemp("seamless")
    write_seamless(dyads, root)
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "seamless"))


def silent(root: Path, **options: Any) -> Seamless:
    return Seamless(root, "val", speech=(), **options)


def first(root: Path, suffix: str) -> Path:
    """A file of the first dyad's speaker."""
    return sorted((root / "improvised" / "dev").rglob(f"*.{suffix}"))[0]


def rewritten(npz: Path, **arrays: np.ndarray | None) -> None:
    """Replace (or with None take out) arrays of an npz."""
    with zipfile.ZipFile(npz) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for key, array in arrays.items():
        name = f"movement:{key}.npy"
        members.pop(name, None)
        if array is not None:
            members[name] = npy_bytes(array)
    with zipfile.ZipFile(npz, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def movement(npz: Path, key: str) -> np.ndarray:
    with zipfile.ZipFile(npz) as archive:
        return np.load(io.BytesIO(archive.read(f"movement:{key}.npy")))


@pytest.mark.parametrize("id", ["V00_S0809_I00000582_P0947", "V00_S0644_I00000125_P0299A"])
def test_ids_of_participants_and_of_actors_are_read(id: str) -> None:
    found = ID.fullmatch(id)
    assert found is not None
    assert found.group(4) == id.rpartition("P")[2]


def test_tars_give_what_folders_give(whole: Path, dyads: SimulatedDyads, tmp_path: Path) -> None:
    write_seamless(dyads, tmp_path, packed=True)
    tars, folders = silent(tmp_path, faces=None), silent(whole, faces=None)
    assert not list((tmp_path / "improvised").rglob("*.npz"))
    assert tars.ids == folders.ids
    for i in (0, 2 * SIZE - 1):
        ours, theirs = tars[i], folders[i]
        assert ours.speaker.words == theirs.speaker.words
        for name in ours.listener.layout.names:
            assert torch.equal(ours.listener.filled(name), theirs.listener.filled(name))
    assert {path.suffix for path in tars.sources(0)} == {".tar", ".csv"}


def test_of_a_tar_that_is_cut_off_the_whole_members_are_used(
    dyads: SimulatedDyads, tmp_path: Path
) -> None:
    write_seamless(dyads, tmp_path, packed=True, faces=False)
    tar = sorted(tmp_path.rglob("*.tar"))[0]
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    corpus = silent(tmp_path)
    assert 0 < len(corpus) < 2 * SIZE
    kinds = {problem.kind for problem in corpus.problems(deep=False)}
    assert {"damaged", "missing"} & kinds
    tar.write_bytes(b"this is no archive")
    assert any("not an uncompressed tar" in p.what for p in silent(tmp_path).problems(deep=False))


def test_a_piece_of_a_tar_is_a_file_of_its_own(tmp_path: Path) -> None:
    tar = tmp_path / "a.tar"
    with tarfile.open(tar, "w") as archive:
        for name in ("x.json", "y.json"):
            content = f"<{name}>".encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("z.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    pieces, wrong = packed(tar)
    assert wrong is None
    assert [piece.read() for piece in pieces] == [b"<x.json>", b"<y.json>"]
    with pieces[1].open() as file:
        assert file.seek(-2, io.SEEK_END) == 6
        assert file.read(100) == b"n>"
    shorter = Piece(tar, "late", tar.stat().st_size - 3, 10)
    with pytest.raises(InputError, match="cut off"):
        shorter.read()


def test_emotions_come_in_our_order_and_invalid_frames_are_absent(root: Path) -> None:
    npz = first(root, "npz")
    scores = np.zeros((60, 8), np.float32)
    scores[:, SCORES.index("Happy")] = 1.0
    scores[30:36] = 0.5  # no probabilities: they sum to 4
    valid = np.ones((60, 1), np.float32)
    valid[42:48] = 0
    rewritten(npz, emotion_scores=scores, is_valid=valid)
    who = silent(root)[0].speaker
    assert who.filled("expression")[0].argmax() == EXPRESSION_LABELS.index("Happy")
    assert not who.mask("expression")[26:29].any()
    assert who.mask("va")[26:29].all()
    for name in ("va", "expression", "fau", "head_rotation"):
        assert not who.mask(name)[36:39].any()


def test_what_is_undocumented_keeps_names_of_its_own(whole: Path) -> None:
    who = silent(whole, faces=None)[0].listener
    assert set(who.layout.names) == {"va", "expression", "fau", "head_rotation", "gaze"}
    assert who["fau"].shape == (FRAMES, 24)
    assert silent(whole, faces=None, extra=())[0].listener.layout.names == ("va", "expression")
    with pytest.raises(InputError, match="no channel 'au'"):
        silent(whole, extra=("au",))


def test_versioned_keys_are_read_and_the_latest_wins(root: Path) -> None:
    npz = first(root, "npz")
    with zipfile.ZipFile(npz, "a") as archive:
        name = "movement_v4:emotion_valence.npy"
        archive.writestr(name, npy_bytes(np.full((60, 1), 0.25, np.float32)))
    assert torch.all(silent(root)[0].speaker.filled("va")[:, 0] == 0.25)


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda npz: npz.write_bytes(npz.read_bytes()[:4000]), "damaged"),
        (lambda npz: npz.unlink(), "missing"),
        (lambda npz: rewritten(npz, emotion_valence=None), "missing"),
        (lambda npz: npz.with_suffix(".json").unlink(), "missing"),
        (lambda npz: [p.unlink() for p in npz.parent.glob(f"{npz.stem}.*")], "orphan"),
    ],
)
def test_half_a_pair_costs_the_pair_alone(root: Path, damage: Any, kind: str) -> None:
    damage(first(root, "npz"))
    corpus = silent(root)
    assert len(corpus) == 2 * SIZE - 2
    assert [(p.kind, p.skipped) for p in corpus.problems(deep=False)] == [(kind, True)]


def test_damage_inside_an_npz_names_the_member(root: Path) -> None:
    npz = first(root, "npz")
    rewritten(npz, FAUValue=np.zeros((60, 23), np.float32))
    with pytest.raises(InputError, match=r"FAUValue.*23.*wanted \[frames, 24\]"):
        silent(root)[0]
    rewritten(npz, FAUValue=np.zeros((50, 24), np.float32))
    with pytest.raises(InputError, match="has 50 frames, is_valid has 60"):
        silent(root)[0]
    content = io.BytesIO()
    np.save(content, np.array([{}] * 60, dtype=object), allow_pickle=True)
    with zipfile.ZipFile(npz) as archive:
        members = {n: archive.read(n) for n in archive.namelist() if "FAU" not in n}
    with zipfile.ZipFile(npz, "w") as archive:
        for name, data in (members | {"movement:FAUValue.npy": content.getvalue()}).items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match="pickled"):
        silent(root)[0]
    assert next(p.kind for p in silent(root).problems()) == "damaged"


def test_misplaced_times_and_words_without_any_are_reported(root: Path) -> None:
    path = first(root, "json")
    data = json.loads(path.read_text())
    data["metadata:vad"].append({"start": 700.0, "end": 701.0})
    data["metadata:transcript"][0]["words"].append({"word": "19"})
    path.write_text(json.dumps(data))
    corpus = silent(root)
    found = {p.kind: p for p in corpus.problems() if p.where == corpus.ids[0]}
    assert "701.0 s" in found["times"].what
    assert "1 words" in found["words"].what
    path.write_text("{")
    with pytest.raises(InputError, match=path.name):
        corpus[0]


def test_voice_activity_is_the_share_of_a_frame_that_is_spoken() -> None:
    found = activity([(0.02, 0.1), (0.08, 0.1), (5.0, 1.0)], 4)[:, 0]
    assert found.tolist() == pytest.approx([0.5, 1.0, 1.0, 0.0])


def test_the_voice_is_the_corpus_own(whole: Path) -> None:
    dyad = Seamless(whole, "val", speech=("energy", "voice"))[0]
    spoken = [(w.start_s + w.end_s) / 2 for w in dyad.speaker.words]
    assert all(float(dyad.speaker["voice"][int(t * 25), 0]) == 1.0 for t in spoken if t < 1.9)


def test_the_same_prompt_is_appropriate_but_not_ones_own_face(whole: Path) -> None:
    corpus = silent(whole)
    dyad = corpus[0]
    other = next(d for d in corpus if d.id != dyad.id and d.listener_id == dyad.speaker_id)
    assert other.id not in dyad.appropriate
    assert dyad.script == "I00003125"
    assert len(dyad.appropriate) == 2 * SIZE - 1


def test_personality_comes_from_the_table_and_doubts_about_it_are_told(root: Path) -> None:
    table = root / "participants.csv"
    who = silent(root)[0].listener_id.removeprefix("V00_P")
    header = "extraversion_raw,agreeableness_raw,conscientiousness_raw,neuroticism_raw,openness_raw"
    rows = [f"1,2,3,4,5,00,{who}", *(f"3,3,3,3,3,00,90{i:02d}" for i in range(4))]
    table.write_text("\n".join([f"{header},vendor_id,participant_id", *rows]))
    corpus = silent(root)
    assert corpus[0].traits is not None
    assert corpus[0].traits.tolist() == [1.0, 0.5, 0.0, 0.25, 0.75]
    assert "4 participants of vendor 00" in corpus.problems(deep=False)[0].what
    table.write_text("\n".join([f"{header},vendor_id,participant_id", rows[0], "2" + rows[0][1:]]))
    assert silent(root)[0].traits is None
    assert silent(root).problems(deep=False)[0].kind == "twice"
    table.write_text(header)
    with pytest.raises(InputError, match="vendor_id"):
        silent(root)


def test_a_prompt_that_the_table_lacks_is_reported(root: Path) -> None:
    table = root / "interactions.csv"
    table.write_text(table.read_text().replace("00003125", "00000999"))
    assert [p.where for p in silent(root).problems(deep=False)] == ["I00003125"]


def test_the_same_file_in_two_archives_is_used_once(root: Path) -> None:
    npz = first(root, "npz")
    other = npz.parents[1] / "0077"
    other.mkdir()
    shutil.copy(npz, other)
    corpus = silent(root)
    assert len(corpus) == 2 * SIZE
    assert [p.kind for p in corpus.problems(deep=False)] == ["twice"]


def test_faces_that_were_not_perceived_are_asked_for(root: Path) -> None:
    with pytest.raises(InputError, match="needs a place"):
        silent(root, perceive=True, faces=None)
    with pytest.raises(InputError, match="nor is there a film"):
        silent(root, faces=root / "nowhere")[0]
    film = first(root, "npz").with_suffix(".mp4")
    film.write_bytes(b"")
    with pytest.raises(InputError, match="perceive=True"):
        silent(root, faces=root / "nowhere")[0]


def test_splits_written_one_after_another_share_the_tables(root: Path) -> None:
    write_seamless(SimulatedDyads("train", size=2, frames=FRAMES, audio=False), root)
    train, val = Seamless(root, "train", speech=()), silent(root)
    assert train.problems() == val.problems() == []
    assert not {d.listener_id for d in train} & {d.listener_id for d in val}
    assert train[0].traits is not None
    assert val[0].traits is not None


def test_what_was_perceived_of_a_whole_folder_is_found(root: Path) -> None:
    """`visavis perceive` keeps the folders, and says .mp4 where a wav lies beside."""
    place = root.parent / "seen" / "improvised" / "dev" / "0000" / "0000"
    place.mkdir(parents=True)
    kept = sorted((root / "improvised").rglob("*.safetensors"))
    for i, path in enumerate(kept):
        path.rename(place / (f"{path.stem}.mp4.safetensors" if i % 2 else path.name))
    assert silent(root, faces=root.parent / "seen")[0].listener.has("blendshapes")


def test_half_a_corpus_says_so(root: Path) -> None:
    shutil.rmtree(root / "improvised" / "dev" / "0000")
    with pytest.raises(InputError, match="no usable clip"):
        silent(root)
    with pytest.raises(InputError, match="no split 'train'"):
        Seamless(root, "train")
