"""Parameters, peak memory and frames a second of a model, in a process of its own, one thread.

In the bench's own process memory that was freed still counts, and other rows' threads take turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis import pretrained
from visavis.errors import VisavisError

if TYPE_CHECKING:
    from visavis.behaviour import Behaviour
    from visavis.models._base import ReactionModel

SAMPLES = 10
REPEATS = 3
DRAWN = 50
"""Frames that are drawn for the rendering speed."""
PIXELS = 256


def measured(model: ReactionModel[Any], speaker: Behaviour) -> dict[str, float | None]:
    """Cost of one model on one speaker.

    Returns:
        parameters; memory_mib, how much the process grew at its peak while answering one clip
        with 10 samples (None where the system does not tell); fps, frames of one reaction a
        second of wall time, best of 3; fps_rendered, the same with each frame drawn at 256
        pixels (None for a model without coefficients to draw).
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pretrained.save(model, folder / "model")
        speaker.save(folder / "speaker.safetensors")
        single = {f"{p}_NUM_THREADS": "1" for p in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
        done = subprocess.run(
            [sys.executable, "-m", "visavis.bench._speed", str(folder)],
            capture_output=True, text=True, check=False, env={**os.environ, **single},
        )  # fmt: skip
    if done.returncode:
        raise VisavisError(f"measuring the speed of {model.name} failed: {done.stderr[-800:]}")
    found: dict[str, float | None] = json.loads(done.stdout)
    return found


def _status(field: str) -> float:
    """A line of what Linux says of this process, MiB."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith(f"{field}:")) / 1024


def _grown(work: Callable[[], object]) -> float | None:
    """MiB by which this process grows at most during `work`; None where the system (other than
    Linux) does not tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak begins anew
        before = _status("VmRSS")
    except (OSError, StopIteration):
        work()
        return None
    work()
    return max(0.0, _status("VmHWM") - before)


def _main(folder: Path) -> None:
    import torch

    from visavis.behaviour import Behaviour
    from visavis.features.attributes import complete

    torch.set_num_threads(1)
    model = pretrained.load(folder / "model")
    speaker = Behaviour.load(folder / "speaker.safetensors")
    growth = _grown(lambda: model.generate(speaker, SAMPLES))
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        reaction = model.generate(speaker, 1)
        seconds.append(time.perf_counter() - began)
    frame = min(seconds) / max(1, speaker.frames)
    drawn = _seconds_a_picture(complete(reaction)[0])
    found = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "memory_mib": growth,
        "fps": 1 / frame,
        "fps_rendered": None if drawn is None else 1 / (frame + drawn),
    }
    sys.stdout.write(json.dumps(found))


def _seconds_a_picture(reaction: Behaviour) -> float | None:
    if not reaction.has("blendshapes", "rotation"):
        return None
    from visavis.render.draw import draw

    short = reaction.window(0, min(DRAWN, reaction.frames))
    for _ in draw(short.window(0, 1), size=PIXELS):
        pass  # compiled, looks loaded
    began = time.perf_counter()
    for _ in draw(short, size=PIXELS):
        pass
    return (time.perf_counter() - began) / short.frames


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
