"""The named protocols and what they promise."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from itertools import pairwise

import pytest

from visavis import metrics
from visavis.channels import STANDARD
from visavis.errors import InputError
from visavis.metrics.protocol import ATTRIBUTES, COEFFICIENTS, PROTOCOLS, protocol_named


def test_there_are_six_and_each_says_what_it_is() -> None:
    names = ["react2024", "react2024_serial", "reactface", "reactface_serial", "mars", "corrected"]
    assert list(PROTOCOLS) == names
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name and len(protocol.about) > 30
        assert protocol_named(name) is protocol is protocol_named(protocol)


def test_a_protocol_cannot_be_changed_but_copied() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROTOCOLS["mars"].lags = 59  # type: ignore[misc]
    assert dataclasses.replace(PROTOCOLS["mars"], name="mine", lags=59).lags == 59


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(InputError, match="Did you mean 'corrected'"):
        protocol_named("correct")


def test_groups_lie_where_the_channels_lie() -> None:
    for groups, members in ((ATTRIBUTES, "au va expression"), (COEFFICIENTS, "")):
        assert groups[0].start == 0
        assert all(a.stop == b.start for a, b in pairwise(groups))
        for group in groups:
            assert group.stop - group.start == STANDARD[group.name].size
        if members:
            assert [g.name for g in groups] == members.split()


def test_every_public_name_is_there_and_nothing_heavy_comes_with_the_package() -> None:
    for name in metrics.__all__:
        assert getattr(metrics, name) is not None
    assert set(metrics._HOME) == set(metrics.__all__)
    with pytest.raises(AttributeError, match="no attribute 'FRCor'"):
        metrics.FRCor  # noqa: B018
    code = "import sys, visavis.metrics; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "numba", "torchmetrics"} & set(done.stdout.split())
