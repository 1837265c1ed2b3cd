"""`visavis bench` as a user meets it: killed, gone on with, mistaken."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from visavis.cli import main

SMALL = [
    "--size", "42", "--frames", "100", "--scripts", "3", "--dyads", "3", "-k", "2",
    "--train-clips", "14", "--no-speed", "--quiet",
]  # fmt: skip


LONGER = [*SMALL, "--frames", "300", "--dyads", "5"]

Ended = tuple[int, str, str]


@pytest.fixture
def visavis(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """The command in this process: exit code, standard output, standard error."""

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["visavis", "bench", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_a_killed_bench_goes_on_where_it_was(tmp_path: Path, visavis: Callable[..., Ended]) -> None:
    out = tmp_path / "results"
    words = [sys.executable, "-m", "visavis", "bench", *SMALL, "-o", str(out)]
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(out.glob("rows/*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = {p.name: p.stat().st_mtime_ns for p in out.glob("rows/*.json")}
    assert done
    assert not (out / "results.json").exists()
    code, _, err = visavis(*SMALL, "-o", str(out))
    assert code == 0, err
    assert {name: (out / "rows" / name).stat().st_mtime_ns for name in done} == done
    stored = json.loads((out / "results.json").read_text("utf-8"))
    assert {"gt.json", *done} <= {f"{row['name']}.json" for row in stored["rows"]}
    assert not list(out.glob("predictions/*"))
    code, told, _ = visavis("--rerun", str(out / "results.json"), "--row", "mirror", "--quiet")
    assert code == 0
    assert "equal" in told
    assert "DIFFERENT" not in told


def test_the_trained_test_prints_lines_or_json_and_ends_well_whatever_they_say(
    tmp_path: Path, visavis: Callable[..., Ended]
) -> None:
    out = str(tmp_path / "results")
    code, told, err = visavis("--trained", "mean_sequence", *LONGER, "-o", out)
    assert code == 0, err
    assert "FAIL" in told
    assert "demonstration only" in told
    held = json.loads(visavis("--trained", "mean_sequence", "--json", *LONGER, "-o", out)[1])
    assert held["passed"] is False
    assert {line["verdict"] for line in held["lines"]} >= {"FAIL", "skipped"}


def test_mistakes_end_with_2_and_say_what_to_do(
    tmp_path: Path, visavis: Callable[..., Ended]
) -> None:
    for words, said in (
        (["miror"], "mirror"),
        (["--corpus", "simulatd"], "simulated"),
        (["--split", "tst"], "test"),
        (["-p", "react2042"], "react2024"),
        (["mirror", "--trained", "oracle"], "one model"),
        (["--row", "gt"], "--rerun"),
        (["--rerun", str(tmp_path / "none.json"), "--row", "gt"], "does not exist"),
    ):
        code, _, err = visavis(*SMALL, "-o", str(tmp_path / "results"), *words)
        assert code == 2, (words, err)
        assert said in err
    assert not (tmp_path / "results").exists()  # nothing was begun
