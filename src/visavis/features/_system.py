"""System libraries that the face tracker's wheels need and a bare machine lacks."""

from __future__ import annotations

import ctypes
import sys

NEEDED = {"libGL.so.1": "libgl1", "libgthread-2.0.so.0": "libglib2.0-0"}
"""Shared library -> Debian package. OpenCV, which mediapipe imports, is linked against them."""


def missing_libraries() -> tuple[str, ...]:
    """Names of needed shared libraries that cannot be loaded; empty where all is well.

    Only Linux wheels rely on the system here, so elsewhere nothing is ever missing.
    """
    if not sys.platform.startswith("linux"):
        return ()
    return tuple(name for name in NEEDED if not _loads(name))


def install_command(libraries: tuple[str, ...]) -> str:
    """The command that brings `libraries` on Debian and Ubuntu."""
    return "sudo apt-get install -y " + " ".join(NEEDED.get(name, name) for name in libraries)


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


if __name__ == "__main__":  # `make` asks which packages to install
    sys.stdout.write(" ".join(NEEDED[name] for name in missing_libraries()))
