"""Named tensors and a description in one safetensors file: never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visavis.errors import InputError
from visavis.files import atomic_path, existing_file

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], *, kind: str, about: Mapping[str, Any]
) -> Path:
    """Write tensors with `about` as JSON under the metadata key `visavis.<kind>`.

    Raises:
        InputError: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # clones, because two names may share memory (a mask of several channels), which is refused
    stored = {n: x.detach().cpu().clone().contiguous() for n, x in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(stored, temporary, metadata={f"visavis.{kind}": json.dumps(about)})
        except SafetensorError as error:  # it hides the system's own error, e.g. a full disk
            raise InputError(f"cannot write {path}: {error}.") from error
    return Path(path)


def read_tensors(
    path: str | Path, *, kind: str, format: int
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `write_tensors` wrote: the description and the tensors.

    Raises:
        InputError: the file is not there, or holds something else or another format.
    """
    from safetensors import SafetensorError, safe_open

    found = existing_file(path, wanted=f"a {kind} written by visavis (.safetensors)")
    try:
        with safe_open(found, framework="pt") as file:
            text = (file.metadata() or {}).get(f"visavis.{kind}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{found} is not a safetensors file ({error}).") from error
    if text is None:
        raise InputError(f"{found} is a safetensors file but holds no {kind}.")
    try:
        about = json.loads(text)
    except ValueError as error:
        raise InputError(f"{found} is damaged: its description is not JSON.") from error
    if not isinstance(about, dict) or about.get("format") != format:
        came = about.get("format") if isinstance(about, dict) else about
        raise InputError(f"{found} has format {came}; this version of visavis reads {format}.")
    return about, tensors


def kind_of(path: str | Path) -> str | None:
    """What a file of `write_tensors` holds, "persona" for example; None if it is none.

    Raises:
        InputError: the file is not there.
    """
    from safetensors import SafetensorError, safe_open

    found = existing_file(path, wanted="a file written by visavis (.safetensors)")
    try:
        with safe_open(found, framework="pt") as file:
            named = [n for n in file.metadata() or {} if n.startswith("visavis.")]
    except (SafetensorError, OSError):
        return None
    return named[0].removeprefix("visavis.") if named else None
