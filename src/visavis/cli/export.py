"""`visavis export`: a behaviour to other tools' files, or live to an avatar."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import typer

from visavis.behaviour import Behaviour
from visavis.cli.console import bar
from visavis.errors import InputError, nearest
from visavis.export.formats import export, format_of
from visavis.features.attributes import complete
from visavis.files import keep_apart

PORTS = {"vmc": 39539, "livelink": 11111}
"""The usual port of each live protocol."""


def run(
    source: Path,
    out: str,
    *,
    format: str | None,
    rate: float | None,
    only: int | None,
    avatar: Path | None,
    head: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    behaviour = _person(Behaviour.load(source), only)
    if "://" in out:
        _live(complete(behaviour), out, format, rate, quiet=quiet)
        return
    chosen = format_of(out, format)
    keep_apart(out, source, avatar)
    options: dict[str, object] = {}
    for name, value, formats in (
        ("rate", rate, ("livelink", "glb")),
        ("avatar", avatar, ("glb",)),
        ("head", head, ("glb",)),
    ):
        if value is None:
            continue
        if chosen.name not in formats:
            raise InputError(f"--{name} is for {' and '.join(formats)}, not for {chosen.name}.")
        options[name] = value
    if head is not None and avatar is None:
        raise InputError("--head names a node of an --avatar; our own head has only one.")
    ready = behaviour if chosen.name == "npz" else complete(behaviour)
    files = export(ready, out, format=chosen.name, **options)
    if as_json:
        typer.echo(json.dumps({"format": chosen.name, "files": [str(f) for f in files]}))
    else:
        typer.echo("\n".join(str(f) for f in files))


def _person(behaviour: Behaviour, only: int | None) -> Behaviour:
    if only is None:
        return behaviour
    if len(behaviour.lead) != 1:
        raise InputError("--only chooses one of several reactions, but this file holds one.")
    if not 1 <= only <= len(behaviour):
        raise InputError(f"there are reactions 1 to {len(behaviour)}, not {only}.")
    one: Behaviour = behaviour[only - 1]
    return one


def _live(
    behaviour: Behaviour, out: str, format: str | None, rate: float | None, *, quiet: bool
) -> None:
    from visavis.export.live_link import live_link_packets
    from visavis.export.udp import send
    from visavis.export.vmc import vmc_messages

    where = urlsplit(out)
    protocol = {"udp": format or "vmc"}.get(where.scheme, where.scheme)
    if protocol not in PORTS:
        raise InputError(
            f"cannot send to {out}: {nearest(protocol, PORTS)} Write vmc://127.0.0.1:39539."
        )
    if behaviour.lead:
        raise InputError("one listener is sent at a time: choose with --only 1.")
    try:
        port = where.port or PORTS[protocol]
    except ValueError as error:
        raise InputError(f"{out} has no port that a computer has.") from error
    pace = rate or (60.0 if protocol == "livelink" else behaviour.fps)
    make = live_link_packets if protocol == "livelink" else vmc_messages
    total = max(1, round(behaviour.duration_s * pace))
    with bar("sending", quiet=quiet) as progress:
        count = send(
            make(behaviour, rate=pace),
            rate=pace,
            host=where.hostname or "127.0.0.1",
            port=port,
            progress=lambda done, _: progress(done, total),
        )
    typer.echo(f"{count} packets")
