"""Behaviours in files and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visavis.behaviour import Behaviour, Source, Sources, Word, Words
from visavis.channels import Layout
from visavis.errors import InputError, require
from visavis.files import atomic_path, existing_file

if TYPE_CHECKING:
    import pandas

FORMAT = 1
"""Version of the files that `save` writes."""


def save(behaviour: Behaviour, path: str | Path) -> Path:
    """Write a safetensors file with the layout, words and source in its metadata."""
    from safetensors.torch import save_file

    tensors = {f"channel/{n}": x.detach().cpu().contiguous() for n, x in behaviour.channels.items()}
    tensors |= {f"observed/{n}": m.cpu().contiguous() for n, m in behaviour.observed.items()}
    if behaviour.lengths is not None:
        tensors["lengths"] = behaviour.lengths.cpu().contiguous()
    about = {
        "format": FORMAT,
        "layout": behaviour.layout.to_json(),
        "fps": behaviour.fps,
        "words": _words_json(behaviour.words),
        "source": _source_json(behaviour.source),
        "derived": sorted(behaviour.derived),
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"visavis": json.dumps(about)})
    return Path(path)


def load(path: str | Path) -> Behaviour:
    """Read what `save` wrote.

    Raises:
        InputError: the file is not there, is not a behaviour, or is of another format.
    """
    from safetensors import SafetensorError, safe_open

    found = existing_file(path, wanted="a behaviour written by visavis (.safetensors)")
    try:
        with safe_open(found, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("visavis", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{found} is not a safetensors file ({error}).") from error
    if not isinstance(about, dict):
        raise InputError(f"{found} is a safetensors file but holds no behaviour.")
    if about.get("format") != FORMAT:
        raise InputError(
            f"{found} has format {about.get('format')}; this version of visavis reads {FORMAT}."
        )
    return Behaviour(
        {n.removeprefix("channel/"): x for n, x in tensors.items() if n.startswith("channel/")},
        Layout.from_json(about["layout"]),
        about["fps"],
        {n.removeprefix("observed/"): x for n, x in tensors.items() if n.startswith("observed/")},
        tensors.get("lengths"),
        _words_from(about["words"]),
        _source_from(about["source"]),
        frozenset(about["derived"]),
    )


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


def _words_json(words: Words) -> list[Any]:
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


def _words_from(data: list[Any]) -> Words:
    if data and isinstance(data[0], list):
        return tuple(tuple(Word(*item) for item in words) for words in data)
    return tuple(Word(**item) for item in data)


def _source_json(source: Sources) -> Any:
    if isinstance(source, tuple):
        return [None if s is None else [s.path, s.start_s] for s in source]
    return None if source is None else {"path": source.path, "start_s": source.start_s}


def _source_from(data: Any) -> Sources:
    if isinstance(data, list):
        return tuple(None if item is None else Source(*item) for item in data)
    return None if data is None else Source(**data)
