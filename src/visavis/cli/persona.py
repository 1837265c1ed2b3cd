"""`visavis persona`: who listens, as a file that `visavis react --persona` takes."""

from __future__ import annotations

from pathlib import Path

import typer

from visavis._files_tensors import kind_of
from visavis.cli.perceive import speaker_from
from visavis.dyad import TRAITS, Persona
from visavis.errors import InputError
from visavis.files import keep_apart
from visavis.pretrained import load


def run(
    history: Path | None,
    out: Path,
    *,
    model: str | None,
    traits: str | None,
    towards: Path | None,
    share: float,
    expressiveness: float,
    quiet: bool,
) -> None:
    """Make or change a persona, and print its path.

    Raises:
        InputError: neither history nor traits, no model where one is needed, or what does not fit.
    """
    keep_apart(out, *(path for path in (history, towards) if path is not None))
    if history is not None and history.suffix == ".safetensors" and kind_of(history) == "persona":
        if model is not None or traits is not None:
            raise InputError(
                f"{history} is a persona already; --model and --traits are for making one from a "
                "history."
            )
        who = Persona.load(history)
    else:
        who = _made(history, model, traits, quiet=quiet)
    if towards is not None:
        who = who.between(Persona.load(towards), share)
    who = who.expressive(expressiveness)
    typer.echo(str(who.save(out)))


def _made(history: Path | None, model: str | None, traits: str | None, *, quiet: bool) -> Persona:
    import torch

    if history is None and traits is None:
        raise InputError(
            "a persona is made from a listener's history, their Big Five (--traits), or both; "
            "neither came."
        )
    if model is None:
        raise InputError(
            "name the personal model that the persona is for with --model, e.g. a folder that "
            "`visavis train perreactor --preset laptop` wrote."
        )
    given = None if traits is None else torch.tensor(_numbers(traits))
    loaded = load(model)
    if not loaded.personal:
        raise InputError(
            f"{loaded.name} is not personal: it has no use for a persona. perreactor, perfrdiff "
            "and reactdiff_lrs are."
        )
    if history is None:
        return loaded.persona(None, given)
    seen, media = speaker_from(history, quiet=quiet)
    who = loaded.persona(seen, given)
    if who.source or media is None:
        return who
    return Persona(who.model, who.embedding, who.traits, who.expressiveness, str(media))


def _numbers(text: str) -> list[float]:
    """Big Five from "0.5,0.4,0.9,0.6,0.3"."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(TRAITS):
        raise InputError(
            f"--traits takes {len(TRAITS)} numbers with commas between ({', '.join(TRAITS)}), not "
            f"{text!r}."
        )
    return numbers
