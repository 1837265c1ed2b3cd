"""Which real reactions are appropriate to which speaker: a sparse map that names its recipe."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visavis.errors import InputError


@dataclass(frozen=True, eq=False)
class AppropriateMap:
    """For each of N dyads, the dyads whose listener reacts appropriately to its speaker.

    Row i always contains i: the paired listener is appropriate. Rows are sorted.
    """

    ids: tuple[str, ...]
    """Ids of the dyads, the order of rows and columns; unique."""
    rows: tuple[NDArray[np.int64], ...]
    """Row i: sorted places of the appropriate dyads, i among them."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """How it was made: the rule, its thresholds, what it was computed from."""
    seed: int | None = None
    """Of a random rule (a stored draw of targets)."""
    corpus: str = ""
    """Fingerprint of the corpus it was made for; empty if unknown."""

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.ids):
            raise InputError("an appropriateness map needs unique ids.")
        if len(self.rows) != len(self.ids):
            raise InputError(f"{len(self.rows)} rows came for {len(self.ids)} ids.")
        for place, row in enumerate(self.rows):
            if place not in row:
                raise InputError(
                    f"the row of {self.ids[place]} lacks its own paired listener; the paired "
                    "reaction is always appropriate."
                )

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, id: str) -> tuple[str, ...]:
        """Ids of the dyads whose listener is appropriate to this dyad's speaker, itself first."""
        place = self._places[id]
        return (id, *(self.ids[j] for j in self.rows[place] if j != place))

    @property
    def _places(self) -> dict[str, int]:
        return {id: place for place, id in enumerate(self.ids)}

    def matrix(self) -> NDArray[np.bool_]:
        """[N, N]: row a speaker, column a listener."""
        dense = np.zeros((len(self), len(self)), dtype=bool)
        for place, row in enumerate(self.rows):
            dense[place, row] = True
        return dense

    @classmethod
    def same(cls, ids: Sequence[str], groups: Sequence[Hashable], **about: Any) -> AppropriateMap:
        """The same-script rule: appropriate is whoever stands in the same group."""
        members: dict[Hashable, list[int]] = {}
        for place, group in enumerate(groups):
            members.setdefault(group, []).append(place)
        rows = tuple(np.asarray(members[group], dtype=np.int64) for group in groups)
        return cls(tuple(ids), rows, **about)
