"""`visavis models`: what can be loaded, and what it is."""

from __future__ import annotations

import json
from typing import Any

import typer

from visavis import recipes
from visavis.pretrained import available, card


def rows() -> list[dict[str, Any]]:
    """One entry a recipe."""
    import torch

    here = available()
    found = []
    for name in recipes.names():
        recipe = recipes.read(name)
        with torch.device("meta"):
            model = recipes.new_model(recipe.model, recipe.settings)
            bundled = name in here and bool(list(model.state_dict()))
            if bundled:  # what `load` returns may be smaller than the recipe
                model = recipes.new_model(recipe.model, card(name)["settings"])
        found.append(
            {
                "name": name,
                "about": recipe.about,
                "reads": list(model.inputs),
                "returns": list(model.outputs),
                "parameters": sum(p.numel() for p in model.parameters()),
                "weights": "bundled"
                if bundled
                else ("none needed" if name in here else "train it"),
                "trained": card(name)["trained"] if bundled else {},
            }
        )
    return found


def run(*, as_json: bool) -> None:
    found = rows()
    if as_json:
        typer.echo(json.dumps(found))
        return
    for row in found:
        reads = ", ".join(row["reads"]) or "nothing"
        typer.echo(f"{row['name']:<18} {row['about']}")
        typer.echo(
            f"{'':<18} reads {reads}; returns {', '.join(row['returns'])}; "
            f"{row['parameters']:,} parameters; weights: {row['weights']}"
        )
        if note := row["trained"].get("note"):
            typer.echo(f"{'':<18} {note}")
