"""One door to all formats, and `visavis export`."""

from __future__ import annotations

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
    assert "1 to 2" in command(source, tmp_path / "l.csv", "--only", 3)[1]
    assert "for glb" in command(source, tmp_path / "l.csv", "--avatar", "me.glb")[1]
    assert "no node" not in command(source, tmp_path / "l.glb", "--head", "x")[1]
    assert "--only 1" in command(source, "vmc://127.0.0.1")[1]
    assert "vmc://" in command(source, "http://127.0.0.1", "--only", 1)[1]
    assert "no port" in command(source, "vmc://127.0.0.1:99999", "--only", 1)[1]


def test_the_command_plays_to_a_socket(tmp_path: Path) -> None:
    source = waving(5).save(tmp_path / "r.safetensors")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
        inbox.bind(("127.0.0.1", 0))
        inbox.settimeout(5)
        code, said = command(source, f"livelink://127.0.0.1:{inbox.getsockname()[1]}", "--rate", 60)
        assert (code, said.split()[0]) == (0, "12")
        assert inbox.recv(2048)[0] == 6
