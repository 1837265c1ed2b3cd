"""Who meets whom: scripts of a split, and the people of each dyad. Nothing here is random.

Scripts come in pairs that share their listeners, and a pair shares three of its seven with the
next; so every listener hears two speakers of each script they meet, and more scripts than one.
Half of a script's speakers tell the next script too. Nobody both speaks and listens.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

DYADS_A_SCRIPT = 14
SMALLEST_SCRIPT, LARGEST_SCRIPT = 8, 20
"""Limits of the issue; only a split's end has other than 14."""
LISTENERS_A_SCRIPT = 7
NEW_LISTENERS = 4
"""Listeners of a pair of scripts whom the pair before did not meet."""
NEW_SPEAKERS = 7


@dataclass(frozen=True)
class Cast:
    """The casting of a split of `size` dyads.

    A dyad does not depend on the size, but for those of the last script (or, where 7 dyads are
    over, of the last two): what is left at a split's end joins it or stands by itself.
    """

    size: int

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Index of each script's first dyad."""
        full, rest = divmod(self.size, DYADS_A_SCRIPT)
        starts = [i * DYADS_A_SCRIPT for i in range(full)] or [0]
        if full and rest >= SMALLEST_SCRIPT:
            starts.append(full * DYADS_A_SCRIPT)
        elif full and DYADS_A_SCRIPT + rest > LARGEST_SCRIPT:
            starts.append(self.size - SMALLEST_SCRIPT)
        return tuple(starts)

    def script(self, index: int) -> int:
        """Number of the script that dyad `index` tells."""
        return bisect_right(self.starts, index) - 1

    def members(self, number: int) -> range:
        """Indices of the dyads of a script."""
        ends = (*self.starts[1:], self.size)
        return range(self.starts[number], ends[number])

    def listener(self, index: int) -> int:
        """Number of the listener in the split."""
        number = self.script(index)
        pairs = max(len(self.starts) // 2, 1)
        pair = min(number // 2, pairs - 1)
        place = (index - self.starts[number]) // 2 % LISTENERS_A_SCRIPT
        if number % 2:  # from the other end, so that a short last script completes its pair
            place = LISTENERS_A_SCRIPT - 1 - place
        return NEW_LISTENERS * pair + place

    def speaker(self, index: int) -> int:
        """Number of the speaker in the split."""
        number = self.script(index)
        return NEW_SPEAKERS * number + index - self.starts[number]

    def meetings(self, index: int) -> list[int]:
        """Dyads of the same listener, this one among them, in order."""
        who, number = self.listener(index), self.script(index)
        # a listener's scripts are neighbours: two pairs, and a lone last one
        near = range(max(number - 5, 0), min(number + 6, len(self.starts)))
        return [i for n in near for i in self.members(n) if self.listener(i) == who]
