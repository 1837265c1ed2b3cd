"""What can go wrong, by whose hand, and the one door to optional packages."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class VisavisError(Exception):
    """Anything this library raises on purpose."""


class InputError(VisavisError, ValueError):
    """The user's input cannot be used; the text says what came, what was wanted, what to do."""


class MissingChannel(InputError, KeyError):
    """A behaviour lacks a channel, or some of its frames were not observed."""

    __str__ = Exception.__str__  # KeyError would print the repr of the text


class MissingExtra(VisavisError, ImportError):
    """An optional package is not installed; the text names the extra that brings it."""


class OfflineOnly(VisavisError):
    """The model has no session of its own; the text names `RollingSession`."""


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional `module`, or raise `MissingExtra` naming the `extra` that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith(package):
            reason = f"the package {package!r} is not installed"
        else:  # installed, but a library below it is missing: say so, or the advice misleads
            reason = f"the package {package!r} could not be imported ({error})"
        raise MissingExtra(f"{reason}. Install it with: pip install 'visavis[{extra}]'") from error


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that lists the `known` names and suggests the one closest to `name`."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(names) or 'none'}."


def explain(error: ValidationError, known: Iterable[str] = ()) -> str:
    """Pydantic's findings as sentences, with the nearest known key for a misspelt one."""
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        line = f"{where}: {item['msg']} (came: {item['input']!r})"
        if item["type"] == "unexpected_keyword_argument":
            line = f"{where}: there is no such key"
            close = difflib.get_close_matches(str(item["loc"][-1]), list(known), n=1)
            line += f", did you mean {close[0]!r}?" if close else ""
        elif item["type"] == "value_error":  # raised by a configuration itself, about several keys
            line = item["msg"].removeprefix("Value error, ")
        lines.append(line)
    return "; ".join(lines) + "."
