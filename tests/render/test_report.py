"""The report page: what it holds, and that a real browser plays it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.render.people import moving
from visavis.behaviour import Behaviour, Source
from visavis.errors import InputError
from visavis.render import report
from visavis.render.report import write_report
from visavis.render.signals import persons, variety
from visavis.render.video import render_video

CHROMIUM = Path("/usr/bin/chromium")


def _write(folder: Path, **changes: Any) -> str:
    given: dict[str, Any] = {
        "speaker": moving(30, attributes=True),
        "reactions": moving(30, people=3, attributes=True),
        "video": None,
    }
    path = write_report(folder / "report.html", **(given | changes))
    return path.read_text("utf-8")


def test_the_page_asks_the_network_for_nothing(tmp_path: Path) -> None:
    film = render_video(moving(5), tmp_path / "film.mp4", size=32)
    text = _write(tmp_path, video=film)
    assert "data:video/mp4;base64," in text
    assert not re.findall(r"https?://", text)
    assert "{{" not in text


def test_facts_and_title_are_shown_and_cannot_inject_markup(tmp_path: Path) -> None:
    text = _write(tmp_path, title="<b>Ada</b> & co", facts={"seed": "7", "<i>x": "</script>"})
    assert "&lt;b&gt;Ada&lt;/b&gt; &amp; co" in text
    assert "<b>Ada" not in text
    assert "<i>x" not in text
    assert text.count("</script>") == 2


def test_a_large_film_is_linked_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "EMBED_LIMIT", 100)
    (tmp_path / "films").mkdir()
    film = render_video(moving(3), tmp_path / "films" / "long film.mp4", size=32)
    text = _write(tmp_path, video=film)
    assert "src='films/long%20film.mp4'" in text
    assert "keep both together" in text


def test_missing_channels_are_said_and_not_fatal(tmp_path: Path) -> None:
    bare = Behaviour.of({"energy": torch.zeros(9, 1)})
    text = _write(tmp_path, speaker=bare, reactions=bare)
    assert "there are no curves" in text
    assert "there is no heat map" in text
    assert "Not in the data of the listeners: au, va, expression, blendshapes" in text
    only = _write(tmp_path, speaker=moving(9), reactions=moving(9, people=2))
    assert "mouth smile (coefficients)" in only


def test_estimates_are_named_as_such(tmp_path: Path) -> None:
    whole = moving(9, attributes=True)
    channels = {n: whole[n] for n in ("blendshapes", "au")}
    derived = Behaviour.of(channels, derived=frozenset({"au"}), source=Source("speaker.mp4"))
    text = _write(tmp_path, speaker=derived)
    assert "geometric estimates from tracked points" in text
    assert "Derived for the speaker" in text


def test_unobserved_frames_are_gaps_not_zeros(tmp_path: Path) -> None:
    seen = torch.ones(10, dtype=torch.bool)
    seen[3:6] = False
    gappy = Behaviour.of({"va": torch.ones(10, 2)}, observed={"va": seen})
    (person,) = persons(gappy, ["speaker"], speaker=True)
    assert person.mean("va", 0) == 1.0
    curve = person.curve(report.SIGNALS[0])
    assert curve is not None
    assert list(report.codes(curve, report.SIGNALS[0])) == [254] * 3 + [255] * 3 + [254] * 4
    assert "NaN" not in _write(tmp_path, speaker=gappy, reactions=gappy)


def test_variety_is_the_root_mean_square_difference_of_pairs() -> None:
    rng = np.random.default_rng(0)
    values = rng.random((3, 4, 15)).astype(np.float32)
    seen = torch.ones(3, 4, dtype=torch.bool)
    seen[1, 2] = False
    people = persons(
        Behaviour.of({"au": values}, observed={"au": seen}), ["a", "b", "c"], speaker=False
    )
    squares = [
        (float(values[i, t, c]) - float(values[j, t, c])) ** 2
        for t in range(4)
        for i in range(3)
        for j in range(i)
        for c in range(15)
        if seen[i, t] and seen[j, t]
    ]
    assert variety(people, "au") == pytest.approx(np.sqrt(np.mean(squares)))
    assert variety(people[:1], "au") is None
    assert variety(people, "va") is None


def test_shares_of_time_sum_to_one_and_name_the_strongest() -> None:
    expression = torch.full((4, 8), 0.05)
    expression[:3, 1] = 0.65
    expression[3, 2] = 0.65
    (person,) = persons(Behaviour.of({"expression": expression}), ["x"], speaker=False)
    shares = person.expression_shares()
    assert shares is not None
    np.testing.assert_allclose(shares, [0, 0.75, 0.25, 0, 0, 0, 0, 0])


def test_a_batch_or_an_absent_film_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leading axes"):
        _write(tmp_path, speaker=moving(4, people=2))
    with pytest.raises(InputError, match="does not exist"):
        _write(tmp_path, video=tmp_path / "absent.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with playwright.sync_playwright() as run:
        opened = run.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_browser_plays_the_film_and_curves_follow(
    browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    speaker = moving(50, attributes=True)
    reactions = moving(50, people=3, attributes=True)
    film = render_video(reactions, tmp_path / "film.mp4", beside=speaker, size=64)
    path = write_report(
        tmp_path / "report.html", speaker=speaker, reactions=reactions, video=film, facts={"a": "b"}
    )
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    troubles: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelector('video').readyState >= 2", timeout=10000)
    assert page.evaluate("document.querySelector('video').duration") == pytest.approx(2.0, abs=0.1)

    page.evaluate("document.querySelector('video').muted = true")
    page.evaluate("document.querySelector('video').play()")
    page.wait_for_function("visavis.now > 0.1", timeout=10000)
    page.evaluate("document.querySelector('video').pause()")

    canvas = page.locator("canvas[data-signal]").first
    box = canvas.bounding_box()
    canvas.click(position={"x": 34 + (box["width"] - 38) * 0.75, "y": 30})
    page.wait_for_function(
        "Math.abs(document.querySelector('video').currentTime - 1.5) < 0.1", timeout=5000
    )
    before = page.evaluate("document.getElementById('map').toDataURL()")
    page.select_option("#who", "2")
    assert page.evaluate("document.getElementById('map').toDataURL()") != before
    page.locator(".chip").first.click()
    assert page.locator(".chip").first.get_attribute("aria-pressed") == "false"

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert troubles == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)
    page.close()
