"""SimulatedDyads: a corpus that every machine has, whose conditional distribution is known.

Scripts of about 14 dyads share what is told and when; `oracle` draws fresh listeners of a dyad
from the very distribution that its listener came from. `docs/simulated-dyads.md` has the design.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cached_property, lru_cache, partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.appropriate import AppropriateMap
from visavis.behaviour import Behaviour
from visavis.channels import FPS
from visavis.corpora._cast import Cast
from visavis.corpora._dropout import Dropout, dropped
from visavis.corpora._listener import Face, draw_listener
from visavis.corpora._person import Listener, Speaker, draw_listener_persona, draw_speaker_persona
from visavis.corpora._random import stream
from visavis.corpora._script import Script, Telling, draw_script, draw_telling
from visavis.corpora._speaker import Performance, perform
from visavis.dyad import Dyad
from visavis.errors import InputError, nearest
from visavis.features.attributes import attributes_from_coefficients, occurrences

VERSION = "0.2"
"""Of the distribution: changes whenever any drawn number does."""

Split = Literal["train", "val", "test"]
Affect = Literal["all", "words"]
SIZES: dict[str, int] = {"train": 1594, "val": 562, "test": 806}
"""As many dyads as REACT2024's NoXI and RECOLA splits have pairs."""


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
        affect: "all", or "words": then neither the speaker's face nor the voice shows what
            happens in the script, only the words (and the silence of pauses) tell.
        dropout: modalities of the speaker that are lost, a `Dropout` or its fields as a mapping;
            listeners are always whole.

    Raises:
        InputError: no such split or affect, a size or length that is not positive, a negative
            seed, or an impossible dropout.
    """

    name = "simulated"

    def __init__(
        self,
        split: Split = "train",
        *,
        size: int | None = None,
        frames: int = 750,
        seed: int = 0,
        audio: bool = True,
        affect: Affect = "all",
        dropout: Dropout | Mapping[str, float] | None = None,
    ) -> None:
        if split not in get_args(Split):
            raise InputError(f"unknown split {split!r}. {nearest(str(split), get_args(Split))}")
        if affect not in get_args(Affect):
            raise InputError(f"unknown affect {affect!r}. {nearest(str(affect), get_args(Affect))}")
        size = SIZES[split] if size is None else size
        if size < 1 or frames < 1:
            raise InputError(f"size and frames must be positive, not {size} and {frames}.")
        if seed < 0:
            raise InputError(f"seed must not be negative, but is {seed}.")
        self.split, self.frames, self.seed = split, frames, seed
        self.audio, self.affect = audio, affect
        self.dropout = Dropout.of(dropout)
        self._cast = Cast(size)
        self._script = lru_cache(maxsize=8)(self._draw_script)
        self._recent = lru_cache(maxsize=256)(self._draw_listener)  # about 250 kB each

    def _options(self) -> dict[str, Any]:
        return {
            "size": len(self),
            "frames": self.frames,
            "seed": self.seed,
            "audio": self.audio,
            "affect": self.affect,
            "dropout": self.dropout,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to worker processes as what was asked for, without what is kept."""
        return partial(SimulatedDyads, self.split, **self._options()), ()

    def __len__(self) -> int:
        return self._cast.size

    def __repr__(self) -> str:
        return (
            f"SimulatedDyads({self.split!r}, version {VERSION}, seed {self.seed}): {len(self)} "
            f"dyads of {self.frames / FPS:g} s, {len(self._cast.starts)} scripts"
        )

    def __iter__(self) -> Iterator[Dyad]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> Dyad:
        """The dyad `index`; negative indices count from the end.

        Raises:
            IndexError: there is no such dyad.
        """
        index = self._checked(index)
        script, telling, performance = self._speech(index)
        meetings = [i for i in self._cast.meetings(index) if i != index]
        told = self._cast.script(index)
        ours = [self._cast.script(i) == told for i in meetings]
        return Dyad(
            id=self._id(index),
            speaker=self._speaker(index, telling, performance),
            listener=self._recent(index),
            speaker_id=self._key("speaker", self._cast.speaker(index)),
            listener_id=self._key("listener", self._cast.listener(index)),
            split=self.split,
            script=script.id,
            context=script.context.name,
            appropriate=self.appropriate(index),
            personal=(
                self._id(index),
                *(self._id(i) for i, same in zip(meetings, ours, strict=True) if same),
            ),
            history=tuple(self._id(i) for i, same in zip(meetings, ours, strict=True) if not same),
            traits=torch.from_numpy(self._listener_persona(index).traits.astype(np.float32)),
        )

    # ------------------------------------------------------------------ what every corpus offers

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the dyads in order."""
        return tuple(self._id(i) for i in range(len(self)))

    @property
    def fingerprint(self) -> str:
        """Version, and a hash of split, seed, size, frames and options."""
        asked = {"split": self.split, **self._options(), "dropout": None}
        if self.dropout is not None:
            asked["dropout"] = asdict(self.dropout)
        told = json.dumps(asked, sort_keys=True).encode()
        return f"simulated-{VERSION}-{hashlib.sha256(told).hexdigest()[:16]}"

    @cached_property
    def labels(self) -> AppropriateMap:
        """Appropriate to a speaker are the listeners of all dyads that tell the same script."""
        scripts = [self._cast.script(i) for i in range(len(self))]
        recipe = {"rule": "same script", "corpus": self.name, "split": self.split}
        return AppropriateMap.same(self.ids, scripts, recipe=recipe, corpus=self.fingerprint)

    def appropriate(self, index: int) -> tuple[str, ...]:
        """Ids of the dyads of the same script, this one first."""
        index = self._checked(index)
        members = self._cast.members(self._cast.script(index))
        return (self._id(index), *(self._id(i) for i in members if i != index))

    def index(self, id: str) -> int:
        """The place of a dyad by its id.

        Raises:
            InputError: the id is of another corpus, split, seed or size.
        """
        prefix, _, number = id.rpartition("-")
        if prefix == self._id(0).rpartition("-")[0] and number.isdecimal():
            index = int(number)
            if index < len(self) and self._id(index) == id:
                return index
        raise InputError(
            f"{id!r} is not in this corpus, whose dyads are {self._id(0)} to "
            f"{self._id(len(self) - 1)}."
        )

    def listener(self, id: str) -> Behaviour:
        """The listener of a dyad by its id, as `collate` wants targets; recent ones are kept."""
        return self._recent(self.index(id))

    # ------------------------------------------------------------------ what only this one has

    def sound(self, dyad: Dyad | str) -> tuple[NDArray[np.float32], int]:
        """The speaker's voice that the acoustic channels came from: samples [N] and their rate.

        It is whole, whatever `dropout` takes from the channels.
        """
        from visavis.corpora._voice import RATE, speak

        index = self.index(dyad if isinstance(dyad, str) else dyad.id)
        _, telling, performance = self._speech(index)
        rng = stream(self.seed, self.split, "voice", index)
        return speak(telling, performance, self._speaker_persona(index), rng), RATE

    def oracle(self, dyad: Dyad | str, n: int, *, seed: int = 0) -> Behaviour:
        """Fresh listeners from the true conditional distribution: what an honest sampler scores.

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
        return _behaviour(draws)

    # ------------------------------------------------------------------ who and what, by index

    def _checked(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"there is no dyad {index}: this {self.split} split has {len(self)} dyads, 0 to "
                f"{len(self) - 1}."
            )
        return index % len(self)

    def _id(self, index: int) -> str:
        return f"simulated-{self.split}-s{self.seed}-{index:05d}"

    def _key(self, role: str, number: int) -> str:
        return f"{self.split}-s{self.seed}-{role}-{number:04d}"

    def _draw_script(self, number: int) -> Script:
        rng = stream(self.seed, self.split, "script", number)
        return draw_script(self._key("script", number), self.frames / FPS, rng)

    def _listener_persona(self, index: int) -> Listener:
        key = self._key("listener", self._cast.listener(index))
        return draw_listener_persona(stream(self.seed, key))

    def _speaker_persona(self, index: int) -> Speaker:
        key = self._key("speaker", self._cast.speaker(index))
        return draw_speaker_persona(stream(self.seed, key))

    def _speech(self, index: int) -> tuple[Script, Telling, Performance]:
        script = self._script(self._cast.script(index))
        telling = draw_telling(script, stream(self.seed, self.split, "telling", index))
        rng = stream(self.seed, self.split, "performance", index)
        performance = perform(
            script,
            telling,
            self._speaker_persona(index),
            rng,
            frames=self.frames,
            hidden=self.affect == "words",
        )
        return script, telling, performance

    def _draw_listener(self, index: int) -> Behaviour:
        script, telling, performance = self._speech(index)
        rng = stream(self.seed, self.split, "listening", index)
        persona = self._listener_persona(index)
        heard = _behaviour([self._listen(script, telling, performance, persona, rng)])
        return next(iter(heard))

    def _listen(
        self,
        script: Script,
        telling: Telling,
        performance: Performance,
        persona: Listener,
        rng: np.random.Generator,
    ) -> Face:
        return draw_listener(
            script, telling, persona, rng, frames=self.frames, speaker_smile=performance.smile
        )

    def _speaker(self, index: int, telling: Telling, performance: Performance) -> Behaviour:
        whole = _behaviour([performance.face])[0].channels
        if self.audio:
            from visavis.corpora._voice import speech_channels

            rng = stream(self.seed, self.split, "voice", index)
            voice = speech_channels(telling, performance, self._speaker_persona(index), rng)
            whole = {**whole, **voice}
        speaker = Behaviour.of(whole, words=telling.words)
        if self.dropout is None:
            return speaker
        return dropped(speaker, self.dropout, stream(self.seed, self.split, "dropout", index))


def _behaviour(faces: list[Face]) -> Behaviour:
    """[n, T, ...]: coefficients and the attributes that follow from them, float32."""
    shapes, rotation, translation = (
        torch.from_numpy(np.stack([getattr(face, part).T for face in faces]).astype(np.float32))
        for part in ("shapes", "rotation", "translation")
    )
    shown = attributes_from_coefficients(shapes, rotation)
    channels: dict[str, Tensor] = {
        "au": occurrences(shown["au"]),
        "va": shown["va"],
        "expression": shown["expression"],
        "blendshapes": shapes,
        "rotation": rotation,
        "translation": translation,
    }
    return Behaviour.of(channels)
