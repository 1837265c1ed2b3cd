"""A behaviour as a plain .npz of named arrays, for whoever does not want visavis at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visavis.behaviour import Behaviour
from visavis.files import atomic_path


def write_npz(behaviour: Behaviour, path: str | Path) -> Path:
    """Write every channel [..., T * rate, C] under its name, NaN where it was not observed.

    Besides: `<name>.labels` (column names), `<name>.observed` (bool [..., T]) and `fps`. Nothing
    is pickled; pixels stay uint8, zero where unobserved.
    """
    arrays: dict[str, np.ndarray] = {"fps": np.array(behaviour.fps)}
    for channel in behaviour.layout:
        fill = 0.0 if channel.kind == "pixels" else float("nan")
        arrays[channel.name] = behaviour.filled(channel.name, fill).detach().cpu().numpy()
        arrays[f"{channel.name}.observed"] = behaviour.mask(channel.name).cpu().numpy()
        if channel.labels:
            arrays[f"{channel.name}.labels"] = np.array(channel.labels)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return Path(path)
