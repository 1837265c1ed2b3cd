"""Reactions to one speaker, drawn every so often, so that one sees what a loss does not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from visavis.behaviour import Behaviour
from visavis.models._base import ReactionModel

SAMPLES, FRAMES, SIZE = 4, 250, 160


class Samples:
    """Draws a film strip of a few listeners: `samples/step-00000400.png`.

    Args:
        speaker: [T, ...]; the first ten seconds are answered.
        folder: where the pictures go.
    """

    def __init__(self, speaker: Behaviour, folder: Path) -> None:
        self.speaker, self.folder = speaker.window(0, min(FRAMES, speaker.frames)), folder

    def __call__(self, model: ReactionModel[Any], step: int) -> None:
        from visavis.features.attributes import complete
        from visavis.render.still import film_strip

        device = next((p.device for p in model.parameters()), self.speaker.device)
        made = complete(model.generate(self.speaker.to(device), SAMPLES, seeds=0).to("cpu"))
        path = self.folder / f"step-{step:08d}.png"
        film_strip(made, path, self.speaker, size=SIZE)
