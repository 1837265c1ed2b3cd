"""`visavis demo`: a speaker is made or given, ten listeners react, and a page shows it."""

from __future__ import annotations

import logging
from pathlib import Path

import typer

from visavis.behaviour import Behaviour
from visavis.cli.console import bar
from visavis.cli.perceive import speaker_from
from visavis.cli.react import react_to, ready
from visavis.errors import MissingExtra
from visavis.files import existing_file, keep_apart
from visavis.pretrained import load

logger = logging.getLogger("visavis")


def run(
    video: Path | None,
    out: Path,
    *,
    model: str,
    num: int,
    seed: int,
    seconds: float,
    size: int,
    quiet: bool,
) -> None:
    loaded = load(model)
    if video is not None:
        existing_file(video, wanted="a video or sound file of a speaker")
    ready(out, *([video] if video else []))
    for name in ("speaker.mp4", "speaker.safetensors"):
        keep_apart(out / name, video)
    speaker, media = _speaker(video, out, seconds=seconds, quiet=quiet)
    speaker.save(out / "speaker.safetensors")
    written = react_to(
        speaker,
        media,
        out,
        loaded,
        num=num,
        seed=seed,
        video=True,
        report=True,
        size=size,
        quiet=quiet,
    )
    if media is not None:
        typer.echo(f"the speaker:       {media}")
    typer.echo(f"the listeners:     {written['video']}")
    typer.echo(f"open this page:    {written['report'].resolve().as_uri()}")


def _speaker(
    video: Path | None, out: Path, *, seconds: float, quiet: bool
) -> tuple[Behaviour, Path | None]:
    """The user's video, else the portrait, else (without a tracker) a simulated speaker."""
    if video is not None:
        return speaker_from(video, quiet=quiet)
    try:
        from visavis.demo.portrait import make_speaker

        path = out / "speaker.mp4"
        with bar("animating a portrait", quiet=quiet):
            make_speaker(path, seconds=seconds)
        return speaker_from(path, quiet=quiet)
    except MissingExtra as error:
        logger.warning("%s", error)
        logger.warning("going on with a simulated speaker, drawn as a head")
        from visavis.corpora import SimulatedDyads

        frames = round(seconds * 25)
        return SimulatedDyads("test", size=8, frames=frames)[0].speaker, None
