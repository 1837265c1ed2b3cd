"""The command line. Results go to standard output, everything else to standard error.

Each command's work stands in its own module and is imported when the command runs, so that
`visavis --help` stays quick.
"""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from visavis import __version__
from visavis.cli.corpus import corpus_app
from visavis.errors import InputError, MissingExtra, OfflineOnly, VisavisError

app = typer.Typer(
    name="visavis",
    help="Given how a speaker looks and sounds, generate several ways a listener could react.",
    epilog="Start with: visavis demo    Every command explains itself: visavis react --help",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.add_typer(corpus_app, name="corpus")

SourceFile = Annotated[
    Path,
    typer.Argument(
        help="A video or sound file of the speaker, or a behaviour (.safetensors) that "
        "`visavis perceive` wrote.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option("--model", "-m", help="A name from `visavis models`, a folder, or a hub id."),
]
Number = Annotated[int, typer.Option("--num", "-k", min=1, max=100, help="How many listeners.")]
Seed = Annotated[
    int,
    typer.Option(min=0, max=2**63 - 1, help="Who they are: equal seeds give equal listeners."),
]
Size = Annotated[int, typer.Option(min=16, max=1024, help="Pixels of one drawn face.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for scripts.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"visavis {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more on the way.")] = False,
) -> None:
    logging.getLogger("visavis").setLevel(logging.DEBUG if verbose else logging.INFO)


@app.command()
def demo(
    video: Annotated[
        Path | None,
        typer.Argument(
            help="Your own video of a speaker; without it one is made.", show_default=False
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "demo-out"
    ),
    model: Model = "reactface",
    num: Number = 10,
    seed: Seed = 0,
    seconds: Annotated[
        float, typer.Option(min=2, max=60, help="Length of the made speaker.")
    ] = 20.0,
    size: Size = 256,
    quiet: Quiet = False,
) -> None:
    """Ten different listeners react to a real video file; prints where to look."""
    from visavis.cli.demo import run

    run(video, out, model=model, num=num, seed=seed, seconds=seconds, size=size, quiet=quiet)


@app.command()
def perceive(
    source: Annotated[
        Path,
        typer.Argument(
            help="A video or sound file, another tracker's table, a behaviour (.safetensors), or "
            "a folder of films.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Where to write; default: SOURCE with .safetensors, or FOLDER-perceived.",
            show_default=False,
        ),
    ] = None,
    tracker: Annotated[
        str | None,
        typer.Option(
            "--tracker",
            "-t",
            help="Your own face_landmarker.task for a film; for a .csv the tracker that wrote it "
            "(openface, pyfeat, livelink, audio2face), where its header does not tell.",
            show_default=False,
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option("--fps", help="Frames a second of a .csv that does not say.", min=1),
    ] = None,
    transcript: Annotated[
        Path | None,
        typer.Option(
            help="What is said: .srt, .vtt, or the .json of whisper and WhisperX.",
            show_default=False,
        ),
    ] = None,
    attributes: Annotated[
        str,
        typer.Option(help="The map to valence, arousal and expressions: linear or learned."),
    ] = "linear",
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", min=1, help="A folder: processes. [default: cores]", show_default=False
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="A folder: loky, dask or ray. [default: loky]", show_default=False),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="A folder: a dask scheduler or ray cluster that runs already.", show_default=False
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help='A folder: only files like "*.mp4" or "train/*"; repeat at will.',
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure a speaker: face, head pose, facial attributes and voice, 25 times a second.

    The face values are geometric estimates from a tracked mesh. Frames without a face are kept as
    absent, not guessed. A .csv of OpenFace 2, py-feat, Live Link Face or Audio2Face is read.

    A folder becomes a folder of behaviours, in parallel: what is finished is not done again, a bad
    file does not stop the rest, report.json says what became of each. Exit code 1 if one failed.
    """
    from visavis.cli.perceive import run

    run(
        source,
        out,
        tracker=tracker,
        fps=fps,
        transcript=transcript,
        attributes=attributes,
        jobs=jobs,
        engine=engine,
        address=address,
        only=only or [],
        as_json=as_json,
        quiet=quiet,
    )


@app.command()
def react(
    source: SourceFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "reactions"
    ),
    model: Model = "reactface",
    num: Number = 10,
    seed: Seed = 0,
    video: Annotated[bool, typer.Option(help="Draw reactions.mp4.")] = True,
    report: Annotated[bool, typer.Option(help="Write report.html.")] = True,
    size: Size = 256,
    online: Annotated[
        bool,
        typer.Option(
            "--online",
            help="Feed the speaker frame by frame, as live, and print latency and speed; for "
            "models that stream.",
        ),
    ] = False,
    persona: Annotated[
        Path | None,
        typer.Option(
            help="Who listens: a file that `visavis persona` wrote with the same model.",
            show_default=False,
        ),
    ] = None,
    transcript: Annotated[
        Path | None,
        typer.Option(
            help="What the speaker says: .srt, .vtt, or a recogniser's .json; for models that read "
            "words.",
            show_default=False,
        ),
    ] = None,
    subjects: Annotated[
        Path | None,
        typer.Option(
            help="A .toml that says where subjects behind the words come from (docs/subjects.md); "
            "offline by default.",
            show_default=False,
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(
            help="What the model is not to see or hear: speech@3.0-7.5, face@20-, words; repeat "
            "at will. For trying a model on a lost microphone or camera.",
            show_default=False,
        ),
    ] = None,
    lost: Annotated[
        bool,
        typer.Option(
            "--lost",
            help="Take as lost what the recording shows to be: a mute microphone, a picture that "
            "stands still, a covered face.",
        ),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Generate several listeners' reactions to a speaker.

    Writes reactions.safetensors, reactions.mp4, report.html and run.json into the folder. A clip
    of over a minute is streamed through an offline model in windows; run.json says so.
    """
    from visavis.cli.react import run

    run(
        source,
        out,
        model=model,
        num=num,
        seed=seed,
        video=video,
        report=report,
        size=size,
        live=online,
        persona=persona,
        transcript=transcript,
        subjects=subjects,
        drop=drop or [],
        lost=lost,
        as_json=as_json,
        quiet=quiet,
    )


@app.command()
def persona(
    history: Annotated[
        Path | None,
        typer.Argument(
            help="A film of the listener, a behaviour (.safetensors), or a persona to change.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write.")] = Path(
        "persona.safetensors"
    ),
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The personal model it is for: a name, a folder, or a hub id.",
            show_default=False,
        ),
    ] = None,
    traits: Annotated[
        str | None,
        typer.Option(
            help="Big Five in 0 to 1: openness, conscientiousness, extraversion, agreeableness, "
            "neuroticism, as 0.5,0.4,0.9,0.6,0.3.",
            show_default=False,
        ),
    ] = None,
    towards: Annotated[
        Path | None,
        typer.Option(help="Mix with this persona ...", show_default=False),
    ] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="... so far.")] = 0.5,
    expressiveness: Annotated[
        float, typer.Option(min=0, max=4, help="Times as expressive as the persona is.")
    ] = 1.0,
    quiet: Quiet = False,
) -> None:
    """Make a persona of a listener's history, of Big Five traits, or of both; mix or change one.

    `visavis react --persona FILE` then answers as that listener.
    """
    from visavis.cli.persona import run

    run(
        history,
        out,
        model=model,
        traits=traits,
        towards=towards,
        share=share,
        expressiveness=expressiveness,
        quiet=quiet,
    )


@app.command()
def explain(
    source: SourceFile,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="A .png to look at, or a .safetensors with every head's weights."
        ),
    ] = Path("attention.png"),
    model: Model = "reactface",
    seed: Seed = 0,
    window: Annotated[
        int | None,
        typer.Option(
            help="Frames between two latents; the model's own by default.", show_default=False
        ),
    ] = None,
    start: Annotated[float, typer.Option(min=0, help="Shown from this second on.")] = 0.0,
    seconds: Annotated[float, typer.Option(min=0.04, help="How many seconds are shown.")] = 4.0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show what of the speaker each frame of a reaction attends to.

    ReactFace's two interaction modules, to the speaker's speech and to their face: the mean over
    heads as in the paper's Fig. 9, and every head. MReactor's relative and subject attention, the
    mean over its layers.
    """
    from visavis.cli.explain import run

    run(
        source,
        out,
        model=model,
        seed=seed,
        window=window,
        start=start,
        seconds=seconds,
        as_json=as_json,
        quiet=quiet,
    )


@app.command()
def render(
    reactions: Annotated[
        Path, typer.Argument(help="A behaviour (.safetensors).", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Argument(
            help="A .mp4 to play, a .png film strip, or a .html report.", show_default=False
        ),
    ],
    beside: Annotated[
        Path | None,
        typer.Option(help="The speaker: a video, a sound file or a behaviour.", show_default=False),
    ] = None,
    size: Size = 256,
    rasteriser: Annotated[
        str, typer.Option(help="numba, or moderngl (OpenGL; a GPU where there is one).")
    ] = "numba",
    portrait: Annotated[
        Path | None,
        typer.Option(
            help="A photograph of a face to animate instead of drawn heads.", show_default=False
        ),
    ] = None,
    only: Annotated[
        int | None, typer.Option(help="Only this listener, from 1.", show_default=False)
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Draw a behaviour: one person, or several listeners side by side."""
    from visavis.cli.render import run

    run(
        reactions,
        out,
        beside=beside,
        size=size,
        rasteriser=rasteriser,
        portrait=portrait,
        only=only,
        quiet=quiet,
    )


@app.command()
def evaluate(
    file: Annotated[
        Path,
        typer.Argument(
            help="A .npz with pred [N, K, T, D], gt [N, T, D], speaker [N, T, D] and neighbour "
            "[N, N]; and, for intervals, groups [N] (script or person) if you like.",
            show_default=False,
        ),
    ],
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            "-p",
            help="react2024, react2024_serial, reactface, reactface_serial, mars or corrected.",
        ),
    ] = "react2024",
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", help="Only this score, as often as you like.", show_default=False),
    ] = None,
    per_clip: Annotated[bool, typer.Option("--per-clip", help="Also one row a clip.")] = False,
    intervals: Annotated[
        bool,
        typer.Option("--intervals", help="Also 95 % intervals, by bootstrap over clips."),
    ] = False,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            help="Another system's .npz on the same clips: differences, paired by clip.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="Where to compute: cpu, or a GPU such as cuda.")
    ] = "cpu",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score reactions against real ones, as a published table has it and well defined beside.

    The corrected scores are always shown next to the published ones, with the channels that never
    move in the real reactions counted.
    """
    from visavis.cli.evaluate import run

    run(
        file,
        protocol=protocol,
        metrics=metric,
        per_clip=per_clip,
        intervals=intervals,
        as_json=as_json,
        quiet=quiet,
        compare=compare,
        device=device,
    )


@app.command()
def train(
    name: Annotated[
        str, typer.Argument(help="A recipe's name, or your own recipe.toml.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder of the run; default: runs/NAME.", show_default=False
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="A preset of the recipe, e.g. laptop; or several, laptop+pixels.",
            show_default=False,
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="section.key=value, as often as you like.", show_default=False),
    ] = None,
    corpus: Annotated[
        str | None, typer.Option(help="Instead of the recipe's corpus.", show_default=False)
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Folder of a corpus on disk.", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run's newest checkpoint.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="One batch through everything; time and memory of the whole."
        ),
    ] = False,
    devices: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines (docs/scaling.md).")] = 1,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    strategy: Annotated[
        str, typer.Option(help="ddp copies the model to every device, fsdp shares it.")
    ] = "auto",
    precision: Annotated[
        str | None, typer.Option(help="32, bf16 or 16.", show_default=False)
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="Draw reactions every so many steps; 0 draws none.")
    ] = 0,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log for TensorBoard.")
    ] = False,
    bundle: Annotated[
        bool, typer.Option("--bundle", help="Write into the package's own weights, as float16.")
    ] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Bundle also what does not repeat the stored scores.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a model from its recipe.

    Writes config.json, model.safetensors, the log and run.json into the run's folder, with
    checkpoints on the way: a run that was stopped, or killed, goes on with --resume.
    """
    from visavis.cli.train import Options, run

    options = Options(
        out=out,
        preset=preset,
        changes=tuple(change or ()),
        corpus=corpus,
        root=root,
        bundle=bundle,
        resume=resume,
        dry_run=dry_run,
        accelerator=accelerator,
        devices=devices,
        nodes=nodes,
        strategy=strategy,
        precision=precision,
        tensorboard=tensorboard,
        samples=samples,
        accept=accept,
        quiet=quiet,
    )
    run(name, options)


@app.command()
def export(
    source: Annotated[Path, typer.Argument(help="A behaviour (.safetensors).", show_default=False)],
    out: Annotated[
        str,
        typer.Argument(
            help="A .csv (Live Link Face), .glb or .npz to write; or vmc://HOST:PORT, "
            "livelink://HOST:PORT to play it to.",
            show_default=False,
        ),
    ],
    format: Annotated[
        str | None,
        typer.Option(
            help="livelink, openface, glb or npz, where the ending is not enough.",
            show_default=False,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Frames a second; default: 60 for Live Link, else 25.", show_default=False
        ),
    ] = None,
    only: Annotated[
        int | None,
        typer.Option(help="Only this one of several reactions, from 1.", show_default=False),
    ] = None,
    avatar: Annotated[
        Path | None,
        typer.Option(help="Your own .glb with ARKit morph targets.", show_default=False),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(help="The avatar's node that turns as the head.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write reactions for Blender, Unreal, glTF viewers or analysis scripts, or play them live.

    Several reactions become numbered files. Units and signs of every column: docs/export.md.
    """
    from visavis.cli.export import run

    run(
        source,
        out,
        format=format,
        rate=rate,
        only=only,
        avatar=avatar,
        head=head,
        as_json=as_json,
        quiet=quiet,
    )


@app.command()
def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names from `visavis models`, folders or hub ids; the naive systems and the "
            "oracle are always there.",
            show_default=False,
        ),
    ] = None,
    trained: Annotated[
        str | None,
        typer.Option(
            "--trained", help="Put this model (or `oracle`) through the trained test instead."
        ),
    ] = None,
    corpus: Annotated[str, typer.Option(help="The corpus's name.")] = "simulated",
    root: Annotated[
        Path | None, typer.Option(help="Folder of a recorded corpus.", show_default=False)
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Results folder; rows in it are kept.")
    ] = Path("bench"),
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--protocol", "-p", help="Published protocols; `corrected` is always beside them."
        ),
    ] = None,
    scripts: Annotated[int, typer.Option(min=1, help="Scripts that clips are taken of.")] = 20,
    dyads: Annotated[int, typer.Option(min=1, help="Clips of each script.")] = 10,
    clips: Annotated[
        int | None,
        typer.Option(min=1, help="So many clips, whatever their script.", show_default=False),
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Dyads of a simulated split.", show_default=False)
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Length of simulated clips.", show_default=False)
    ] = None,
    train_clips: Annotated[
        int, typer.Option(min=1, help="Training clips that naive systems learn from.")
    ] = 196,
    num: Annotated[int, typer.Option("--num", "-k", min=2, max=100, help="Samples a clip.")] = 10,
    seed: Seed = 0,
    speed: Annotated[
        bool, typer.Option(help="Measure speed and memory, each in a process of its own.")
    ] = True,
    keep: Annotated[bool, typer.Option("--keep", help="Leave predictions in the folder.")] = False,
    rerun: Annotated[
        Path | None,
        typer.Option(help="Make a row of this results.json again.", show_default=False),
    ] = None,
    row: Annotated[
        str | None, typer.Option(help="Which row of --rerun.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score models beside naive systems and the oracle, in the papers' layout.

    Writes results.json, .csv, .md, .tex and .html into the results folder. An interrupted run goes
    on where it stopped when the same command is given again.
    """
    from visavis.cli.bench import Options, run

    options = Options(
        corpus=corpus,
        root=root,
        split=split,
        out=out,
        size=size,
        frames=frames,
        scripts=scripts,
        dyads=dyads,
        clips=clips,
        train_clips=train_clips,
        num=num,
        seed=seed,
        keep=keep,
        quiet=quiet,
    )
    run(
        models or [],
        options,
        trained_name=trained,
        protocols=protocol or ["react2024"],
        speed=speed,
        rerun=rerun,
        row=row,
        as_json=as_json,
    )


@app.command()
def ablate(
    study: Annotated[
        str | None,
        typer.Argument(help="A study from --list, or your own .toml.", show_default=False),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option("--table", help="Only the rows of this table.", show_default=False),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this row.", show_default=False)
    ] = None,
    show: Annotated[
        bool, typer.Option("--list", help="Show studies, or tables and rows, and what they cost.")
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps of a stage, at most.", show_default=False),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="section.key=value in every row.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder; default: ablations/STUDY.", show_default=False),
    ] = None,
    scripts: Annotated[int, typer.Option(min=2, help="Scripts that test clips are of.")] = 20,
    dyads: Annotated[int, typer.Option(min=1, help="Clips of each script.")] = 2,
    num: Annotated[int, typer.Option("--num", "-k", min=2, max=100, help="Samples a clip.")] = 5,
    seed: Seed = 0,
    size: Annotated[
        int | None, typer.Option(min=1, help="Dyads of the test split.", show_default=False)
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Length of test clips.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train and score a paper's ablations on simulated dyads, and say what became of its claims.

    Writes table.md, .csv, .json and .html. Rows that are in the folder are kept; an interrupted
    study goes on when the same command is given again, and several processes may share a folder.
    """
    from visavis.cli.ablate import Options, run

    options = Options(
        tables=table or (),
        only=only or (),
        changes=change or (),
        steps=steps,
        out=out,
        scripts=scripts,
        dyads=dyads,
        num=num,
        seed=seed,
        size=size,
        frames=frames,
        quiet=quiet,
    )
    run(study, options, show=show, as_json=as_json)


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the models, what each reads and returns, and whether its weights are here."""
    from visavis.cli.models import run

    run(as_json=as_json)


def main() -> None:
    """Entry point: exit code 2 for a user's mistake, 1 for ours, 130 when interrupted."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("visavis: %(message)s"))
    logging.getLogger("visavis").addHandler(handler)
    # batch systems and containers end a program with SIGTERM: unwind, so that nothing half-written
    # stays behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app()
    except (InputError, MissingExtra, OfflineOnly) as error:
        typer.echo(f"visavis: {error}", err=True)
        raise SystemExit(2) from error
    except VisavisError as error:
        typer.echo(f"visavis: {error}", err=True)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
