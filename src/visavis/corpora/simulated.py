"""SimulatedDyads: a corpus that every machine has, whose conditional distribution is known.

Scripts of about 14 dyads share what is told and when; `oracle` draws fresh listeners of a dyad
from the very distribution that its listener came from. `docs/simulated-dyads.md` has the design.
"""

from __future__ import annotations

import hashlib
import json
import operator
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visavis.appropriate import AppropriateMap
from visavis.behaviour import Behaviour
from visavis.channels import FPS
from visavis.corpora._cast import Cast
from visavis.corpora._dropout import Dropout
from visavis.corpora._film import Picture, Renderer, need, stacked, write_film
from visavis.corpora._world import World
from visavis.dyad import Dyad
from visavis.errors import InputError, nearest

VERSION = "1.0"
"""Of the distribution, frozen: whoever changes any drawn number raises it. Fingerprints hold it."""

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
        renderer: draws people, `visavis.render.frames.pictures` for example; `film` and `pixels`
            need one.
        pixels: whether speakers have `pixels` [T, 3, 224, 224] too: 113 MB a clip of 30 s.

    Raises:
        InputError: no such split or affect, a size or length that is no positive whole number, a
            seed that is negative or not whole, an impossible dropout, or pixels without a renderer.
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
        renderer: Renderer | None = None,
        pixels: bool = False,
    ) -> None:
        if split not in get_args(Split):
            raise InputError(f"unknown split {split!r}. {nearest(str(split), get_args(Split))}")
        if affect not in get_args(Affect):
            raise InputError(f"unknown affect {affect!r}. {nearest(str(affect), get_args(Affect))}")
        size = SIZES[split] if size is None else _whole("size", size)
        frames, seed = _whole("frames", frames), _whole("seed", seed)
        if size < 1 or frames < 1:
            raise InputError(f"size and frames must be positive, not {size} and {frames}.")
        if seed < 0:
            raise InputError(f"seed must not be negative, but is {seed}.")
        self.split, self.frames, self.seed = split, frames, seed
        self.audio, self.affect = audio, affect
        self.dropout = Dropout.of(dropout)
        self.renderer, self.with_pixels = renderer, pixels
        if pixels:
            need(renderer)
        self._cast = Cast(size)
        self._world = World(split, seed, self._cast, frames=frames, hidden=affect == "words")

    def _options(self) -> dict[str, Any]:
        return {
            "size": len(self),
            "frames": self.frames,
            "seed": self.seed,
            "audio": self.audio,
            "affect": self.affect,
            "dropout": self.dropout,
            "pixels": self.with_pixels,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to worker processes as what was asked for, without what is kept."""
        return partial(SimulatedDyads, self.split, renderer=self.renderer, **self._options()), ()

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
            IndexError: there is no such dyad; TypeError: `index` is no whole number.
        """
        index = self._checked(index)
        world, cast = self._world, self._cast
        speech = world.speech(index)
        number = cast.script(index)
        met = [(cast.script(i) == number, self._id(i)) for i in cast.meetings(index) if i != index]
        return Dyad(
            id=self._id(index),
            speaker=self._speaker(index),
            listener=world.listener(index),
            speaker_id=world.key("speaker", cast.speaker(index)),
            listener_id=world.key("listener", cast.listener(index)),
            split=self.split,
            script=speech.script.id,
            context=speech.script.context.name,
            appropriate=self.appropriate(index),
            personal=(self._id(index), *(id for same, id in met if same)),
            history=tuple(id for same, id in met if not same),
            traits=torch.from_numpy(world.listener_persona(index).traits.astype(np.float32)),
        )

    def _speaker(self, index: int) -> Behaviour:
        speech = self._world.speech(index)
        whole = self._world.face(speech)
        channels = dict(whole.channels)
        if self.audio:
            channels |= self._world.acoustics(index, speech)
        if self.with_pixels:
            channels["pixels"] = self.pixels(self._id(index))
        speaker = Behaviour.of(channels, words=whole.words)
        return speaker if self.dropout is None else self._world.lossy(index, speaker, self.dropout)

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
        return self._world.listener(self.index(id))

    # ------------------------------------------------------------------ what only this one has

    def sound(self, dyad: Dyad | str) -> tuple[NDArray[np.float32], int]:
        """The speaker's voice that the acoustic channels came from: samples [N] and their rate.

        It is whole, whatever `dropout` takes from the channels.
        """
        from visavis.corpora._voice import RATE

        index = self.index(dyad if isinstance(dyad, str) else dyad.id)
        return self._world.voice(index, self._world.speech(index)), RATE

    def latent_affect(self, dyad: Dyad | str) -> Tensor:
        """The speaker's valence and arousal [T, 2] in [-1, 1]: what drives face and voice."""
        index = self.index(dyad if isinstance(dyad, str) else dyad.id)
        affect = self._world.speech(index).performance.affect
        return torch.from_numpy(np.ascontiguousarray(affect.T, dtype=np.float32))

    def pixels(self, dyad: Dyad | str, who: Literal["speaker", "listener"] = "speaker") -> Tensor:
        """Pictures of a clip, uint8 [T, 3, 224, 224], whole whatever `dropout` takes.

        Raises:
            InputError: the corpus has no renderer, or its pictures have another size.
        """
        return stacked(self._pictures(dyad, who), self.frames)

    def film(
        self,
        dyad: Dyad | str,
        path: str | Path,
        who: Literal["speaker", "listener"] = "speaker",
    ) -> Path:
        """Write a clip as a film of 224x224 pixels, a speaker's with the voice.

        Raises:
            InputError: as `pixels`, or the file cannot be written.
        """
        sound, rate = self.sound(dyad) if who == "speaker" else (None, 1)
        return write_film(path, self._pictures(dyad, who), fps=FPS, sound=sound, rate=rate)

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
        n, seed = _whole("n", n), _whole("seed", seed)
        if n < 1:
            raise InputError(f"the oracle draws at least one listener, not {n}.")
        return self._world.draw(self.index(dyad if isinstance(dyad, str) else dyad.id), n, seed)

    # ------------------------------------------------------------------ by index

    def _pictures(self, dyad: Dyad | str, who: str) -> Iterable[Picture]:
        index = self.index(dyad if isinstance(dyad, str) else dyad.id)
        if who == "speaker":
            key = self._world.key("speaker", self._cast.speaker(index))
            shown = self._world.face(self._world.speech(index))
        elif who == "listener":
            key = self._world.key("listener", self._cast.listener(index))
            shown = self._world.listener(index)
        else:
            raise InputError(f"who is {who!r}. {nearest(who, ('speaker', 'listener'))}")
        # everyone has a look of their own, the same in every clip
        return need(self.renderer)(shown, zlib.crc32(key.encode()))

    def _checked(self, index: int) -> int:
        try:
            index = operator.index(index)
        except TypeError:
            raise TypeError(
                f"dyads are indexed by whole numbers, one at a time, but {index!r} came; for an id "
                "there is `corpus.index(id)`."
            ) from None
        if not -len(self) <= index < len(self):
            raise IndexError(
                f"there is no dyad {index}: this {self.split} split has {len(self)} dyads, 0 to "
                f"{len(self) - 1}."
            )
        return index % len(self)

    def _id(self, index: int) -> str:
        return f"simulated-{self.split}-s{self.seed}-{index:05d}"


def _whole(name: str, value: int) -> int:
    """A whole number, be it NumPy's."""
    try:
        return operator.index(value)
    except TypeError:
        raise InputError(f"{name} must be a whole number, not {value!r}.") from None
