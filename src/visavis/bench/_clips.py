"""Which clips are scored, their targets, and their attributes kept on disk for all systems."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from visavis.behaviour import Behaviour
from visavis.bench._folder import read_json, write_json
from visavis.channels import GROUPS
from visavis.errors import InputError, MissingChannel
from visavis.features.attributes import complete
from visavis.files import atomic_path

if TYPE_CHECKING:
    from visavis.corpora._base import Corpus

Real = NDArray[np.float32]
Progress = Callable[[int, int | None], None]

SCRIPTS, DYADS = 20, 10
"""Of the trained test: 200 clips (issue 4)."""


@dataclass(frozen=True)
class Clips:
    """N chosen clips of one split, in a fixed order."""

    corpus: Corpus
    ids: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]
    """Ids of the dyads whose listener is appropriate, a clip; its own first."""
    groups: tuple[str, ...]
    """What is drawn together in a bootstrap: the script of each clip, or the clip itself."""
    scripted: bool
    """Whether groups are scripts."""
    speakers: Path
    """Folder of the speakers' behaviours, one file a clip, without pixels."""
    heard: Mapping[str, Real]
    """Speaker attributes [T, 25] by id."""
    seen: Mapping[str, Real]
    """Listener attributes [T, 25] by id, of all targets."""
    derived: bool
    """Whether some of the real attributes were computed from coefficients, not given."""
    gaps: bool
    """Whether some speaker's face was not observed throughout; FRSyn is not defined then."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def units(self) -> int:
        """Independent groups."""
        return len(set(self.groups))

    def place(self, number: int) -> int:
        """Place of the clip `number` in its split: what its seed comes from."""
        return self.corpus.index(self.ids[number])

    def speaker(self, number: int, reads: Sequence[str] = ()) -> Behaviour:
        """The speaker [T, ...] of clip `number`; pixels come from the corpus where `reads` them."""
        if "pixels" in reads:
            return self.corpus[self.place(number)].speaker
        return Behaviour.load(self.speakers / f"{number:05d}.safetensors")

    def real(self, number: int) -> list[Real]:
        """The appropriate real reactions to clip `number`, at its own length: G of [T, 25]."""
        frames = len(self.heard[self.ids[number]])
        return [aligned(self.seen[name], frames) for name in self.targets[number]]


def pick(
    corpus: Corpus, *, scripts: int = SCRIPTS, dyads: int = DYADS, clips: int | None = None
) -> tuple[int, ...]:
    """Places of the clips to score.

    Where the appropriateness map is a partition (dyads of one script share their targets): the
    first `dyads` of each of `scripts` scripts spread evenly over the split, short scripts left
    out where there are enough others. Elsewhere `clips` clips spread evenly, or all.

    Raises:
        InputError: a number below 1.
    """
    if min(scripts, dyads, 1 if clips is None else clips) < 1:
        raise InputError(f"scripts, dyads and clips must be at least 1: {scripts, dyads, clips}.")
    groups = partition(corpus)
    if groups is None or clips is not None:
        count = len(corpus) if clips is None else min(clips, len(corpus))
        return tuple(int(i) for i in np.linspace(0, len(corpus) - 1, count).round())
    full = [group for group in groups if len(group) >= dyads]
    groups = full if len(full) >= scripts else groups
    chosen = np.linspace(0, len(groups) - 1, min(scripts, len(groups))).round().astype(int)
    return tuple(place for g in chosen for place in groups[g][:dyads])


def partition(corpus: Corpus) -> list[list[int]] | None:
    """Places of the dyads of each script; None where targets overlap in any other way.

    A map in which every dyad has its own listener alone is no partition worth the name.
    """
    rows = corpus.labels.rows
    keys = [tuple(int(j) for j in row) for row in rows]
    if any(keys[j] != key for key in keys for j in key) or all(len(key) == 1 for key in keys):
        return None
    return [list(key) for key in dict.fromkeys(keys)]


def choice(
    corpus: Corpus, places: Sequence[int]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Ids of the clips at these places, and of each one's targets, its own listener first."""
    names, rows = corpus.ids, corpus.labels.rows
    own = tuple(names[i] for i in places)
    return own, tuple((names[i], *(names[j] for j in rows[i] if j != i)) for i in places)


def fingerprint(corpus: Corpus, places: Sequence[int]) -> str:
    """Of a choice: which clips, and which targets each has."""
    return hashlib.sha256(repr(choice(corpus, places)).encode()).hexdigest()[:16]


def gather(
    corpus: Corpus, places: Sequence[int], folder: Path, *, progress: Progress | None = None
) -> Clips:
    """Read the clips once; speakers and attributes are kept in `folder` and found there later.

    Raises:
        MissingChannel: a listener has neither attributes nor coefficients, or was not observed
            throughout.
    """
    import torch
    from safetensors.torch import load_file, save_file

    ids, targets = choice(corpus, places)
    wanted = list(dict.fromkeys(name for names in targets for name in names))
    total = len(ids) + len(wanted)
    speakers, table = folder / "speakers", folder / "attributes.safetensors"
    about = folder / "clips.json"
    if table.is_file() and about.is_file():
        kept = {n: x.numpy() for n, x in load_file(table).items()}
        known = read_json(about)
        scripts, derived, gaps = known["scripts"], known["derived"], known["gaps"]
    else:
        kept, scripts, derived, gaps = {}, [], False, False
        for number, place in enumerate(places):
            dyad = corpus[place]
            speaker = dyad.speaker.without("pixels") if dyad.speaker.has("pixels") else dyad.speaker
            speaker.save(speakers / f"{number:05d}.safetensors")
            kept[f"speaker/{dyad.id}"], whole = _face(speaker)
            gaps |= not whole
            scripts.append(dyad.script or "")
            if progress:
                progress(number + 1, total)
        for number, name in enumerate(wanted):
            listener = corpus.listener(name)
            kept[f"listener/{name}"], made = _attributes(listener, name)
            derived |= made
            if progress:
                progress(len(ids) + number + 1, total)
        with atomic_path(table) as temporary:
            save_file({n: torch.from_numpy(x) for n, x in kept.items()}, temporary)
        write_json(about, {"ids": ids, "scripts": scripts, "derived": derived, "gaps": gaps})
    scripted = all(scripts)
    return Clips(
        corpus=corpus,
        ids=ids,
        targets=targets,
        groups=tuple(scripts) if scripted else ids,
        scripted=scripted,
        speakers=speakers,
        heard={name: kept[f"speaker/{name}"] for name in ids},
        seen={name: kept[f"listener/{name}"] for name in wanted},
        derived=derived,
        gaps=gaps,
    )


def _face(speaker: Behaviour) -> tuple[Real, bool]:
    """A speaker's attributes [T, 25], 0 where unobserved, and whether they were all observed."""
    try:
        return _attributes(speaker, "")[0], True
    except MissingChannel:
        try:
            shown = complete(speaker)
        except MissingChannel:
            return np.zeros((speaker.frames, 25), np.float32), False
        parts = [shown.filled(name, 0.0) for name in GROUPS["attributes"]]
        return np.concatenate([p.float().cpu().numpy() for p in parts], axis=-1), False


def _attributes(listener: Behaviour, id: str) -> tuple[Real, bool]:
    """Attributes [T, 25] of a listener, and whether they had to be derived."""
    try:
        whole = complete(listener)
        packed = whole.pack("attributes")
    except MissingChannel as error:
        raise MissingChannel(f"the listener of {id} cannot be a target: {error}") from error
    made = bool(whole.derived & set(GROUPS["attributes"]))
    return np.ascontiguousarray(packed.float().cpu().numpy()), made


def aligned(reaction: Real, frames: int) -> Real:
    """A real reaction [T', 25] stretched evenly to `frames` frames; of that length, untouched.

    Units keep their labels (the nearest frame's), the rest is interpolated. The challenge of 2025
    stretched with a learned network whose weights are nobody's; this is the plain way.
    """
    if len(reaction) == frames:
        return reaction
    at = np.linspace(0, len(reaction) - 1, frames)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, len(reaction) - 1)
    share = (at - low)[:, None].astype(np.float32)
    mixed: Real = reaction[low] * (1 - share) + reaction[high] * share
    mixed[:, :15] = reaction[np.rint(at).astype(np.int64), :15]
    return mixed
