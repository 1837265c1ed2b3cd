"""Any folder of pairs: the manifest, the kinds of files, and what is said when it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.people import COEFFICIENTS, person
from visavis.behaviour import Word
from visavis.corpora import SimulatedDyads
from visavis.corpora._disk_make import write_npy
from visavis.corpora._folder_make import Kind, write_folder
from visavis.corpora.folder import Folder
from visavis.errors import InputError

FRAMES = 50


def pair(root: Path, name: str, *, frames: int = FRAMES, suffix: str = "safetensors") -> None:
    root.mkdir(parents=True, exist_ok=True)
    for side, seed in (("speaker", 0), ("listener", 1)):
        person(frames, seed=seed, names=COEFFICIENTS).save(root / f"{name}_{side}.{suffix}")


def manifest(root: Path, *lines: str) -> None:
    (root / "manifest.csv").write_text("\n".join(lines), "utf-8")


def test_files_are_paired_by_name_without_a_manifest(tmp_path: Path) -> None:
    pair(tmp_path, "monday")
    pair(tmp_path / "second", "tuesday")
    (tmp_path / "alone-speaker.npy").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    corpus = Folder(tmp_path)
    assert corpus.ids == ("monday", "second-tuesday")
    assert corpus[0].appropriate == ("monday",)
    problem = corpus.problems(deep=False)[0]
    assert problem.kind == "orphan"
    assert "alone-speaker.npy" in problem.where


def test_an_empty_folder_is_answered_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="speaker,listener,listener_id,script") as caught:
        Folder(tmp_path)
    assert "an empty folder" in str(caught.value)
    assert len([line for line in str(caught.value).splitlines() if line.startswith("    ")]) == 3


@pytest.mark.parametrize("kind", ["safetensors", "npy", "csv"])
def test_every_kind_of_file_gives_the_same_numbers(tmp_path: Path, kind: Kind) -> None:
    dyads = SimulatedDyads("test", size=8, frames=20, audio=False)
    write_folder(dyads, tmp_path / kind, kind=kind, lines=kind == "npy")
    corpus = Folder(tmp_path / kind, "test")
    for i in (0, 7):
        ours, theirs = corpus[i], dyads[i]
        assert (ours.id, ours.script, ours.context) == (theirs.id, theirs.script, theirs.context)
        assert (ours.speaker_id, ours.listener_id) == (theirs.speaker_id, theirs.listener_id)
        for name in theirs.listener.layout.names:
            assert torch.equal(ours.listener[name], theirs.listener[name])
        inside = theirs.speaker.window(0, 20).words  # a word that begins past the end is cut
        assert [w.text for w in ours.speaker.words] == [w.text for w in inside]


def test_rows_cut_stretches_out_of_a_recording(tmp_path: Path) -> None:
    pair(tmp_path, "long", frames=100)
    (tmp_path / "words.csv").write_text("word,start_s,end_s\nyes,1.5,1.75\nno,3.0,3.5\n")
    manifest(
        tmp_path,
        "id;speaker;listener;start_s;end_s;transcript",
        "a;long_speaker.safetensors;long_listener.safetensors;1;2;words.csv",
        "b;long_speaker.safetensors;long_listener.safetensors;2.4;;",
    )
    corpus = Folder(tmp_path)
    assert [dyad.listener.frames for dyad in corpus] == [25, 40]
    assert corpus[0].speaker.words == (Word("yes", 0.5, 0.75),)
    full = person(100, seed=1, names=COEFFICIENTS)
    assert torch.equal(corpus[1].listener["rotation"], full["rotation"][60:])
    assert corpus.listener("b").frames == 40


def test_splits_and_scripts_are_the_manifests(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        pair(tmp_path, name)
    rows = [
        {"speaker": f"{n}_speaker.safetensors", "listener": f"{n}_listener.safetensors",
         "id": n, "split": split, "script": "holiday", "listener_id": "kim"}
        for n, split in (("a", "train"), ("b", "train"), ("c", "test"))
    ]  # fmt: skip
    (tmp_path / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    train, test = Folder(tmp_path), Folder(tmp_path, "test")
    assert (train.ids, test.ids) == (("a", "b"), ("c",))
    assert train[0].appropriate == ("a", "b") == train[0].personal
    with pytest.raises(InputError, match="Known: test, train"):
        Folder(tmp_path, "val")
    del rows[0]["split"]
    (tmp_path / "manifest.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.raises(InputError, match="a has no split, others have"):
        Folder(tmp_path)


def test_without_splits_there_is_train_alone(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    with pytest.raises(InputError, match="Known: train"):
        Folder(tmp_path, "test")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["speaker,litsener", "a,b"], "no column 'listener'. Did you mean 'litsener'"),
        (["speaker,listener,skript", "a.npy,b.npy,x"], "'skript' that nothing reads.*'script'"),
        (["speaker,listener", "a.npy"], "line 2: 1 cells"),
        (["speaker,listener", "a.npy,"], "must both name a file"),
        (["speaker,listener", "a.npy,b.docx"], "b.docx is of no kind"),
        (["speaker,listener,start_s", "a.npy,b.npy,soon"], "start_s is 'soon'"),
        (["speaker,listener,start_s,end_s", "a.npy,b.npy,5,4"], "end_s is 4"),
        (["speaker,listener", "a.npy,b.npy"], "no usable clip.*a.npy: not there"),
        ([""], "is empty"),
    ],
)
def test_a_wrong_manifest_names_the_line(tmp_path: Path, lines: list[str], says: str) -> None:
    manifest(tmp_path, *lines)
    with pytest.raises(InputError, match=f"(?s){says}"):
        Folder(tmp_path)


def test_a_row_whose_files_are_not_there_costs_itself_alone(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    manifest(
        tmp_path,
        "speaker,listener,id",
        "a_speaker.safetensors,a_listener.safetensors,x",
        "gone.mp4,a_listener.safetensors,y",
        "a_speaker.safetensors,a_listener.safetensors,x",
    )
    corpus = Folder(tmp_path)
    assert corpus.ids == ("x",)
    assert [p.kind for p in corpus.problems(deep=False)] == ["missing", "twice"]


def test_arrays_are_told_by_width_and_tables_by_header(tmp_path: Path) -> None:
    write_npy(tmp_path / "a_speaker.npy", np.zeros((30, 25), np.float32))
    write_npy(tmp_path / "a_listener.npy", np.zeros((30, 7), np.float32))
    with pytest.raises(InputError, match=r"25 \(au \+ va \+ expression\)"):
        Folder(tmp_path)[0]
    (tmp_path / "a_listener.npy").unlink()
    table = tmp_path / "a_listener.csv"
    rows = [f"{t / 50:.3f},{t},0" for t in range(50)]
    table.write_text("\n".join(["time_s,va.valence,va.arousal", *rows]))
    listener = Folder(tmp_path)[0].listener
    assert listener.fps == 25.0
    assert listener.frames == 25
    assert float(listener["va"][3, 0]) == pytest.approx(6.5)  # between frames 6 and 7 of 50 fps
    table.write_text("\n".join(["time_s,va.valence", *(r[:-2] for r in rows)]))
    with pytest.raises(InputError, match=r"no column 'va\.arousal'"):
        Folder(tmp_path)[0]
    table.write_text("\n".join(["time_s,smile,va.arousal", *rows]))
    with pytest.raises(InputError, match="'smile' is no channel"):
        Folder(tmp_path)[0]


def test_clips_that_cannot_share_a_batch_are_told(tmp_path: Path) -> None:
    pair(tmp_path, "a")
    for side in ("speaker", "listener"):
        write_npy(tmp_path / f"b_{side}.npy", np.zeros((30, 25), np.float32))
    kinds = [problem.kind for problem in Folder(tmp_path).problems()]
    assert kinds == ["channels", "channels"]


def test_films_are_perceived_only_when_allowed_and_kept_results_are_read(tmp_path: Path) -> None:
    for side in ("speaker", "listener"):
        (tmp_path / f"a_{side}.mp4").write_bytes(b"not a film")
    with pytest.raises(InputError, match="perceive=True"):
        Folder(tmp_path, perceive=False)[0]
    with pytest.raises(InputError, match=r"a_speaker\.mp4"):
        Folder(tmp_path)[0]
    pair(tmp_path / "kept", "a")
    elsewhere = Folder(tmp_path, faces=tmp_path / "kept")
    assert elsewhere.ids == ("a", "kept-a")
    assert elsewhere[0].listener.frames == FRAMES
    pair(tmp_path, "a")
    assert Folder(tmp_path)[0].listener.has("coefficients")


def test_the_sound_of_a_row_is_the_speakers(tmp_path: Path) -> None:
    from visavis.media import Audio, write_audio

    pair(tmp_path, "a")
    tone = np.sin(np.arange(32000) * 0.07).astype(np.float32)[:, None]
    write_audio(tmp_path / "a.wav", Audio(tone, 16000))
    manifest(
        tmp_path, "speaker,listener,sound", "a_speaker.safetensors,a_listener.safetensors,a.wav"
    )
    dyad = Folder(tmp_path, speech=("energy",))[0]
    assert float(dyad.speaker["energy"].min()) > 0.5
    assert not dyad.listener.has("speech")
