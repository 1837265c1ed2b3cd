"""A small corpus in the tree of ViCo's challenge, from any dyads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from visavis.behaviour import Behaviour
from visavis.corpora._disk_clock import resample
from visavis.corpora._disk_make import Progress, Writable, fresh_folder, write_sound, write_table
from visavis.errors import InputError
from visavis.files import atomic_path


def write_vico(
    corpus: Writable,
    root: str | Path,
    *,
    fps: float = 30.0,
    faces: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Write one split of `corpus` as ViCo's challenge has it.

    The 64 expression coefficients are the dyads' 52 blendshapes and twelve zeros. What a tracker
    would see in the films, which are not written, is kept in their folder.

    Args:
        corpus: whose dyads are written; those with a `sound` get a wav.
        root: a folder that does not hold this split yet.
        fps: of the coefficients.
        faces: also write `videos/<name>.safetensors`, for `Vico(..., faces="beside")`.
        progress: called with (dyads done, dyads).

    Returns:
        The root.

    Raises:
        InputError: the split is there already or cannot be written.
    """
    base = Path(root)
    table = base / f"{corpus.split}.csv"
    if table.exists():
        raise InputError(f"{table} is there already; choose a new folder.")
    recons = fresh_folder(base / "recons" / corpus.split)
    rows = []
    for done, dyad in enumerate(corpus, start=1):
        uuid = f"{corpus.split}{done:08d}"
        for role, who in (("speaker", dyad.speaker), ("listener", dyad.listener)):
            _write_fit(recons / f"{uuid}.{role}.mat", who, fps)
            if faces:
                place = base / "videos" / corpus.split
                who.select("attributes", "coefficients").save(place / f"{uuid}.{role}.safetensors")
        write_sound(corpus, dyad, base / "audios" / f"{uuid}.wav")
        rows.append((f"film{done}", uuid, dyad.speaker_id, dyad.listener_id))
        if progress is not None:
            progress(done, len(corpus))
    write_table(table, ("video_id", "uuid", "speaker_id", "listener_id"), rows)
    return base


def _write_fit(path: Path, who: Behaviour, fps: float) -> None:
    from scipy.io import savemat

    clip = resample(who, fps)
    coeff = np.zeros((clip.frames, 257), np.float32)
    coeff[:, 80:132] = clip.filled("blendshapes")
    coeff[:, 224:227] = clip.filled("rotation")
    coeff[:, 254:257] = clip.filled("translation")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        savemat(file, {"coeff": coeff, "transform_params": np.zeros((clip.frames, 5), np.float32)})
