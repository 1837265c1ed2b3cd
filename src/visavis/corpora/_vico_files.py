"""The trees of ViCo (responsive listening head): the challenge's and the full release's.

challenge                                     full release
<root>/<split>.csv: uuid, speaker_id,         <root>/<any>.csv: audio, speaker, listener,
    listener_id, video_id                         speaker_id, listener_id, data_split, attitude
<root>/videos/[*/]<uuid>.{speaker,listener}.mp4       <root>/videos/[*/]<name>.mp4
<root>/audios/<uuid>.wav                              <root>/audios/<audio>.wav
<root>/recons/[*/]<film's name>.mat               (made by the baseline's face_recon_videos.py)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from visavis.corpora._disk_read import read_table
from visavis.corpora._disk_root import entries

CHALLENGE = ("uuid", "speaker_id", "listener_id")
RELEASE = ("audio", "speaker", "listener", "data_split")
VIDEOS, SOUNDS, RECONS = ("videos", "video"), ("audios", "audio"), "recons"


@dataclass(frozen=True)
class Row:
    """A pair of the annotations; films and sound by name, without folder and suffix."""

    id: str
    speaker: str
    listener: str
    sound: str
    speaker_id: str
    listener_id: str
    attitude: str | None


def tables(root: Path) -> dict[str, Path]:
    """Split -> the table that lists it."""
    found: dict[str, Path] = {}
    for name in entries(root):
        path = root / name
        if path.suffix != ".csv" or not path.is_file():
            continue
        columns = _columns(path)
        if set(CHALLENGE) <= columns:
            found[path.stem] = path
        elif set(RELEASE) <= columns:
            found |= {row["data_split"]: path for row in read_table(path)}
    return found


def _columns(path: Path) -> set[str]:
    """Of a table's header; none of a file that cannot be read as one."""
    try:
        with path.open("rb") as file:
            line = file.readline(65536).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return set()
    return {cell.strip().strip('"') for cell in line.replace(";", ",").split(",")}


def rows(table: Path, split: str) -> list[Row]:
    """The pairs of a split.

    Raises:
        InputError: the table is damaged.
    """
    found = []
    if set(CHALLENGE) <= _columns(table):
        for cells in read_table(table, columns=CHALLENGE):
            id = cells["uuid"]
            found.append(
                Row(
                    id=id,
                    speaker=f"{id}.speaker",
                    listener=f"{id}.listener",
                    sound=id,
                    speaker_id=cells["speaker_id"],
                    listener_id=cells["listener_id"],
                    attitude=cells.get("attitude") or None,
                )
            )
        return found
    for cells in read_table(table, columns=RELEASE):
        if cells["data_split"] != split:
            continue
        id = f"{cells['speaker']}+{cells['listener']}".replace("/", "_")
        found.append(
            Row(
                id=id,
                speaker=cells["speaker"],
                listener=cells["listener"],
                sound=cells["audio"],
                speaker_id=cells.get("speaker_id") or f"{id}/speaker",
                listener_id=cells.get("listener_id") or f"{id}/listener",
                attitude=cells.get("attitude") or None,
            )
        )
    return found
