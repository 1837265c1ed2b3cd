"""The table: its rows, its files, and what is refused."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import visavis as vv
from visavis.bench import Bench, Results, begin, bench, rerun, trained
from visavis.bench._clips import aligned, partition, pick
from visavis.bench._rows import Wanted
from visavis.bench._table import tables
from visavis.bench._write import escape_tex
from visavis.corpora import SimulatedDyads
from visavis.errors import InputError, MissingChannel

ROWS = (
    "gt", "random", "mirror", "mean_sequence", "mean_frame", "nn_motion", "training_listener",
    "oracle", "oracle_mean",
)  # fmt: skip


def small(out: Path, **changes: object) -> Bench:
    corpus = SimulatedDyads("test", size=42, frames=150, audio=False)
    asked = {"scripts": 3, "dyads": 3, "samples": 2, "train_clips": 14, **changes}
    return begin(corpus, out, **asked)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    out = tmp_path_factory.mktemp("bench") / "results"
    return bench([], small(out), speed=False), out


def test_every_row_of_the_papers_is_there(results: tuple[Results, Path]) -> None:
    found, _ = results
    assert tuple(row["name"] for row in found.rows) == ROWS  # no nn_audio: nobody speaks
    assert found.row("B_Mime")["name"] == "mirror"
    assert found.value(found.row("gt"), "corrected", "FRCorr") == pytest.approx(1.0)
    assert found.value(found.row("gt"), "corrected", "FRDist") == 0.0
    assert found.value(found.row("gt"), "corrected", "FRRea") == pytest.approx(0.0, abs=1e-9)
    assert found.value(found.row("oracle_mean"), "corrected", "FRDiv") == 0.0


def test_published_scores_are_sums_over_samples_and_corrected_ones_means(
    results: tuple[Results, Path],
) -> None:
    found, _ = results
    row = found.row("oracle")
    published = found.value(row, "react2024", "FRDist")
    corrected = found.value(row, "corrected", "FRDist")
    assert published is not None
    assert corrected is not None
    assert published == pytest.approx(2 * corrected, rel=1e-5)


def test_scores_are_those_of_the_evaluation_itself(tmp_path: Path) -> None:
    from visavis.metrics import evaluate_lists

    at = small(tmp_path / "results", keep=True)
    found = bench([], at, speed=False)
    clips = at.clips
    (system,) = at.named(["random"])
    pred = system.draw(list(range(len(clips))))
    targets = [clips.real(n) for n in range(len(clips))]
    heard = [clips.heard[name] for name in clips.ids]
    slow = evaluate_lists(pred, targets, heard, "corrected")
    for score, value in slow.items():
        assert found.value(found.row("random"), "corrected", score) == pytest.approx(value)


def test_csv_and_json_hold_every_number(results: tuple[Results, Path]) -> None:
    found, out = results
    lines = list(csv.DictReader((out / "results.csv").open(encoding="utf-8")))
    assert [line["name"] for line in lines] == list(ROWS)
    stored = json.loads((out / "results.json").read_text("utf-8"))
    for line, row in zip(lines, stored["rows"], strict=True):
        for protocol in ("react2024", "corrected"):
            for score, value in row["scores"][protocol]["values"].items():
                text = line[f"{protocol}/{score}"]
                assert (float(text) if text else None) == value
    again = Results.load(out / "results.json")
    assert again.rows == found.rows
    assert stored["stamp"]["version"] == "" or stored["stamp"]["version"][0].isdigit()


def test_latex_is_balanced_and_has_one_cell_a_column(results: tuple[Results, Path]) -> None:
    _, out = results
    text = (out / "results.tex").read_text("utf-8")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") >= 3
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    for block in text.split(r"\begin{tabular}")[1:]:
        columns = len(re.match(r"\{(\w+)\}", block)[1])  # type: ignore[index]
        body = [line for line in block.splitlines() if line.endswith(r"\\")]
        assert {line.count("&") + 1 for line in body} == {columns}
    assert escape_tex("a_b & 50 % †") == r"a\_b \& 50 \% $\dagger$"


def test_the_page_is_whole_and_needs_no_network(results: tuple[Results, Path]) -> None:
    found, out = results
    text = (out / "results.html").read_text("utf-8")

    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []
            self.rows = 0

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.rows += tag == "tr"
            if tag not in ("meta",):
                self.open.append(tag)

        def handle_startendtag(self, tag: str, attrs: object) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    tags = Tags()
    tags.feed(text)
    assert not tags.open
    assert tags.rows == sum(1 + len(table.names) for table in tables(found))
    assert "http" not in text
    assert text.count("<svg") == 3


def test_markdown_shows_intervals_and_arrows(results: tuple[Results, Path]) -> None:
    _, out = results
    text = (out / "results.md").read_text("utf-8")
    assert "| FRCorr ↑ | FRDist ↓ |" in text
    assert re.search(r"\| B_Mime \| 0\.\d{3} \[-?0\.\d{3}, 0\.\d{3}\]", text)
    assert "intervals are too narrow" in text  # three scripts


def test_derived_attributes_carry_a_dagger() -> None:
    from visavis.bench._table import label

    assert label({"label": "GRU", "derived": True}) == "GRU †"


def test_a_row_is_made_again_from_the_json_alone(results: tuple[Results, Path]) -> None:
    _, out = results
    stored, again = rerun(Results.load(out / "results.json"), "nn_motion")
    assert again["scores"] == stored["scores"]


def test_reactions_that_other_code_made_are_not_gone_on_with(tmp_path: Path) -> None:
    at = small(tmp_path / "results", keep=True)
    (system,) = at.named(["random"])
    at.row(system, Wanted(jerk=True))
    folder = at.folder.predictions("random")
    part = folder / "00000.safetensors"
    first = part.stat().st_mtime_ns
    at.row(system, Wanted(realism=True))
    assert part.stat().st_mtime_ns == first
    (folder / "made-by.txt").write_text("0.0.1+f00, 2 samples\n", "utf-8")
    at.row(system, Wanted(shuffled=True))
    assert part.stat().st_mtime_ns > first


def test_speakers_with_dropouts_and_a_folder_nearby_are_found_again_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from visavis import pretrained

    monkeypatch.chdir(tmp_path)
    pretrained.save(vv.load("mirror"), "mine")
    corpus = SimulatedDyads("test", size=28, frames=80, audio=False, dropout={"face": 0.5})
    bench(
        [Path("mine")], corpus, out="results", scripts=2, dyads=2, samples=2, train_clips=4,
        speed=False,
    )  # fmt: skip
    monkeypatch.chdir("/")
    found = Results.load(tmp_path / "results" / "results.json")
    (mine,) = [row for row in found.rows if row["kind"] == "model"]
    stored, again = rerun(found, mine["name"])
    assert again["scores"] == stored["scores"]


def test_a_name_in_place_of_a_list_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a list, \['mirror'\]"):
        bench("mirror", SimulatedDyads("test", size=2), out=tmp_path / "results")


def test_an_unknown_row_names_the_nearest(results: tuple[Results, Path]) -> None:
    found, _ = results
    with pytest.raises(InputError, match="Did you mean 'oracle'"):
        found.row("orakel")


def test_rows_that_are_there_are_not_made_again(results: tuple[Results, Path]) -> None:
    found, out = results
    before = {p.name: p.stat().st_mtime_ns for p in (out / "rows").iterdir()}
    assert bench([], small(out), speed=False).rows == found.rows
    assert {p.name: p.stat().st_mtime_ns for p in (out / "rows").iterdir()} == before


@pytest.mark.parametrize(
    ("field", "value"),
    [("version", "0.0"), ("fingerprint", "of another corpus"), ("samples", 9), ("seed", 5)],
)
def test_results_of_something_else_are_refused(field: str, value: object, tmp_path: Path) -> None:
    small(tmp_path / "results")
    path = tmp_path / "results" / "bench.json"
    stamp = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**stamp, field: value}), "utf-8")
    with pytest.raises(InputError, match=f"something else: {field}"):
        small(tmp_path / "results")


def test_results_of_another_simulator_are_not_made_again(
    results: tuple[Results, Path], tmp_path: Path
) -> None:
    _, out = results
    stored = json.loads((out / "results.json").read_text("utf-8"))
    stored["stamp"]["version"] = "0.0"
    path = tmp_path / "results.json"
    path.write_text(json.dumps(stored), "utf-8")
    with pytest.raises(InputError, match="version"):
        rerun(Results.load(path), "gt")


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        small(tmp_path)


def test_a_model_whose_inputs_are_not_there_is_told_what_makes_them(tmp_path: Path) -> None:
    at = small(tmp_path / "results")
    with pytest.raises(MissingChannel, match=r"'simulated'.*no mfcc78.*extracts speech"):
        bench(["trans_vae_online"], at, speed=False)


def test_an_unknown_protocol_or_model_is_refused_before_any_work(tmp_path: Path) -> None:
    at = small(tmp_path / "results")
    with pytest.raises(InputError, match="react2024"):
        bench([], at, protocols=["react2042"], speed=False)
    with pytest.raises(InputError, match="mirror"):
        bench(["miror"], at, speed=False)
    assert not (tmp_path / "results" / "rows").exists()
    with pytest.raises(InputError, match="Did you mean 'oracle'"):
        trained("orcale", at.clips.corpus, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_whole_scripts_are_spread_over_the_split() -> None:
    corpus = SimulatedDyads("test", size=84, frames=50, audio=False)
    groups = partition(corpus)
    assert groups is not None
    places = pick(corpus, scripts=2, dyads=3)
    assert places == (*groups[0][:3], *groups[-1][:3])
    assert len(pick(corpus, clips=5)) == 5


def test_targets_of_another_length_are_stretched_and_units_stay_labels() -> None:
    reaction = np.zeros((50, 25), np.float32)
    reaction[25:, 3] = 1.0
    reaction[:, 16] = np.linspace(0, 1, 50)
    longer = aligned(reaction, 75)
    assert longer.shape == (75, 25)
    assert set(np.unique(longer[:, 3])) == {0.0, 1.0}
    assert np.allclose(longer[:, 16], np.linspace(0, 1, 75), atol=1e-6)
    assert aligned(reaction, 50) is reaction


def test_speed_and_memory_are_measured_in_a_process_of_its_own() -> None:
    from visavis.bench._speed import measured

    speaker = SimulatedDyads("test", size=14, frames=100, audio=False)[0].speaker
    cost = measured(vv.load("mirror"), speaker)
    assert cost["parameters"] == 0
    fps, drawn = cost["fps"], cost["fps_rendered"]
    assert fps is not None
    assert drawn is not None
    assert 0 < drawn < fps


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells")
def test_memory_is_the_growth_at_the_peak_even_if_it_is_given_back() -> None:
    from visavis.bench._speed import _grown

    grown = [_grown(lambda mib=mib: np.ones(mib << 17).sum()) for mib in (64, 16)]
    assert grown == [pytest.approx(64, abs=4), pytest.approx(16, abs=4)]
