"""The published score with the corrected one beside it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.metrics import golden
from tests.metrics.test_evaluate import dataset
from visavis.errors import InputError
from visavis.metrics import evaluate_arrays, evaluate_lists, report_arrays, report_lists

pytestmark = pytest.mark.filterwarnings("ignore::visavis.metrics.ProtocolWarning")


def test_one_call_gives_both_and_the_dead_channels() -> None:
    data = golden.arrays("edge_constant_n6_m4_t130")
    found = report_arrays(**data)
    assert found.published == evaluate_arrays(**data)
    assert found.corrected == evaluate_arrays(**data, protocol="corrected")
    assert found.dead_channels == (4, 250)
    assert not found.not_defined and not found.notes
    alone = report_arrays(**data, protocol="corrected", metrics="FRVar")
    assert alone.corrected is alone.published


def test_lists_of_different_length_have_both_too() -> None:
    rng = np.random.default_rng(0)
    clips = [rng.random((2, frames, 25)) for frames in (60, 80)]
    targets, speakers = [[c[0], c[1]] for c in clips], [c[1] for c in clips]
    found = report_lists(clips, targets, speakers, "mars")
    assert found.published == evaluate_lists(clips, targets, speakers, "mars")
    assert found.not_defined == {"FRDvs": "FRDvs compares clips of one length, and these differ."}
    assert found.corrected is not None and found.corrected["FRCorr"] == pytest.approx(1)


def test_what_is_missing_is_named() -> None:
    data = dataset(samples=1, frames=45)
    found = report_arrays(**data)
    assert set(found.not_defined) == {"FRDiv", "FRSyn"}
    data["pred"][0, 0, 0, 0] = np.nan
    found = report_arrays(**data)
    assert found.corrected is None and "clip 0 holds nan" in found.not_defined["all"]
    assert found.notes["FRVar"] == "NaN: 1 clips hold a NaN or an infinity"
    with pytest.raises(InputError, match="clip 0 holds nan"):
        report_arrays(**data, protocol="corrected")
    one = report_arrays(**dataset(clips=1))
    assert one.notes == {"FRDvs": "NaN: one clip has no other to differ from"}
    assert set(one.not_defined) == {"FRDvs"}


def test_a_group_in_which_nothing_moves_is_noted() -> None:
    data = dataset()
    data["gt"][..., 15:17] = 0.0
    found = report_arrays(**data)
    assert list(found.notes) == ["corrected/FRCorr/va"]
    assert "no clip has a channel that moves" in found.notes["corrected/FRCorr/va"]


def test_lists_that_are_none_are_refused() -> None:
    for given in ((3, [], []), ([], 3, []), ([], [3], []), ([], [], 3)):
        with pytest.raises(InputError, match="must be a sequence of arrays"):
            report_lists(*given)
