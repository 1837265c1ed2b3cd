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
    quiet: bool,
) -> None:
    if out.suffix.lower() not in ENDINGS:
        raise InputError(f"cannot draw {out.name}: the name must end in {', '.join(ENDINGS)}.")
    if rasteriser != "numba" and out.suffix.lower() != ".mp4":
        raise InputError("--rasteriser is for .mp4; other pictures are drawn by numba.")
    keep_apart(out, reactions, beside)
    behaviour = complete(Behaviour.load(reactions))
    speaker = _speaker(beside)
    if out.suffix.lower() == ".mp4":
        from visavis.render.video import render_video

        with bar("drawing", quiet=quiet) as progress:
            render_video(
                behaviour, out, beside=speaker, size=size, progress=progress, rasteriser=rasteriser
            )
    elif out.suffix.lower() == ".png":
        from visavis.render.still import film_strip

        film_strip(behaviour, out, speaker=speaker, size=size)
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
