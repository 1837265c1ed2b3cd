"""The trained test, held against systems whose behaviour is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from visavis.bench import Bench, System, Trained, begin, trained
from visavis.bench._score import elsewhere
from visavis.corpora import SimulatedDyads
from visavis.errors import InputError


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    corpus = SimulatedDyads("test", size=84, frames=300, audio=False)
    out = tmp_path_factory.mktemp("bench") / "results"
    return begin(corpus, out, scripts=6, dyads=5, samples=3, train_clips=28)


def verdicts(found: Trained) -> dict[str, bool | None]:
    return {line.what: line.passed for line in found.lines}


def failed(found: Trained) -> list[str]:
    return [what for what, passed in verdicts(found).items() if passed is False]


def test_the_oracle_passes_every_line(bench: Bench) -> None:
    found = trained("oracle", bench)
    assert not failed(found)
    assert found.passed
    assert found.small  # six scripts are few, and it says so


def test_random_noise_fails_correlation_distance_and_jerk(bench: Bench) -> None:
    wrong = failed(trained("random", bench))
    assert "FRCorr less that of mean_sequence" in wrong
    assert "FRDist less that of mean_sequence" in wrong
    assert "jerk of rounded AU / real listeners'" in wrong
    assert any(what.startswith("share of the way") for what in wrong)


def test_a_mean_that_ignores_the_speaker_is_no_better_than_itself(bench: Bench) -> None:
    found = trained("mean_sequence", bench)
    wrong = failed(found)
    assert "FRCorr less that of mean_sequence" in wrong
    assert any(what.startswith("share of the way") for what in wrong)
    assert verdicts(found)["FRDiv of AU / the oracle's"] is None  # deterministic: skipped


def drawn(bench: Bench, name: str, change: str) -> System:
    """The oracle's draws, made wrong in one way."""
    good = bench.named(["oracle"])[0]
    place = elsewhere(bench.clips.groups)

    def draw(numbers: object) -> list[np.ndarray]:
        if change == "another speaker's":
            return good.draw([place[n] for n in numbers])  # type: ignore[attr-defined]
        made = good.draw(numbers)  # type: ignore[arg-type]
        return [np.repeat(m[:1], len(m), axis=0) for m in made]

    return System(name, name, "model", draw, stochastic=True)


def test_one_good_reaction_copied_fails_the_variety_of_samples_and_nothing_else(
    bench: Bench,
) -> None:
    wrong = failed(trained(drawn(bench, "copied", "copies"), bench))
    assert wrong == [f"FRDiv of {g} / the oracle's" for g in ("AU", "V/A", "expressions")]


def test_reactions_to_another_speaker_fail_shuffling_and_the_way_to_the_oracle(
    bench: Bench,
) -> None:
    wrong = failed(trained(drawn(bench, "elsewhere", "another speaker's"), bench))
    assert "FRCorr lost by shuffling speakers" in wrong
    assert any(what.startswith("share of the way") for what in wrong)
    assert "FRDiv of AU / the oracle's" not in wrong


def test_a_second_model_finds_what_both_need_in_the_folder(bench: Bench) -> None:
    trained("oracle", bench)
    before = {p.name: p.stat().st_mtime_ns for p in (bench.folder.path / "rows").iterdir()}
    trained(drawn(bench, "second", "copies"), bench)
    after = {p.name: p.stat().st_mtime_ns for p in (bench.folder.path / "rows").iterdir()}
    assert set(after) - set(before) <= {"second.json"}
    assert all(after[name] == when for name, when in before.items() if name != "second.json")


def test_initial_weights_are_lines_of_their_own_and_cost_two_samples(tmp_path: Path) -> None:
    from visavis import recipes

    recipe = recipes.read("trans_vae_online", changes=["model.width=16"])
    model = recipes.build(recipe)
    corpus = SimulatedDyads("test", size=28, frames=150)
    found = trained(
        model, corpus, out=tmp_path / "out", scripts=2, dyads=3, samples=3, train_clips=8
    )
    lines = [line for line in found.lines if "its initial weights" in line.what]
    assert [line.what.split()[0] for line in lines] == ["FRCorr", "FRDist"]
    assert all(line.passed is not None for line in lines)
    (row,) = (tmp_path / "out" / "rows").glob("initial-trans_vae_online-*.json")
    assert json.loads(row.read_text("utf-8"))["system"]["samples"] == 2


def test_a_model_that_reads_what_is_not_there_is_refused(bench: Bench) -> None:
    from visavis import recipes

    with pytest.raises(InputError, match="mfcc78"):
        trained(recipes.build(recipes.read("trans_vae_online")), bench)  # made without audio


def test_clips_of_one_script_cannot_be_tested(tmp_path: Path) -> None:
    corpus = SimulatedDyads("test", size=14, frames=75, audio=False)
    with pytest.raises(InputError, match="at least two scripts"):
        trained("oracle", corpus, out=tmp_path / "results", scripts=1, train_clips=14)


def test_no_clip_is_shuffled_to_its_own_script() -> None:
    groups = ["a", "b", "a", "c", "b", "c"]
    other = elsewhere(groups)
    assert sorted(other) == list(range(6))
    assert all(groups[i] != groups[j] for i, j in enumerate(other))
    with pytest.raises(InputError, match="holds 3 of the 4"):
        elsewhere(["a", "a", "a", "b"])
