"""SimulatedDyads: a corpus that every machine has, whose conditional distribution is known.

Scripts of about 14 dyads share what is told and when; `oracle` draws fresh listeners of a dyad
from the very distribution that its listener came from. `docs/simulated-dyads.md` has the design.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import FPS
from visavis.corpora._listener import Face, draw_listener
from visavis.corpora._person import Listener, Speaker, draw_listener_persona, draw_speaker_persona
from visavis.corpora._random import stream
from visavis.corpora._script import Script, Telling, draw_script, draw_telling
from visavis.corpora._speaker import Performance, perform
from visavis.dyad import Dyad
from visavis.errors import InputError, nearest
from visavis.features.attributes import attributes_from_coefficients, occurrences

VERSION = "0.1"
"""Of the distribution: changes whenever any drawn number does. Not frozen yet."""

Split = Literal["train", "val", "test"]
SIZES: dict[str, int] = {"train": 1594, "val": 562, "test": 806}
"""As many dyads as REACT2024's NoXI and RECOLA splits have pairs."""
DYADS_A_SCRIPT = 14
SMALLEST_SCRIPT = 8
"""A shorter rest of a split joins the script before it."""
SCRIPTS_A_CIRCLE = 4
"""Scripts that share people: a circle of 12 listeners and 20 speakers, none in two circles."""
CIRCLE_LISTENERS = 12
CIRCLE_SPEAKERS = 20


class SimulatedDyads:
    """Simulated conversations, indexable, always the same for (seed, index).

    `dyads[i]` is made when asked for. Its speaker has `blendshapes`, `rotation`, `translation`,
    `au`, `va`, `expression`, words, and with `audio` the `mfcc78`, `energy`, `pitch`, `voice` of
    a synthesised 16 kHz voice; its listener has coefficients and attributes. The attributes are
    computed from the coefficients; `au` are labels 0/1 with hysteresis.

    Args:
        split: people and scripts of the splits are disjoint.
        size: number of dyads; default 1594, 562 or 806.
        frames: length of every clip at 25 fps.
        seed: another seed is another corpus, with other people.
        audio: whether speakers have a voice; without, a dyad is made much faster.

    Raises:
        InputError: no such split, or a size or length that is not positive.
    """

    def __init__(
        self,
        split: Split = "train",
        *,
        size: int | None = None,
        frames: int = 750,
        seed: int = 0,
        audio: bool = True,
    ) -> None:
        if split not in get_args(Split):
            raise InputError(f"unknown split {split!r}. {nearest(str(split), get_args(Split))}")
        size = SIZES[split] if size is None else size
        if size < 1 or frames < 1:
            raise InputError(f"size and frames must be positive, not {size} and {frames}.")
        if seed < 0:
            raise InputError(f"seed must not be negative, but is {seed}.")
        self.split, self.frames, self.seed, self.audio = split, frames, seed, audio
        self._size = size
        rest = size % DYADS_A_SCRIPT
        self._scripts = max(1, size // DYADS_A_SCRIPT + (rest >= SMALLEST_SCRIPT))
        self._script = lru_cache(maxsize=8)(self._draw_script)
        self._recent = lru_cache(maxsize=256)(self._draw_listener)  # about 250 kB each

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to worker processes as what was asked for, without what is kept."""
        return partial(
            SimulatedDyads,
            self.split,
            size=self._size,
            frames=self.frames,
            seed=self.seed,
            audio=self.audio,
        ), ()

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return (
            f"SimulatedDyads({self.split!r}, version {VERSION}, seed {self.seed}): {self._size} "
            f"dyads of {self.frames / FPS:g} s, {self._scripts} scripts"
        )

    def __iter__(self) -> Iterator[Dyad]:
        return (self[i] for i in range(self._size))

    def __getitem__(self, index: int) -> Dyad:
        """The dyad `index`; negative indices count from the end.

        Raises:
            IndexError: there is no such dyad.
        """
        index = self._checked(index)
        script, telling, performance = self._speech(index)
        return Dyad(
            id=self._id(index),
            speaker=self._speaker(index, telling, performance),
            listener=self._recent(index),
            speaker_id=self._speaker_key(index),
            listener_id=self._listener_key(index),
            split=self.split,
            script=script.id,
            context=script.context.name,
            appropriate=self.appropriate(index),
        )

    def appropriate(self, index: int) -> tuple[str, ...]:
        """Ids of the dyads of the same script, this one first."""
        index = self._checked(index)
        number = self._script_of(index)
        first = number * DYADS_A_SCRIPT
        last = self._size if number == self._scripts - 1 else first + DYADS_A_SCRIPT
        others = [self._id(i) for i in range(first, last) if i != index]
        return (self._id(index), *others)

    def index(self, id: str) -> int:
        """The place of a dyad by its id.

        Raises:
            InputError: the id is of another corpus, split, seed or size.
        """
        prefix, _, number = id.rpartition("-")
        if prefix == self._id(0).rpartition("-")[0] and number.isdecimal():
            index = int(number)
            if index < self._size and self._id(index) == id:
                return index
        raise InputError(
            f"{id!r} is not in this corpus, whose dyads are {self._id(0)} to "
            f"{self._id(self._size - 1)}."
        )

    def listener(self, id: str) -> Behaviour:
        """The listener of a dyad by its id, as `collate` wants targets; recent ones are kept."""
        return self._recent(self.index(id))

    def sound(self, dyad: Dyad | str) -> tuple[NDArray[np.float32], int]:
        """The speaker's voice that the acoustic channels came from: samples [N] and their rate."""
        from visavis.corpora._voice import RATE, speak

        index = self.index(dyad if isinstance(dyad, str) else dyad.id)
        _, telling, performance = self._speech(index)
        rng = stream(self.seed, self.split, "voice", index)
        return speak(telling, performance, self._speaker_persona(index), rng), RATE

    def oracle(self, dyad: Dyad | str, n: int, *, seed: int = 0) -> Behaviour:
        """Fresh listeners from the true conditional distribution: an honest sampler's best.

        Each is another person of the population, who hears this speaker tell this script.

        Args:
            dyad: of this corpus (whole, not a window of it), or its id.
            n: how many.
            seed: of the draws; none equals the dyad's own listener.

        Returns:
            [n, T, ...] coefficients and attributes.

        Raises:
            InputError: the dyad is not of this corpus, or `n` is not positive.
        """
        if n < 1:
            raise InputError(f"the oracle draws at least one listener, not {n}.")
        index = self.index(dyad if isinstance(dyad, str) else dyad.id)
        script, telling, performance = self._speech(index)
        draws = []
        for sample in range(n):
            rng = stream(self.seed, self.split, "oracle", index, seed, sample)
            persona = draw_listener_persona(rng)
            draws.append(self._listen(script, telling, performance, persona, rng))
        return Behaviour.stack(draws)

    # ------------------------------------------------------------------ who and what, by index

    def _checked(self, index: int) -> int:
        if not -self._size <= index < self._size:
            raise IndexError(f"dyad {index} of a {self.split} split of {self._size} dyads.")
        return index % self._size

    def _id(self, index: int) -> str:
        return f"simulated-{self.split}-s{self.seed}-{index:05d}"

    def _script_of(self, index: int) -> int:
        return min(index // DYADS_A_SCRIPT, self._scripts - 1)

    def _place(self, index: int) -> tuple[int, int, int]:
        """Circle, place of the script in it, place of the dyad in the script."""
        number = self._script_of(index)
        circle, turn = divmod(number, SCRIPTS_A_CIRCLE)
        return circle, turn, index - number * DYADS_A_SCRIPT

    def _listener_key(self, index: int) -> str:
        """Two dyads in a row share their listener, so each meets two speakers of a script."""
        circle, turn, member = self._place(index)
        who = (3 * turn + member // 2) % CIRCLE_LISTENERS
        return f"{self.split}-s{self.seed}-listener-{circle:03d}-{who:02d}"

    def _speaker_key(self, index: int) -> str:
        circle, turn, member = self._place(index)
        who = (5 * turn + member) % CIRCLE_SPEAKERS
        return f"{self.split}-s{self.seed}-speaker-{circle:03d}-{who:02d}"

    # ------------------------------------------------------------------ drawing

    def _draw_script(self, number: int) -> Script:
        name = f"{self.split}-s{self.seed}-script-{number:04d}"
        return draw_script(name, self.frames / FPS, stream(self.seed, self.split, "script", number))

    def _listener_persona(self, index: int) -> Listener:
        return draw_listener_persona(stream(self.seed, self._listener_key(index)))

    def _speaker_persona(self, index: int) -> Speaker:
        return draw_speaker_persona(stream(self.seed, self._speaker_key(index)))

    def _speech(self, index: int) -> tuple[Script, Telling, Performance]:
        script = self._script(self._script_of(index))
        telling = draw_telling(script, stream(self.seed, self.split, "telling", index))
        rng = stream(self.seed, self.split, "performance", index)
        persona = self._speaker_persona(index)
        return script, telling, perform(script, telling, persona, rng, frames=self.frames)

    def _draw_listener(self, index: int) -> Behaviour:
        script, telling, performance = self._speech(index)
        rng = stream(self.seed, self.split, "listening", index)
        return self._listen(script, telling, performance, self._listener_persona(index), rng)

    def _listen(
        self,
        script: Script,
        telling: Telling,
        performance: Performance,
        persona: Listener,
        rng: np.random.Generator,
    ) -> Behaviour:
        face = draw_listener(
            script, telling, persona, rng, frames=self.frames, speaker_smile=performance.smile
        )
        return Behaviour.of(_channels(face))

    def _speaker(self, index: int, telling: Telling, performance: Performance) -> Behaviour:
        channels = _channels(performance.face)
        if self.audio:
            from visavis.corpora._voice import speech_channels

            rng = stream(self.seed, self.split, "voice", index)
            channels |= speech_channels(telling, performance, self._speaker_persona(index), rng)
        return Behaviour.of(channels, words=telling.words)


def _channels(face: Face) -> dict[str, Tensor]:
    """Coefficients [T, ...] and the attributes that follow from them, float32."""
    shapes, rotation, translation = (
        torch.from_numpy(np.ascontiguousarray(x.T, dtype=np.float32))
        for x in (face.shapes, face.rotation, face.translation)
    )
    shown = attributes_from_coefficients(shapes, rotation)
    return {
        "au": occurrences(shown["au"]),
        "va": shown["va"],
        "expression": shown["expression"],
        "blendshapes": shapes,
        "rotation": rotation,
        "translation": translation,
    }
