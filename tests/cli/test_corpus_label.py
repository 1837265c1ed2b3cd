"""`visavis corpus label` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import refused, visavis
from visavis.appropriate import AppropriateMap
from visavis.cli.corpus_label import Options, run
from visavis.corpora import React, SimulatedDyads
from visavis.corpora._react_write import Quirks, write_react
from visavis.errors import InputError


@pytest.fixture(scope="module")
def react(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dyads = SimulatedDyads("val", size=12, frames=16, audio=False)
    quirks = Quirks(labels="none", sound=False)
    return write_react(dyads, tmp_path_factory.mktemp("react"), quirks=quirks)


def test_labels_of_a_corpus_without_any_are_made_and_used(react: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.safetensors"
    asked = ("corpus", "label", "--corpus", "react", "--root", react, "--split", "val")
    done = visavis(*asked, "--rule", "similar", "--quantile", "0.2", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("24 dyads of react val, similar (dtw, distance <= ")
    assert "56 of 276 pairs" in done.stdout
    assert done.stdout.rstrip().endswith(f"written to {out}")
    read = React(react, "val", labels=out)
    assert read.labels.recipe["corpus"] == "react"
    assert AppropriateMap.load(out).corpus == React(react, "val").fingerprint
    assert max(len(read[i].appropriate) for i in range(24)) > 1


def test_a_draw_and_the_same_listener_are_stored_and_told_as_json(tmp_path: Path) -> None:
    out = tmp_path / "labels.safetensors"
    done = visavis(
        "corpus", "label", "--rule", "same-script", "--size", "28", "--same-listener",
        "--draw", "10", "--seed", "3", "-o", out, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    labels = AppropriateMap.load(out)
    dyads = SimulatedDyads("train", size=28)
    assert labels.of(dyads.ids[0]) == dyads[0].personal
    assert len(labels.targets(dyads.ids[0])) == 10
    assert labels.seed == 3
    assert told["fingerprint"] == labels.fingerprint
    assert (told["least"], told["most"]) == (labels.spread[0], labels.spread[2])


def test_a_mistake_ends_with_what_to_do_and_no_traceback(tmp_path: Path) -> None:
    done = visavis("corpus", "label", "--rule", "similiar", "-o", tmp_path / "x.safetensors")
    refused(done, "Did you mean 'similar'")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rule": "same-script", "quantile": 0.1}, "takes no measure, quantile"),
        ({"corpus": "reakt"}, "Did you mean 'react'"),
        ({"corpus": "react"}, "give its folder as `root`"),
        ({"corpus": "react", "root": Path("nowhere")}, "does not exist"),
        ({"size": 8, "quantile": 2.0}, "quantile of"),
        ({"size": 8, "measure": "dtv"}, "Did you mean 'dtw'"),
        ({"out": Path("labels.npy")}, r"end its name in \.safetensors"),
    ],
)
def test_what_cannot_be_labelled_is_refused(
    change: dict[str, object], told: str, tmp_path: Path
) -> None:
    given: dict[str, object] = {
        "corpus": "simulated", "root": None, "split": "train", "rule": "similar",
        "out": tmp_path / "x.safetensors", **change,
    }  # fmt: skip
    with pytest.raises(InputError, match=told):
        run(Options(**given), as_json=False, quiet=True)  # type: ignore[arg-type]
    assert not (tmp_path / "x.safetensors").exists()


def test_react_tells_no_scripts(react: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.safetensors"
    with pytest.raises(InputError, match="use --rule similar"):
        run(Options("react", react, "val", "same-script", out), as_json=False, quiet=True)


def test_the_summary_draws_how_many_reactions_clips_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(
        "simulated", None, "train", "same-script", tmp_path / "x.safetensors", size=28
    )
    run(options, as_json=False, quiet=True)
    told = capsys.readouterr().out.splitlines()
    assert told[1].startswith(
        "appropriate reactions a clip: least 14, median 14, most 14; with the own"
    )
    assert told[2].split() == ["1", "0"]
    assert told[5].split() == ["8-15", "#" * 40, "28"]
