"""What was said and what it was taken to mean, for models that read emotion priors."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from visavis.behaviour import Behaviour, words_of
from visavis.errors import InputError
from visavis.features.subjects import default_recovery, recovery_from
from visavis.features.subjects.channel import Recovery, utterances
from visavis.models._base import ReactionModel

logger = logging.getLogger("visavis")


@runtime_checkable
class Recovers(Protocol):
    """A model that turns words into emotion priors."""

    recovery: Recovery | None


def recover_with(model: ReactionModel[Any], settings: Path) -> None:
    """Let the model's subjects come from where a file says.

    Raises:
        InputError: the model reads no subjects, or the file does not hold.
    """
    if not isinstance(model, Recovers):
        raise InputError(f"{model.name} reads no subjects; leave --subjects out, or take mreactor.")
    model.recovery = recovery_from(settings)


def meant(model: ReactionModel[Any], speaker: Behaviour) -> list[dict[str, Any]] | None:
    """Each utterance with its time and priors; None for models that read none."""
    if not isinstance(model, Recovers) or "subjects" not in model.reads:
        return None
    found: list[dict[str, Any]] = []
    begin_s: float | None = None
    said = words_of(speaker, 0)
    if not said:
        return []
    ask: Recovery = model.recovery or default_recovery()
    for now in utterances(said):
        begin_s = now.word.start_s if begin_s is None else begin_s
        if now.ends:
            priors = [
                {
                    "subject": p.subject,
                    "label": p.label,
                    "polarity": round(p.polarity, 4),
                    "intensity": round(p.intensity, 4),
                    "lexicon": p.source,
                }
                for p in ask(now.text)
            ]
            found.append({"start_s": round(begin_s, 3), "text": now.text, "priors": priors})
            begin_s = None
    return found
