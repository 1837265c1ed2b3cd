"""Everything that is drawn, each thing from a stream of its own, named by what it is."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from visavis.behaviour import Behaviour
from visavis.channels import FPS
from visavis.corpora._cast import Cast
from visavis.corpora._dropout import Dropout, dropped
from visavis.corpora._face import Face, behaviour_of
from visavis.corpora._listener import draw_listener
from visavis.corpora._person import Listener, Speaker, draw_listener_persona, draw_speaker_persona
from visavis.corpora._random import stream
from visavis.corpora._script import Script, Telling, draw_script, draw_telling
from visavis.corpora._speaker import Performance, perform


class Speech(NamedTuple):
    """What a listener meets."""

    script: Script
    telling: Telling
    performance: Performance


class World:
    """The people and scripts of one split, drawn by (seed, split, what, number)."""

    def __init__(self, split: str, seed: int, cast: Cast, *, frames: int, hidden: bool) -> None:
        self.split, self.seed, self.cast = split, seed, cast
        self.frames, self.hidden = frames, hidden
        self.script = lru_cache(maxsize=8)(self._draw_script)
        self.speech = lru_cache(maxsize=4)(self._draw_speech)
        self.listener = lru_cache(maxsize=256)(self._draw_listener)  # about 250 kB each

    def key(self, role: str, number: int) -> str:
        """Name of a script or a person."""
        return f"{self.split}-s{self.seed}-{role}-{number:04d}"

    def speaker_persona(self, index: int) -> Speaker:
        key = self.key("speaker", self.cast.speaker(index))
        return draw_speaker_persona(stream(self.seed, key))

    def listener_persona(self, index: int) -> Listener:
        key = self.key("listener", self.cast.listener(index))
        return draw_listener_persona(stream(self.seed, key))

    def _draw_speech(self, index: int) -> Speech:
        """The script, told and performed by the speaker of dyad `index`."""
        script = self.script(self.cast.script(index))
        telling = draw_telling(script, self._stream("telling", index))
        performance = perform(
            script,
            telling,
            self.speaker_persona(index),
            self._stream("performance", index),
            frames=self.frames,
            hidden=self.hidden,
        )
        return Speech(script, telling, performance)

    def face(self, speech: Speech) -> Behaviour:
        """The speaker's face and words."""
        face = next(iter(behaviour_of([speech.performance.face])))
        return Behaviour.of(face.channels, words=speech.telling.words)

    def voice(self, index: int, speech: Speech) -> NDArray[np.float32]:
        """The speaker's voice, 16 kHz."""
        from visavis.corpora._voice import speak

        rng = self._stream("voice", index)
        return speak(speech.telling, speech.performance, self.speaker_persona(index), rng)

    def acoustics(self, index: int, speech: Speech) -> dict[str, Tensor]:
        """Acoustic channels of the voice."""
        from visavis.corpora._voice import RATE, speech_channels

        return speech_channels(self.voice(index, speech), RATE, self.frames)

    def lossy(self, index: int, speaker: Behaviour, rates: Dropout) -> Behaviour:
        """The speaker with what drop-out takes."""
        return dropped(speaker, rates, self._stream("dropout", index))

    def draw(self, index: int, n: int, seed: int) -> Behaviour:
        """n fresh listeners of the population, [n, T, ...], who hear the speaker of the dyad."""
        speech = self.speech(index)
        faces = []
        for sample in range(n):
            rng = self._stream("oracle", index, seed, sample)
            faces.append(self._listen(speech, draw_listener_persona(rng), rng))
        return behaviour_of(faces)

    def _stream(self, what: str, *numbers: int) -> np.random.Generator:
        return stream(self.seed, self.split, what, *numbers)

    def _draw_script(self, number: int) -> Script:
        rng = self._stream("script", number)
        return draw_script(self.key("script", number), self.frames / FPS, rng)

    def _draw_listener(self, index: int) -> Behaviour:
        rng = self._stream("listening", index)
        face = self._listen(self.speech(index), self.listener_persona(index), rng)
        return next(iter(behaviour_of([face])))

    def _listen(self, speech: Speech, persona: Listener, rng: np.random.Generator) -> Face:
        smile = speech.performance.smile
        return draw_listener(
            speech.script, speech.telling, persona, rng, frames=self.frames, speaker_smile=smile
        )
