"""`visavis evaluate` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import process, refused, visavis
from tests.metrics import golden
from visavis.cli.evaluate import read_npz
from visavis.errors import InputError

EDGE = golden.FOLDER / "edge_constant_n6_m4_t130.npz"


def written(path: Path, **changes: Any) -> Path:
    """The small golden file with some arrays changed (None: left out)."""
    held = {**golden.arrays("small_n4_m3_t64"), **changes}
    np.savez(path, **{name: value for name, value in held.items() if value is not None})
    return path


def test_the_table_names_its_protocol_counts_dead_channels_and_shows_corrected_beside() -> None:
    done = process("evaluate", EDGE, "--protocol", "react2024")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "6 clips, protocol react2024"
    assert lines[2].split() == ["react2024", "corrected", "au", "va", "expression", "groups"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[3:9]}
    assert list(rows) == ["FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn"]
    assert rows["FRCorr"][0] == "1.1268"
    assert rows["FRSyn"][:2] == ["41.8333", "21.1667"]
    assert "dead channels: 4 of 250" in done.stdout
    assert "113 of 600 predicted channels are constant" in done.stderr


@pytest.mark.parametrize("packing", [np.savez, np.savez_compressed])
def test_json_is_json_with_both_scores_and_each_clip(packing: Any, tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    packing(path, **golden.arrays("small_n4_m3_t64"))
    done = visavis("evaluate", path, "-p", "reactface", "--json", "--per-clip", "-q")
    record = json.loads(done.stdout, parse_constant=lambda word: pytest.fail(word))
    wanted = golden.numbers("small_n4_m3_t64.reactface")
    assert record["protocol"] == "reactface"
    assert record["FRDist"] == pytest.approx(wanted["FRD_mp_times10"], rel=1e-6)
    assert record["FRCorr"] is None  # NaN, as published
    assert record["dead_channels"] == {"count": 8, "of": 200}
    assert record["corrected"]["FRCorr/au"] == pytest.approx(0.05143835)
    assert len(record["per_clip"]["FRDvs"]) == len(record["corrected"]["per_clip"]["FRSyn"]) == 4


def test_corrected_alone_and_chosen_scores() -> None:
    done = visavis("evaluate", EDGE, "-p", "corrected", "--metric", "FRVar", "--per-clip")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("6 clips, protocol corrected")
    assert "react2024" not in done.stdout
    assert "FRDist" not in done.stdout
    assert len(done.stdout.splitlines()) == 3 + 1 + 3 + 7


def test_what_corrected_does_not_define_is_said_beside_the_published_scores(
    tmp_path: Path,
) -> None:
    pred = golden.arrays("small_n4_m3_t64")["pred"]
    one = visavis("evaluate", written(tmp_path / "a.npz", pred=pred[:, :1]))
    assert "corrected FRDiv not defined: FRDiv compares samples" in one.stdout
    alone = visavis("evaluate", tmp_path / "a.npz", "-p", "corrected")
    assert alone.returncode == 0, alone.stderr
    assert "corrected FRDiv not defined: FRDiv compares samples" in alone.stdout
    broken = pred.copy()
    broken[1, 2, 3, 4] = np.nan
    done = visavis("evaluate", written(tmp_path / "b.npz", pred=broken))
    assert done.returncode == 0, done.stderr
    assert "corrected scores not defined: pred of clip 1 holds nan at sample 2" in done.stdout
    refused(visavis("evaluate", tmp_path / "b.npz", "-p", "corrected"), "clip 1", "channel 4 (AU7)")


class Trap:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("trapped"),)


def test_pickled_objects_are_refused_and_never_run(tmp_path: Path) -> None:
    trap = np.array([Trap()], dtype=object)
    path = written(tmp_path / "trap.npz", neighbour=trap)
    refused(process("evaluate", path, cwd=tmp_path), "holds Python objects", "neighbour")
    assert not (tmp_path / "trapped").exists()


def test_other_bad_files_are_explained(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    damaged = bytearray(written(tmp_path / "whole.npz").read_bytes())
    damaged[2000:2100] = bytes(100)
    (tmp_path / "damaged.npz").write_bytes(damaged)
    part = written(tmp_path / "part.npz", gt=None, neighbour=None)
    for path, message in (
        (tmp_path / "none.npz", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "text.npz", "is not an .npz file"),
        (tmp_path / "damaged.npz", "pred.npy in .* cannot be read"),
        (part, r"lacks gt \[N, T, D\], neighbour \[N, N\], 0 or 1; it holds pred, speaker"),
    ):
        with pytest.raises(InputError, match=message):
            read_npz(path)


@pytest.mark.parametrize(
    ("words", "message"),
    [(("-p", "mar"), "Did you mean 'mars'?"), (("--metric", "FID"), "unknown score 'FID'")],
)
def test_misspelt_names_are_explained(words: tuple[str, ...], message: str) -> None:
    refused(visavis("evaluate", EDGE, *words), message)


def test_intervals_hold_the_scores_they_belong_to(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    real = rng.random((24, 60, 25))
    path = tmp_path / "a.npz"
    made = rng.random((24, 2, 60, 25))
    np.savez(path, pred=made, gt=real, speaker=real, neighbour=np.eye(24))
    record = json.loads(visavis("evaluate", path, "--intervals", "--json").stdout)
    for scores in (record, record["corrected"]):
        assert {"FRCorr", "FRDist", "FRVar"} <= set(scores["intervals"])
        for name, (low, high) in scores["intervals"].items():
            assert low < scores[name] < high
    text = visavis("evaluate", path, "--intervals").stdout
    assert "95 % intervals, bootstrap over clips" in text
    assert "only a hint" not in text


def test_what_is_no_number_is_null_and_a_note_says_why(tmp_path: Path) -> None:
    held = golden.arrays("coeff58_n6_m3_t160")
    path = tmp_path / "wide.npz"
    np.savez(path, **held)
    record = json.loads(
        visavis("evaluate", path, "--json", "--per-clip", "-q").stdout,
        parse_constant=lambda word: pytest.fail(word),
    )
    assert record["FRDist"] is None
    assert record["notes"]["FRDist"] == "NaN: its groups are 25 channels, and the clips have 58"
    assert record["per_clip"]["FRDist"] == ["nan"] * 6
    small = visavis("evaluate", written(tmp_path / "b.npz"), "-p", "reactface").stdout
    assert "FRCorr is NaN: a channel constant and equal in prediction and target is 0/0" in small
    broken = golden.arrays("small_n4_m3_t64")["pred"].copy()
    broken[0, 0, 1] = np.inf
    done = visavis("evaluate", written(tmp_path / "c.npz", pred=broken), "--json")
    notes = json.loads(done.stdout)["notes"]
    assert "1 clips hold a NaN or an infinity" in notes["FRVar"]


def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.npz")
    refused(visavis("evaluate", path, "--device", "cuda:99"), "device 'cuda:99' is not there")
    refused(visavis("evaluate", path, "--device", "gpu"), "unknown device 'gpu'")


def two_systems(folder: Path, clips: int = 24) -> tuple[Path, Path, dict[str, np.ndarray]]:
    """One follows the real reaction, the other does not."""
    rng = np.random.default_rng(0)
    real = rng.random((clips, 60, 25))
    shared = {"gt": real, "speaker": rng.random(real.shape), "neighbour": np.eye(clips)}
    noise = rng.random((2, clips, 2, 60, 25))
    np.savez(folder / "a.npz", pred=0.5 * noise[0] + 0.5 * real[:, None], **shared)
    np.savez(folder / "b.npz", pred=noise[1], **shared)
    return folder / "a.npz", folder / "b.npz", shared


def test_two_systems_are_compared_clip_by_clip(tmp_path: Path) -> None:
    a, b, _ = two_systems(tmp_path)
    record = json.loads(visavis("evaluate", a, "--compare", b, "--json", "-q").stdout)
    assert list(record["comparison"]) == ["react2024", "corrected"]
    for protocol, scores in record["comparison"].items():
        held = [record[s] if protocol == "react2024" else record[s]["corrected"] for s in "ab"]
        for name in ("FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn"):
            pair = scores[name]
            assert [pair["a"], pair["b"]] == pytest.approx([h[name] for h in held], rel=1e-6)
            assert pair["interval"][0] <= pair["difference"] <= pair["interval"][1]
        assert scores["FRCorr"]["p"] < 0.001 and scores["FRCorr"]["difference"] > 0
        assert scores["FRDist"]["interval"][1] < 0
    text = visavis("evaluate", a, "--compare", b).stdout
    assert "A - B" in text and "paired by clip" in text and "only a hint" not in text
    rows = [line.split() for line in text.splitlines() if line.startswith("FRCorr")]
    assert [row[1] for row in rows] == ["react2024", "corrected"]


def test_a_system_beside_itself_differs_by_nothing(tmp_path: Path) -> None:
    a, _, _ = two_systems(tmp_path, clips=5)
    done = visavis("evaluate", a, "--compare", a, "-p", "corrected", "--json", "-q")
    scores = json.loads(done.stdout)["comparison"]["corrected"]
    assert {(s["difference"], s["p"]) for s in scores.values()} == {(0.0, 1.0)}
    assert "only a hint" in visavis("evaluate", a, "--compare", a, "-q").stdout


def test_systems_on_other_clips_are_not_compared(tmp_path: Path) -> None:
    a, _, shared = two_systems(tmp_path, clips=4)
    rng = np.random.default_rng(1)
    other = tmp_path / "other.npz"
    np.savez(other, pred=rng.random((4, 2, 60, 25)), **{**shared, "gt": shared["gt"][::-1]})
    refused(visavis("evaluate", a, "--compare", other), "gt differs between", "[0, 0, 0]")
    fewer = {n: v[:3, :3] if n == "neighbour" else v[:3] for n, v in shared.items()}
    np.savez(other, pred=rng.random((3, 2, 60, 25)), **fewer)
    refused(visavis("evaluate", a, "--compare", other), "gt has shape [4, 60, 25]", "same clips")
    np.savez(other, pred=rng.random((4, 3, 60, 25)), **shared)
    refused(visavis("evaluate", a, "--compare", other), "2 samples a clip", "sums over samples")
    assert visavis("evaluate", a, "--compare", other, "-p", "corrected").returncode == 0
    refused(visavis("evaluate", a, "--compare", tmp_path / "none.npz"), "does not exist")
    refused(visavis("evaluate", a, "--compare", a, "--per-clip"), "in --json")


def test_clips_of_one_group_are_drawn_together(tmp_path: Path) -> None:
    """Each clip four times over says nothing new: the interval must not shrink."""
    a, b, _ = two_systems(tmp_path, clips=6)
    groups = np.array([f"script {n}" for n in range(6)])
    for path in (a, b):
        with np.load(path) as held:
            parts = {n: np.repeat(held[n], 4, axis=0) for n in ("pred", "gt", "speaker")}
        np.savez(path, **parts, neighbour=np.eye(24), groups=np.repeat(groups, 4))
    words = ("evaluate", a, "-p", "corrected", "--metric", "FRVar")
    text = visavis(*words, "--intervals").stdout
    assert "bootstrap over the 6 groups of clips" in text and "fewer than 20 groups" in text
    grouped = json.loads(visavis(*words, "--intervals", "--json").stdout)
    low, high = grouped["intervals"]["FRVar"]
    whole = json.loads(visavis(*words, "--compare", b, "--json").stdout)["comparison"]
    pair = whole["corrected"]["FRVar"]
    assert (pair["clips"], pair["groups"]) == (24, 6)
    assert "drawn, and flipped, together" in visavis(*words, "--compare", b).stdout
    with np.load(a) as held:
        alone = {n: held[n] for n in held.files if n != "groups"}
    np.savez(a, **alone)
    free = json.loads(visavis(*words, "--intervals", "--json").stdout)
    assert high - low > 1.3 * (free["intervals"]["FRVar"][1] - free["intervals"]["FRVar"][0])


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.arange(3), "wanted one name or whole number for each of the 4 clips"),
        (np.ones(4), "is float64 [4]"),
        (np.array(["a"] * 4), "all clips are in one group"),
        (np.array(["a", None, "b", 3], dtype=object), "holds Python objects"),
    ],
)
def test_groups_that_are_none_are_refused(groups: np.ndarray, message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.npz", groups=groups)
    refused(visavis("evaluate", path, "--intervals"), message)
