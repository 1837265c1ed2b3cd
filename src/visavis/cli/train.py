"""`visavis train`: a recipe's corpus, model and loop put together."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from visavis import __version__, pretrained, recipes
from visavis.cli._train_data import Clips, Draw, Once, Validation, clips, hears, sees
from visavis.cli._train_progress import training_bar
from visavis.cli.react import ready
from visavis.errors import InputError, VisavisError
from visavis.files import atomic_path
from visavis.models._base import ReactionModel
from visavis.recipes import Recipe
from visavis.training import devices, needs, record
from visavis.training.faults import Stopped
from visavis.training.logs import Log
from visavis.training.loop import History, train
from visavis.training.resume import Run
from visavis.training.sampler import Sampler

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from visavis.training.dry import Estimate

LIMIT = 4 * 2**20
"""Bytes that one bundled weight may have."""
FEW = 28
"""Simulated dyads of a dry run, at least, and at least two batches: in fewer not every listener has
another clip to be known by."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line was given beside the recipe's name."""

    out: Path | None = None
    preset: str | None = None
    changes: Sequence[str] = ()
    corpus: str | None = None
    root: Path | None = None
    bundle: bool = False
    resume: bool = False
    dry_run: bool = False
    accelerator: str = "cpu"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    precision: str | None = None
    tensorboard: bool = False
    samples: int = 0
    accept: bool = False
    quiet: bool = False

    def recipe(self, name: str) -> Recipe:
        short = {"corpus.name": self.corpus, "training.precision": self.precision}
        extra = [f'{key}="{value}"' for key, value in short.items() if value is not None]
        made = recipes.read(name, preset=self.preset, changes=[*self.changes, *extra])
        if made.name in recipes.names() and not self.bundle:
            made = replace(made, note="")  # it speaks of the bundled weights, not of these
        return made


def run(name: str, options: Options) -> None:
    recipe = options.recipe(name)
    _check(recipe, options)
    fabric = devices.fabric(
        accelerator=options.accelerator,
        devices=options.devices,
        nodes=options.nodes,
        strategy=options.strategy,
        precision=precision_of(recipe),
    )
    job = Job(recipe, options, fabric)
    if options.dry_run:
        job.rehearse()
        return
    try:
        target = job.work()
        if target is not None:
            typer.echo(str(target))
    except Stopped as stop:
        if fabric.is_global_zero:
            typer.echo(f"visavis: {stop}", err=True)
        raise typer.Exit(128 + stop.signal) from stop


def _check(recipe: Recipe, options: Options) -> None:
    if recipe.model in pretrained.WEIGHTLESS:
        name = recipe.name
        raise InputError(f"{name} has nothing to learn; `visavis react --model {name}` just works.")
    if options.bundle and options.out is not None:
        raise InputError("--bundle writes into the package; leave --out away.")
    if options.bundle and recipe.name not in recipes.names():
        raise InputError(f"--bundle is for the package's own recipes, and {recipe.name} is yours.")
    if options.samples and options.strategy == "fsdp":
        raise InputError("samples cannot be drawn from a sharded model; leave --samples away.")


def begin_with(model: ReactionModel[Any], name: str, corpus: str) -> None:
    """Put the weights of a trained model into one that has all of its parameters, and more.

    Its statistics come along, so it must have learnt from the same corpus.

    Raises:
        InputError: there are none, or they are of a model of other parts or sizes, or of another
            corpus.
    """
    local = name in pretrained.available() or Path(name).is_dir()
    trained = pretrained.card(name).get("trained") if local else None
    learnt = str(trained["corpus"]).split()[0] if trained else corpus
    if learnt != corpus:
        raise InputError(
            f"{name!r} was trained on {learnt}, and its statistics of inputs and latents are those "
            f"of {learnt}, not of {corpus}. Train {model.name} on {corpus} from the beginning, or "
            f"begin with weights of your own that were."
        )
    given, own = pretrained.load(name).state_dict(), model.state_dict()
    strange = [n for n, x in given.items() if n not in own or own[n].shape != x.shape]
    if strange:
        raise InputError(
            f"{model.name} cannot begin with the weights {name!r}: it has no {strange[0]} of the "
            f"shape {list(given[strange[0]].shape)} ({len(strange)} of {len(given)} do not fit). "
            "Were they trained with another preset?"
        )
    model.load_state_dict(given, strict=False)


def precision_of(recipe: Recipe) -> str:
    found = {stage.training.precision for stage in recipe.plan}
    if len(found) > 1:
        raise InputError("all stages of a run have one precision; set training.precision alone.")
    return found.pop()


class Job:
    """One run of one recipe on launched devices."""

    def __init__(self, recipe: Recipe, options: Options, fabric: Fabric) -> None:
        self.recipe, self.options, self.fabric = recipe, options, fabric
        self.quiet = options.quiet or not fabric.is_global_zero
        self.folder = self._folder()
        self.model: ReactionModel[Any] = recipes.build(recipe)

    def _folder(self) -> Path:
        name = self.recipe.name
        return Path("runs/bundled") / name if self.options.bundle else (
            self.options.out or Path("runs") / name
        )  # fmt: skip

    def work(self) -> Path | None:
        """Train and save; where to, on the first process."""
        options, recipe, fabric = self.options, self.recipe, self.fabric
        if options.bundle and not options.resume and fabric.is_global_zero:
            shutil.rmtree(self.folder, ignore_errors=True)  # ours, and about to be made again
        ready(self.folder)
        run = Run(
            self.folder,
            record.recipe_json(recipe),
            resume=options.resume,
            free=tuple(f"settings.{n}{end}" for n in self.model.sampled_with for end in ":."),
        )
        if fabric.is_global_zero:
            run.keeper.clean()
        training, draw, validate = self._data()
        log = Log(self.folder if fabric.is_global_zero else None, tensorboard=options.tensorboard)
        about = self._about(training)
        if fabric.is_global_zero:
            record.write(self.folder, about)
        self._seed()
        if recipe.begin:
            begin_with(self.model, recipe.begin, recipe.corpus.name)
        with training_bar(quiet=self.quiet) as progress:
            history = train(
                self.model,
                draw,
                recipe.plan,
                fit_on=Once(training, recipe.corpus.history),
                fitted=bool(recipe.begin),
                validate=validate,
                fabric=fabric,
                run=run if recipe.steps else None,
                log=log,
                progress=progress,
                sample=self._sampler() if options.samples and fabric.is_global_zero else None,
                sample_every=options.samples,
            )
        log.close()
        return self._save(history, about)

    def rehearse(self) -> None:
        """One batch through everything; nothing stays but the report."""
        from visavis.cli._train_report import report

        found = self.estimates()
        if self.fabric.is_global_zero:
            report(self.recipe, self.model, found)

    def estimates(self) -> list[Estimate]:
        """What each stage would cost, from one batch through everything."""
        from visavis.training.dry import dry_run

        largest = max(stage.training.batch for stage in self.recipe.plan)
        training, draw, validate = self._data(few=max(FEW, 2 * largest))
        self._seed()
        return dry_run(
            self.model,
            draw,
            self.recipe.plan,
            fabric=self.fabric,
            fit_on=Once(training, self.recipe.corpus.history),
            validate=validate,
        )

    def _data(self, few: int = 0) -> tuple[Clips, Draw, Validation | None]:
        recipe, root = self.recipe, self.options.root
        read = {"audio": hears(self.model), "pixels": sees(self.model)}
        training = clips("train", recipe, root, **read, quiet=self.quiet, few=few)
        needs.check(self.model, training[0], corpus=recipe.corpus.name)
        sampler = Sampler(
            len(training),
            recipe.plan,
            seed=recipe.seed,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
        )
        validate = None
        if recipe.steps:
            held = clips("val", recipe, root, **read, quiet=self.quiet, few=few)
            validate = Validation(held, recipe.corpus)
        return training, Draw(training, sampler, recipe.corpus), validate

    def _seed(self) -> None:
        """Draws of the losses: another stream on every process."""
        import torch

        torch.manual_seed(self.recipe.seed * 65537 + self.fabric.global_rank)

    def _about(self, training: Clips) -> dict[str, Any]:
        corpus = training.corpus
        return {
            "recipe": record.recipe_json(self.recipe),
            "preset": self.options.preset,
            "changes": list(self.options.changes),
            "corpus": {
                "name": corpus.name,
                "fingerprint": corpus.fingerprint,
                "root": None if self.options.root is None else str(self.options.root.resolve()),
                "clips": len(training),
            },
            "code": record.code(),
            "environment": record.environment(self.fabric),
        }

    def _sampler(self) -> Any:
        from visavis.cli._train_samples import Samples

        root, pixels = self.options.root, sees(self.model)
        held = clips("val", self.recipe, root, audio=True, pixels=pixels, quiet=True, few=1)
        return Samples(held[0].speaker, self.folder / "samples")

    def _save(self, history: History, about: Mapping[str, Any]) -> Path | None:
        model = self._whole_model()
        if not self.fabric.is_global_zero:
            return None
        trained = self._trained(history, about)
        pretrained.save(model, self.folder, trained=trained)
        with atomic_path(self.folder / "README.md") as temporary:
            temporary.write_text(pretrained.model_card(self.folder))
        return self._bundled(trained) if self.options.bundle else self.folder

    def _bundled(self, trained: dict[str, Any]) -> Path:
        """Score the weights as the package would have them, and put them there if they fit."""
        from visavis.cli._train_scores import outside, scored

        name, half = self.recipe.name, self.folder / "half"
        pretrained.save(pretrained.load(self.folder), half, half=True, trained=trained)
        size = sum(p.stat().st_size for p in half.iterdir())
        if size > LIMIT:
            raise InputError(f"{name} has {size} bytes; a bundled weight may have {LIMIT}.")
        model = pretrained.load(half)
        model.name = name
        trained["scores"] = scored(model, self.folder / "bench", quiet=self.quiet)
        target = pretrained.WEIGHTS / name
        before = pretrained.card(name)["trained"] if (target / "config.json").is_file() else {}
        same = before.get("recipe") == trained["recipe"] and "scores" in before
        wrong = outside(trained["scores"], before["scores"]) if same else []
        if wrong and not self.options.accept:
            raise VisavisError(
                f"{name} was trained again from the same recipe, but does not repeat its stored "
                f"scores: {'; '.join(wrong)}. The bundled weights stay; the new ones are in "
                f"{half}. If the change is meant, run it again with --resume --accept."
            )
        return pretrained.save(model, target, half=True, trained=trained)

    def _whole_model(self) -> ReactionModel[Any]:
        """The model on the host, its shards put together."""
        if self.options.strategy != "fsdp":
            return self.model
        state = {n: devices.whole(x).cpu() for n, x in self.model.state_dict().items()}
        made: ReactionModel[Any] = recipes.build(self.recipe)
        made.load_state_dict(state)
        return made

    def _trained(self, history: History, about: Mapping[str, Any]) -> dict[str, Any]:
        """What the weights' `config.json` says of their making."""
        recipe, corpus = self.recipe, about["corpus"]
        scored = history.best_step > 0
        return {
            "corpus": _corpus_name(recipe.corpus.name),
            "fingerprint": corpus["fingerprint"],
            "note": " ".join([_provenance(recipe.corpus.name), recipe.note]).strip(),
            "recipe": about["recipe"],
            "preset": self.options.preset,
            "best_step": history.best_step,
            "validation": round(history.best_score, 6) if scored else None,
            "seconds": round(history.seconds, 1),
            "version": __version__,
        }


def _corpus_name(name: str) -> str:
    from visavis.corpora.simulated import VERSION

    return f"simulated {VERSION}" if name == "simulated" else name


def _provenance(corpus: str) -> str:
    if corpus == "simulated":
        return "trained on simulated dyads, not on recordings of people."
    return f"trained on the corpus {corpus}, whose terms bind who passes these weights on."
