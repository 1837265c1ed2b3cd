"""`visavis react`: speaker in, reactions out, with pictures and a record of the run."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import typer

from visavis import __version__
from visavis.behaviour import Behaviour
from visavis.channels import GROUPS
from visavis.cli._react_online import online, told
from visavis.cli._react_words import meant, recover_with
from visavis.cli.console import bar
from visavis.cli.perceive import speaker_from
from visavis.dyad import Persona
from visavis.errors import InputError
from visavis.features.absence import dropped, found_lost, parsed
from visavis.features.attributes import complete
from visavis.files import atomic_path, keep_apart
from visavis.models._base import ReactionModel
from visavis.pretrained import load

logger = logging.getLogger("visavis")

LOSABLE = ("blendshapes", "mfcc78")
"""The channels that say whether there was a face, or a voice."""
LONGEST_WHOLE = 1500
"""Frames that an offline model takes at once (a minute); longer clips are streamed in windows."""


def generate(
    model: ReactionModel[Any],
    speaker: Behaviour,
    *,
    num: int,
    seed: int,
    live: bool = False,
    persona: Persona | None = None,
    quiet: bool = True,
) -> tuple[Behaviour, dict[str, Any]]:
    """Reactions [K, T, ...], attributes and coefficients both there, and how they were made.

    Raises:
        OfflineOnly: `live`, and the model has no session of its own.
    """
    if live:
        reactions, how = online(model, speaker, num=num, seed=seed, persona=persona, quiet=quiet)
        return complete(reactions), how
    if speaker.frames <= LONGEST_WHOLE:
        reactions = model.generate(speaker, num, seeds=seed, persona=persona)
        return complete(reactions), {"way": "whole clip"}
    reactions, how = _streamed(model, speaker, num=num, seed=seed, persona=persona, quiet=quiet)
    return complete(reactions), how


def _streamed(
    model: ReactionModel[Any],
    speaker: Behaviour,
    *,
    num: int,
    seed: int,
    persona: Persona | None,
    quiet: bool,
) -> tuple[Behaviour, dict[str, Any]]:
    from visavis.errors import OfflineOnly
    from visavis.models._base import ReactionSession
    from visavis.streaming.rolling import RollingSession

    how: dict[str, Any]
    try:
        session: ReactionSession = model.session(num)
        how = {"way": "streamed"}
    except OfflineOnly:
        session = RollingSession(model, num_samples=num, context=750, hop=250, lookahead=50)
        speaker = model.check_speaker(speaker)  # words become channels before they are cut
        how = {"way": "rolling windows", "context": 750, "lookahead": 50}
        logger.info(
            "the clip is longer than %.0f s, so %s answers it in windows of 10 s, each seeing 30 s",
            LONGEST_WHOLE / speaker.fps,
            model.name,
        )
    lane, parts = session.open(seed=seed, persona=persona), []
    with bar("reacting", quiet=quiet) as progress:
        for piece in speaker.windows(250):
            parts.append(session.step({lane: piece})[lane])
            progress(sum(p.frames for p in parts), speaker.frames)
    parts.append(session.flush(lane))
    return Behaviour.cat(parts), how | {"hop": session.hop, "latency": session.latency}


def run(
    source: Path,
    out: Path,
    *,
    model: str,
    num: int,
    seed: int,
    video: bool,
    report: bool,
    size: int,
    live: bool,
    persona: Path | None = None,
    transcript: Path | None = None,
    subjects: Path | None = None,
    drop: Sequence[str] = (),
    lost: bool = False,
    as_json: bool,
    quiet: bool,
) -> None:
    for text in drop:
        parsed(text)
    loaded = load(model)  # before the long work, so that a misspelt name costs nothing
    who = None if persona is None else Persona.load(persona)
    loaded.check_persona(who)
    if live:
        loaded.session(num)  # likewise: an offline model is refused here
    if subjects is not None:
        recover_with(loaded, subjects)
    ready(out, source, *(p for p in (transcript, subjects) if p is not None))
    speaker, media = speaker_from(source, quiet=quiet, transcript=transcript)
    speaker = dropped(found_lost(speaker) if lost else speaker, drop)
    written = react_to(
        speaker,
        media,
        out,
        loaded,
        num=num,
        seed=seed,
        video=video,
        report=report,
        size=size,
        live=live,
        persona=who,
        quiet=quiet,
    )
    if as_json:
        typer.echo(json.dumps({n: str(p) for n, p in written.items()}))
    else:
        for name, path in written.items():
            typer.echo(f"{name:<10} {path}")
        if live:
            how = json.loads((out / "run.json").read_text())["generated"]
            typer.echo(f"{'online':<10} {told(how, speaker.fps)}")


OUTPUTS = ("reactions.safetensors", "run.json", "reactions.mp4", "report.html")


def ready(out: Path, *inputs: Path) -> None:
    """Make the folder, or say at once that it cannot be written or that it holds an input."""
    try:
        if out.exists() and not out.is_dir():
            raise InputError(f"{out} is a file; --out wants a folder.")
        for name in OUTPUTS:
            keep_apart(out / name, *inputs)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror or error}.") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise InputError(f"the folder {out} cannot be written; choose another with --out.")


def react_to(
    speaker: Behaviour,
    media: Path | None,
    out: Path,
    model: ReactionModel[Any],
    *,
    num: int,
    seed: int,
    video: bool,
    report: bool,
    size: int,
    live: bool = False,
    persona: Persona | None = None,
    quiet: bool,
) -> dict[str, Path]:
    """Everything `visavis react` writes, by name."""
    for name in OUTPUTS:  # an earlier run's film beside this run's reactions would mislead
        (out / name).unlink(missing_ok=True)
    began = time.perf_counter()
    reactions, how = generate(
        model, speaker, num=num, seed=seed, live=live, persona=persona, quiet=quiet
    )
    took = time.perf_counter() - began
    written = {"reactions": reactions.save(out / "reactions.safetensors")}
    record = {
        "model": model.name,
        "num": num,
        "seed": seed,
        "speaker": str(media) if media else None,
        "frames": reactions.frames,
        "seconds": reactions.duration_s,
        "lost": _lost(speaker),
        "generated": how,
        "persona": None if persona is None else {"source": persona.source or None},
        "meant": meant(model, speaker),
        "generate_seconds": round(took, 3),
        "version": __version__,
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "weights": _weights(model),
    }
    with atomic_path(out / "run.json") as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n")
    written["run"] = out / "run.json"
    if video:
        from visavis.render.video import render_video

        with bar("drawing", quiet=quiet) as progress:
            written["video"] = render_video(
                reactions,
                out / "reactions.mp4",
                beside=media or speaker,
                size=size,
                progress=progress,
            )
    if report:
        from visavis.render.report import write_report

        written["report"] = write_report(
            out / "report.html",
            speaker=speaker,
            reactions=reactions,
            video=written.get("video"),
            title=_title(num) + (f" to {media.name}" if media else ""),
            facts=_facts(record),
        )
    return written


def _title(num: int) -> str:
    return "1 listener reacts" if num == 1 else f"{num} listeners react"


def _lost(speaker: Behaviour) -> dict[str, float]:
    """Share of the frames in which each modality was not observed; what was is left out."""
    shares = {}
    for what in ("face", "speech"):
        there = [speaker.mask(n) for n in GROUPS[what] if n in speaker.layout and n in LOSABLE]
        if there:
            shares[what] = round(1 - float(torch.stack(there).all(0).float().mean()), 4)
    return {what: share for what, share in shares.items() if share}


def _weights(model: ReactionModel[Any]) -> str:
    """Where the weights come from, as far as their own description tells."""
    if not model.state_dict():
        return "none needed"
    return str(model.trained.get("note", "their description does not say where they come from"))


def _facts(record: dict[str, Any]) -> dict[str, str]:
    return {
        "model": record["model"],
        "listeners": str(record["num"]),
        "seed": str(record["seed"]),
        "length": f"{record['frames']} frames ({record['seconds']:.1f} s)",
        "generated in": f"{record['generate_seconds']:.2f} s ({record['generated']['way']})",
        "weights": record["weights"],
        "visavis": record["version"],
        "command": record["command"],
    }
