"""What `visavis train --dry-run` prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import typer

from visavis.models._base import ReactionModel
from visavis.recipes import Recipe
from visavis.training.dry import Estimate


def report(recipe: Recipe, model: ReactionModel[Any], found: Sequence[Estimate]) -> None:
    """One block a stage."""
    count = sum(p.numel() for p in model.parameters())
    typer.echo(f"{recipe.name}: {count:,} parameters; one batch went through everything")
    if not found:
        typer.echo("no steps: the model is fitted in one pass over the data")
    for one in found:
        share = one.data_seconds / (one.step_seconds + one.data_seconds)
        lines = (
            f"stage {one.stage}: {one.steps:,} steps, {one.trained:,} trained parameters",
            f"  a step      {one.step_seconds:.3f} s, its data {one.data_seconds:.3f} s "
            f"({share:.0%})",
            f"  validation  {one.validate_seconds:.2f} s (on the clips of a dry run)",
            f"  checkpoint  {one.checkpoint_bytes / 2**20:.1f} MiB, {one.checkpoint_seconds:.2f} s",
            f"  memory      {one.memory_bytes / 2**20:,.0f} MiB at most",
            f"  the stage   about {timedelta(seconds=round(one.seconds))}",
        )
        typer.echo("\n".join(lines))
