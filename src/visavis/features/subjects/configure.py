"""Expressive recovery from a file of settings: which provider, which lexicons, which thresholds."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visavis.errors import InputError, nearest
from visavis.features.subjects.endpoint import EndpointSubjectProvider
from visavis.features.subjects.lexicon import AffectLexicon, Lexicons, TableLexicon, VaderLexicon
from visavis.features.subjects.lexicon_files import READERS
from visavis.features.subjects.providers import (
    CachedSubjectProvider,
    LexiconSubjectProvider,
    SubjectProvider,
)
from visavis.features.subjects.recovery import ExpressiveRecovery
from visavis.features.subjects.similarity import CosineSimilarity, RobertaTextEncoder
from visavis.files import existing_file

_KEYS = ("provider", "endpoint", "cache", "encoder", "lexicons", "thresholds", "proposed")
_ENDPOINT = ("url", "model", "key_env", "prompt", "timeout_s", "retries", "wait_s")
_NUMBERS: Mapping[str, type[int] | type[float]] = {
    "timeout_s": float,
    "retries": int,
    "wait_s": float,
}
_THRESHOLDS = ("semantic", "deviation", "least")


def recovery_from(settings: Mapping[str, Any] | str | Path) -> ExpressiveRecovery:
    """Expressive recovery as a mapping or a TOML file says; everything has a default.

        provider = "endpoint"            # or "lexicon" (the default), "replay" (of the cache)
        cache = "subjects.json"          # answers are recorded there and replayed
        encoder = "folder"               # a sentence encoder's weights
        proposed = 8
        [endpoint]
        url = "http://127.0.0.1:8080/v1"
        model = "name"
        key_env = "NAME_OF_A_VARIABLE"   # timeout_s, retries, wait_s, prompt likewise
        [lexicons]                       # asked before ours, in this order
        anew = "anew.csv"                # sentiwordnet, liwc
        [thresholds]
        semantic = 0.5                   # deviation, least

    Raises:
        InputError: an unknown key, a file that is not there or not TOML, an endpoint without
            address or model.
    """
    base = Path()
    if isinstance(settings, str | Path):
        file = existing_file(settings, wanted="settings of expressive recovery (.toml)")
        try:
            settings = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{file} is not TOML: {error}.") from error
        base = file.parent
    _known("settings", settings, _KEYS)
    chosen: dict[str, Any] = {"provider": _provider(settings, base)}
    if "encoder" in settings:
        chosen["similarity"] = CosineSimilarity(RobertaTextEncoder(base / settings["encoder"]))
    lexicons: list[AffectLexicon] = []
    asked = settings.get("lexicons", {})
    _known("lexicons", asked, tuple(READERS))
    for name, path in asked.items():
        lexicons.append(READERS[name](base / path))
    chosen["lexicon"] = Lexicons(*lexicons, TableLexicon(), VaderLexicon())
    thresholds = settings.get("thresholds", {})
    _known("thresholds", thresholds, _THRESHOLDS)
    if "proposed" in settings:
        chosen["proposed"] = _number("proposed", settings["proposed"], int)
    chosen |= {n: _number(f"thresholds.{n}", x, float) for n, x in thresholds.items()}
    return ExpressiveRecovery(**chosen)


def _provider(settings: Mapping[str, Any], base: Path) -> SubjectProvider:
    name = settings.get("provider", "lexicon")
    cache = settings.get("cache")
    if name == "lexicon":
        return LexiconSubjectProvider()
    if name == "replay":
        if cache is None:
            raise InputError("the provider 'replay' wants `cache`, the record to replay.")
        return CachedSubjectProvider(None, base / cache)
    if name != "endpoint":
        raise InputError(
            f"unknown provider {name!r}. {nearest(str(name), ('lexicon', 'endpoint', 'replay'))}"
        )
    _known("endpoint", settings.get("endpoint", {}), _ENDPOINT)
    endpoint = dict(settings.get("endpoint", {}))
    for key, value in endpoint.items():
        if key in _NUMBERS:
            endpoint[key] = _number(f"endpoint.{key}", value, _NUMBERS[key])
        elif not isinstance(value, str):
            raise InputError(f"endpoint.{key} is a text in quotes, not {value!r}.")
    if not {"url", "model"} <= set(endpoint):
        raise InputError("an endpoint wants `url` and `model` in [endpoint].")
    made = EndpointSubjectProvider(**endpoint)
    return made if cache is None else CachedSubjectProvider(made, base / cache)


def _known(where: str, given: object, names: tuple[str, ...]) -> None:
    if not isinstance(given, Mapping):
        raise InputError(f"{where} is a table of keys, not {given!r}.")
    for key in given:
        if key not in names:
            raise InputError(f"{where} has no key {key!r}. {nearest(str(key), names)}")


def _number(key: str, given: object, kind: type[int] | type[float]) -> Any:
    if isinstance(given, bool) or not isinstance(given, (int, kind)):
        raise InputError(f"{key} is a {'whole ' if kind is int else ''}number, not {given!r}.")
    return kind(given)
