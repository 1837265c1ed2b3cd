"""The model card of a saved model, made from what its run recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LICENCE = "apache-2.0"


def text(config: Mapping[str, Any], *, about: str = "", bundled: bool = False) -> str:
    """README.md for a `config.json`: data, scores with their protocol, limits, use, ethics.

    Args:
        about: what the model is, in a sentence.
        bundled: its name alone loads it.
    """
    trained, name = config["trained"], config["name"]
    simulated = str(trained.get("corpus", "")).startswith("simulated")
    parts = [
        _header(simulated),
        f"# {name}",
        about or f"A model of the kind `{config['model']}`.",
        "Given what a speaker does, it returns several facial reactions a listener could "
        "show, as named channels 25 times a second (visavis).",
        _use(name if bundled else None),
        _data(trained, simulated),
        _training(trained),
        _scores(trained.get("scores", {})),
        _limits(trained, simulated),
        _ethics(),
    ]
    return "\n\n".join(parts) + "\n"


def _header(simulated: bool) -> str:
    licence = LICENCE if simulated else "other"
    return (
        f"---\nlibrary_name: visavis\nlicense: {licence}\ntags:\n- visavis\n"
        "- facial-reaction-generation\n- listener\n---"
    )


def _use(bundled: str | None) -> str:
    where = bundled or "FOLDER"
    what = "bundled with visavis" if bundled else "this folder, or the hub id it was pushed to"
    return (
        "```python\nimport visavis as vv\n"
        f'model = vv.load("{where}")  # {what}\n'
        'reactions = model.generate(vv.perceive("speaker.mp4"), num_samples=10, seeds=0)\n```'
    )


def _data(trained: Mapping[str, Any], simulated: bool) -> str:
    lines = ["## Data", ""]
    if not trained:
        return "\n".join([*lines, "Not trained: initial weights."])
    lines.append(f"Corpus: {trained.get('corpus', 'not recorded')}.")
    if mark := trained.get("fingerprint"):
        lines.append(f"Fingerprint of the training split: `{mark}`.")
    if simulated:
        lines.append("No recording of a person was used.")
    return "\n".join(lines)


def _training(trained: Mapping[str, Any]) -> str:
    recipe = trained.get("recipe", {})
    lines = ["## Training", ""]
    if recipe:
        preset = trained.get("preset")
        of = f"preset `{preset}` of " if preset else ""
        lines.append(
            f"From the {of}recipe `{recipe.get('name')}`: {_steps(recipe)}; "
            f"seed {recipe.get('seed')}. The whole recipe is in `config.json`."
        )
    if trained.get("best_step"):
        lines.append(
            f"Kept: step {trained['best_step']}, the least validation loss "
            f"({trained.get('validation')})."
        )
    if trained.get("version"):
        lines.append(f"visavis {trained['version']}.")
    return "\n".join(lines if len(lines) > 2 else [*lines, "Not recorded."])


def _steps(recipe: Mapping[str, Any]) -> str:
    """How long, stage by stage."""
    stages = recipe.get("stages") or [{"training": recipe.get("training", {})}]
    found = []
    for stage in stages:
        settings = stage["training"]
        if not settings.get("steps"):
            found.append("fitted in one pass over the data")
            continue
        named = f"stage `{stage['name']}`, " if "name" in stage else ""
        found.append(
            f"{named}{settings['steps']} steps of {settings.get('batch')} clips, learning rate "
            f"{settings.get('learning_rate')}"
        )
    return "; ".join(found)


def _scores(scores: Mapping[str, Any]) -> str:
    lines = ["## Scores", ""]
    if not scores:
        return "\n".join([*lines, "None are stored with these weights."])
    lines += [
        f"Protocol `{scores['protocol']}`, {scores['samples']} reactions a clip, on "
        f"{scores['clips']} clips of {scores['corpus']}; 95 % intervals by bootstrap over "
        f"{scores['units']}.",
        "",
        "| score | value | interval |",
        "| --- | --- | --- |",
    ]
    for name, found in scores["values"].items():
        lines.append(
            f"| {name} | {found['mean']:.4g} | {found['low']:.4g} to {found['high']:.4g} |"
        )
    return "\n".join(lines)


def _limits(trained: Mapping[str, Any], simulated: bool) -> str:
    lines = ["## Limits", ""]
    if note := trained.get("note"):
        lines.append(note[0].upper() + note[1:])
    if simulated:
        lines.append(
            "Scores on simulated dyads say that a model learned, not how it does on people."
        )
    lines.append("Facial attributes are geometric estimates; they are not what somebody feels.")
    return "\n".join(lines)


def _ethics() -> str:
    return (
        "## Intended use\n\nResearch on listening behaviour, and listeners of virtual agents that "
        "people know to be virtual.\n\n## Ethics\n\nNot for judging people: a reaction that fits "
        "says nothing about a person's state, honesty or ability. Not for passing a generated "
        "face off as a person's own. Speakers who are recorded or filmed should know and agree. "
        "Listening behaviour differs between cultures and people; training data sets the "
        "limits of what is shown."
    )
