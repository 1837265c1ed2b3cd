"""Recipes: what is bundled can be read and built, and mistakes are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import visavis.models
from visavis import recipes
from visavis.errors import InputError
from visavis.recipes import Recipe, read


@pytest.mark.parametrize("name", recipes.names())
@pytest.mark.parametrize("preset", [None, "laptop", "pixels", "single"])
def test_every_recipe_reads_and_builds_with_every_preset(name: str, preset: str | None) -> None:
    try:
        recipe = read(name, preset=preset)
    except InputError as error:
        assert preset is not None and "has no preset" in str(error)
        return
    assert recipe.name == name
    assert recipe.about.endswith(".") or recipe.about.endswith(").")
    assert recipe.model in recipes.model_files()
    with torch.device("meta"):
        model = recipes.build(recipe)
    assert model.name == name
    for stage in recipe.plan:
        assert bool(model.objectives(stage.name)) == bool(stage.training.steps)


def test_every_model_file_has_a_recipe_and_no_private_file_is_a_model() -> None:
    files = {p.stem for p in Path(visavis.models.__file__).parent.glob("*.py")}
    assert set(recipes.model_files()) == {f for f in files if not f.startswith("_")}
    assert {read(n).model for n in recipes.names()} == set(recipes.model_files())


def test_a_recipe_s_name_is_not_its_model_s() -> None:
    assert read("trans_vae_online").model == "trans_vae"


def test_a_preset_lies_over_the_recipe_and_leaves_the_rest() -> None:
    plain, pixels = read("trans_vae"), read("trans_vae", preset="pixels")
    assert pixels.settings["face"] == "pixels"
    assert {n: x for n, x in pixels.settings.items() if n != "face"} == plain.settings
    assert pixels.training == plain.training and pixels.corpus == plain.corpus


def test_presets_lie_over_one_another_in_order() -> None:
    both = read("trans_vae", preset="laptop+pixels")
    laptop = read("trans_vae", preset="laptop")
    assert both.settings == {**laptop.settings, "face": "pixels"}
    assert both.training == laptop.training and both.stages == laptop.stages
    with pytest.raises(InputError, match=r"no preset 'pixel'.*Did you mean 'pixels'"):
        read("trans_vae", preset="laptop+pixel")


# ---------------------------------------------------------------------- --set


@pytest.mark.parametrize(
    ("change", "path", "value"),
    [
        ("training.steps=10", ("training", "steps"), 10),
        ("training.learning_rate=3e-4", ("training", "learning_rate"), 3e-4),
        (" training . batch = 2 ", ("training", "batch"), 2),
        ("corpus.name=simulated", ("corpus", "name"), "simulated"),
        ("settings.face=pixels", ("settings", "face"), "pixels"),
        ('settings.face="pixels"', ("settings", "face"), "pixels"),
        ("settings.online=true", ("settings", "online"), True),
        ("settings.a.b=1", ("settings", "a", "b"), 1),
        ("settings.formula=x=y", ("settings", "formula"), "x=y"),
        ("seed=7", ("seed",), 7),
    ],
)
def test_a_change_sets_one_value(change: str, path: tuple[str, ...], value: Any) -> None:
    found: Any = read("trans_vae", changes=[change])
    for key in path:
        found = found[key] if isinstance(found, dict) else getattr(found, key)
    assert found == value and type(found) is type(value)


def test_changes_lie_over_the_preset_and_later_ones_over_earlier() -> None:
    changes = ["training.steps=1", "training.steps=2"]
    recipe = read("trans_vae", preset="laptop", changes=changes)
    assert recipe.training.steps == 2
    assert recipe.training.batch == read("trans_vae", preset="laptop").training.batch


def test_a_change_reaches_the_model() -> None:
    model = recipes.build(read("trans_vae", changes=["settings.width=16"]))
    assert model.config.width == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "trans_vea"}, "no recipe 'trans_vea'.*Did you mean 'trans_vae'.*mirror"),
        ({"preset": "lapotp"}, "no preset 'lapotp'.*Did you mean 'laptop'"),
        ({"changes": ["trainng.steps=1"]}, "trainng: there is no such key.*'training'"),
        ({"changes": ["training.stesp=1"]}, "training.stesp: there is no such key.*'steps'"),
        ({"changes": ["corpus.train_szie=1"]}, "'train_size'"),
        ({"changes": ["training.steps=ten"]}, "training.steps.*came: 'ten'"),
        ({"changes": ["training.steps=-1"]}, "training.steps"),
        ({"changes": ["training=5"]}, "training"),
        ({"changes": ["steps"]}, "cannot read 'steps'; wanted section.key=value"),
        ({"changes": ["=5"]}, "cannot read"),
        ({"changes": ["training..steps=5"]}, "cannot read"),
        ({"preset": "dropout"}, r"no stages, and so no mean, main.*--preset laptop\+dropout"),
        ({"changes": ["stages.mean.steps=1"]}, "no stages, and so no mean.*--preset laptop"),
        ({"name": "mirror", "changes": ["stages.a.steps=1"]}, "name them as a list"),
        ({"changes": ["name=other"]}, "a recipe's name is its file's"),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(**{"name": "trans_vae", **arguments})


@pytest.mark.parametrize("text", ["none", "None"])
def test_a_crop_can_be_taken_away(text: str) -> None:
    assert read("trans_vae", changes=[f"corpus.crop={text}"]).corpus.crop is None


def test_an_unknown_model_suggests_the_nearest_file() -> None:
    with pytest.raises(InputError, match=r"no model 'miror'.*Did you mean 'mirror'"):
        recipes.new_model("miror", {})
    with pytest.raises(InputError, match="no model '_base'"):
        recipes.new_model("_base", {})


def test_building_is_seeded_by_the_recipe_and_leaves_the_global_state_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        recipe = Recipe(
            name="a", model="trans_vae", about="A.", seed=seed, settings={"width": 8, "heads": 2}
        )
        return torch.cat([p.detach().flatten() for p in recipes.build(recipe).parameters()])

    state = torch.get_rng_state()
    one = weights(1)
    assert torch.equal(one, weights(1))
    assert not torch.equal(one, weights(2))
    assert torch.equal(state, torch.get_rng_state())


def test_a_change_of_training_reaches_every_stage_and_a_later_one_a_single_stage(
    tmp_path: Path,
) -> None:
    path = tmp_path / "two.toml"
    path.write_text(
        'model = "mean_frame"\nabout = "Two."\n[[stages]]\nname = "a"\nsteps = 800\n'
        'rates = {critic = 0.1, other = 0.2}\n[[stages]]\nname = "b"\nsteps = 900\nbatch = 3\n'
    )
    changes = ["training.steps=3", "training.rates.critic=0.5", "stages.b.steps=5"]
    plan = recipes.read(str(path), changes=changes).plan
    assert [(s.training.steps, s.training.batch) for s in plan] == [(3, 8), (5, 3)]
    assert plan[0].training.rates == {"critic": 0.5, "other": 0.2}
    with pytest.raises(InputError, match=r"stps.*did you mean 'steps'"):
        recipes.read(str(path), changes=["training.stps=3"])
