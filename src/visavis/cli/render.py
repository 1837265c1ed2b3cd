"""`visavis render`: a behaviour as a video, a film strip or a report."""

from __future__ import annotations

from pathlib import Path

import typer

from visavis.behaviour import Behaviour
from visavis.cli.console import bar
from visavis.errors import InputError
from visavis.features.attributes import complete
from visavis.files import keep_apart

ENDINGS = (".mp4", ".png", ".html")


def run(
    reactions: Path,
    out: Path,
    *,
    beside: Path | None,
    size: int,
    rasteriser: str,
    portrait: Path | None,
    only: int | None,
    quiet: bool,
) -> None:
    if out.suffix.lower() not in ENDINGS:
        raise InputError(f"cannot draw {out.name}: the name must end in {', '.join(ENDINGS)}.")
    if rasteriser != "numba" and out.suffix.lower() != ".mp4":
        raise InputError("--rasteriser is for .mp4; other pictures are drawn by numba.")
    if portrait is not None and out.suffix.lower() == ".html":
        raise InputError("--portrait is for .mp4 and .png; a report has its own pictures.")
    if portrait is not None and rasteriser != "numba":
        raise InputError("--rasteriser is for drawn heads; a portrait is always warped by numba.")
    keep_apart(out, reactions, beside, portrait)
    behaviour = complete(Behaviour.load(reactions))
    labels = None
    if only is not None:
        behaviour, labels = _one(behaviour, only), [f"listener {only}"]
    face = None
    if portrait is not None:
        from visavis.render.portrait import Portrait

        face = Portrait.from_photo(portrait)
    speaker = _speaker(beside)
    if out.suffix.lower() == ".mp4":
        from visavis.render.video import render_video

        with bar("drawing", quiet=quiet) as progress:
            render_video(
                behaviour,
                out,
                beside=speaker,
                size=size,
                progress=progress,
                labels=labels,
                rasteriser=rasteriser,
                portrait=face,
            )
    elif out.suffix.lower() == ".png":
        from visavis.render.still import film_strip

        film_strip(behaviour, out, speaker=speaker, size=size, labels=labels, portrait=face)
    else:
        from visavis.render.report import write_report

        shown = speaker if isinstance(speaker, Behaviour) else None
        if shown is None:
            raise InputError(
                "a report needs the speaker's behaviour: --beside speaker.safetensors."
            )
        write_report(out, speaker=shown, reactions=behaviour, video=None)
    typer.echo(str(out))


def _speaker(beside: Path | None) -> Path | Behaviour | None:
    if beside is not None and beside.suffix == ".safetensors":
        return complete(Behaviour.load(beside))
    return beside


def _one(reactions: Behaviour, only: int) -> Behaviour:
    """Listener number `only` (from 1) of one clip or K reactions."""
    count = reactions.lead[0] if reactions.lead else 1
    if not 1 <= only <= count:
        raise InputError(f"--only {only}: there are listeners 1 to {count}.")
    return reactions[only - 1] if reactions.lead else reactions
