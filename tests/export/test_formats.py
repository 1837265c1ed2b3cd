"""One door to all formats, and `visavis export`."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pytest

from tests.export.people import waving
from tests.people import person
from visavis.behaviour import Behaviour
from visavis.cli import app
from visavis.errors import InputError
from visavis.export import export
from visavis.features.faceverse import to_faceverse

typer_testing = pytest.importorskip("typer.testing")


def several() -> Behaviour:
    return Behaviour.stack([waving(), waving(50)])


def test_several_reactions_become_numbered_files(tmp_path: Path) -> None:
    files = export(several(), tmp_path / "r.csv")
    assert [f.name for f in files] == ["r_01.csv", "r_02.csv"]
    assert all(f.stat().st_size > 1000 for f in files)


def test_npz_holds_everything_by_name(tmp_path: Path) -> None:
    b = person(20, names=("au", "energy")).drop("au", start=2, stop=4)
    (path,) = export(Behaviour.stack([b, b]), tmp_path / "a.npz")
    with np.load(path, allow_pickle=False) as held:
        assert held["au"].shape == (2, 20, 15)
        assert held["au.labels"].tolist()[7] == "AU12"
        assert np.isnan(held["au"][:, 2:4]).all()
        assert not held["au.observed"][:, 2:4].any() and held["energy.observed"].all()
        assert held["fps"] == 25


@pytest.mark.parametrize(
    ("name", "format", "words"),
    [
        ("a.fbx", None, r"\.csv, \.glb, \.npz"),
        ("a.csv", "opnface", "openface"),
        ("a.npz", "glb", r"written to \.glb"),
    ],
)
def test_a_format_that_is_not_there_is_named(
    tmp_path: Path, name: str, format: str | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        export(waving(), tmp_path / name, format=format)


def command(*words: object) -> tuple[int, str]:
    done = typer_testing.CliRunner().invoke(app, ["export", *map(str, words)])
    return done.exit_code, done.output if done.exception is None else str(done.exception)


def test_the_command_writes_what_was_asked_for(tmp_path: Path) -> None:
    source = several().save(tmp_path / "r.safetensors")
    code, said = command(source, tmp_path / "l.csv", "--only", 2, "--rate", 30)
    assert (code, said.strip()) == (0, str(tmp_path / "l.csv"))
    assert len((tmp_path / "l.csv").read_text().splitlines()) == 61
    code, said = command(source, tmp_path / "o.csv", "--format", "openface", "--json")
    assert code == 0 and "o_02.csv" in said


def test_the_command_says_what_does_not_fit(tmp_path: Path) -> None:
    source = several().save(tmp_path / "r.safetensors")
    assert "for glb" in command(source, tmp_path / "l.csv", "--avatar", "me.glb")[1]
    assert "names a node" in command(source, tmp_path / "l.glb", "--head", "x")[1]
    assert "--only 1" in command(source, "vmc://127.0.0.1")[1]


@pytest.mark.parametrize("only", [0, -1, 3])
def test_a_reaction_that_is_not_there_is_refused(tmp_path: Path, only: int) -> None:
    source = several().save(tmp_path / "r.safetensors")
    for name in ("l.csv", "l.npz", "l.glb"):
        code, said = command(source, tmp_path / name, "--only", only)
        assert code != 0 and f"1 to 2; --only came as {only}" in said
    one = waving(5).save(tmp_path / "one.safetensors")
    assert "holds one" in command(one, tmp_path / "l.csv", "--only", 2)[1]
    assert command(one, tmp_path / "l.csv", "--only", 1)[0] == 0


@pytest.mark.parametrize("rate", ["0", "-5", "1000", "nan", "inf"])
def test_a_rate_outside_1_to_240_is_refused_everywhere(tmp_path: Path, rate: str) -> None:
    source = waving(5).save(tmp_path / "r.safetensors")
    for out in (tmp_path / "l.csv", tmp_path / "l.glb", "vmc://127.0.0.1", "livelink://127.0.0.1"):
        code, said = command(source, out, "--rate", rate)
        assert code != 0 and "wanted 1 to 240" in said, (out, said)
    assert not (tmp_path / "l.csv").exists()


def test_a_broken_rate_is_for_formats_that_do_not_count_frames(tmp_path: Path) -> None:
    source = waving(50).save(tmp_path / "r.safetensors")
    for out in (tmp_path / "l.csv", "livelink://127.0.0.1"):
        assert "whole frames" in command(source, out, "--rate", 29.97)[1]
    assert command(source, tmp_path / "l.glb", "--rate", 29.97)[0] == 0
    for name, format in (("l.npz", "npz"), ("o.csv", "openface")):
        said = command(source, tmp_path / name, "--format", format, "--rate", 29.97)[1]
        assert f"not for {format}" in said


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1", "vmc://"),
        ("vmx://127.0.0.1", "Did you mean 'vmc'"),
        ("vmc://", "names no host"),
        ("vmc://:39539", "names no host"),
        ("vmc://127.0.0.1:0", "port 0"),
        ("vmc://127.0.0.1:99999", "no address"),
        ("vmc://127.0.0.1:-1", "no address"),
        ("vmc://127.0.0.1:a", "no address"),
        ("vmc://[::1", "no address"),
        ("vmc://127.0.0.1/avatar", "more than a host"),
        ("vmc://256.1.1.1", "cannot send to 256.1.1.1:39539"),
        ("livelink://a..b", "cannot send to a..b:11111"),
    ],
)
def test_an_address_that_cannot_be_sent_to_is_refused(
    tmp_path: Path, address: str, words: str
) -> None:
    source = waving(5).save(tmp_path / "r.safetensors")
    code, said = command(source, address)
    assert code != 0 and words in said, said


def test_options_of_files_are_not_swallowed_when_playing_live(tmp_path: Path) -> None:
    source = waving(5).save(tmp_path / "r.safetensors")
    assert "--avatar is for" in command(source, "vmc://127.0.0.1", "--avatar", "a.glb")[1]
    assert "--head is for" in command(source, "vmc://127.0.0.1", "--head", "a")[1]
    assert "--format says glb" in command(source, "vmc://127.0.0.1", "--format", "glb")[1]


def test_an_openface_file_does_with_what_is_there(tmp_path: Path) -> None:
    source = person(8, names=("au",)).save(tmp_path / "au.safetensors")
    assert command(source, tmp_path / "o.csv", "--format", "openface")[0] == 0
    heard = person(8, names=("energy",)).save(tmp_path / "heard.safetensors")
    code, said = command(heard, tmp_path / "h.csv", "--format", "openface")
    assert code != 0 and "has energy" in said
    assert command(heard, tmp_path / "h.npz")[0] == 0


def test_what_is_no_face_of_ours_is_not_animated(tmp_path: Path) -> None:
    lost = waving(5).drop("blendshapes").save(tmp_path / "lost.safetensors")
    assert "no face to export" in command(lost, tmp_path / "l.csv")[1]
    theirs = to_faceverse(waving(5), rest=(0.0, 0.0, 0.0)).save(tmp_path / "theirs.safetensors")
    assert "convention" in command(theirs, tmp_path / "l.csv")[1]
    assert command(theirs, tmp_path / "l.npz")[0] == 0


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = waving(5).save(tmp_path / "r.safetensors")
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.npz").mkdir()
    assert "cannot write" in command(source, tmp_path / "file" / "a.npz")[1]
    assert "is a folder" in command(source, tmp_path / "folder.npz")[1]
    made = tmp_path / "new" / "er" / "o.csv"
    assert command(source, made, "--format", "openface")[0] == 0 and made.exists()


def test_the_command_plays_to_a_socket(tmp_path: Path) -> None:
    source = waving(5).save(tmp_path / "r.safetensors")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
        inbox.bind(("127.0.0.1", 0))
        inbox.settimeout(5)
        where = f"livelink://127.0.0.1:{inbox.getsockname()[1]}"
        code, said = command(source, where, "--rate", 60, "--json")
        assert (code, json.loads(said)) == (0, {"packets": 12})
        assert inbox.recv(2048)[0] == 6
