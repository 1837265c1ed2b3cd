"""Is a personal reaction this listener's? Retrieval, consistency, and the same-listener targets.

Retrieval. Each reaction and each listener's reference clips (real ones, of other scripts than the
reaction's) become a signature: a channel's mean, deviation and mean speed over time, which say how
somebody moves and not when. Of these numbers the few combinations are kept in which people differ
most beside how one person's clips do, and both sides are centred, reactions on reactions and
references on references, so that what a model does to everybody, or a script, names nobody. The
listener whose average reference points the most in the reaction's direction is the answer, as
voices are recognised (linear discriminants, within-class covariance, cosine: Dehak et al., 2011);
how far counts for nothing, for models make people more alike than they are. Chance is 1 / N.

Consistency. Reactions to one speaker, with the same noise, from several histories of each listener:
how often is another history of the same listener nearer than a history of another listener? 0.5 is
chance, 1 perfect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError
from visavis.metrics._inputs import agree, numbers
from visavis.metrics.coverage import rms_distances
from visavis.metrics.evaluate import evaluate_lists
from visavis.metrics.protocol import Protocol
from visavis.metrics.scores import Scores

Array = NDArray[np.float64]
SHRINKAGE = 0.3
"""Share of the identity in the correlations within people: there are fewer clips than numbers."""
SEEN = 0.01
"""What differs by less than this cannot be seen (channels are shares, or radians)."""
_LEAST = 1e-9


@dataclass(frozen=True)
class Retrieval:
    """How well reactions tell who reacts."""

    above: NDArray[np.int64]
    """[Q] other listeners that are nearer than the true one."""
    tied: NDArray[np.int64]
    """[Q] others that are exactly as near."""
    listeners: int
    """N."""

    @property
    def hits(self) -> Array:
        """[Q] chance that the answer is right, where equally near listeners are drawn among."""
        return np.where(self.above == 0, 1 / (1 + self.tied), 0.0)

    @property
    def top1(self) -> float:
        """Share of reactions whose listener is the nearest."""
        return float(self.hits.mean())

    @property
    def reciprocals(self) -> Array:
        """[Q] 1 / place of the true listener, on average over the places it may have."""
        each = [1 / np.arange(a + 1, a + t + 2) for a, t in zip(self.above, self.tied, strict=True)]
        return np.array([x.mean() for x in each])

    @property
    def reciprocal(self) -> float:
        """Mean of 1 / place."""
        return float(self.reciprocals.mean())

    @property
    def chance(self) -> float:
        """`top1` of guessing."""
        return 1 / self.listeners

    @property
    def chance_reciprocal(self) -> float:
        """`reciprocal` of guessing."""
        return float((1 / np.arange(1, self.listeners + 1)).mean())

    def __str__(self) -> str:
        return (
            f"{self.top1:.3f} of {len(self.above)} reactions name their listener among "
            f"{self.listeners} (chance {self.chance:.3f})"
        )


def signature(reactions: Any) -> Array:
    """Mean, deviation and mean speed a channel over time: [N, T, D] to [N, 3 D]; T at least 2.

    Raises:
        InputError: another shape, or values that are not finite.
    """
    x = numbers("reactions", reactions, "N T D")
    if x.shape[1] < 2:
        raise InputError("a signature needs at least 2 frames.")
    speed = np.abs(np.diff(x, axis=1)).mean(1)
    return np.concatenate([x.mean(1), x.std(1), speed], axis=-1)


def persona_retrieval(
    reactions: Any,
    references: Sequence[Any],
    listeners: Sequence[int],
    *,
    people: Sequence[Any] = (),
) -> Retrieval:
    """Which of N listeners reacts like this?

    Args:
        reactions: [Q, T, D], of one system to one speaker or to one script, as many for each
            listener: their average is what nobody is known by.
        references: N of [R, T', D], real clips of each listener, of other scripts.
        listeners: [Q] whose each reaction is to be, 0 to N - 1.
        people: some of [R, T', D], clips of any people, best of others than `references`, which say
            what tells people apart; the more the better. The references themselves by default.

    Raises:
        InputError: fewer than two listeners or people, nobody with two clips, other numbers of
            reactions for some listeners, or numbers or axes that do not fit.
    """
    if len(references) < 2:
        raise InputError(f"retrieval is among two listeners at least, not {len(references)}.")
    queries = signature(reactions)
    known = [signature(clips) for clips in references]
    others = [signature(clips) for clips in people] or known
    for name, several in (("references", known), ("people", others)):
        for clips in several:
            agree("3 D", reactions=queries.shape[1], **{name: clips.shape[1]})
    truth = np.asarray(listeners)
    whole = truth.shape == (len(queries),) and truth.dtype.kind in "iu"
    if not whole or truth.min() < 0 or truth.max() >= len(known):
        raise InputError(
            f"listeners must be {len(queries)} whole numbers of 0 to {len(known) - 1}, one a "
            "reaction."
        )
    _, counts = np.unique(truth, return_counts=True)
    if len(counts) < 2 or counts.min() < counts.max():
        raise InputError(
            "retrieval wants reactions of two listeners at least, and as many of each: what they "
            f"have in common is taken away. These are of {len(counts)}, {counts.tolist()} each."
        )
    if len(others) < 2:
        raise InputError("people are two at least: one alone does not say what tells people apart.")
    apart = discriminants(others)
    typical = _directions(np.stack([clips.mean(0) for clips in known]) @ apart)
    likeness = _directions(queries @ apart) @ typical.T
    own = likeness[np.arange(len(queries)), truth][:, None]
    return Retrieval((likeness > own).sum(1), (likeness == own).sum(1) - 1, len(known))


def discriminants(people: Sequence[Array], most: int = 8) -> Array:
    """What tells people apart, from signatures [R, S] of each: [S, N], N at most `most`.

    Times these, one person's clips have a deviation of about 1 in any direction, and people differ
    the more, the earlier the column. Deviations below what can be seen count as that; correlations
    within people are shrunk towards none.

    Raises:
        InputError: nobody has two clips.
    """
    several = [clips - clips.mean(0) for clips in people if len(clips) > 1]
    if not several:
        raise InputError("retrieval needs two clips of one person at least, to know how they vary.")
    freedom = sum(len(clips) - 1 for clips in several)
    within = np.concatenate(several)
    unit = np.sqrt((within**2).sum(0) / freedom + SEEN**2)
    within = within / unit
    inner = (1 - SHRINKAGE) * within.T @ within / freedom
    np.fill_diagonal(inner, 1.0)
    white = np.linalg.cholesky(np.linalg.inv(inner)) / unit[:, None]
    means = np.stack([clips.mean(0) for clips in people]) @ white
    # the most spread of people's averages, without the covariance, which is large
    _, _, turned = np.linalg.svd(means - means.mean(0), full_matrices=False)
    kept: Array = white @ turned[: min(most, len(people) - 1)].T
    return kept


def _directions(rows: Array) -> Array:
    """Rows less their average, of length 1; what is no further from it than rounding is 0."""
    apart = rows - rows.mean(0)
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    some = length > _LEAST * np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(some, apart / np.where(some, length, 1.0), 0.0)


def persona_consistency(reactions: Any) -> float:
    """How often two histories of one listener give nearer reactions than histories of two.

    Args:
        reactions: [L, H, T, D], of L listeners by H histories each, to one speaker with equal
            noise; L and H at least 2.

    Returns:
        Share of (history, other history of the same, history of another) in which the same is
        nearer, ties half; 0.5 is chance.

    Raises:
        InputError: another shape, or values that are not finite.
    """
    x = numbers("reactions", reactions, "L H T D")
    listeners, histories = x.shape[:2]
    if min(listeners, histories) < 2:
        raise InputError(
            f"consistency needs 2 listeners and 2 histories at least, not {listeners} and "
            f"{histories}."
        )
    flat = x.reshape(-1, *x.shape[2:])
    apart = rms_distances(flat, flat)
    who = np.repeat(np.arange(listeners), histories)
    wins, count = 0.0, 0
    for i, row in enumerate(apart):
        same = row[(who == who[i]) & (np.arange(len(who)) != i)]
        other = row[who != who[i]]
        nearer = (same[:, None] < other) + 0.5 * (same[:, None] == other)
        wins, count = wins + float(nearer.sum()), count + nearer.size
    return wins / count


def personal_scores(
    pred: Sequence[Any],
    targets: Sequence[Any],
    own: Sequence[Any],
    speaker: Sequence[Any],
    protocol: str | Protocol = "corrected",
    *,
    metrics: Sequence[str] = ("FRCorr", "FRDist"),
    workers: int | None = None,
) -> dict[str, Scores]:
    """Scores against all appropriate reactions ("MAFRG") and the listener's own ("PMAFRG").

    Args:
        pred: N of [K, T, D].
        targets: N of [G, T, D].
        own: N of bool [G], which targets are reactions of the very listener; one at least each.
        speaker: N of [T, D].

    Raises:
        InputError: a clip without a reaction of its listener; else as `evaluate_lists`.
    """
    mine = []
    for place, (reals, mask) in enumerate(zip(targets, own, strict=True)):
        kept = np.asarray(mask, dtype=bool)
        if len(kept) != len(reals) or not kept.any():
            raise InputError(
                f"clip {place} has {len(reals)} targets and {int(kept.sum())} of {len(kept)} "
                "marked as its listener's own; mark one at least, and none that is not there."
            )
        mine.append([real for real, keep in zip(reals, kept, strict=True) if keep])
    sets = {"MAFRG": targets, "PMAFRG": mine}
    return {
        name: evaluate_lists(pred, some, speaker, protocol, metrics=metrics, workers=workers)
        for name, some in sets.items()
    }
