"""A small corpus in the tree of Seamless Interaction, from any dyads."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.behaviour import Behaviour, Word
from visavis.channels import EXPRESSION_LABELS
from visavis.corpora._disk_clock import resample
from visavis.corpora._disk_make import Progress, Writable, fresh_folder, npy_bytes, write_table
from visavis.corpora._disk_read import read_table
from visavis.corpora._seamless_files import SPLITS
from visavis.corpora._seamless_read import MOVEMENT_FPS, SCORES
from visavis.corpora._seamless_tables import HIDDEN, INTERACTIONS, PARTICIPANTS, RELATIONSHIPS
from visavis.dyad import TRAITS, Dyad
from visavis.errors import InputError, nearest
from visavis.files import atomic_path

ARCHIVE = 8
"""Conversations in one folder or tar."""
SPAN = 3000
"""Numbers of people, sessions and prompts that one split may have."""
VENDOR = "00"
RATE = 16000
PAUSE_S = 0.3
"""Words closer than this are one stretch of speech."""


def write_seamless(
    corpus: Writable,
    root: str | Path,
    *,
    packed: bool = False,
    faces: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Write one split of `corpus` as Seamless Interaction has it; every script becomes a prompt.

    The 24 values of `FAUValue` are the dyads' 15 action units and nine zeros. What a tracker
    would see in the films, which are not written, is kept beside them.

    Args:
        corpus: whose dyads are written; a dyad's speaker has its `sound`, if there is one.
        root: of the corpus.
        packed: in tars, as the hub has it, instead of folders.
        faces: also write `<id>.safetensors` beside, for `Seamless(..., faces="beside")`.
        progress: called with (dyads done, dyads).

    Returns:
        The folder of the split.

    Raises:
        InputError: the split is there already, has another name, or cannot be written.
    """
    if corpus.split not in SPLITS:
        raise InputError(f"no split {corpus.split!r} here. {nearest(corpus.split, SPLITS)}")
    split = fresh_folder(Path(root) / "improvised" / SPLITS[corpus.split])
    base = SPAN * list(SPLITS).index(corpus.split)
    people: dict[str, str] = {}
    prompts: dict[str | None, str] = {}
    scores: dict[str, list[str]] = {}
    sessions = []
    for done, dyad in enumerate(corpus, start=1):
        prompt = prompts.setdefault(dyad.script, f"{base + 125 + len(prompts):08d}")
        sessions.append(f"{base + done:04d}")
        archive = split / "0000" / f"{(done - 1) // ARCHIVE:04d}"
        for who, key, said in (
            (dyad.speaker, dyad.speaker_id, dyad.speaker.words),
            (dyad.listener, dyad.listener_id, ()),
        ):
            number = people.setdefault(key, f"{base + 300 + len(people):04d}")
            id = f"V{VENDOR}_S{sessions[-1]}_I{prompt}_P{number}"
            content = {
                "json": _said(id, tuple(w for w in said if isinstance(w, Word))),
                "npz": _npz(who),
                "wav": _wav(corpus, dyad, speaking=who is dyad.speaker),
            }
            _store(archive, id, content, packed=packed)
            if faces:
                place = archive.parent if packed else archive
                who.select("attributes", "coefficients").save(place / f"{id}.safetensors")
        if dyad.traits is not None:
            values = (1 + 4 * dyad.traits).tolist()
            scores[people[dyad.listener_id]] = [f"{value:.6f}" for value in values]
        if progress is not None:
            progress(done, len(corpus))
    _tables(
        Path(root), list(prompts.values()), {n: scores.get(n) for n in people.values()}, sessions
    )
    return split


def _store(archive: Path, id: str, content: Mapping[str, bytes], *, packed: bool) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    if packed:
        with tarfile.open(archive.with_suffix(".tar"), "a") as tar:
            for suffix, data in content.items():
                member = tarfile.TarInfo(f"{id}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        return
    for suffix, data in content.items():
        with atomic_path(archive / f"{id}.{suffix}") as temporary:
            temporary.write_bytes(data)


def _npz(who: Behaviour) -> bytes:
    clip = resample(who, MOVEMENT_FPS)
    frames = clip.frames
    fau = np.zeros((frames, 24), np.float32)
    fau[:, :15] = clip.filled("au")
    expression = clip.filled("expression").numpy()
    valid = clip.mask("va") & clip.mask("expression")
    va = clip.filled("va").numpy()
    arrays: dict[str, NDArray[Any]] = {
        "FAUValue": fau,
        "alignment_head_rotation": clip.filled("rotation").numpy(),
        "alignment_translation": clip.filled("translation").numpy(),
        "emotion_arousal": va[:, 1:],
        "emotion_scores": expression[:, [EXPRESSION_LABELS.index(label) for label in SCORES]],
        "emotion_valence": va[:, :1],
        "gaze_encodings": np.zeros((frames, 2), np.float32),
        "is_valid": valid.numpy().astype(np.float32)[:, None],
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(f"movement:{name}.npy", npy_bytes(array))
    return file.getvalue()


def _said(id: str, words: tuple[Word, ...]) -> bytes:
    sentences: list[list[dict[str, Any]]] = []
    stretches: list[list[float]] = []
    for word in words:
        timed = {"word": word.text, "start": word.start_s, "end": word.end_s, "score": 1.0}
        if stretches and word.start_s - stretches[-1][1] < PAUSE_S:
            stretches[-1][1] = word.end_s
            sentences[-1].append(timed)
        else:
            stretches.append([word.start_s, word.end_s])
            sentences.append([timed])
    data = {
        "id": id,
        "metadata:transcript": [
            {
                "words": timed,
                "start": start,
                "end": end,
                "transcript": " ".join(str(w["word"]) for w in timed),
            }
            for timed, (start, end) in zip(sentences, stretches, strict=True)
        ],
        "metadata:vad": [{"start": start, "end": end} for start, end in stretches],
    }
    return json.dumps(data).encode()


def _wav(corpus: Writable, dyad: Dyad, *, speaking: bool) -> bytes:
    """The speaker's voice; of the listener, and without a sound, silence."""
    import soundfile

    sound = getattr(corpus, "sound", None)
    if speaking and sound is not None:
        samples, rate = sound(dyad)
    else:
        samples, rate = np.zeros(round(dyad.speaker.duration_s * RATE), np.float32), RATE
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _tables(
    root: Path,
    prompts: list[str],
    people: Mapping[str, list[str] | None],
    sessions: list[str],
) -> None:
    prompted = (
        *("prompt_hash", "prompt_id_unique", "participant_a_prompt_text"),
        *("participant_b_prompt_text", "ipc_a", "ipc_b", "interaction_type"),
    )
    stories = [
        (prompt, f"P{prompt}", f"Tell story {prompt}.", "Listen.", "", "", "ipc_conversation")
        for prompt in prompts
    ]
    scored = (*(f"{name}_raw" for name in TRAITS), "vendor_id", "participant_id")
    personalities = [
        (*(found or [HIDDEN] * len(TRAITS)), VENDOR, number) for number, found in people.items()
    ]
    known = ("vendor_id", "session_id", "relationship", "relationship_detail")
    strangers = [(f"V{VENDOR}", session, "stranger", "stranger") for session in sessions]
    _append(root / INTERACTIONS, prompted, stories)
    _append(root / PARTICIPANTS, scored, personalities)
    _append(root / RELATIONSHIPS, known, strangers)


def _append(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The rows of this split behind those of the splits before it."""
    before = read_table(path, columns=header) if path.is_file() else []
    write_table(path, header, [*([row[c] for c in header] for row in before), *rows])
