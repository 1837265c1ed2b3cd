"""Models that learn by `fit` alone, on the corpus's training split: the naive ones, and a model
with its own initial weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from visavis import pretrained, recipes
from visavis.corpora._batch import collate
from visavis.dyad import Batch
from visavis.models._base import ReactionModel

if TYPE_CHECKING:
    from visavis.corpora._base import Corpus

Progress = Callable[[int, int | None], None]
TRAIN_CLIPS = 196
"""Training clips that naive systems learn from (14 scripts of 14)."""
STATISTICS_CLIPS = 56
"""Training clips that give initial weights their input statistics."""
_BATCH = 8


def fitted(
    names: Sequence[str],
    train: Corpus,
    folder: Path,
    *,
    clips: int = TRAIN_CLIPS,
    progress: Progress | None = None,
) -> dict[str, ReactionModel[Any]]:
    """The naive models of these names, learned from the first `clips` training dyads; kept in
    `folder`, and read from there the next time."""
    missing = [name for name in names if not (folder / name / "config.json").is_file()]
    if missing:
        batches = _batches(train, clips, progress)
        for name in missing:
            model = recipes.build(recipes.read(name))
            model.fit(batches)
            pretrained.save(model, folder / name)
    return {name: pretrained.load(folder / name) for name in names}


def initial(model: ReactionModel[Any], train: Corpus, *, clips: int) -> ReactionModel[Any]:
    """The same model before its first step: weights drawn from its recipe's seed, statistics
    fitted on training dyads as training would."""
    recipe = model.trained.get("recipe", {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(recipe.get("seed", 0)))
        fresh: ReactionModel[Any] = recipes.anew(model, model.config)
    fresh.name = model.name
    if type(model).fit is not ReactionModel.fit:
        fresh.fit(_batches(train, min(clips, STATISTICS_CLIPS), None))
    return fresh.eval()


def _batches(train: Corpus, clips: int, progress: Progress | None) -> list[Batch]:
    """Whole training clips in batches of equal length."""
    count = min(clips, len(train))
    found: list[Batch] = []
    waiting: list[Any] = []
    for place in range(count):
        dyad = train[place]
        if waiting and dyad.speaker.frames != waiting[0].speaker.frames:
            found.append(collate(waiting, targets=1))
            waiting = []
        waiting.append(dyad)
        if len(waiting) == _BATCH or place == count - 1:
            found.append(collate(waiting, targets=1))
            waiting = []
        if progress:
            progress(place + 1, count)
    return found
