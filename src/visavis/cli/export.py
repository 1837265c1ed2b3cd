"""`visavis export`: a behaviour to other tools' files, or live to an avatar."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import typer

from visavis.behaviour import Behaviour
from visavis.cli.console import bar
from visavis.errors import InputError, MissingChannel, nearest
from visavis.export.formats import export, format_of
from visavis.export.openface import ENOUGH
from visavis.features.attributes import complete
from visavis.files import keep_apart

PORTS = {"vmc": 39539, "livelink": 11111}
"""The usual port of each live protocol."""
_LIKE = "Write vmc://127.0.0.1:39539."


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
        for option, given in (("avatar", avatar), ("head", head)):
            if given is not None:
                raise InputError(f"--{option} is for a .glb file; {out} has an avatar of its own.")
        count = _live(complete(behaviour), address(out, format), rate, quiet=quiet)
        typer.echo(json.dumps({"packets": count}) if as_json else f"{count} packets")
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
    ready = behaviour if chosen.name == "npz" else _completed(behaviour, chosen.name)
    files = export(ready, out, format=chosen.name, **options)
    if as_json:
        typer.echo(json.dumps({"format": chosen.name, "files": [str(f) for f in files]}))
    else:
        typer.echo("\n".join(str(f) for f in files))


def _person(behaviour: Behaviour, only: int | None) -> Behaviour:
    if only is None:
        return behaviour
    if len(behaviour.lead) > 1:
        raise InputError(
            f"--only chooses one of K reactions, but this file has leading axes "
            f"{list(behaviour.lead)}."
        )
    count = behaviour.lead[0] if behaviour.lead else 1
    if not 1 <= only <= count:
        held = f"there are reactions 1 to {count}" if count > 1 else "this file holds one reaction"
        raise InputError(f"{held}; --only came as {only}.")
    return behaviour[only - 1] if behaviour.lead else behaviour


def _completed(behaviour: Behaviour, format: str) -> Behaviour:
    """The missing half of a face made from the other; an OpenFace file does with what is there."""
    try:
        return complete(behaviour)
    except MissingChannel:
        if format == "openface" and any(behaviour.has(name) for name in ENOUGH):
            return behaviour
        raise


@dataclass(frozen=True)
class Address:
    """Where a live protocol ("vmc" or "livelink") is sent."""

    protocol: str
    host: str
    port: int


def address(url: str, format: str | None = None) -> Address:
    """What `vmc://HOST:PORT` or `livelink://HOST:PORT` says; without a port, the usual one.

    Raises:
        InputError: another scheme, a format that is not the scheme's, no host, a port that no
            computer has, or something after the port.
    """
    try:
        where = urlsplit(url)
        host, port = where.hostname, where.port
    except ValueError as error:
        raise InputError(f"{url} is no address ({error}). {_LIKE}") from error
    protocol = where.scheme
    if protocol not in PORTS:
        raise InputError(f"cannot send to {url}: {nearest(protocol, PORTS)} {_LIKE}")
    if format not in (None, protocol):
        raise InputError(f"{url} is sent {protocol}, but --format says {format}.")
    if host is None:
        raise InputError(f"{url} names no host. {_LIKE}")
    if port == 0:
        raise InputError(f"{url}: nobody listens on port 0. {_LIKE}")
    if where.path.strip("/") or where.query or where.fragment or where.username:
        raise InputError(f"{url} has more than a host and a port. {_LIKE}")
    return Address(protocol, host, PORTS[protocol] if port is None else port)


def _live(behaviour: Behaviour, to: Address, rate: float | None, *, quiet: bool) -> int:
    from visavis.export.live_link import live_link_packets
    from visavis.export.udp import send
    from visavis.export.vmc import vmc_messages

    if behaviour.lead:
        raise InputError("one listener is sent at a time: choose with --only 1.")
    if to.protocol == "livelink":
        pace = 60.0 if rate is None else rate
        packets = live_link_packets(behaviour, rate=pace)
    else:
        pace = behaviour.fps if rate is None else rate
        packets = vmc_messages(behaviour, rate=pace)
    first = next(packets)  # what does not fit is refused before anything is sent
    total = max(1, round(behaviour.duration_s * pace))
    with bar("sending", quiet=quiet) as progress:
        return send(
            chain((first,), packets),
            rate=pace,
            host=to.host,
            port=to.port,
            progress=lambda done, _: progress(done, total),
        )
