"""Saving and loading, the bundled weights, and what a wrong folder or name is answered."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.people import batch, person
from visavis import pretrained, recipes
from visavis.errors import InputError
from visavis.models.trans_vae import TransVAE, TransVAEConfig

BUNDLED = sorted(p for p in pretrained.WEIGHTS.glob("*") if p.is_dir())
MIB = 2**20


@pytest.fixture
def model() -> TransVAE:
    made = TransVAE(TransVAEConfig(width=8, heads=2, online=True, kl_weight=3e-4))
    made.fit([batch(2, 20)])
    return made.eval()


@pytest.fixture
def folder(model: TransVAE, tmp_path: Path) -> Path:
    return pretrained.save(model, tmp_path / "model", trained={"steps": 3})


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({n: x for n, x in config.items() if x is not None}))


# ---------------------------------------------------------------------- save and load


def test_what_is_saved_comes_back_exactly(model: TransVAE, folder: Path) -> None:
    back = pretrained.load(folder)
    assert back.config == model.config and back.name == model.name
    assert not back.training
    for name, mine in model.state_dict().items():
        assert torch.equal(mine, back.state_dict()[name])
    a, b = (m.generate(person(20), 2) for m in (model, back))
    assert torch.equal(a.pack(), b.pack())


def test_a_folder_holds_two_readable_files_and_its_story(folder: Path) -> None:
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors"}
    config = json.loads((folder / "config.json").read_text())
    assert set(config) == {"format", "name", "model", "settings", "trained", "files"}
    assert config["format"] == 1
    assert config["model"] == "trans_vae"
    assert config["settings"]["kl_weight"] == 3e-4
    assert pretrained.card(folder)["trained"] == {"steps": 3}


def test_half_weights_load_as_full_floats_and_take_half_the_room(
    model: TransVAE, folder: Path, tmp_path: Path
) -> None:
    small = pretrained.save(model, tmp_path / "half", half=True)
    back = pretrained.load(small)
    for name, mine in model.state_dict().items():
        assert back.state_dict()[name].dtype == mine.dtype
        assert torch.equal(back.state_dict()[name], mine.half().to(mine.dtype))
    sizes = [(f / "model.safetensors").stat().st_size for f in (folder, small)]
    assert sizes[1] < 0.75 * sizes[0]


def test_half_keeps_whole_numbers(tmp_path: Path) -> None:
    model = recipes.new_model("nn_motion", {"segment": 2, "fade": 0, "segments": 4097})
    model.fit([batch(1, 2 * 4097)])
    back = pretrained.load(pretrained.save(model, tmp_path / "nn", half=True))
    assert int(back.count) == 4097  # float16 would say 4096


def test_saving_again_replaces_the_model(model: TransVAE, folder: Path) -> None:
    with torch.no_grad():
        model.to_coefficients.bias.fill_(0.5)
    pretrained.save(model, folder)
    assert bool((pretrained.load(folder).to_coefficients.bias == 0.5).all())


def test_a_recipe_s_name_is_kept(tmp_path: Path) -> None:
    made = recipes.build(recipes.read("trans_vae_online", changes=["settings.width=8"]))
    assert pretrained.load(pretrained.save(made, tmp_path / "m")).name == "trans_vae_online"


def test_loading_leaves_the_global_random_state_alone(folder: Path) -> None:
    state = torch.get_rng_state()
    pretrained.load(folder)
    assert torch.equal(state, torch.get_rng_state())


def test_a_file_is_no_folder_to_save_in(model: TransVAE, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(InputError, match="is a file; give a folder"):
        pretrained.save(model, tmp_path / "a")


# ---------------------------------------------------------------------- wrong folders


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2; this version of visavis reads 1. Install a newer"),
        ({"format": None}, "has format None.*Save the model again"),
        ({"colour": "red"}, r"unknown fields \['colour'\]"),
        ({"settings": None}, r"missing \['settings'\]"),
        ({"settings": {"widht": 8}}, "did you mean 'width'"),
        ({"settings": 5}, "settings"),
        ({"model": "trans_vea"}, "Did you mean 'trans_vae'"),
        ({"settings": {"width": 16, "heads": 2, "online": True}}, "does not hold the weights of"),
        ({"settings": {"width": 8, "heads": 2}}, "does not hold the weights of"),
        ({"model": "mirror", "settings": {}}, "does not hold the weights of mirror"),
    ],
)
def test_a_config_that_does_not_fit_is_named(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    edit(folder, **changes)
    with pytest.raises(InputError, match=message):
        pretrained.load(folder)


@pytest.mark.parametrize("text", ["{", "[1, 2]", "null", '"model"'])
def test_a_config_that_is_no_table_is_named(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json"):
        pretrained.load(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=name):
        pretrained.load(folder)


def test_weights_that_are_not_safetensors_are_named(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x80\x04 not weights")
    with pytest.raises(InputError, match=r"model\.safetensors is not the file that config\.json"):
        pretrained.load(folder)
    edit(folder, files=None)  # as folders were before they had sums
    with pytest.raises(InputError, match=r"cannot read .*model\.safetensors"):
        pretrained.load(folder)


def test_weights_that_one_bit_was_turned_in_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    turned = bytearray(path.read_bytes())
    turned[-1] ^= 1
    path.write_bytes(turned)
    with pytest.raises(InputError, match="damaged or was exchanged"):
        pretrained.load(folder)


@pytest.mark.parametrize(
    ("config", "library"),
    [
        ({"model_type": "bert", "architectures": ["BertModel"]}, "transformers"),
        ({"_class_name": "UNet2DModel", "_diffusers_version": "0.1"}, "diffusers"),
    ],
)
def test_another_library_s_config_is_told_by_its_name(
    config: dict[str, Any], library: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=f"written by {library}.*load that model with {library}"):
        pretrained.load(tmp_path)


def test_settings_of_another_version_say_which(folder: Path) -> None:
    edit(folder, settings={"wdth": 8}, trained={"version": "0.0.1"})
    with pytest.raises(InputError, match=r"config\.json: .*'width'.*saved by visavis 0\.0\.1"):
        pretrained.load(folder)


# ---------------------------------------------------------------------- names


def test_an_unknown_name_lists_what_there_is_and_suggests() -> None:
    with pytest.raises(InputError, match=r"Did you mean 'mirror'.*Known: .*random"):
        pretrained.load("miror")


def test_a_recipe_without_weights_says_how_to_get_them() -> None:
    for name in set(recipes.names()) - set(pretrained.available()):
        with pytest.raises(InputError, match=f"visavis train {name}"):
            pretrained.load(name)


def test_available_names_load() -> None:
    for name in pretrained.available():
        assert pretrained.load(name).name == name


def test_a_hub_id_without_the_hub_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"no folder 'nobody/nothing'.*hub"):
        pretrained.load("nobody/nothing")


@pytest.mark.parametrize("name", ["./model", "../model", "model/", "runs/v1-", "a/b/c", "/a/b"])
def test_a_path_that_is_not_there_is_an_input_error(name: str) -> None:
    with pytest.raises(InputError, match=r"there is no.*Known: "):
        pretrained.load(name)


def test_a_folder_of_the_name_comes_before_the_hub(
    model: TransVAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrained.save(model, tmp_path / "someone" / "model")
    monkeypatch.chdir(tmp_path)
    assert pretrained.load("someone/model").config == model.config


# ---------------------------------------------------------------------- the hub's own methods


def test_what_the_hub_s_mixin_saves_it_and_load_give_back(model: TransVAE, tmp_path: Path) -> None:
    model.trained = {"corpus": "simulated 9", "note": "only a test."}
    folder = tmp_path / "published"
    pretrained.HubModel(model).save_pretrained(folder)
    assert {p.name for p in folder.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    for back in (pretrained.HubModel.from_pretrained(folder).model, pretrained.load(folder)):
        assert back.trained == model.trained
        a, b = (m.generate(person(20), 2) for m in (model, back))
        assert torch.equal(a.pack(), b.pack())


def test_the_hub_s_mixin_refuses_options_and_ids_that_are_not_there(folder: Path) -> None:
    with pytest.raises(InputError, match="takes no options"):
        pretrained.HubModel.from_pretrained(folder, width=8)
    with pytest.raises(InputError, match="the hub did not give"):
        pretrained.HubModel.from_pretrained("nobody/nothing")


def test_a_card_tells_data_scores_limits_use_and_ethics(model: TransVAE) -> None:
    from huggingface_hub import ModelCard

    found = {"FRCorr": {"mean": 0.25, "low": 0.2, "high": 0.3}}
    model.trained = {
        "corpus": "simulated 9",
        "note": "only a test.",
        "scores": {
            "protocol": "corrected",
            "corpus": "simulated test dyads",
            "samples": 10,
            "clips": 56,
            "units": "scripts",
            "values": found,
        },
    }
    text = pretrained.model_card(model)
    for part in (
        "## Data",
        "## Training",
        "## Scores",
        "## Limits",
        "## Intended use",
        "## Ethics",
    ):
        assert part in text
    assert "No recording of a person was used." in text
    assert "| FRCorr | 0.25 | 0.2 to 0.3 |" in text and "`corrected`" in text
    assert "Only a test." in text
    assert ModelCard(text).data.library_name == "visavis"


def test_a_card_of_recorded_people_s_data_claims_no_free_licence(model: TransVAE) -> None:
    model.trained = {"corpus": "react"}
    assert "license: other" in pretrained.model_card(model)
    model.trained = {}
    assert "Not trained" in pretrained.model_card(model)


# ---------------------------------------------------------------------- bundled weights


@pytest.mark.parametrize("path", BUNDLED, ids=lambda p: p.name)
def test_a_bundled_model_is_what_its_config_says(path: Path) -> None:
    assert path.name in recipes.names()
    assert path.name in pretrained.available()
    config = json.loads((path / "config.json").read_text())
    assert config["name"] == path.name
    assert config["model"] == recipes.read(path.name).model
    assert config["trained"], "bundled weights say where they come from"
    model = pretrained.load(path.name)
    assert model.name == path.name
    assert all(bool(x.isfinite().all()) for x in model.state_dict().values())
    made = model.generate(person(60), 2)
    assert made.lead == (2,) and made.pack().isfinite().all()


@pytest.mark.parametrize("path", BUNDLED, ids=lambda p: p.name)
def test_bundled_files_have_the_sums_that_their_config_tells(path: Path) -> None:
    files = json.loads((path / "config.json").read_text())["files"]
    assert set(files) == {"model.safetensors"}
    data = (path / "model.safetensors").read_bytes()
    assert files["model.safetensors"] == {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    assert pretrained.model_card(path.name).startswith("---")


@pytest.mark.parametrize("path", BUNDLED, ids=lambda p: p.name)
def test_a_bundled_model_is_small(path: Path) -> None:
    assert {p.name for p in path.iterdir()} == {"config.json", "model.safetensors"}
    assert sum(p.stat().st_size for p in path.iterdir()) <= 4 * MIB


def test_all_bundled_weights_together_are_small() -> None:
    files = [p for p in pretrained.WEIGHTS.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 36 * MIB
