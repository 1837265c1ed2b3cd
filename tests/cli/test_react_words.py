"""Words in `visavis react` and `visavis explain`: a transcript, and where subjects come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.models.test_mreactor import made
from tests.people import person
from visavis import pretrained
from visavis.behaviour import Behaviour
from visavis.cli import app

LINES = "1\n00:00:00,200 --> 00:00:01,400\nwe were heartbroken\n"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    person(60).save(folder / "speaker.safetensors")
    (folder / "said.srt").write_text(LINES)
    for name, online in (("model", False), ("online", True)):
        pretrained.save(made(online=online), folder / name)
    return folder


def run(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        assert code == 2
        return str(done.exception)
    assert done.exit_code == code, done.output
    return done.output


def reacted(desk: Path, out: Path, *more: object, model: str = "model") -> tuple[Behaviour, Any]:
    run(
        *("react", desk / "speaker.safetensors", "-m", desk / model, "-o", out, "--num", 2),
        *("--no-video", "--no-report", "--quiet", *more),
    )
    record = json.loads((out / "run.json").read_text())
    return Behaviour.load(out / "reactions.safetensors"), record


def test_a_transcript_is_heard_and_the_record_says_what_it_was_taken_for(
    desk: Path, tmp_path: Path
) -> None:
    silent, without = reacted(desk, tmp_path / "a")
    told, record = reacted(desk, tmp_path / "b", "--transcript", desk / "said.srt")
    assert float((silent.pack() - told.pack()).abs().max()) > 1e-4
    assert without["meant"] == []
    (utterance,) = record["meant"]
    assert utterance["text"] == "we were heartbroken"
    assert utterance["start_s"] == pytest.approx(0.2)
    prior = utterance["priors"][0]
    assert (prior["label"], prior["lexicon"]) == ("Grief", "visavis")


def test_online_hears_the_same_words(desk: Path, tmp_path: Path) -> None:
    words = ("--transcript", desk / "said.srt")
    whole, _ = reacted(desk, tmp_path / "a", *words, model="online")
    live, _ = reacted(desk, tmp_path / "b", *words, "--online", model="online")
    assert float((whole.pack() - live.pack()).abs().max()) < 1e-5


def test_subjects_come_from_where_a_file_says(desk: Path, tmp_path: Path) -> None:
    record = {"format": 1, "subjects": {"8|we were heartbroken": ["Joy Ride"]}}
    (tmp_path / "kept.json").write_text(json.dumps(record))
    (tmp_path / "anew.csv").write_text("word,valence,arousal\njoy ride,5,9\n")
    (tmp_path / "s.toml").write_text(
        'provider = "replay"\ncache = "kept.json"\n[lexicons]\nanew = "anew.csv"\n'
        "[thresholds]\nsemantic = 0.0\ndeviation = 2.0\n"
    )
    _, found = reacted(
        desk,
        tmp_path / "a",
        *("--transcript", desk / "said.srt", "--subjects", tmp_path / "s.toml"),
    )
    (prior,) = found["meant"][0]["priors"]
    assert (prior["subject"], prior["lexicon"]) == ("Joy Ride", "anew")


def test_a_model_that_reads_no_subjects_says_so(desk: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text('provider = "lexicon"\n')
    said = run(
        *("react", desk / "speaker.safetensors", "-m", "mean_frame", "-o", tmp_path / "a"),
        *("--subjects", tmp_path / "s.toml"),
        code=2,
    )
    assert "reads no subjects" in said


def test_the_attention_of_both_variants_is_drawn_and_told(desk: Path, tmp_path: Path) -> None:
    for model, future in (("model", False), ("online", True)):
        out = tmp_path / f"{model}.png"
        told = json.loads(
            run(
                *("explain", desk / "speaker.safetensors", "-m", desk / model, "-o", out),
                *("--start", 0.4, "--seconds", 1, "--json", "--quiet"),
            )
        )
        (reach,) = told["modules"].values()
        assert told["frames"] == 25
        assert out.stat().st_size > 1000
        # frames of one patch see each other
        assert (reach["future"] < 0.3) is future
