"""Perceiving with a transcript, and with the second map to attributes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.export.people import waving
from visavis.behaviour import Behaviour
from visavis.cli import app
from visavis.errors import InputError
from visavis.export import write_live_link
from visavis.features.attribute_maps import shown
from visavis.features.perceive import perceive

typer_testing = pytest.importorskip("typer.testing")
LINES = "1\n00:00:00,000 --> 00:00:01,000\nwell yes\n\n2\n00:00:09,000 --> 00:00:10,000\nlate\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_live_link(waving(), tmp_path / "a.csv", rate=25)


def test_a_transcript_becomes_words_and_a_channel(
    table: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.srt").write_text(LINES)
    seen = perceive(table, transcript=tmp_path / "a.srt")
    assert [w.text for w in seen.words] == ["well", "yes"]  # type: ignore[union-attr]
    assert seen["text"][:25].abs().sum(1).gt(0).all() and not seen["text"][25:].any()
    assert "1 of 3 words begin after" in caplog.text


def test_the_map_to_attributes_is_chosen_by_name(table: Path) -> None:
    seen = perceive(table, attributes="learned")
    wanted = shown(seen["blendshapes"], seen["rotation"], map="learned")
    torch.testing.assert_close(seen["va"], wanted["va"])
    assert "va" in seen.derived
    assert not torch.allclose(seen["va"], perceive(table)["va"])
    with pytest.raises(InputError, match="linear or learned"):
        perceive(table, attributes="best")


def test_the_command_takes_both(table: Path, tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(LINES)
    words = ["perceive", str(table), "--transcript", str(tmp_path / "a.srt"), "-q"]
    done = typer_testing.CliRunner().invoke(app, [*words, "--attributes", "learned"])
    assert done.exit_code == 0, done.output
    assert len(Behaviour.load(table.with_suffix(".safetensors")).words) == 2
    refused = typer_testing.CliRunner().invoke(
        app, ["perceive", str(tmp_path), "--transcript", str(tmp_path / "a.srt")]
    )
    assert "not for a folder" in str(refused.exception)
