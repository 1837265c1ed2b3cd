"""`visavis react --online`: what runs live, and what it says of itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.people import person
from visavis import pretrained
from visavis.behaviour import Behaviour
from visavis.cli import app
from visavis.cli.react import generate
from visavis.errors import OfflineOnly


@pytest.mark.parametrize("name", ["reactface", "trans_vae_online", "mirror"])
def test_frame_by_frame_gives_what_the_model_gives_offline(name: str) -> None:
    model, speaker = pretrained.load(name), person(51)
    live, how = generate(model, speaker, num=2, seed=3, live=True)
    offline, _ = generate(model, speaker, num=2, seed=3)
    assert live.layout == offline.layout
    torch.testing.assert_close(live.pack(), offline.pack(), atol=1e-5, rtol=0.0)
    session = model.session()
    assert (how["hop"], how["latency"]) == (session.hop, session.latency)
    assert how["times_real_time"] > 0


@pytest.mark.parametrize(
    ("name", "waits"),
    [
        ("reactface", r"hop 1 frame, latency 0 frames \(0 ms\)"),
        ("trans_vae_online", r"hop 8 frames, latency 7 frames \(280 ms\)"),
    ],
)
def test_it_prints_latency_and_speed_and_records_them(
    name: str, waits: str, tmp_path: Path
) -> None:
    person(40).save(tmp_path / "speaker.safetensors")
    out = tmp_path / "out"
    words = ["react", str(tmp_path / "speaker.safetensors"), "--online", "-m", name, "-k", "1"]
    done = CliRunner().invoke(app, [*words, "-q", "--no-video", "--no-report", "-o", str(out)])
    assert done.exit_code == 0, done.output
    (line,) = [x for x in done.stdout.splitlines() if x.startswith("online")]
    assert re.fullmatch(
        rf"online +{waits}; [\d.]+ times real time, "
        r"a step [\d.]+ ms \(p99 [\d.]+, worst [\d.]+\)",
        line,
    )
    how = json.loads((out / "run.json").read_text())["generated"]
    assert how["way"] == "online, frame by frame"
    assert how["step_ms"]["median"] <= how["step_ms"]["p99"] <= how["step_ms"]["worst"]
    assert Behaviour.load(out / "reactions.safetensors").frames == 40


def test_a_model_that_only_answers_clips_is_refused_before_any_work(tmp_path: Path) -> None:
    words = ["react", str(tmp_path / "absent.mp4"), "--online", "-m", "trans_vae"]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "out")])
    assert isinstance(done.exception, OfflineOnly)
    assert "RollingSession" in str(done.exception)
    assert not (tmp_path / "out").exists()
