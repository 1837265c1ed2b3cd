"""What simulated people talk about: contexts, and the kinds of event in their scripts.

Written for this project. A context says which kinds of event its scripts hold and which reaction
modes listeners incline to there.
"""

from __future__ import annotations

from dataclasses import dataclass

EVENT_KINDS = ("joy", "sad", "surprise", "dubious", "pause")
"""What happens in a script, as far as a listener's face cares."""

MODES = ("mirroring", "attentive", "amused", "concerned", "sceptical")
"""How a listener takes a stretch of talk."""


@dataclass(frozen=True)
class Context:
    """A topic of conversation."""

    name: str
    themes: tuple[float, float, float, float]
    """Relative frequency of stretches about joy, sad, surprise, dubious things."""
    inclination: tuple[float, float, float, float, float]
    """Added to the logits of MODES: how listeners tend to take this topic."""
    nouns: tuple[str, ...]


def _context(name: str, themes: str, inclination: str, nouns: str) -> Context:
    a, b, c, d = (float(x) for x in themes.split())
    v, w, x, y, z = (float(x) for x in inclination.split())
    return Context(name, (a, b, c, d), (v, w, x, y, z), tuple(nouns.split()))


# name, joy sad surprise dubious, mirroring attentive amused concerned sceptical, nouns
CONTEXTS: tuple[Context, ...] = (
    _context("holiday", "4 1 3 1", ".3 0 .4 -.4 -.3", "beach train hotel island map"),
    _context("illness", "1 4 2 1", ".2 .2 -.6 .7 -.3", "doctor clinic fever letter ward"),
    _context("job interview", "2 2 2 3", "0 .5 -.1 .1 .2", "office boss salary question form"),
    _context("wedding", "4 2 2 1", ".4 -.1 .4 -.2 -.4", "dress speech cake church uncle"),
    _context("burglary", "1 3 4 2", ".1 .2 -.5 .6 0", "window police lock drawer neighbour"),
    _context("new pet", "4 2 2 1", ".4 -.2 .5 -.1 -.4", "dog kitten garden basket vet"),
    _context("exam", "2 3 2 2", ".1 .2 .1 .3 -.1", "paper teacher marks library bell"),
    _context("football match", "3 3 3 2", ".3 -.1 .3 0 .1", "goal referee coach ticket team"),
    _context("moving house", "2 3 2 2", ".1 .2 .1 .2 0", "boxes stairs sofa landlord keys"),
    _context("strange dream", "2 2 4 2", "0 0 .4 0 .2", "forest staircase whale mirror door"),
    _context("bad restaurant", "2 2 2 4", "0 -.1 .5 0 .4", "waiter soup bill menu chef"),
    _context("inheritance", "2 3 2 3", "0 .2 -.1 .2 .4", "lawyer will aunt house painting"),
    _context("first child", "4 2 3 1", ".5 0 .3 .1 -.6", "baby cradle night midwife name"),
    _context("car accident", "1 4 3 2", ".1 .1 -.7 .8 -.1", "road brake lorry insurance glass"),
    _context("online dating", "3 2 2 3", ".1 -.2 .6 -.1 .3", "profile message cafe photo date"),
    _context("ghost story", "1 2 4 3", "0 0 .3 .1 .5", "cellar candle attic clock shadow"),
    _context("politics", "1 2 2 4", "0 .2 -.1 .2 .6", "minister vote law paper budget"),
    _context("lost friend", "1 5 1 1", ".3 .2 -.7 .7 -.4", "letter grave bridge winter friend"),
    _context("cooking", "3 1 2 2", ".2 .3 .3 -.3 0", "onion oven recipe spoon guests"),
    _context("invention", "2 1 3 4", "0 .3 .2 -.2 .6", "machine patent battery garage wire"),
    _context("mountain hike", "3 2 3 1", ".2 .2 .1 .1 -.2", "summit fog rope hut glacier"),
    _context("school memories", "4 2 2 2", ".3 0 .5 -.1 -.1", "desk bus chalk headmaster prank"),
    _context("investment", "2 2 2 5", "-.1 .3 0 .1 .7", "shares bank profit adviser risk"),
)
