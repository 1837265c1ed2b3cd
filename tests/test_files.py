from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from visavis.errors import InputError, MissingExtra, nearest, require
from visavis.files import atomic_path, existing_file, keep_apart


def test_a_finished_file_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"
    for text in ("first", "second"):
        with atomic_path(target) as temporary:
            temporary.write_text(text)
    assert target.read_text() == "second"
    assert os.listdir(target.parent) == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_temporary_file_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.mp4") as temporary:
        assert temporary.suffix == ".mp4"


def test_a_killed_writer_never_leaves_a_half_written_target(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    code = (
        "import sys, time\nfrom visavis.files import atomic_path\n"
        f"with atomic_path({str(target)!r}) as t:\n"
        "    t.write_bytes(b'x' * 1000); print('half', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    time.sleep(0.05)
    assert not target.exists()


def test_a_folder_where_a_file_should_be_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"), atomic_path(tmp_path):
        pass
    with pytest.raises(InputError, match="is a folder; wanted a video"):
        existing_file(tmp_path, wanted="a video")


def test_a_parent_that_is_a_file_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"), atomic_path(tmp_path / "file" / "a.txt"):
        pass


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.mp4 does not exist"):
        existing_file(tmp_path / "nothing.mp4")


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'visavis\[track\]'"):
        require("a_package_that_is_not_there", extra="track")


def test_the_nearest_name_is_suggested() -> None:
    assert "Did you mean 'trans_vae'?" in nearest("transvae", ["trans_vae", "random"])
    assert nearest("zzz", ["trans_vae", "random"]) == "Known: random, trans_vae."


def test_a_link_is_followed_not_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    with atomic_path(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_a_pipe_is_neither_replaced_nor_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="no ordinary file"), atomic_path(pipe):
        pass
    with pytest.raises(InputError, match="no ordinary file"):
        existing_file(pipe)
    assert pipe.is_fifo()


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, signal\n"
        "from visavis.behaviour import Behaviour\nimport torch\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        f"Behaviour.of({{'au': torch.zeros(500, 15)}}).save({str(tmp_path / 'a.safetensors')!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "InputError: cannot write" in done.stderr
    assert os.listdir(tmp_path) == []


def test_an_output_that_is_an_input_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    source.write_text("film")
    (tmp_path / "b.mp4").symlink_to(source)
    for output in (source, tmp_path / "b.mp4", tmp_path / "x" / ".." / "a.mp4"):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="is the input itself"):
            keep_apart(output, None, source)
    keep_apart(tmp_path / "new.mp4", source)
