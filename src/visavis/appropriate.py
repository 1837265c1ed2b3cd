"""Which real reactions are appropriate to which speaker: a sparse map that names its recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from visavis.errors import InputError, nearest

I64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AppropriateMap:
    """For each of N dyads, the dyads whose listener reacts appropriately to its speaker.

    Row i always contains i: the paired listener is appropriate. Rows are sorted. A map belongs to
    one split: a reaction from another split is never appropriate.
    """

    ids: tuple[str, ...]
    """Ids of the dyads, the order of rows and columns; unique."""
    rows: tuple[I64, ...]
    """Row i: sorted places of the appropriate dyads, i among them."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """How it was made: the rule, its thresholds, what it was computed from. Plain data."""
    seed: int | None = None
    """Of a random rule (a stored draw of targets)."""
    corpus: str = ""
    """Fingerprint of the corpus it was made for; empty if unknown."""
    drawn: I64 | None = None
    """[N, n] places: the stored draw of `draw`, paired first. A place may come twice."""

    def __post_init__(self) -> None:
        if len(self._places) != len(self.ids):
            twice = next(id for place, id in enumerate(self.ids) if self._places[id] != place)
            raise InputError(f"an appropriateness map needs unique ids; {twice!r} comes twice.")
        if len(self.rows) != len(self.ids):
            raise InputError(f"{len(self.rows)} rows came for {len(self.ids)} ids.")
        for place, row in enumerate(self.rows):
            _check_row(row, place, self.ids)
        if self.drawn is not None:
            _check_drawn(self.drawn, self)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        rule = self.recipe.get("rule", "unnamed rule")
        low, middle, high = self.spread
        return (
            f"AppropriateMap({len(self)} dyads, {rule}: {low} to {high} reactions a clip, "
            f"median {middle:g})"
        )

    # ------------------------------------------------------------------ reading

    @cached_property
    def _places(self) -> dict[str, int]:
        return {id: place for place, id in enumerate(self.ids)}

    def index(self, id: str) -> int:
        """The place of a dyad.

        Raises:
            InputError: there is no such dyad; the nearest is named.
        """
        try:
            return self._places[id]
        except KeyError:
            close = nearest(id, self.ids).partition(" Known")[0] if len(self) < 5000 else ""
            hint = f" {close}" if close.startswith("Did") else ""
            raise InputError(
                f"{id!r} is none of the {len(self)} dyads of this map.{hint}"
            ) from None

    def of(self, id: str) -> tuple[str, ...]:
        """Ids of the dyads whose listener is appropriate to this dyad's speaker, itself first."""
        place = self.index(id)
        return (id, *(self.ids[j] for j in self.rows[place] if j != place))

    def targets(self, id: str) -> tuple[str, ...]:
        """Ids of the targets that were drawn for a dyad (`draw`), paired first; a short list may
        come round again, so an id may stand there twice. All of `of` where none were drawn."""
        if self.drawn is None:
            return self.of(id)
        return tuple(self.ids[j] for j in self.drawn[self.index(id)])

    @property
    def sizes(self) -> I64:
        """[N] how many reactions are appropriate to each speaker, the paired one counted."""
        return np.array([len(row) for row in self.rows], np.int64)

    @property
    def spread(self) -> tuple[int, float, int]:
        """Least, median and greatest of `sizes`; zeros for an empty map."""
        sizes = self.sizes
        if not len(sizes):
            return 0, 0.0, 0
        return int(sizes.min()), float(np.median(sizes)), int(sizes.max())

    def matrix(self) -> NDArray[np.bool_]:
        """[N, N]: row a speaker, column a listener."""
        dense = np.zeros((len(self), len(self)), dtype=bool)
        for place, row in enumerate(self.rows):
            dense[place, row] = True
        return dense

    @cached_property
    def fingerprint(self) -> str:
        """Of ids, rows and drawn targets: maps with equal fingerprints score alike."""
        digest = hashlib.sha256(repr((1, self.ids)).encode())
        for row in self.rows:
            digest.update(np.asarray([len(row), *row], "<i8").tobytes())
        if self.drawn is not None:
            digest.update(np.asarray(self.drawn, "<i8").tobytes())
        return digest.hexdigest()[:16]

    # ------------------------------------------------------------------ other maps

    def select(self, ids: Sequence[str]) -> AppropriateMap:
        """The map of some dyads, in the order given; reactions of the others are left out.

        Raises:
            InputError: an id is not in the map, or targets were drawn (they may be gone: select
                first, then draw).
        """
        if self.drawn is not None:
            raise InputError("targets were drawn from this map: select first, then draw.")
        kept = [self.index(id) for id in ids]
        new = np.full(len(self), -1, np.int64)
        new[kept] = np.arange(len(kept))
        rows = (new[self.rows[place]] for place in kept)
        return replace(self, ids=tuple(ids), rows=tuple(np.sort(row[row >= 0]) for row in rows))

    def same_listener(self, listeners: Sequence[str] | Mapping[str, str]) -> AppropriateMap:
        """The personalised map: only reactions by the listener of the row's own pair.

        Args:
            listeners: of each dyad, in the map's order or by id.

        Raises:
            InputError: listeners do not fit the ids, or targets were drawn (draw afterwards).
        """
        if self.drawn is not None:
            raise InputError("targets were drawn from this map: restrict first, then draw.")
        if isinstance(listeners, Mapping):
            lacking = [id for id in self.ids if id not in listeners]
            if lacking:
                raise InputError(f"no listener is given for {lacking[0]!r} ({len(lacking)} lack).")
            listeners = [listeners[id] for id in self.ids]
        if len(listeners) != len(self):
            raise InputError(f"{len(listeners)} listeners came for {len(self)} dyads.")
        who = np.unique(np.asarray(listeners, dtype=str), return_inverse=True)[1]
        rows = tuple(row[who[row] == who[place]] for place, row in enumerate(self.rows))
        return replace(self, rows=rows, recipe={**self.recipe, "same_listener": True})

    def draw(self, n: int, *, seed: int = 0) -> AppropriateMap:
        """The same map with a fixed draw of n targets a dyad, kept in `drawn` and in the file.

        The paired listener is first. The n - 1 others are drawn without replacement where there
        are as many, else with it (the rule of REACT 2025); where there are none at all, the
        paired one is repeated. A dyad's draw depends on the seed, its id and the ids of its
        reactions alone, not on the order or on other dyads.

        Raises:
            InputError: n is below 1 or the seed negative.
        """
        if n < 1 or seed < 0:
            raise InputError(f"draw wants n of at least 1 and a seed of 0 or more: {n}, {seed}.")
        drawn = np.empty((len(self), n), np.int64)
        for place, id in enumerate(self.ids):
            others = sorted(
                (int(j) for j in self.rows[place] if j != place), key=self.ids.__getitem__
            )
            key = hashlib.sha256(f"{seed}/{id}".encode()).digest()
            rng = np.random.default_rng(int.from_bytes(key[:16], "little"))
            drawn[place, 0] = place
            drawn[place, 1:] = rng.choice(others or [place], n - 1, replace=len(others) < n - 1)
        recipe = {**self.recipe, "draw": {"n": n, "seed": seed}}
        return replace(self, drawn=drawn, seed=seed, recipe=recipe)

    # ------------------------------------------------------------------ making

    @classmethod
    def same(cls, ids: Sequence[str], groups: Sequence[Hashable], **about: Any) -> AppropriateMap:
        """Appropriate is whoever stands in the same group: script, session, prompt.

        A group of None stands for "unknown": such a dyad has its own reaction alone.

        Args:
            about: `recipe`, `corpus` of the map.

        Raises:
            InputError: not one group an id.
        """
        if len(groups) != len(ids):
            raise InputError(f"{len(groups)} groups came for {len(ids)} ids.")
        members: dict[Hashable, list[int]] = {}
        for place, group in enumerate(groups):
            members.setdefault(group, []).append(place)
        whole = {group: np.asarray(row, dtype=np.int64) for group, row in members.items()}
        rows = tuple(
            np.array([place], np.int64) if group is None else whole[group]
            for place, group in enumerate(groups)
        )
        recipe = {"rule": "same", **about.pop("recipe", {})}
        return cls(tuple(ids), rows, recipe, **about)

    @classmethod
    def similar(
        cls,
        ids: Sequence[str],
        speakers: Sequence[NDArray[np.floating]],
        *,
        measure: Literal["dtw", "ccc"] = "dtw",
        quantile: float | None = None,
        threshold: float | None = None,
        stride: int = 1,
        threads: int = 1,
        progress: Callable[[int, int | None], None] | None = None,
        **about: Any,
    ) -> AppropriateMap:
        """Appropriate is the reaction to any speaker who behaved alike; see `docs/labels.md`.

        Exact: equal to comparing every pair in full, and much faster.

        Args:
            ids: of the dyads of one split.
            speakers: facial attributes of each speaker, [T, 25]; a clip of no frame is like
                nobody. "ccc" wants one length.
            measure: "dtw": AU / 15 + VA + expression / 8, each group warped on its own, as in
                FRDist; "ccc": the concordance correlation, mean over channels.
            quantile: share of all pairs that count as alike, of (0, 1]. Default: what gives a
                clip 30 reactions besides its own on average, at most a half.
            threshold: instead of a quantile: the greatest distance (least correlation) that
                counts, e.g. the one that another split's recipe holds.
            stride: above 1, an approximation: every n-th frame alone is compared.
            threads: numbers do not depend on it.
            about: `recipe`, `corpus` of the map.

        Raises:
            InputError: an unknown measure, numbers out of range, or a speaker that is not
                [T, 25] of finite numbers.
        """
        from visavis._appropriate_similar import alike

        found = alike(
            ids, speakers, measure=measure, quantile=quantile, threshold=threshold, stride=stride,
            threads=threads, progress=progress,
        )  # fmt: skip
        return cls(tuple(ids), found.rows, {**found.recipe, **about.pop("recipe", {})}, **about)

    @classmethod
    def from_matrix(
        cls, ids: Sequence[str], matrix: ArrayLike, *, add_paired: bool = False, **about: Any
    ) -> AppropriateMap:
        """From a square matrix of 0 and 1, row a speaker, column a listener, in the ids' order.

        Args:
            add_paired: add the paired reaction to the rows that lack it (rows without any stay
                an error).
            about: `recipe`, `corpus` of the map.

        Raises:
            InputError: not square, not as many as ids, a value other than 0 and 1, a row without
                any reaction, a row without its own.
        """
        dense = np.asarray(matrix)
        if dense.ndim != 2 or dense.shape[0] != dense.shape[1]:
            raise InputError(f"the matrix has shape {list(dense.shape)}; wanted [N, N].")
        if len(dense) != len(ids):
            raise InputError(
                f"the matrix is {list(dense.shape)} for {len(ids)} dyads: it belongs to another "
                "split or release."
            )
        if dense.dtype.kind not in "biuf":
            raise InputError(f"the matrix holds {dense.dtype}; wanted 0 and 1.")
        marked = dense == 1
        wrong = np.argwhere(~(marked | (dense == 0)))
        if len(wrong):
            i, j = wrong[0]
            raise InputError(
                f"the matrix holds {dense[i, j]} in row {i}, column {j} ({len(wrong)} such "
                "values); wanted 0 or 1 everywhere."
            )
        for name, bad, advice in (
            ("no appropriate reaction at all", ~marked.any(1), "Set the diagonal to 1."),
            ("no 1 on the diagonal", ~marked.diagonal() & (not add_paired), _PAIRED),
        ):
            if bad.any():
                first = int(np.argmax(bad))
                raise InputError(
                    f"{int(bad.sum())} rows of the matrix have {name}, the first is row {first} "
                    f"({ids[first]}). {advice}"
                )
        marked |= np.eye(len(marked), dtype=bool)
        rows = tuple(np.flatnonzero(row).astype(np.int64) for row in marked)
        return cls(tuple(ids), rows, {"rule": "matrix", **about.pop("recipe", {})}, **about)

    # ------------------------------------------------------------------ files

    def save(self, path: str | Path) -> Path:
        """Write a sparse safetensors file with recipe, seed and the corpus's fingerprint."""
        from visavis._appropriate_files import save

        return save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> AppropriateMap:
        """Read what `save` wrote.

        Raises:
            InputError: the file is not there, is no map, or is damaged.
        """
        from visavis._appropriate_files import load

        return load(path)


_PAIRED = "The paired reaction is always appropriate; add_paired=True adds it."


def _check_row(row: I64, place: int, ids: Sequence[str]) -> None:
    if row.dtype != np.int64 or row.ndim != 1:
        raise InputError(f"the row of {ids[place]} is {row.dtype} {list(row.shape)}, wanted int64.")
    if not len(row) or row[0] < 0 or row[-1] >= len(ids) or (np.diff(row) <= 0).any():
        raise InputError(
            f"the row of {ids[place]} must hold sorted, different places of 0 to {len(ids) - 1}."
        )
    if row[min(int(np.searchsorted(row, place)), len(row) - 1)] != place:
        raise InputError(
            f"the row of {ids[place]} lacks its own paired listener; the paired reaction is "
            "always appropriate."
        )


def _check_drawn(drawn: I64, labels: AppropriateMap) -> None:
    if drawn.dtype != np.int64 or drawn.ndim != 2 or len(drawn) != len(labels):
        raise InputError(f"drawn targets are {drawn.dtype} {list(drawn.shape)}, wanted [N, n].")
    for place, (chosen, row) in enumerate(zip(drawn, labels.rows, strict=True)):
        if not len(chosen) or chosen[0] != place or not np.isin(chosen, row).all():
            raise InputError(
                f"the targets drawn for {labels.ids[place]} must be appropriate, itself first."
            )
