"""Films of a corpus, perceived when a clip is first read: of a folder, and inside a tar."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from visavis.corpora import SimulatedDyads
from visavis.corpora._disk_perceive import film_mark
from visavis.corpora._seamless_make import write_seamless
from visavis.corpora.folder import Folder
from visavis.corpora.seamless import Seamless
from visavis.demo.portrait import make_speaker
from visavis.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mediapipe")
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    make_speaker(path, seconds=0.4, size=192)
    return path


@pytest.mark.slow
def test_a_film_is_perceived_once_and_again_when_its_content_changes(
    film: Path, tmp_path: Path
) -> None:
    shutil.copy(film, tmp_path / "a_speaker.mp4")
    (tmp_path / "a_listener.mp4").symlink_to(film)
    with pytest.raises(InputError, match="perceive=True"):
        Folder(tmp_path, perceive=False)[0]
    dyad = Folder(tmp_path)[0]
    assert dyad.speaker.frames == 10
    assert dyad.listener.has("coefficients")
    kept = tmp_path / "a_speaker.safetensors"
    assert film_mark(kept).is_file()
    before, fingerprint = kept.stat().st_mtime_ns, Folder(tmp_path).fingerprint
    shutil.copy(film, tmp_path / "a_speaker.mp4")  # another date, the same content
    assert Folder(tmp_path, perceive=False)[0].speaker.frames == 10
    assert kept.stat().st_mtime_ns == before
    assert Folder(tmp_path).fingerprint == fingerprint
    with (tmp_path / "a_speaker.mp4").open("ab") as file:
        file.write(b"\x00\x00\x00\x08free")  # an empty box: the film still plays
    assert Folder(tmp_path).fingerprint != fingerprint
    with pytest.raises(InputError, match="perceived from other content"):
        Folder(tmp_path, perceive=False)[0]
    assert Folder(tmp_path)[0].speaker.frames == 10
    assert kept.stat().st_mtime_ns > before


def test_a_behaviour_that_was_brought_along_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a_speaker.mp4").write_bytes(b"no film at all")
    (tmp_path / "a_listener.mp4").write_bytes(b"nor this")
    for side, dyad in zip(("speaker", "listener"), SimulatedDyads("val", size=2), strict=True):
        dyad.listener.save(tmp_path / f"a_{side}.safetensors")
    corpus = Folder(tmp_path, perceive=False)
    assert corpus[0].listener.has("coefficients")
    assert {path.suffix for path in corpus.sources(0)} == {".safetensors"}


@pytest.mark.slow
def test_films_inside_a_tar_are_perceived_without_unpacking(film: Path, tmp_path: Path) -> None:
    root = tmp_path / "seamless"
    dyads = SimulatedDyads("val", size=1, frames=10, audio=False)
    write_seamless(dyads, root, packed=True, faces=False)
    for tar in root.rglob("*.tar"):
        with tarfile.open(tar) as archive:
            people = [n.removesuffix(".npz") for n in archive.getnames() if n.endswith(".npz")]
        with tarfile.open(tar, "a") as archive:
            for name in people:
                archive.add(film, f"{name}.mp4")
    assert not Seamless(root, "val", speech=())[0].listener.has("coefficients")
    seen = tmp_path / "seen"
    corpus = Seamless(root, "val", speech=(), faces=seen, perceive=True)
    assert corpus[0].listener.has("coefficients")
    assert len(list(seen.glob("*.safetensors"))) == 2
    again = Seamless(root, "val", speech=(), faces=seen)
    assert again[1].listener["blendshapes"].shape[1:] == (52,)
    assert not list(root.rglob("*.mp4"))
