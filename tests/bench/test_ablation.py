"""A paper's ablations: what a study may say, rows made once, differences, and claims judged."""

from __future__ import annotations

import csv
import fcntl
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.commands import visavis
from visavis.bench._plots import axis
from visavis.bench.ablation import names, opened, read, result
from visavis.bench.ablation._plan import RowPlan, Study
from visavis.bench.ablation._result import Number, difference, verdict
from visavis.bench.ablation._work import locked
from visavis.errors import InputError

STUDY = Path(__file__).with_name("study.toml")
SMALL = [
    *("--set", "corpus.train_size=8", "--set", "corpus.val_size=2", "--set", "corpus.frames=60"),
    *("--set", "corpus.crop=30", "--set", "training.batch=4", "--steps", "2"),
    *("--size", "42", "--frames", "80", "--scripts", "3", "--dyads", "1", "-k", "2", "-q"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both tables but for the row of another seed."""
    out = tmp_path_factory.mktemp("ablations") / "out"
    done = visavis("ablate", STUDY, *SMALL, "-o", out)
    assert done.returncode == 0, done.stderr
    assert "## Table 3: losses" in done.stdout and "## Table 4: at test" in done.stdout
    return out


def table(out: Path) -> Any:
    return json.loads((out / "table.json").read_text("utf-8"))


# ---------------------------------------------------------------------- rows


def test_rows_trained_alike_are_trained_once(made: Path) -> None:
    rows = table(made)["rows"]
    runs = {name: row["run"] for name, row in rows.items() if row["made"] and row["run"]}
    assert runs["full"] == runs["deaf"] == runs["redrawn"] == runs["hurried"] != runs["no_kl"]
    assert {str(p) for p in (made / "runs").iterdir()} == set(runs.values())
    assert rows["full"]["steps"] == 4  # two stages of two
    assert not list(made.glob("runs/*/checkpoints"))
    assert not rows["again"]["made"] and not rows["gt"]["training"]


def test_what_is_there_is_not_made_again(made: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in made.glob("runs/*/*")}
    before |= {p: p.stat().st_mtime_ns for p in made.glob("bench/rows/*")}
    done = visavis("ablate", STUDY, *SMALL, "-o", made, "--table", "4")
    assert done.returncode == 0, done.stderr
    assert "Table 4" in done.stdout and "Table 3" not in done.stdout
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert len(list(made.glob("runs/*"))) == 2
    assert [t["number"] for t in table(made)["tables"]] == ["3", "4"]  # files have all there is


def test_what_happens_at_test_changes_scores_and_not_weights(made: Path) -> None:
    scores = table(made)["tables"][1]["scores"]
    values = {name: of["FRCorr"]["value"] for name, of in scores.items()}
    assert len(set(values.values())) == 4
    assert set(scores["full"]) >= {"FRCorr", "FRDiv/va", "FRDvs"}


def test_a_row_made_alone_is_the_same(made: Path, tmp_path: Path) -> None:
    """One row alone has the weights and scores that it has among the others."""
    out = tmp_path / "out"
    done = visavis("ablate", STUDY, *SMALL, "-o", out, "--only", "no_kl")
    assert done.returncode == 0, done.stderr
    (alone,) = (out / "runs").iterdir()
    weights = "model.safetensors"
    assert (alone / weights).read_bytes() == (made / "runs" / alone.name / weights).read_bytes()
    (t,) = table(out)["tables"]
    assert set(t["scores"]) == {"no_kl"} and t["differences"] == {}
    assert {c["verdict"] for c in t["claims"]} == {"not made yet"}
    assert t["scores"]["no_kl"] == table(made)["tables"][0]["scores"]["no_kl"]


def test_a_row_that_another_process_makes_is_left_to_it(made: Path) -> None:
    run = Path(table(made)["rows"]["full"]["run"])
    with (made / "locks" / f"{run.name}.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        done = visavis("ablate", STUDY, *SMALL, "-o", made, "--only", "full", "--only", "gt")
    assert done.returncode == 0
    assert "row full is being made by another process" in done.stderr
    assert "row gt" not in done.stderr


def test_a_lock_is_free_again_once_its_holder_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a.lock"
    with locked(path) as mine:
        assert mine
        with locked(path) as again:
            assert not again
    with locked(path) as mine:
        assert mine


# ---------------------------------------------------------------------- numbers


def test_differences_are_paired_and_claims_judged(made: Path) -> None:
    first, second = table(made)["tables"]
    scores, less = first["scores"], first["differences"]
    assert scores["gt"]["FRCorr"]["value"] == pytest.approx(1.0)
    for score in ("FRCorr", "FRDist", "FRDvs"):
        wanted = scores["gt"][score]["value"] - scores["full"][score]["value"]
        assert less["gt"][score]["value"] == pytest.approx(wanted)
        assert less["gt"][score]["low"] <= wanted <= less["gt"][score]["high"]
    assert "full" not in less
    verdicts = [claim["verdict"] for claim in first["claims"]]
    assert verdicts == ["moves as the paper says", "the other way", "moves as the paper says"]
    assert second["claims"][0]["another_seed"] is None


@pytest.mark.parametrize(
    ("sign", "low", "high", "wanted"),
    [
        ("<", -2.0, -1.0, "moves as the paper says"),
        (">", -2.0, -1.0, "the other way"),
        (">", 1.0, 2.0, "moves as the paper says"),
        (">", -1.0, 2.0, "no difference"),
        ("<", 0.0, 0.0, "no difference"),
        ("=", -1.0, 2.0, "moves as the paper says"),
        ("=", 0.0, 0.0, "moves as the paper says"),
        ("=", 1.0, 2.0, "a difference"),
        ("<", None, None, "not defined"),
    ],
)
def test_a_claim_stands_where_the_interval_leaves_no_doubt(
    sign: str, low: float | None, high: float | None, wanted: str
) -> None:
    assert verdict(sign, Number(0.0, low, high)) == wanted
    ours = {"moves as the paper says": "holds", "the other way": "does not hold"}
    assert verdict(sign, Number(0.0, low, high), ours=True) == ours.get(wanted, wanted)


def row(values: Any, left_out: dict[str, Any] | None = None, frrea: float = 0.0) -> dict[str, Any]:
    entry = {"per_clip": {"FRCorr": list(values)}, "values": {"FRCorr": 0.0}}
    return {"scores": {"corrected": entry}, "left_out": left_out or {}, "frrea": frrea}


def test_a_difference_is_of_clips_that_both_have_and_pairing_narrows_it() -> None:
    rng = np.random.default_rng(0)
    clips = rng.normal(0.0, 10.0, 24)
    groups = [str(n // 2) for n in range(24)]
    a, b = row([*(clips[:-1] + 1.0), None]), row(clips)
    found = difference(a, b, "FRCorr", groups)
    assert found is not None and found.low is not None and found.high is not None
    assert found.value == pytest.approx(1.0)
    assert found.high - found.low < 1e-6
    alone = difference(a, 0.0, "FRCorr", groups)
    assert alone is not None and alone.low is not None and alone.high is not None
    assert alone.high - alone.low > 1.0


def test_a_score_that_is_no_mean_has_the_jackknife_s_interval() -> None:
    """Of a mean of groups of equal size the jackknife is the t interval itself."""
    from scipy.stats import t

    values = np.array([1.0, 2.0, 4.0, 7.0])
    without = {str(n): float(np.delete(values, n).mean()) for n in range(4)}
    zero = dict.fromkeys(without, 0.0)
    a = row([0.0], {"FRRea": without}, float(values.mean()))
    b = row([0.0], {"FRRea": zero}, 0.0)
    found = difference(a, b, "FRRea", list(without))
    reach = t.ppf(0.975, 3) * values.std(ddof=1) / 2
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((3.5, 3.5 - reach, 3.5 + reach))


def test_a_personal_row_is_answered_as_its_own_listener_would(tmp_path: Path) -> None:
    """Each clip's listener is known from another clip: the answers are those of that persona."""
    from visavis import recipes
    from visavis.bench._clips import gather, pick
    from visavis.bench.ablation._row import listeners_of
    from visavis.corpora import SimulatedDyads

    corpus = SimulatedDyads("test", size=42, frames=60, audio=False)
    changes = ["model.width=16", "model.critics=[]", 'model.modalities=["face"]']
    model = recipes.build(recipes.read("perreactor", preset="laptop", changes=changes))
    clips = gather(corpus, pick(corpus, scripts=2, dyads=1), tmp_path)
    plan = RowPlan(label="personal", history=40)
    listeners = listeners_of(model, clips, plan)
    assert listeners is not None and listeners_of(model, clips, RowPlan(label="generic")) is None
    both = listeners([0, 1])
    past = corpus.listener(corpus[clips.place(1)].history[0]).window(0, 40)
    alone = model.persona(past).embedding
    np.testing.assert_allclose(both.embedding[1], alone, atol=1e-6)
    assert float((both.embedding[0] - alone).abs().max()) > 1e-4
    other = listeners_of(model, clips, replace(plan, history_clip=1))
    assert other is not None
    assert float((other([1]).embedding[0] - alone).abs().max()) > 1e-4


# ---------------------------------------------------------------------- files


def test_files_hold_every_row_its_command_and_the_paper_s_numbers(made: Path) -> None:
    text = (made / "table.md").read_text("utf-8")
    assert "The paper's numbers (its own split)" in text and "| full | 0.2 | 0.03 |" in text
    assert "without KL \\| plain" in text
    assert "3 clips of simulated" in text and "Not made yet: again" in text
    assert f"visavis ablate {STUDY} --only no_kl --set corpus.train_size=8" in text
    lines = list(csv.DictReader((made / "table.csv").open(encoding="utf-8")))
    assert {line["row"] for line in lines} == {"gt", "no_kl", "full", "deaf", "redrawn", "hurried"}
    (one,) = (x for x in lines if (x["row"], x["score"]) == ("no_kl", "FRCorr"))
    assert one["paper"] == "0.1" and one["difference"] and one["command"].startswith("visavis")
    commands = {n: r["training"] for n, r in table(made)["rows"].items()}
    assert "visavis train trans_vae_online --preset laptop --set model.kl" in commands["no_kl"]


def test_the_page_is_whole_draws_every_difference_and_needs_no_network(made: Path) -> None:
    text = (made / "table.html").read_text("utf-8")

    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag != "meta":
                self.open.append(tag)

        def handle_startendtag(self, tag: str, attrs: object) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    tags = Tags()
    tags.feed(text)
    assert not tags.open
    less = [t["differences"] for t in table(made)["tables"]]
    assert text.count("<circle") == sum(len(of) for t in less for of in t.values())
    assert "http" not in text and "&lt; full" in text


@pytest.mark.parametrize("values", [[0.0], [0.0, -3e-7], [0.2, 0.71], [-1e5, 2.0]])
def test_an_axis_holds_its_values_and_zero(values: list[float]) -> None:
    low, high, ticks = axis(values, 3)
    assert low < high and low <= min(0.0, *values) and high >= max(0.0, *values)
    assert 0.0 in [pytest.approx(t, abs=1e-12 * (high - low)) for t in ticks]
    assert 2 <= len(ticks) <= 6


# ---------------------------------------------------------------------- mistakes


def changed(tmp_path: Path, *pairs: tuple[str, str]) -> Path:
    text = STUDY.read_text("utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('rows = ["gt"', 'rows = ["gtt"', "table 3: there is no row 'gtt'.*Did you mean 'gt'"),
        ('base = "full"', 'base = "again"', "its base 'again' is none of its rows"),
        ("FRCorr: gt > full", "FRCorr: gt > ful", "no row 'ful'.*Did you mean 'full'"),
        ("FRCorr: gt > full", "FRCor: gt > full", "it does not show 'FRCor'"),
        ("FRCorr: gt > full", "gt is better", "cannot read the claim 'gt is better'"),
        ('["FRCorr", "FRDiv/va"', '["FRCorr", "FRDiv/vaa"', "no score 'FRDiv/vaa'"),
        ("presets = []", 'presets = ["no_kl"]', "no preset 'no_kl'"),
        ("model.kl_weight", "trainng.steps", "there is no such key"),
        ('system = "gt"', 'system = "gtt"', "row gt: no row 'gtt'"),
        ('system = "gt"', 'system = "gt"\ndraws = 1', "nothing changes it"),
        ("draws = 7", "history = 40", "row redrawn: trans_vae is not personal"),
        ("speech = 1.0", "speach = 1.0", "no modality or rate 'speach'"),
        ("notes = [", "nots = [", "nots: there is no such key, did you mean 'notes'"),
        ('again = "again"', 'again = "agan"', "no row 'agan'"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        read(str(changed(tmp_path, (old, new))))


def test_fewer_steps_lengthen_no_stage(tmp_path: Path) -> None:
    path = changed(tmp_path, ("model.kl_weight=0.0", "stages.mean.steps=0"))
    study = read(str(path), steps=300)
    of = {name: study.resolved(study.rows[name]).plan for name in ("full", "no_kl")}
    steps = {name: [s.training.steps for s in plan] for name, plan in of.items()}
    assert steps == {"full": [300, 300], "no_kl": [0, 300]}
    assert study.run_of(study.rows["full"]) != read(str(path)).run_of(study.rows["full"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("trans_va",), "there are no ablations of 'trans_va'"),
        ((STUDY, "--table", "9"), "no table '9'; it has 3, 4"),
        ((STUDY, "--only", "ful"), "Did you mean 'full'"),
        ((STUDY, "--set", "corpus.train_szie=1"), "'train_size'"),
        ((STUDY, "--set", "model.widht=8"), "did you mean 'width'"),
        ((), "name a study"),
    ],
)
def test_a_mistake_is_answered_before_anything_is_made(
    words: tuple[object, ...], message: str, tmp_path: Path
) -> None:
    done = visavis("ablate", *words, cwd=tmp_path)
    assert done.returncode == 2 and message in done.stderr and not done.stdout
    assert not list(tmp_path.iterdir())


def test_a_folder_of_something_else_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = visavis("ablate", STUDY, *SMALL, "-o", tmp_path)
    assert done.returncode == 2 and "no folder of `visavis ablate`" in done.stderr
    done = visavis("ablate", STUDY, *SMALL, "-o", made, "--seed", "3")
    assert done.returncode == 2 and "holds results of something else: seed" in done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [("redraww=1", "did you mean 'redraw'"), ("width=16", "do not fit it with width=16")],
)
def test_what_cannot_be_changed_after_training_is_refused(
    change: str, message: str, made: Path
) -> None:
    from visavis import pretrained
    from visavis.bench.ablation._row import changed as with_changes

    model = pretrained.load(table(made)["rows"]["full"]["run"])
    with pytest.raises(InputError, match=message):
        with_changes(model, [change])


# ---------------------------------------------------------------------- the list, the bundled


def test_the_list_says_what_is_there_and_what_the_rest_costs(made: Path) -> None:
    done = visavis("ablate", STUDY, *SMALL, "-o", made, "--list")
    assert done.returncode == 0, done.stderr
    assert re.search(r"no_kl +laptop model\.kl_weight=0\.0 +trained in \d+ s", done.stdout)
    assert "All 6 rows are trained" in done.stdout
    more = visavis("ablate", STUDY, *SMALL, "-o", made, "--list", "--only", "again")
    assert "1 run of 4 steps" in more.stdout
    assert "measured on" in more.stdout
    assert not list(made.glob("runs/*again*"))


def test_every_bundled_study_reads_and_names_presets_that_are_there() -> None:
    for name in names():
        study = read(name)
        assert isinstance(study, Study) and study.tables
        used = {row for table in study.tables for row in table.rows} | {study.again}
        assert used - {None} == set(study.rows)  # no row that no table shows


def test_the_library_gives_what_the_command_writes(made: Path) -> None:
    changes = [word for flag, word in pairwise(SMALL) if flag == "--set"]
    study = read(str(STUDY), changes=changes, steps=2)
    at = opened(study, made, scripts=3, dyads=1, samples=2, size=42, frames=80)
    found = result(at)
    stored = table(made)["tables"][0]["scores"]["no_kl"]["FRCorr"]["value"]
    assert found.tables[0].scores["no_kl"]["FRCorr"].value == stored
