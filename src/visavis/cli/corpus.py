"""`visavis corpus ...`: what can be done with a corpus. Each command's work stands elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

corpus_app = typer.Typer(no_args_is_help=True, help="Check, make and label corpora.")

Corpus = Annotated[str, typer.Option(help="The corpus's name: simulated, react, mars, ...")]
Root = Annotated[
    Path | None, typer.Option(help="The folder it lies in; simulated has none.", show_default=False)
]
Split = Annotated[str, typer.Option(help="train, val or test.")]


Folder = Annotated[Path, typer.Argument(help="The folder it lies in.", show_default=False)]
Layout = Annotated[
    str | None,
    typer.Option(
        "--corpus",
        help="react, mars, seamless, vico or folder; default: found out.",
        show_default=False,
    ),
]
Splits = Annotated[
    list[str] | None,
    typer.Option("--split", help="Only this split; repeat at will.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]


@corpus_app.command()
def check(
    root: Folder,
    corpus: Layout = None,
    split: Splits = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Read everything and report every problem, and what would be skipped.

    Exit code 0: every clip is used (there may be remarks). 1: some clips are lost. 2: no corpus.
    """
    from visavis.cli.corpus_disk import run_check

    run_check(root, corpus=corpus, splits=split or [], as_json=as_json, quiet=quiet)


@corpus_app.command()
def info(root: Folder, corpus: Layout = None, as_json: AsJson = False) -> None:
    """Say which corpus lies in a folder, and which channels its dyads have."""
    from visavis.cli.corpus_disk import run_info

    run_info(root, corpus=corpus, as_json=as_json)


@corpus_app.command()
def make(
    name: Annotated[
        str,
        typer.Argument(help="react, mars, seamless, vico or folder.", show_default=False),
    ],
    root: Annotated[Path, typer.Argument(help="A new folder.", show_default=False)],
    size: Annotated[
        int, typer.Option(min=1, help="Dyads of train; val and test have half as many.")
    ] = 8,
    frames: Annotated[int, typer.Option(min=1, help="Frames a clip, at 25 fps.")] = 750,
    seed: Annotated[int, typer.Option(min=0, help="Who they are.")] = 0,
    audio: Annotated[bool, typer.Option(help="Give speakers a voice.")] = True,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a small corpus of simulated dyads in a real layout, to try things end to end."""
    from visavis.cli.corpus_disk import run_make

    run_make(
        name,
        root,
        size=size,
        frames=frames,
        seed=seed,
        audio=audio,
        as_json=as_json,
        quiet=quiet,
    )


@corpus_app.command()
def cache(
    root: Folder,
    folder: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="For the cache; default: ROOT-cache.", show_default=False),
    ] = None,
    corpus: Layout = None,
    split: Splits = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes that parse.")] = 1,
    content: Annotated[
        bool,
        typer.Option("--verify", help="Read every source file again, whatever its dates."),
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove caches of other versions of these splits.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Parse a corpus once into memory-mapped shards, whose windows are read in microseconds."""
    from visavis.cli.corpus_disk import run_cache

    run_cache(
        root,
        folder,
        corpus=corpus,
        splits=split or [],
        jobs=jobs,
        content=content,
        prune=prune,
        as_json=as_json,
        quiet=quiet,
    )


@corpus_app.command()
def label(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="The map to write, .safetensors.", show_default=False),
    ],
    corpus: Corpus = "simulated",
    root: Root = None,
    split: Split = "train",
    rule: Annotated[
        str,
        typer.Option(help="same-script: who heard the same; similar: speakers who behave alike."),
    ] = "similar",
    measure: Annotated[
        str, typer.Option(help="Of similar: dtw (grouped, as in FRDist) or ccc.")
    ] = "dtw",
    quantile: Annotated[
        float | None,
        typer.Option(
            help="Share of all pairs that count as alike; default: 30 reactions a clip on average.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Instead: the greatest distance (least correlation), e.g. of another split.",
            show_default=False,
        ),
    ] = None,
    stride: Annotated[
        int, typer.Option(min=1, help="Above 1, an approximation: every n-th frame alone.")
    ] = 1,
    same_listener: Annotated[
        bool, typer.Option("--same-listener", help="Only reactions by the pair's own listener.")
    ] = False,
    draw: Annotated[
        int | None,
        typer.Option(
            min=1, help="Also store a draw of so many targets a clip.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    size: Annotated[
        int | None, typer.Option(min=1, help="Dyads of a simulated split.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
) -> None:
    """Say which reactions are appropriate to which speaker, for any corpus.

    Writes a sparse map that holds its recipe and the corpus's fingerprint; a corpus without labels
    of its own (react) takes the file as `labels=`. The paired reaction is always appropriate.
    """
    from visavis.cli.corpus_label import Options, run

    options = Options(
        corpus=corpus,
        root=root,
        split=split,
        rule=rule,
        out=out,
        measure=measure,
        quantile=quantile,
        threshold=threshold,
        stride=stride,
        same_listener=same_listener,
        draw=draw,
        seed=seed,
        size=size,
    )
    run(options, as_json=as_json, quiet=quiet)
