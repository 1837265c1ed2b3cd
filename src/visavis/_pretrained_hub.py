"""`save_pretrained`, `from_pretrained` and `push_to_hub` as people know them from the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelHubMixin

from visavis import pretrained
from visavis.errors import InputError
from visavis.models._base import ReactionModel


class HubModel(ModelHubMixin):
    """A model with the hub's own methods: `HubModel(model).push_to_hub("owner/name")`.

    `save_pretrained(folder)` writes `config.json`, `model.safetensors` and the model card
    `README.md` (one that is there already stays). `from_pretrained` takes a folder or a hub id,
    which may use the network.

    Args:
        model: what is saved, or was loaded.
    """

    def __init__(self, model: ReactionModel[Any]) -> None:
        self.model = model

    def _save_pretrained(self, save_directory: Path) -> None:
        pretrained.save(self.model, save_directory, trained=self.model.trained)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> Any:
        """The card that goes with what was saved."""
        return ModelCard(pretrained.model_card(self.model))

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **model_kwargs: Any,
    ) -> HubModel:
        """A folder's or hub id's model. The mixin's own reading of `config.json` is passed by:
        ours is checked field by field.

        Raises:
            InputError: nothing of that name, files that do not fit, or options for the model.
        """
        if model_kwargs:
            raise InputError(f"a saved model takes no options, but {sorted(model_kwargs)} came.")
        folder = Path(pretrained_model_name_or_path)
        if not folder.is_dir():
            folder = pretrained.downloaded(
                str(pretrained_model_name_or_path),
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
            )
        return cls(pretrained.load(folder))
