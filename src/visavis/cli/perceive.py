"""`visavis perceive`, and reading a speaker from whatever the user has."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from visavis.behaviour import Behaviour
from visavis.cli.console import bar
from visavis.features.attributes import complete
from visavis.files import existing_file


def speaker_from(source: Path, *, quiet: bool) -> tuple[Behaviour, Path | None]:
    """A behaviour from a media file or a saved behaviour, and the media file to show beside."""
    found = existing_file(source, wanted="a video, a sound file or a behaviour (.safetensors)")
    if found.suffix == ".safetensors":
        behaviour = Behaviour.load(found)
        known = behaviour.source if not isinstance(behaviour.source, tuple) else None
        media = Path(known.path) if known is not None and Path(known.path).is_file() else None
        if behaviour.lead:
            from visavis.errors import InputError

            raise InputError(
                f"{found} holds {list(behaviour.lead)} clips; a speaker is one clip. Save one of "
                "them: Behaviour.load(path)[0].save(...)."
            )
        return complete(behaviour), media
    from visavis.features.perceive import perceive

    with bar("perceiving", quiet=quiet) as progress:
        return perceive(found, progress=progress), found


def run(source: Path, out: Path | None, *, as_json: bool, quiet: bool) -> None:
    behaviour, _ = speaker_from(source, quiet=quiet)
    target = behaviour.save(out or source.with_suffix(".safetensors"))
    if as_json:
        typer.echo(json.dumps({"behaviour": str(target), **summary(behaviour)}))
    else:
        typer.echo(repr(behaviour))
        typer.echo(f"\nwritten: {target}")


def summary(behaviour: Behaviour) -> dict[str, object]:
    """Frames, seconds and the observed share of each channel."""
    return {
        "frames": behaviour.frames,
        "seconds": round(behaviour.duration_s, 3),
        "observed": {
            n: round(float(behaviour.mask(n).float().mean()), 4) for n in behaviour.layout.names
        },
        "derived": sorted(behaviour.derived),
    }
