"""The README's blocks are run as a newcomer would run them, all but the test command itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from visavis.features._system import missing_libraries

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", README, re.M | re.S)
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
BASH = [text for kind, text in BLOCKS if kind == "bash"]


def run(command: list[str], cwd: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a speaker's video in it, as the README assumes."""
    if missing_libraries() or find_spec("mediapipe") is None:
        pytest.skip("the face tracker cannot run on this machine")
    from visavis.demo.portrait import make_speaker

    folder = tmp_path_factory.mktemp("desk")
    make_speaker(folder / "speaker.mp4", seconds=3.0)
    run(["visavis", "perceive", "speaker.mp4", "--out", "speaker.safetensors"], folder)
    return folder


def test_it_shows_the_commands_and_the_five_lines() -> None:
    assert any("make demo" in block for block in BASH)
    assert any("make test" in block for block in BASH)
    assert len(PYTHON[0].strip().splitlines()) == 5
    assert (ROOT / "docs/pictures/first-light.png").is_file()


@pytest.mark.parametrize("code", PYTHON, ids=[f"python {i}" for i in range(len(PYTHON))])
def test_its_python_runs(code: str, desk: Path) -> None:
    run([sys.executable, "-c", code], desk)


@pytest.mark.parametrize(
    "script",
    [b for b in BASH if not re.search(r"^make ", b, re.M)],
    ids=lambda b: b.split()[1],
)
def test_its_commands_run(script: str, desk: Path) -> None:
    run(["bash", "-euc", script], desk)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_demo_works_in_the_checkout(tmp_path: Path) -> None:
    if not (ROOT / ".venv" / ".ready").exists():
        pytest.skip("this test environment is not the one that make built")
    run(["make", "demo", f"OUT={tmp_path / 'demo'}"], ROOT)
    for name in ("reactions.mp4", "report.html", "run.json"):
        assert (tmp_path / "demo" / name).stat().st_size > 0


def test_its_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
