"""Behaviours in files and tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visavis._files_tensors import read_tensors, write_tensors
from visavis.behaviour import Behaviour, Source, Sources, Word, Words
from visavis.channels import Layout
from visavis.errors import InputError, require

if TYPE_CHECKING:
    import pandas
    from torch import Tensor

FORMAT = 1
"""Version of the files that `save` writes."""


def save(behaviour: Behaviour, path: str | Path) -> Path:
    """Write a safetensors file with the layout, words and source in its metadata."""
    tensors = {f"channel/{n}": x for n, x in behaviour.channels.items()}
    tensors |= {f"observed/{n}": m for n, m in behaviour.observed.items()}
    if behaviour.lengths is not None:
        tensors["lengths"] = behaviour.lengths
    about = {
        "format": FORMAT,
        "layout": behaviour.layout.to_json(),
        "fps": behaviour.fps,
        "words": words_json(behaviour.words),
        "source": source_json(behaviour.source),
        "derived": sorted(behaviour.derived),
    }
    return write_tensors(path, tensors, kind="behaviour", about=about)


def load(path: str | Path) -> Behaviour:
    """Read what `save` wrote.

    Raises:
        InputError: the file is not there, is not a behaviour, is damaged or of another format.
    """
    about, tensors = read_tensors(path, kind="behaviour", format=FORMAT)

    def under(prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}

    try:
        return Behaviour.of(
            under("channel/"),
            layout=Layout.from_json(about["layout"]),
            fps=float(about["fps"]),
            observed=under("observed/"),
            lengths=tensors.get("lengths"),
            words=words_from(about["words"]),
            source=source_from(about["source"]),
            derived=frozenset(about["derived"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is damaged: {error}") from error


def table(behaviour: Behaviour) -> pandas.DataFrame:
    """A table of one clip: a row a frame, `time_s` first, columns `channel.label`.

    Unobserved values are NaN; the first tick stands for a faster channel's frame; pixels are
    left out.

    Raises:
        MissingExtra: pandas is not installed.
        InputError: this is a batch.
    """
    pd = require("pandas", extra="table")
    if behaviour.lead:
        raise InputError(
            f"a table holds one clip, but this has leading axes {list(behaviour.lead)}; take "
            "behaviour[0].to_dataframe()."
        )
    columns: dict[str, np.ndarray] = {"time_s": np.arange(behaviour.frames) / behaviour.fps}
    for channel in behaviour.layout:
        if channel.kind == "pixels":
            continue
        values = (
            behaviour.channels[channel.name][:: channel.rate].reshape(behaviour.frames, -1).cpu()
        )
        for label, column in zip(channel.labels, values.T.float().numpy(), strict=True):
            columns[f"{channel.name}.{label}"] = column
    table: pandas.DataFrame = pd.DataFrame(columns)
    return table


def words_json(words: Words) -> list[Any]:
    """Words as plain data for a file's description."""
    if words and isinstance(words[0], tuple):
        return [
            [[w.text, w.start_s, w.end_s] for w in ws if isinstance(w, Word)]
            for ws in words
            if isinstance(ws, tuple)
        ]
    return [
        {"text": w.text, "start_s": w.start_s, "end_s": w.end_s}
        for w in words
        if isinstance(w, Word)
    ]


def words_from(data: list[Any]) -> Words:
    """The inverse of `words_json`."""
    if data and isinstance(data[0], list):
        return tuple(tuple(Word(*item) for item in words) for words in data)
    return tuple(Word(**item) for item in data)


def source_json(source: Sources) -> Any:
    """Sources as plain data for a file's description."""
    if isinstance(source, tuple):
        return [None if s is None else [s.path, s.start_s] for s in source]
    return None if source is None else {"path": source.path, "start_s": source.start_s}


def source_from(data: Any) -> Sources:
    """The inverse of `source_json`."""
    if isinstance(data, list):
        return tuple(None if item is None else Source(*item) for item in data)
    return None if data is None else Source(**data)
