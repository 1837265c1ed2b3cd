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
