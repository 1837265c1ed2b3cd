from __future__ import annotations

from pathlib import Path

import pytest

from .films import even, film, tone


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="session")
def talk(shelf: Path) -> Path:
    """Four seconds at 25 fps with a 440 Hz tone at 16 kHz: an mp4 as people have it."""
    return film(shelf / "talk.mp4", even(100, 25), sound=tone(4.0, 16_000))
