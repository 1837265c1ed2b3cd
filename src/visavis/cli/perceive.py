"""`visavis perceive`, and reading a speaker from whatever the user has."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import typer

from visavis.behaviour import Behaviour, Source
from visavis.cli.console import bar
from visavis.errors import InputError
from visavis.features.attributes import complete
from visavis.features.trackers import is_table
from visavis.files import existing_file, keep_apart

logger = logging.getLogger("visavis")


def speaker_from(
    source: Path,
    *,
    quiet: bool,
    tracker: str | None = None,
    fps: float | None = None,
    transcript: Path | None = None,
    attributes: str = "linear",
) -> tuple[Behaviour, Path | None]:
    """A behaviour from a media file, another tracker's table or a saved behaviour, and the media
    file to show beside."""
    found = existing_file(source, wanted="a video, a sound file or a behaviour (.safetensors)")
    if found.suffix == ".safetensors":
        behaviour = Behaviour.load(found)
        if behaviour.lead:
            raise InputError(
                f"{found} holds {list(behaviour.lead)} clips; a speaker is one clip. Save one of "
                "them: Behaviour.load(path)[0].save(...)."
            )
        if transcript is not None:
            from visavis.features.perceive import with_transcript
            from visavis.features.words import read_words

            behaviour = with_transcript(behaviour, read_words(transcript), str(transcript))
        return complete(behaviour), _recorded(behaviour)
    from visavis.features.perceive import perceive

    with bar("perceiving", quiet=quiet) as progress:
        seen = perceive(
            found,
            tracker=tracker,
            fps=fps,
            transcript=transcript,
            attributes=attributes,
            progress=progress,
        )
    return seen, None if is_table(found) else found


def _recorded(behaviour: Behaviour) -> Path | None:
    """The media file that a behaviour was perceived from, if it is still there."""
    if not isinstance(behaviour.source, Source):
        return None
    path = Path(behaviour.source.path)
    if is_table(path):
        return None
    if not path.is_file():
        logger.warning("the film %s is no longer there; the speaker is drawn instead", path)
        return None
    return path


def run(
    source: Path,
    out: Path | None,
    *,
    tracker: str | None,
    fps: float | None,
    transcript: Path | None,
    attributes: str,
    jobs: int | None,
    engine: str | None,
    address: str | None,
    only: list[str],
    as_json: bool,
    quiet: bool,
) -> None:
    if source.is_dir():
        if transcript is not None or attributes != "linear":
            raise InputError("--transcript and --attributes are for one file, not for a folder.")
        from visavis.cli._perceive_folder import run_folder

        run_folder(
            source,
            out or source.resolve().with_name(f"{source.resolve().name}-perceived"),
            tracker=tracker,
            fps=fps,
            jobs=jobs,
            engine=engine or "loky",
            address=address,
            only=only,
            as_json=as_json,
            quiet=quiet,
        )
        return
    if jobs is not None or engine or address or only:
        raise InputError(
            f"--jobs, --engine, --address and --only are for a folder, but {source} is not one."
        )
    out = out or source.with_suffix(".safetensors")
    if out.suffix != ".safetensors":
        raise InputError(f"a behaviour's name ends in .safetensors, but --out is {out}.")
    keep_apart(out, source)
    behaviour, _ = speaker_from(
        source,
        quiet=quiet,
        tracker=tracker,
        fps=fps,
        transcript=transcript,
        attributes=attributes,
    )
    target = behaviour.save(out)
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
