"""Appropriateness maps in files: rows end to end, with the recipe that made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from visavis._files_tensors import read_tensors, write_tensors
from visavis.appropriate import AppropriateMap
from visavis.errors import InputError

FORMAT = 1
KIND = "appropriate"


def save(labels: AppropriateMap, path: str | Path) -> Path:
    """Write `starts` [N + 1], `places` [all rows], and `drawn` [N, n] where targets were drawn."""
    starts = np.concatenate([[0], np.cumsum(labels.sizes)]).astype(np.int64)
    places = np.concatenate(labels.rows) if labels.rows else np.zeros(0, np.int64)
    tensors = {"starts": torch.from_numpy(starts), "places": torch.from_numpy(places)}
    if labels.drawn is not None:
        tensors["drawn"] = torch.from_numpy(labels.drawn)
    about = {
        "format": FORMAT,
        "ids": list(labels.ids),
        "recipe": dict(labels.recipe),
        "seed": labels.seed,
        "corpus": labels.corpus,
    }
    try:
        return write_tensors(path, tensors, kind=KIND, about=about)
    except TypeError as error:
        raise InputError(f"the map's recipe must be plain data (JSON): {error}.") from error


def load(path: str | Path) -> AppropriateMap:
    """Read what `save` wrote; `InputError` where it is something else or damaged."""
    about, tensors = read_tensors(path, kind=KIND, format=FORMAT)
    try:
        starts, places = tensors["starts"].numpy(), tensors["places"].numpy()
        if starts.ndim != 1 or not len(starts) or starts[0] != 0 or starts[-1] != len(places):
            raise ValueError("rows do not fit their places")
        rows = tuple(row.copy() for row in np.split(places, starts[1:-1]))
        drawn = tensors["drawn"].numpy() if "drawn" in tensors else None
        return AppropriateMap(
            tuple(map(str, about["ids"])),
            rows if about["ids"] else (),
            about["recipe"],
            about["seed"],
            about["corpus"],
            drawn,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}") from error
