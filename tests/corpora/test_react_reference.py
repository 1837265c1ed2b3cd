"""The public index files: every key found; a tiny one with the same quirks runs everywhere."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from visavis.channels import BLENDSHAPES
from visavis.corpora._react_index import read_index
from visavis.corpora._react_labels import global_rows, read_rows
from visavis.errors import InputError

PUBLIC = Path(__file__).parents[3] / "shared" / "reference_data"
public = pytest.mark.skipif(
    not (PUBLIC / "data_indices.csv").exists(), reason="the public index files are not here"
)

INDEX = """,speaker_path,listener_path
0,UDIVA/talk/900901/FC1/8,UDIVA/talk/900901/FC2/8
1,UDIVA/lego/900901/FC1/8,UDIVA/lego/900901/FC2/8
5,NoXI/090_2017-01-02_Nowhere/Expert_video/10,NoXI/090_2017-01-02_Nowhere/Novice_video/10
6,NoXI/090_2017-01-02_Nowhere/Expert_video/1,NoXI/090_2017-01-02_Nowhere/Novice_video/1
7,RECOLA/group-1/P25/1,RECOLA/group-1/P26/1
"""
"""UDIVA's extra level; row numbers with a gap; RECOLA in capitals, which the table has not."""

ROWS = """site,chat_index,clip_index
NoXI,090_2017-01-02_Nowhere,1
NoXI,090_2017-01-02_Nowhere,10
Recola,group-1,1
UDIVA,900901_lego,8
UDIVA,900901_talk,8
UDIVA,900901_talk,9
"""


def test_keys_of_every_site_find_their_row_whatever_the_spelling(tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_text(INDEX)
    (tmp_path / "data_indices.csv").write_text(ROWS)
    pairs = read_index(tmp_path / "val.csv")
    rows = read_rows(tmp_path / "data_indices.csv")
    assert global_rows(pairs, rows, tmp_path).tolist() == [4, 3, 1, 0, 2]
    assert pairs[0].first.key == ("UDIVA", "900901_talk", "8")
    assert pairs[0].second.who == "UDIVA/talk/900901/FC2"


def test_a_key_that_comes_twice_or_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data_indices.csv"
    path.write_text(ROWS + "Recola,group-1,1\n")
    with pytest.raises(InputError, match="RECOLA/group-1/1 stands in rows 2 and 6"):
        read_rows(path)
    path.write_text(ROWS.replace("chat_index", "chat"))
    with pytest.raises(InputError, match="no column 'chat_index'"):
        read_rows(path)


@public
def test_every_pair_of_the_public_indices_has_a_row_of_its_own() -> None:
    rows = read_rows(PUBLIC / "data_indices.csv")
    assert len(rows) == 4308
    assert Counter(key[0] for key in rows) == {"NOXI": 2935, "RECOLA": 27, "UDIVA": 1346}
    seen: set[int] = set()
    for split, count in (("train", 2634), ("val", 839)):
        pairs = read_index(PUBLIC / f"{split}.csv")
        found = global_rows(pairs, rows, PUBLIC)
        assert len(pairs) == count == len(set(found.tolist()))
        assert not seen & set(found.tolist())
        seen |= set(found.tolist())
        assert len({place.path for pair in pairs for place in (pair.first, pair.second)}) == (
            2 * count
        )


@public
def test_the_means_say_that_blendshapes_are_in_alphabetical_order() -> None:
    """Left and right of a shape have like statistics: more so in our order than in any shuffle."""
    spread = np.log(np.load(PUBLIC / "std_face.npy")[:52])
    left = [i for i, name in enumerate(BLENDSHAPES) if name.endswith("Left")]
    pairs = [
        (i, BLENDSHAPES.index(BLENDSHAPES[i].replace("Left", "Right")))
        for i in left
        if BLENDSHAPES[i].replace("Left", "Right") in BLENDSHAPES
    ]

    def apart(order: np.ndarray) -> float:
        return float(np.mean([abs(spread[order[i]] - spread[order[j]]) for i, j in pairs]))

    rng = np.random.default_rng(0)
    shuffled = [apart(rng.permutation(52)) for _ in range(2000)]
    assert apart(np.arange(52)) < 0.8 * min(shuffled)


@public
def test_the_means_are_those_of_upright_faces() -> None:
    mean = np.load(PUBLIC / "mean_face.npy")
    assert abs(mean[52] - np.pi) < 0.1
    assert abs(mean[53:55]).max() < 0.1
