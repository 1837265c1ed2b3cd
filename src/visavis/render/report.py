"""One HTML file about one set of reactions: film, curves, heat maps, numbers, facts. No network."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from visavis.channels import EXPRESSION_LABELS
from visavis.errors import InputError
from visavis.files import atomic_path, existing_file
from visavis.render.panels import captions
from visavis.render.signals import SIGNALS, Person, Signal, codes, persons, title, variety

if TYPE_CHECKING:
    from visavis.behaviour import Behaviour

EMBED_LIMIT = 40 * 1024 * 1024
"""Films above this size (bytes) are linked, not embedded."""

_COLOURS = (
    "#2f7ed8", "#e8743b", "#2ca25f", "#b5499b", "#c9a227", "#17a2b8", "#d64550", "#7b61d6",
    "#7a8b2e", "#8c6a4f",
)  # fmt: skip
_EXPRESSION_COLOURS = (
    "#9aa5b4", "#e3b52c", "#4d7fc4", "#e8833a", "#8b6bc7", "#5f9e58", "#d0484c", "#7d6a58",
)  # fmt: skip
_FIRST = ("valence", "arousal", "AU12")


def write_report(
    path: str | Path,
    *,
    speaker: Behaviour,
    reactions: Behaviour,
    video: Path | None,
    title: str = "Facial reactions",
    facts: Mapping[str, str] | None = None,
) -> Path:
    """Write a self-contained page about K reactions to one speaker.

    Channels that are missing are left out, and the page says so. A film above 40 MiB is linked by
    its place relative to the page, and the page says that too.

    Args:
        path: the HTML file to write.
        speaker: one clip, any channels.
        reactions: one clip or K.
        video: the film of these reactions (`render_video`), or None.
        title: heading.
        facts: what a reader needs to make this again: model, seed, version, command.

    Returns:
        The path.

    Raises:
        InputError: leading axes do not fit, or the film does not exist.
    """
    if speaker.lead:
        raise InputError(f"the speaker has leading axes {list(speaker.lead)}; give one clip.")
    listeners = persons(
        reactions,
        list(captions(reactions.lead[0] if reactions.lead else 1, None)),
        speaker=False,
    )
    people = [*persons(speaker, ["speaker"], speaker=True), *listeners]
    shown = [s for s in SIGNALS if any(s.channel in p.values for p in people)]
    seconds = max(speaker.duration_s, reactions.duration_s)
    count = f"{len(listeners)} listener{'s' if len(listeners) != 1 else ''}"
    fields = {
        "title": escape(title),
        "subtitle": f"{count}, {seconds:.1f} s at {reactions.fps:g} frames a second",
        "video": _video(video, Path(path)),
        "tracks": _tracks(people, shown),
        "heat": _heat(people, shown),
        "summary": _summary(people, listeners),
        "facts": _facts(facts or {}),
        "notes": _notes(speaker, reactions),
        "data": _data(people, shown, seconds, reactions.fps),
    }
    page = resources.files("visavis.render").joinpath("report_page.html").read_text("utf-8")
    head, *rest = page.split("{{")
    parts = [head]
    for piece in rest:
        name, _, after = piece.partition("}}")
        parts += [fields[name], after]
    with atomic_path(path) as temporary:
        temporary.write_text("".join(parts), encoding="utf-8")
    return Path(path)


def _video(video: Path | None, page: Path) -> str:
    if video is None:
        return "<section><p class='soft'>No film was made for this report.</p></section>"
    film = existing_file(video, wanted="the film of the reactions")
    if film.stat().st_size > EMBED_LIMIT:
        where = quote(Path(os.path.relpath(str(film), str(page.parent))).as_posix())
        size = film.stat().st_size / 2**20
        note = (
            f"<p class='soft'>The film is large ({size:.0f} MiB), so this page links to "
            f"<a href='{where}'>{escape(film.name)}</a> instead of "
            "holding it: keep both together.</p>"
        )
    else:
        where = "data:video/mp4;base64," + base64.b64encode(film.read_bytes()).decode("ascii")
        note = ""
    player = f"<video controls playsinline preload='metadata' src='{where}'></video>"
    return f"<section>{player}{note}</section>"


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _tracks(people: Sequence[Person], shown: Sequence[Signal]) -> str:
    if not shown:
        return (
            "<section><h2>Over time</h2><p class='soft'>Neither attributes (au, va, expression) "
            "nor blendshapes are in these behaviours, so there are no curves.</p></section>"
        )
    chips = "".join(
        f"<button class='chip' data-person='{i}' aria-pressed='true'><i style='background:"
        f"{'var(--speaker)' if p.speaker else _colour(i - 1)}'></i>{escape(p.name)}</button>"
        for i, p in enumerate(people)
    )
    first = [i for i, s in enumerate(shown) if s.name in _FIRST] or [0]
    curves = "".join(
        f"<div class='track'><b>{escape(title(shown[i]))}</b>"
        f"<canvas data-signal='{i}'></canvas></div>"
        for i in first
    )
    options = "".join(
        f"<option value='{i}'>{escape(title(s))}</option>"
        for i, s in enumerate(shown)
        if i not in first
    )
    more = (
        f"<div class='track'><label><select id='other'>{options}</select></label>"
        "<canvas id='any'></canvas></div>"
        if options
        else ""
    )
    return (
        f"<section><h2>Over time</h2><div class='row'>{chips}</div>{curves}{more}"
        "<p class='soft'>Click a curve to go there in the film. Gaps: not observed.</p></section>"
    )


def _heat(people: Sequence[Person], shown: Sequence[Signal]) -> str:
    having = [i for i, p in enumerate(people) if "au" in p.values]
    if not having or not any(s.heat for s in shown):
        return (
            "<section><h2>Action units</h2><p class='soft'>The channel au is in none of these "
            "behaviours, so there is no heat map.</p></section>"
        )
    start = next((i for i in having if not people[i].speaker), having[0])
    options = "".join(
        f"<option value='{i}'{' selected' if i == start else ''}>{escape(people[i].name)}</option>"
        for i in having
    )
    return (
        f"<section><div class='row'><h2>Action units of</h2><label><select id='who'>{options}"
        "</select></label></div><canvas id='map'></canvas><p class='soft'>Darker (in dark mode "
        "brighter) is "
        "stronger, 0 to 1. Grey stripes: not observed.</p></section>"
    )


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _summary(people: Sequence[Person], listeners: list[Person]) -> str:
    rows = []
    for person in people:
        shares = person.expression_shares()
        if shares is None:
            bar, text = "-", ""
        else:
            bar = (
                "<div class='bar'>"
                + "".join(
                    f"<span style='width:{100 * share:.2f}%;background:{colour}' "
                    f"title='{label} {100 * share:.0f} %'></span>"
                    for label, colour, share in zip(
                        EXPRESSION_LABELS, _EXPRESSION_COLOURS, shares, strict=True
                    )
                )
                + "</div>"
            )
            ranked = sorted(zip(shares, EXPRESSION_LABELS, strict=True), reverse=True)[:3]
            text = ", ".join(f"{label} {100 * share:.0f} %" for share, label in ranked if share > 0)
        rows.append(
            f"<tr><td class='n'>{escape(person.name)}</td>"
            f"<td class='n'>{_number(person.mean('au'), 3)}</td>"
            f"<td class='n'>{_number(person.mean('va', 0))}</td>"
            f"<td class='n'>{_number(person.mean('va', 1))}</td><td>{bar}</td>"
            f"<td class='soft said'>{text}</td></tr>"
        )
    apart = {
        name: variety(listeners, channel)
        for name, channel in (
            ("action units", "au"),
            ("valence and arousal", "va"),
            ("expressions", "expression"),
            ("blendshapes", "blendshapes"),
        )
    }
    known = [f"{name} {value:.3f}" for name, value in apart.items() if value is not None]
    told = (
        f"Variety between listeners (root mean square difference of two listeners at the same "
        f"moment): {'; '.join(known)}."
        if known
        else "Variety between listeners needs at least two listeners."
    )
    legend = "".join(
        f"<span class='key'><i style='background:{colour}'></i>{label}</span>"
        for label, colour in zip(EXPRESSION_LABELS, _EXPRESSION_COLOURS, strict=True)
    )
    return (
        "<section><h2>In numbers</h2><div class='wide'><table><thead><tr><th></th><th>mean AU "
        "activity</th><th>mean valence</th><th>mean arousal</th><th>strongest expression, share of "
        f"time</th><th></th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        f"<p class='row soft'>{legend}</p><p class='soft'>{told}</p></section>"
    )


def _facts(facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    rows = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in facts.items())
    return f"<section><h2>Facts</h2><dl>{rows}</dl></section>"


def _notes(speaker: Behaviour, reactions: Behaviour) -> str:
    notes = [
        "Listeners are drawn from blendshapes and head pose; a greyed head marked “no data” holds "
        "the last pose because nothing was observed."
    ]
    if speaker.source is not None:
        notes.append(
            "The speaker was perceived from a recording: values are geometric estimates from "
            "tracked points of the face, not ratings by trained coders."
        )
    for name, behaviour in (("speaker", speaker), ("listeners", reactions)):
        if behaviour.derived:
            listed = ", ".join(sorted(behaviour.derived))
            notes.append(
                f"Derived for the {name} (†): {escape(listed)}. They were computed from the other "
                "half (attributes from coefficients or back) and are geometric estimates."
            )
        missing = [c for c in ("au", "va", "expression", "blendshapes") if not behaviour.has(c)]
        if missing:
            notes.append(f"Not in the data of the {name}: {', '.join(missing)}.")
    return "".join(f"<p class='soft'>{note}</p>" for note in notes)


def _data(people: Sequence[Person], shown: Sequence[Signal], seconds: float, fps: float) -> str:
    def packed(person: Person, signal: Signal) -> str | None:
        curve = person.curve(signal)
        return None if curve is None else base64.b64encode(codes(curve, signal)).decode("ascii")

    listed: list[dict[str, Any]] = [
        {
            "name": p.name,
            "speaker": p.speaker,
            "colour": _colour(max(i - 1, 0)),
            "frames": p.frames,
            "signals": [packed(p, s) for s in shown],
        }
        for i, p in enumerate(people)
    ]
    signals = [{"name": s.name, "low": s.low, "high": s.high, "heat": s.heat} for s in shown]
    text = json.dumps({"seconds": seconds, "fps": fps, "signals": signals, "people": listed})
    return text.replace("<", "\\u003c")
