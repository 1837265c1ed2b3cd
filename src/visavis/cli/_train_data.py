"""A recipe's corpus as what the loop takes: batches of a step, a pass for `fit`, a validation."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from visavis import corpora
from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.cli.console import bar
from visavis.corpora import collate
from visavis.dyad import Batch, Dyad
from visavis.errors import InputError, nearest
from visavis.models._base import ReactionModel
from visavis.recipes import CorpusRecipe, Recipe, StageRecipe
from visavis.training.loop import Terms
from visavis.training.sampler import Sampler, Share

logger = logging.getLogger("visavis")

AT_ONCE = 8
"""Clips a batch of `fit` and of the validation."""
WHOLE = 256
"""Frames of a validation clip."""


class Clips:
    """The dyads of one split, by place, and their listeners, by id."""

    def __init__(self, corpus: Any, dyads: Sequence[Dyad]) -> None:
        self.corpus, self._dyads = corpus, dyads
        kept = isinstance(dyads, list)
        self._listeners = {d.id: d.listener for d in dyads} if kept else {}
        self.ids: tuple[str, ...] = tuple(corpus.ids)
        """Of the whole split, from which reactions that do not suit are drawn."""

    def __len__(self) -> int:
        return len(self._dyads)

    def __getitem__(self, place: int) -> Dyad:
        return self._dyads[place]

    def listener(self, id: str) -> Behaviour:
        found: Behaviour = self._listeners[id] if self._listeners else self.corpus.listener(id)
        return found


def clips(
    split: str,
    recipe: Recipe,
    root: Path | None,
    *,
    audio: bool,
    pixels: bool = False,
    quiet: bool,
    few: int = 0,
) -> Clips:
    """A split of the recipe's corpus.

    Simulated dyads are made once and kept: making sound is slower than a training step. Those of
    a corpus on disk are read when they are wanted, and so are simulated ones with pictures, which
    are 113 MB a clip of 30 s and drawn much faster than a network sees them.

    Args:
        pixels: whether simulated speakers are drawn.
        few: only about so many simulated dyads, for a dry run; 0 takes all.
    """
    wanted = recipe.corpus
    if wanted.name != "simulated":
        corpus = corpora.load(wanted.name, split, root=root, **wanted.options)
        places = _with_history(corpus, split) if wanted.history else list(range(len(corpus)))
        if split == "val" and len(places) > wanted.val_size:
            few_of = torch.linspace(0, len(places) - 1, wanted.val_size).long().tolist()
            places = [places[i] for i in few_of]
        return Clips(corpus, corpus if len(places) == len(corpus) else _Some(corpus, places))
    size = wanted.train_size if split == "train" else wanted.val_size
    size = min(size, few) if few else size
    options = {"frames": wanted.frames, "seed": wanted.seed, "audio": audio, **wanted.options}
    if pixels:
        from visavis.render.frames import pictures

        drawn = {"pixels": True, "renderer": pictures, **options}
        made = corpora.load("simulated", split, root=root, size=size, **drawn)
        return Clips(made, made)
    return _simulated(split, size, root, json.dumps(options, sort_keys=True), quiet=quiet)


def _with_history(corpus: Any, split: str) -> list[int]:
    """Places of the dyads whose listener is in another clip, with a word about the others.

    Raises:
        InputError: there is none.
    """
    places = [i for i in range(len(corpus)) if corpus.has_history(i)]
    if not places:
        raise InputError(
            f"no listener of {corpus!r} is in two clips of different scripts, so nobody has a "
            "history; a personal model learns here from Big Five at most (corpus.history=none)."
        )
    if len(places) < len(corpus):
        logger.warning(
            "%d of %d dyads of %r are left out: their listener is in no other clip, so there is no "
            "history",
            len(corpus) - len(places),
            len(corpus),
            split,
        )
    return places


@lru_cache(maxsize=2)
def _simulated(split: str, size: int, root: Path | None, options: str, *, quiet: bool) -> Clips:
    """Kept from one training to the next in a process: rows of an ablation learn from the same."""
    made = corpora.load("simulated", split, root=root, size=size, **json.loads(options))
    dyads = []
    with bar(f"simulating {split}", quiet=quiet) as progress:
        for i in range(len(made)):
            dyads.append(made[i])
            progress(i + 1, len(made))
    return Clips(made, dyads)


class _Some(Sequence[Dyad]):
    """Some places of a corpus."""

    def __init__(self, corpus: Any, places: list[int]) -> None:
        self.corpus, self.places = corpus, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, place: Any) -> Any:
        return self.corpus[self.places[place]]


def sees(model: ReactionModel[Any]) -> bool:
    """Whether the model reads pictures."""
    return "pixels" in model.reads


def hears(model: ReactionModel[Any]) -> bool:
    """Whether the model reads sound, which is most of the cost of a simulated dyad."""
    return any(n in GROUPS["speech"] for g in model.inputs for n in GROUPS.get(g, (g,)))


class Draw:
    """Step -> batch; travels to worker processes."""

    def __init__(self, clips: Clips, sampler: Sampler, corpus: CorpusRecipe) -> None:
        self.clips, self.sampler, self.corpus = clips, sampler, corpus

    def __call__(self, step: int) -> Batch:
        share: Share = self.sampler(step)
        return collate(
            [self.clips[i] for i in share.indices],
            crop=share.crop or self.corpus.crop,
            targets=self.corpus.targets,
            history=self.corpus.history,
            negatives=self.corpus.negatives,
            pool=self.clips.ids if self.corpus.negatives else (),
            rng=share.generators(),
            listener=self.clips.listener,
        )


class Once:
    """A pass over whole clips, for `fit` and `prepare`, as often as it is wanted; with `history`,
    so many frames of each listener's."""

    def __init__(self, clips: Clips, history: int | None = None) -> None:
        self.clips, self.history = clips, history

    def __iter__(self) -> Iterator[Batch]:
        clips = self.clips
        for start in range(0, len(clips), AT_ONCE):
            places = range(start, min(start + AT_ONCE, len(clips)))
            yield collate(
                [clips[i] for i in places],
                crop=None,
                targets=1,
                history=self.history,
                listener=clips.listener,
            )


class Validation:
    """Mean over validation clips of the stage's own loss, with fixed windows and draws."""

    def __init__(self, clips: Clips, corpus: CorpusRecipe) -> None:
        self.clips, self.corpus = clips, corpus

    def __call__(self, model: ReactionModel[Any], stage: StageRecipe, terms: Terms) -> float:
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        total = 0.0
        with torch.random.fork_rng([device] if device.type == "cuda" else []), model.sampling():
            torch.manual_seed(0)
            for start in range(0, len(self.clips), AT_ONCE):
                batch = self._batch(start)
                total += _score(terms(batch), stage.training.select) * len(batch)
        return total / len(self.clips)

    def _batch(self, start: int) -> Batch:
        places = range(start, min(start + AT_ONCE, len(self.clips)))
        return collate(
            [self.clips[i] for i in places],
            crop=WHOLE,
            targets=self.corpus.targets,
            history=self.corpus.history,
            negatives=self.corpus.negatives,
            pool=self.clips.ids if self.corpus.negatives else (),
            rng=0,
            listener=self.clips.listener,
        )


def _score(terms: Any, select: str) -> float:
    told = {n: float(x) for n, x in terms.items()}
    if select == "loss":
        return sum(x for n, x in told.items() if not n.startswith("log/"))
    if select not in told:
        raise InputError(
            f"training.select is {select!r}. {nearest(select, ['loss', 'last', *told])}"
        )
    return told[select]
