"""A small folder of pairs with a manifest, from any dyads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np

from visavis.behaviour import Behaviour, Word
from visavis.channels import GROUPS
from visavis.corpora._disk_make import (
    Progress,
    Writable,
    fresh_folder,
    write_npy,
    write_sound,
    write_table,
)
from visavis.corpora._disk_read import read_table, read_text
from visavis.corpora._folder_manifest import NAMES
from visavis.corpora._folder_read import TIME
from visavis.errors import InputError
from visavis.files import atomic_path

Kind = Literal["safetensors", "npy", "csv"]
COLUMNS = (
    *("speaker", "listener", "id", "script", "speaker_id", "listener_id", "context", "split"),
    *("transcript", "sound"),
)


def write_folder(
    corpus: Writable,
    root: str | Path,
    *,
    kind: Kind = "safetensors",
    lines: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write one split of `corpus` as a folder of pairs with a manifest.

    Args:
        corpus: whose dyads are written, attributes and coefficients; those with a `sound` get a
            wav, those with words a transcript.
        root: a new or empty folder, or one to which this wrote other splits.
        kind: of the files.
        lines: a JSON-lines manifest instead of a CSV.
        progress: called with (dyads done, dyads).

    Returns:
        The manifest.

    Raises:
        InputError: the folder holds something already (this split, or what is not from here), or
            cannot be written.
    """
    if kind not in ("safetensors", "npy", "csv"):
        raise InputError(f"unknown kind {kind!r}; 'safetensors', 'npy' or 'csv'.")
    manifest = Path(root) / NAMES[1 if lines else 0]
    rows = _other_splits(manifest, corpus.split) if manifest.is_file() else []
    before = len(rows)
    base = manifest.parent if rows else fresh_folder(Path(root))
    for done, dyad in enumerate(corpus, start=1):
        name = f"talk{before + done:04d}"
        for role, who in (("speaker", dyad.speaker), ("listener", dyad.listener)):
            _write_side(base / f"{name}_{role}.{kind}", who.select("attributes", "coefficients"))
        words = [word for word in dyad.speaker.words if isinstance(word, Word)]
        if words:
            write_table(
                base / f"{name}_words.csv",
                ("word", "start_s", "end_s"),
                [(word.text, repr(word.start_s), repr(word.end_s)) for word in words],
            )
        heard = write_sound(corpus, dyad, base / f"{name}.wav")
        row = (
            *(f"{name}_speaker.{kind}", f"{name}_listener.{kind}", dyad.id, dyad.script),
            *(dyad.speaker_id, dyad.listener_id, dyad.context, dyad.split),
            *(f"{name}_words.csv" if words else None, f"{name}.wav" if heard else None),
        )
        rows.append(row)
        if progress is not None:
            progress(done, len(corpus))
    if not lines:
        write_table(manifest, COLUMNS, [["" if c is None else c for c in r] for r in rows])
        return manifest
    with atomic_path(manifest) as temporary:
        text = "".join(json.dumps(dict(zip(COLUMNS, r, strict=True))) + "\n" for r in rows)
        temporary.write_text(text, "utf-8")
    return manifest


def _other_splits(manifest: Path, split: str) -> list[tuple[str | None, ...]]:
    """The rows that are there."""
    if manifest.suffix == ".csv":
        found = [dict(row) for row in read_table(manifest, columns=COLUMNS)]
    else:
        found = [json.loads(line) for line in read_text(manifest, wanted="a manifest").splitlines()]
    if split in {row.get("split") for row in found}:
        raise InputError(f"{manifest} holds split {split!r} already; choose a new folder.")
    return [tuple(row.get(column) for column in COLUMNS) for row in found]


def _write_side(path: Path, who: Behaviour) -> None:
    if path.suffix == ".safetensors":
        who.save(path)
        return
    names = (*GROUPS["attributes"], *GROUPS["coefficients"])
    values = np.concatenate([who.channels[name].numpy() for name in names], axis=1)
    if path.suffix == ".npy":
        write_npy(path, values)
        return
    header = [TIME, *(f"{n}.{label}" for n in names for label in who.layout[n].labels)]
    times = np.arange(who.frames) / who.fps
    write_table(path, header, [[t, *row] for t, row in zip(times, values.tolist(), strict=True)])
