"""The animated photograph: frames a second on one core, and what our own tracker sees in it.

Three photographs play a script whose coefficients are known: NASA's portrait of Eileen Collins
(scikit-image, smiling), the U.S. Navy's of Grace Hopper (matplotlib's sample, with glasses), and
one picture of the project's drawn head. The tracker then tells jawOpen, smile, blink, browInnerUp,
yaw and pitch, and Pearson's r between commanded and told is shown.

    python benchmarks/portrait.py [--frames 300] [--speed-only]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks._timing import machine
from benchmarks._tracking_films import Script
from benchmarks.tracking import look
from visavis.channels import BLENDSHAPES
from visavis.render.draw import draw_head
from visavis.render.portrait import Portrait

SHOWN = ("jawOpen", "mouthSmileLeft", "eyeBlinkLeft", "browInnerUp", "yaw", "pitch")
SIZE = 256
REST = 50


def script(frames: int) -> Script:
    """Rest, then smooth movements of different periods, two blinks in three seconds."""
    clock = np.maximum(np.arange(frames) - REST, 0) / 25.0
    on = (clock > 0).astype(float)

    def wave(period_s: float, size: float) -> NDArray[np.float64]:
        return on * size * (1 - np.cos(2 * np.pi * clock / period_s)) / 2

    shapes = np.zeros((frames, len(BLENDSHAPES)))
    named = {
        "jawOpen": wave(1.7, 0.7),
        "mouthSmile": wave(3.1, 0.9),
        "browInnerUp": wave(2.3, 0.9),
        "cheekSquint": wave(3.1, 0.4),
    }
    phase = np.mod(clock, 1.5)
    named["eyeBlink"] = on * np.clip(1.0 - np.abs(phase - 0.75) / 0.16, 0.0, 1.0)
    for name, values in named.items():
        for full in (name, f"{name}Left", f"{name}Right"):
            if full in BLENDSHAPES:
                shapes[:, BLENDSHAPES.index(full)] = values
    rotation = np.stack(
        [
            0.15 * np.sin(2 * np.pi * clock / 4.3),
            0.25 * np.sin(2 * np.pi * clock / 5.9),
            0.06 * np.sin(2 * np.pi * clock / 3.7),
        ],
        axis=1,
    )
    return Script(shapes, rotation, np.zeros((frames, 3)))


def photographs() -> dict[str, Portrait]:
    """By name; those whose package is installed."""
    from matplotlib import get_data_path
    from skimage.data import astronaut

    hopper = Path(get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return {
        "Eileen Collins": Portrait.from_photo(astronaut()),
        "Grace Hopper": Portrait.from_photo(hopper),
        "drawn head": Portrait.from_photo(draw_head(np.zeros(52), size=512)),
    }


def recovered(portrait: Portrait, played: Script) -> list[float]:
    """Pearson's r of each of `SHOWN`."""
    seen = look(
        (
            portrait.draw(shapes, rotation, size=SIZE)
            for shapes, rotation in zip(played.shapes, played.rotation, strict=True)
        ),
        played,
    )
    return [seen.r(name) for name in SHOWN]


def speed(portrait: Portrait, played: Script, size: int) -> tuple[float, float]:
    """Frames a second: of CPU time, and of the clock on this machine as it is; the best of five."""
    rows = list(zip(played.shapes, played.rotation, strict=True))[REST : REST + 60]
    portrait.draw(*rows[0], size=size)
    cpu, wall = [], []
    for _ in range(5):
        began, ticked = time.perf_counter(), time.process_time()
        for shapes, rotation in rows:
            portrait.draw(shapes, rotation, size=size)
        cpu.append((time.process_time() - ticked) / len(rows))
        wall.append((time.perf_counter() - began) / len(rows))
    return 1 / min(cpu), 1 / min(wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300, help="of the film that is tracked")
    parser.add_argument("--speed-only", action="store_true")
    options = parser.parse_args()
    logging.getLogger("visavis").setLevel(logging.ERROR)
    played = script(options.frames)
    people = photographs()
    print(f"environment: {machine()}, load {os.getloadavg()[0]:.1f}")
    for size in (128, 256, 512):
        cpu, wall = speed(people["Eileen Collins"], played, size)
        print(
            f"draw {size}x{size}, one thread, 4 samples a pixel: {cpu:.0f} frames a CPU second, "
            f"{wall:.0f} by the clock"
        )
    if options.speed_only:
        return
    print("photograph | " + " | ".join(SHOWN))
    for name, portrait in people.items():
        print(f"{name} | " + " | ".join(f"{r:.2f}" for r in recovered(portrait, played)))


if __name__ == "__main__":
    main()
