"""One results folder at work: its corpus, clips, naive systems, and rows on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis import pretrained, recipes
from visavis.bench import _clips, _fitted, _systems
from visavis.bench._clips import Clips
from visavis.bench._folder import Folder, opened
from visavis.bench._rows import Bars, Row, Wanted, made, no_bars
from visavis.bench._systems import FITTED, LABELS, NAIVE, System
from visavis.corpora._base import Oracle
from visavis.corpora.simulated import SimulatedDyads
from visavis.errors import InputError, nearest

if TYPE_CHECKING:
    from visavis.corpora._base import Corpus
    from visavis.models._base import ReactionModel

SAMPLES = 10
INITIAL_SAMPLES = 2
"""Of a model's initial weights: only FRCorr and FRDist are taken of them, means over samples, and
two cost a fifth of ten."""


@dataclass(frozen=True)
class Bench:
    """Everything that rows of one table share."""

    clips: Clips
    train: Corpus
    folder: Folder
    samples: int
    seed: int
    train_clips: int
    asked: Mapping[str, Any]
    """How the clips were chosen: scripts, dyads, clips, train_clips."""
    bars: Bars = no_bars
    keep: bool = False

    def row(self, system: System, wanted: Wanted) -> Row:
        """The row of `system`, computed as far as it is not in the folder yet."""
        return made(
            system,
            self.clips,
            self.folder,
            wanted,
            samples=system.samples or self.samples,
            bars=self.bars,
            keep=self.keep,
        )

    def always(self) -> list[str]:
        """Names of the rows that every table of this corpus has."""
        first = self.clips.speaker(0)
        names = ["gt", *NAIVE, "training_listener"]
        if not first.has("mfcc78"):
            names.remove("nn_audio")
        if not (first.has("au") and first.has("blendshapes")):
            names = [n for n in names if n not in ("mirror", "nn_motion")]
        return names + (["oracle", "oracle_mean"] if isinstance(self.clips.corpus, Oracle) else [])

    def named(self, names: Sequence[str]) -> list[System]:
        """The systems of these names: rows of `always`, bundled models, folders or hub ids.

        Raises:
            InputError: nothing of that name; MissingChannel: a model reads what is not there.
        """
        learned: Mapping[str, Any] = {}
        if set(names) & set(FITTED):  # all that this corpus allows at once: it is read once
            want = [name for name in self.always() if name in FITTED]
            with self.bars("fitting naive systems") as report:
                learned = _fitted.fitted(
                    [*want, *(n for n in names if n in FITTED and n not in want)],
                    self.train,
                    self.folder.cache / "fitted",
                    clips=self.train_clips,
                    progress=report,
                )
        return [self._named(name, learned) for name in names]

    def _named(self, name: str, learned: Mapping[str, ReactionModel[Any]]) -> System:
        clips, samples, seed = self.clips, self.samples, self.seed
        if name == "gt":
            return _systems.ground_truth(clips)
        if name == "training_listener":
            return _systems.training_listener(
                clips, self.train, samples, seed, pool=self.train_clips
            )
        if name == "oracle":
            return _systems.oracle(clips, samples, seed)
        if name == "oracle_mean":
            return _systems.oracle_mean(clips, seed)
        if name in NAIVE:
            about = {}
            if name in learned:
                count = min(self.train_clips, len(self.train))
                about = {"fitted on": f"the first {count} clips of the training split"}
            return _systems.of_model(
                learned.get(name) or pretrained.load(name),
                clips, samples, seed, name=name, label=LABELS[name], kind="naive", about=about,
            )  # fmt: skip
        bundled = name in recipes.names() or not Path(name).is_dir()
        source = name if bundled else str(Path(name).resolve())  # found again from anywhere
        return self.model(pretrained.load(name), source=source)

    def model(self, model: ReactionModel[Any], *, source: str | None = None) -> System:
        """A model's system; its row is named by name and fingerprint of the weights."""
        about = {} if source is None else {"source": source}
        return _systems.of_model(model, self.clips, self.samples, self.seed, about=about)

    def initial(self, model: ReactionModel[Any]) -> System:
        """The same model with its own initial weights, which answers with `INITIAL_SAMPLES`."""
        fresh = _fitted.initial(model, self.train, clips=self.train_clips)
        mark = _systems.fingerprint(fresh)
        samples = min(INITIAL_SAMPLES, self.samples)
        system = _systems.of_model(
            fresh, self.clips, samples, self.seed,
            name=f"initial-{model.name}-{mark[:8]}",
            label=f"{model.name}, initial weights",
            about={"samples": samples},
        )  # fmt: skip
        return replace(system, samples=samples)


def begin(
    corpus: Corpus,
    out: str | Path,
    *,
    train: Corpus | None = None,
    scripts: int = _clips.SCRIPTS,
    dyads: int = _clips.DYADS,
    clips: int | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    train_clips: int = _fitted.TRAIN_CLIPS,
    bars: Bars = no_bars,
    keep: bool = False,
) -> Bench:
    """Open or go on with a results folder.

    Args:
        corpus: the split to score on.
        out: the folder; rows that are in it are not computed again.
        train: the training split, for naive systems and initial weights; simulated dyads know
            theirs.
        scripts, dyads, clips: which clips, see `visavis.bench.pick`.
        samples: K.
        seed: of all draws.
        train_clips: how many training clips naive systems learn from.
        bars: label -> progress bar.
        keep: leave predictions in the folder (K x 75 kB a clip of 30 s).

    Raises:
        InputError: the folder holds results of another corpus, version, choice, seed or K.
    """
    if samples < 2:
        raise InputError(f"a bench needs at least 2 samples a clip, not {samples}.")
    if train_clips < 1:
        raise InputError(f"train_clips must be at least 1, not {train_clips}.")
    places = _clips.pick(corpus, scripts=scripts, dyads=dyads, clips=clips)
    learning = train if train is not None else training_split(corpus)
    stamp = {
        "corpus": corpus.name,
        "split": corpus.split,
        "fingerprint": corpus.fingerprint,
        "version": version_of(corpus),
        "clips": len(places),
        "choice": _clips.fingerprint(corpus, places),
        "training": learning.fingerprint,
        "training clips": min(train_clips, len(learning)),
        "samples": samples,
        "seed": seed,
    }
    folder = opened(out, stamp)
    with bars(f"reading {corpus.name}") as report:
        gathered = _clips.gather(corpus, places, folder.cache, progress=report)
    asked = {"scripts": scripts, "dyads": dyads, "clips": clips, "train_clips": train_clips}
    return Bench(gathered, learning, folder, samples, seed, train_clips, asked, bars, keep)


def known(names: Sequence[str]) -> None:
    """Refuse what is neither a row's name nor a model, before anything is read or computed.

    Raises:
        InputError: nothing of one of these names; the nearest is told.
    """
    for name in names:
        if name in LABELS:
            continue
        if "/" in name or Path(name).exists() or name in recipes.names():
            pretrained.load(name)
        else:
            every = sorted({*LABELS, *pretrained.available()})
            raise InputError(f"there is no model, folder or row {name!r}. {nearest(name, every)}")


def version_of(corpus: Corpus) -> str:
    """The version of a made corpus; empty for recorded ones, whose fingerprint says all."""
    from visavis.corpora.simulated import VERSION

    return VERSION if isinstance(corpus, SimulatedDyads) else ""


def training_split(corpus: Corpus) -> Corpus:
    """The training split beside `corpus`, of its full size.

    Raises:
        InputError: only simulated dyads know theirs.
    """
    if not isinstance(corpus, SimulatedDyads):
        raise InputError(
            f"give the training split of {corpus.name!r} as `train`: naive systems learn from it."
        )
    return SimulatedDyads(
        "train", frames=corpus.frames, seed=corpus.seed, audio=corpus.audio, affect=corpus.affect
    )
