"""What every corpus offers, whatever lies on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from visavis.appropriate import AppropriateMap
    from visavis.behaviour import Behaviour
    from visavis.dyad import Dyad


@runtime_checkable
class Corpus(Protocol):
    """One split of a corpus: an indexable row of dyads, parsed when asked for.

    A corpus never normalises and never draws at random by itself: the same index is always the
    same dyad, in every worker. Its listeners and speakers come on the 25 fps clock unless the
    corpus says otherwise.
    """

    name: str
    """Public name: "simulated", "react", "mars", ..."""
    split: str

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the dyads in order, unique."""

    @property
    def fingerprint(self) -> str:
        """Changes when what the corpus would return changes: files' content, or version and
        seed. Stored with maps, weights and results."""

    @property
    def labels(self) -> AppropriateMap:
        """Which dyads' listeners are appropriate to which dyad's speaker."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Dyad: ...

    def index(self, id: str) -> int:
        """Place of a dyad by its id. Raises `InputError` for an unknown one."""

    def listener(self, id: str) -> Behaviour:
        """The listener of a dyad by its id, as `collate` wants targets and histories."""


@runtime_checkable
class Oracle(Protocol):
    """A corpus whose conditional distribution is known."""

    def oracle(self, dyad: Dyad | str, n: int, *, seed: int = 0) -> Behaviour:
        """n fresh listeners [n, T, ...] of a dyad from the true distribution."""
