from __future__ import annotations

import re
from typing import Any

import pytest

from visavis import corpora
from visavis.errors import InputError


def test_a_corpus_is_loaded_by_its_name() -> None:
    corpus = corpora.load("simulated", "val", size=20, frames=50, audio=False)
    assert isinstance(corpus, corpora.SimulatedDyads)
    assert isinstance(corpus, corpora.Corpus)
    assert isinstance(corpus, corpora.Oracle)
    assert (corpus.name, corpus.split, len(corpus)) == ("simulated", "val", 20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"name": "simulatd"}, "Did you mean 'simulated'"),
        ({"name": "simulated", "split": "tset"}, "unknown split 'tset'. Did you mean 'test'"),
        ({"name": "simulated", "root": "/data"}, "takes no root (/data)"),
        ({"name": "simulated", "frame": 5}, "no option 'frame'. Did you mean 'frames'"),
        ({"name": "simulated", "affect": "word"}, "Did you mean 'words'"),
        ({"name": "simulated", "pixels": True}, "visavis.render.frames.pictures"),
    ],
)
def test_what_cannot_be_loaded_is_explained(call: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        corpora.load(**call)


@pytest.mark.parametrize("name", sorted(n for n, e in corpora.CORPORA.items() if e.rooted))
def test_a_corpus_on_disk_asks_for_its_folder(name: str) -> None:
    with pytest.raises(InputError, match="give its folder"):
        corpora.load(name)
