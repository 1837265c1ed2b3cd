"""What a training reads of a corpus, and how its recipe is told."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from visavis import pretrained, recipes
from visavis.cli._train_data import clips
from visavis.corpora import SimulatedDyads
from visavis.corpora._react_write import write_react
from visavis.errors import InputError
from visavis.training.record import recipe_json


@pytest.mark.parametrize("name", ["trans_ae", "belfusion", "regnn"])
def test_recipes_are_those_that_the_bundled_weights_were_made_by(name: str) -> None:
    """A setting that came later and is not used leaves no trace: the check that weights that are
    trained again repeat their scores compares these."""
    made = pretrained.card(name)["trained"]
    assert recipe_json(recipes.read(name, preset=made["preset"])) == made["recipe"]


def test_dyads_whose_listener_has_no_history_are_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_react(SimulatedDyads("train", size=28, frames=40), tmp_path)
    recipe = recipes.read("perreactor", preset="laptop", changes=["corpus.name=react"])
    whole = clips("train", recipe, tmp_path, audio=True, quiet=True)
    assert len(whole) == len(whole.corpus)
    _one_clip_alone(tmp_path)
    with caplog.at_level(logging.WARNING, "visavis"):
        some = clips("train", recipe, tmp_path, audio=True, quiet=True)
    left = len(some.corpus) - len(some)
    assert left > 0
    assert f"{left} of {len(some.corpus)} dyads of 'train' are left out" in caplog.text
    assert all(some[i].history for i in range(len(some)))


def test_a_corpus_without_any_history_is_refused_unless_none_is_wanted(tmp_path: Path) -> None:
    write_react(SimulatedDyads("train", size=14, frames=40), tmp_path)
    recipe = recipes.read("perreactor", preset="laptop", changes=["corpus.name=react"])
    with pytest.raises(InputError, match=r"corpus\.history=none"):
        clips("train", recipe, tmp_path, audio=True, quiet=True)
    plain = replace(recipe, corpus=replace(recipe.corpus, history=None))
    assert len(clips("train", plain, tmp_path, audio=True, quiet=True)) == 28


def _one_clip_alone(root: Path) -> None:
    """Take from the training split every clip of the first session but the first."""
    head, *lines = (root / "train.csv").read_text().splitlines()
    sessions = [line.split(",")[1].rpartition("/")[0].rpartition("/")[0] for line in lines]
    keep = [i for i, session in enumerate(sessions) if session != sessions[0] or i == 0]
    rows = [f"{n},{lines[i].partition(',')[2]}" for n, i in enumerate(keep)]
    (root / "train.csv").write_text("\n".join([head, *rows]) + "\n")
    matrix = root / "neighbour_emotion_train.npy"
    both = [*keep, *(i + len(lines) for i in keep)]
    np.save(matrix, np.load(matrix)[np.ix_(both, both)])
